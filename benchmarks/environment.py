"""What a result was measured on, for every file under benchmarks/results/."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import npscatter

RESULTS = Path(__file__).parent / "results"
_PACKAGES = (
    "numpy",
    "scipy",
    "numba",
    "kymatio",
    "torch",
    "pytorch-wavelets",
    "scikit-image",
    "scikit-learn",
)


def environment(command: str) -> dict:
    """Return the command, the machine and the versions.

    Parameters
    ----------
    command : str
        What a reader types to get the same result.
    """
    return {
        "command": command,
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "threads": usable_threads(),
        "python": platform.python_version(),
        "npscatter": npscatter.__version__,
        "commit": commit(),
        "versions": {package: found for package in _PACKAGES if (found := _version(package))},
    }


def usable_threads() -> int:
    """Return how many threads may run at once: the cores this process is allowed on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def commit() -> str | None:
    """Return the commit the working tree was checked out from, None outside a repository."""
    command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"]
    try:
        found = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return found.stdout.strip()


def version_of(program: str) -> str:
    """Return the first line of what a program says of its version."""
    ran = subprocess.run([program, "--version"], capture_output=True, text=True, check=True)
    return ran.stdout.splitlines()[0]


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor())
