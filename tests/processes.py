"""Code in processes of its own, with a bank that compiles in a moment."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

SMALL_BANK = """
import hashlib, os, sys
import numpy as np
from npscatter import FilterBank, Scattering2D
generator = np.random.default_rng(0)
def taps(*leading):
    return generator.normal(size=(*leading, 3, 3))
bank = FilterBank(
    "small", carry_first=taps(1, 1), low_first=taps(1, 1), carry_next=taps(1, 1),
    low_next=taps(1, 1), psi_first=taps(2, 1) + 1j * taps(2, 1), psi_next=taps(2, 1) + 1j,
)
S = Scattering2D(2, (16, 20), L=2, bank=bank, backend="numba", threads=2)
x = generator.normal(size=(20, 16, 20))
"""
EQUALS_NUMPY = """
N = Scattering2D(2, (16, 20), L=2, bank=bank, backend="numpy")
for images in (x, x[0]):
    assert np.abs(S(images) - N(images)).max() < 1e-12 * np.abs(N(images)).max()
"""
# What the bank gives in two threads, whatever is worth it.
IN_THREADS = """
from npscatter.backends.cpu.executor import Limits, execute
def in_threads(images):
    out = np.empty((*images.shape[:-2], *S.output_shape))
    execute(S.plan, bank, images, out, 2, Limits(work_per_thread=1, work_per_step=0))
    return out
"""


# Compiled in half the time, into code that Numba cannot keep on disk.
HASTY = {"NUMBA_OPT": "0"}


def run_python(code, *arguments, folder=ROOT, without=(), timeout=300, **variables):
    """Run code in a new process and return what it printed."""
    environment = {key: value for key, value in os.environ.items() if key not in without}
    result = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        **{"cwd": folder, "env": {**environment, **variables}, "timeout": timeout},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, f"{result.returncode}: {result.stderr}"
    return result.stdout


WORKER = """
from npscatter.backends.cpu import executor
executor._worker("float64")
print(executor._worker("float64")._cache._cache_file.folder)
"""


def copy_worker(cache, package=ROOT):
    """Let what takes longest to compile be in a cache on disk already, the bank's kernels not.

    Parameters
    ----------
    cache : Path
        What ``NUMBA_CACHE_DIR`` is going to be.
    package : Path, optional
        The folder of the package that is going to use it, or of a copy of it.
    """
    from numba.core.caching import UserProvidedCacheLocator

    source = Path(run_python(WORKER).strip())
    used = package / "npscatter" / "backends" / "cpu" / "interpreter.py"
    folder = cache / UserProvidedCacheLocator.get_suitable_cache_subpath(str(used))
    folder.mkdir(parents=True)
    for path in source.glob("*make_worker*"):
        shutil.copy(path, folder)
