"""Result files and figures under benchmarks/results/, and what they were measured on.

A result is a dict that JSON can hold; its name is its path in the folder without the suffix
("speed", "paper/fig3"). Files appear whole or not at all.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Callable, Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import npscatter
from npscatter.atomic_write import atomic_write
from npscatter.errors import ArgumentError, explain

RESULTS = Path(__file__).parent / "results"
STYLE = Path(__file__).parent / "style.mplstyle"
PACKAGES = (
    *("numpy", "scipy", "numba", "kymatio", "torch", "pytorch-wavelets"),
    *("scikit-image", "scikit-learn"),
)


def path_of(name: str | Path, suffix: str = ".json") -> Path:
    """Return the file of a result's name; a Path is taken as it is if it has a suffix."""
    path = name if isinstance(name, Path) else RESULTS / name
    return path if path.suffix else path.with_name(f"{path.name}{suffix}")


def check_writable(name: str | Path) -> None:
    """Refuse a result whose files cannot be written, before it is measured."""
    for path in (path_of(name), path_of(name, ".png")):
        path.parent.mkdir(parents=True, exist_ok=True)
        if not os.access(path if path.exists() else path.parent, os.W_OK):
            rule = "cannot be written, so that a measurement would be lost"
            raise ArgumentError(explain("results", str(path), rule, "make it writable"))


def read(name: str | Path) -> dict:
    """Return a result."""
    return json.loads(path_of(name).read_text(encoding="utf-8"))


def write(name: str | Path, result: dict) -> Path:
    """Write a result, and return its file; what was there before stays if that fails."""
    path = path_of(name)
    text = json.dumps(result, indent=1, allow_nan=False) + "\n"
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as file:
        file.write(text.encode())
    return path


def write_figure(name: str | Path, draw: Callable[[], object]) -> Path:
    """Write the PNG of the figure that `draw` returns, drawn in the style of style.mplstyle."""
    import matplotlib.style

    path = path_of(name, ".png")
    path.parent.mkdir(parents=True, exist_ok=True)
    with matplotlib.style.context(STYLE):
        figure = draw()
        with atomic_write(path) as file:
            figure.savefig(file, format="png")
    return path


def environment(command: str, packages: Iterable[str] = PACKAGES) -> dict:
    """Return the machine and the versions; `command` is what a reader types to get the same."""
    return {
        "command": command,
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "threads": usable_threads(),
        "openmp": {name: os.environ.get(name) for name in ("OMP_WAIT_POLICY", "OMP_NUM_THREADS")},
        "python": platform.python_version(),
        "npscatter": npscatter.__version__,
        "commit": commit(),
        "versions": versions(packages),
    }


def versions(packages: Iterable[str]) -> dict[str, str]:
    """Return the versions of those packages that are installed."""
    installed = {}
    for package in packages:
        try:
            installed[package] = version(package)
        except PackageNotFoundError:
            continue
    return installed


def usable_threads() -> int:
    """Return how many threads may run at once: the cores this process is allowed on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def commit() -> str | None:
    """Return the commit the working tree was checked out from, None outside a repository."""
    command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


def version_of(program: str) -> str:
    """Return the first line of what a program says of its version."""
    ran = subprocess.run([program, "--version"], capture_output=True, text=True, check=True)
    return ran.stdout.splitlines()[0]


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor())
