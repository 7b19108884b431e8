"""What a GPU is, and the software it is reached by."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version

import torch

from npscatter.gpu.target import cuda

PACKAGES = ("numba-cuda", "cuda-bindings", "cuda-core", "cuda-toolkit", "llvmlite")
# What nvidia-smi is asked for, and what it is called in the results.
ASKED = {
    "driver_version": "driver",
    "clocks.sm": "clock_mhz",
    "clocks.max.sm": "most_clock_mhz",
    "clocks.mem": "memory_clock_mhz",
    "clocks.max.mem": "most_memory_clock_mhz",
    "power.limit": "power_limit_w",
}


def package_versions() -> dict[str, str]:
    """Return the versions of what is installed for the GPU only."""
    found = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def the_gpu() -> dict:
    """Return what the current GPU is; None stands for what cannot be found out.

    Call it while the GPU is warm: idle, its clock is low.
    """
    gpu = cuda.get_current_device()

    def attribute(name: str) -> int | None:
        return _or_none(lambda: int(getattr(gpu, name)))

    uuid = _or_none(lambda: str(gpu.uuid))
    return {
        "name": _or_none(lambda: _text(gpu.name)),
        "compute_capability": _or_none(lambda: ".".join(map(str, gpu.compute_capability))),
        "multiprocessors": attribute("MULTIPROCESSOR_COUNT"),
        "memory_bytes": _or_none(lambda: int(cuda.current_context().get_memory_info().total)),
        "l2_bytes": attribute("L2_CACHE_SIZE"),
        "memory_bus_bits": attribute("GLOBAL_MEMORY_BUS_WIDTH"),
        "driver_cuda": _or_none(lambda: _dotted(_driver_version())),
        "runtime_cuda": _or_none(lambda: _dotted(cuda.runtime.get_version())),
        "torch_cuda": torch.version.cuda,
        "torch_cudnn": _or_none(torch.backends.cudnn.version),
        **_asked(uuid),
    }


def _asked(uuid: str | None) -> dict:
    """Return what nvidia-smi says of a GPU."""
    command = ["nvidia-smi", f"--query-gpu={','.join(ASKED)}", "--format=csv,noheader,nounits"]
    command += [f"--id={uuid}"] if uuid else []
    try:
        ran = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30)
    except (OSError, subprocess.SubprocessError):
        return parsed("")
    return parsed(ran.stdout)


def parsed(line: str) -> dict:
    """Return nvidia-smi's line of values by the names in the results, None for what is missing."""
    values = [value.strip() for value in line.splitlines()[0].split(",")] if line else []
    if len(values) != len(ASKED):
        values = [""] * len(ASKED)
    return {name: _value(text) for name, text in zip(ASKED.values(), values, strict=True)}


def _value(text: str) -> float | str | None:
    if not text or text.startswith("["):  # "[N/A]", "[Not Supported]"
        return None
    try:
        return float(text)
    except ValueError:
        return text


def _text(name: str | bytes) -> str:
    return name.decode() if isinstance(name, bytes) else str(name)


def _dotted(numbers: tuple[int, ...]) -> str:
    return ".".join(map(str, numbers))


def _driver_version() -> tuple[int, int]:
    from numba.cuda.cudadrv import driver

    return driver.get_version()


def _or_none(find: Callable[[], object]) -> object:
    """Return what `find` finds; None if it fails, for no description is worth a run."""
    try:
        return find()
    except Exception:
        return None
