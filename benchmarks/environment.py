"""What a result was measured on, for every file under benchmarks/results/."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import npscatter

RESULTS = Path(__file__).parent / "results"
_PACKAGES = ("numpy", "scipy", "numba", "kymatio", "torch", "scikit-image", "scikit-learn")


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
        "python": platform.python_version(),
        "npscatter": npscatter.__version__,
        "versions": {package: found for package in _PACKAGES if (found := _version(package))},
    }


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
