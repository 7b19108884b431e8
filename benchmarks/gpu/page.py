"""The README's section on the GPU, from the committed results."""

from __future__ import annotations

import json

from benchmarks.gpu.report import KYMATIO, NETWORK, OF_CEILING, TIMES_KYMATIO
from benchmarks.results import RESULTS

COLUMNS = {
    KYMATIO: KYMATIO,
    "accurate": "`accurate`",
    "accurate float16": "`accurate`, float16 storage",
    "paper-tuned": "`paper-tuned`",
    "paper": "`paper`",
    NETWORK: NETWORK,
}
NOT_MEASURED = (
    '`backend="cuda"` is not measured on a device yet: `python -m benchmarks.gpu` does it, on a '
    "machine with an NVIDIA GPU."
)


def gpu_text() -> str:
    """Return the tables of times, shares of the ceilings and aims, or that there are none yet."""
    path, compiled = RESULTS / "gpu.json", RESULTS / "gpu_compiled.json"
    measured = rendered(json.loads(path.read_text())) if path.exists() else NOT_MEASURED
    return f"{measured}\n\n{told_of_kernels(json.loads(compiled.read_text()))}"


def told_of_kernels(result: dict) -> str:
    """Return what the shipped banks' kernels take, as a sentence."""
    kernels = result["kernels"]
    taken = []
    for dtype in ("float32", "float64"):
        registers = [kernel["registers"] for kernel in kernels if kernel["dtype"] == dtype]
        taken.append(f"{min(registers)} to {max(registers)} registers in {dtype}")
    names = ("stack", "spill stores", "spill loads")
    wasted = sum(kernel[name] for kernel in kernels for name in names)
    words = f"{wasted} bytes of stack and spills" if wasted else "no stack, and spill none"
    capabilities = sorted({kernel["capability"] for kernel in kernels}, key=float)
    versions = result["versions"]
    return (
        f"Compiled for compute capability {', '.join(capabilities)}, the {len(kernels)} kernels of "
        f"the shipped banks take {' and '.join(taken)}, {words}. Written by "
        f"`{result['command']}` (numba-cuda {versions['numba-cuda']}, ptxas "
        f"{versions['nvidia-cuda-nvcc']}); it needs no GPU."
    )


def rendered(result: dict) -> str:
    """Return the section of a run's results."""
    workloads, gpu = result["workloads"], result["environment"]["gpu"]
    versions, highest = result["environment"]["versions"], result["ceilings"]
    lines = _table("images on the GPU, ms", list(COLUMNS), workloads, _time_of("device"))
    lines += ["", *_table("NumPy arrays, ms", list(COLUMNS), workloads, _time_of("numpy"))]
    ours = [name for name in COLUMNS if name not in (KYMATIO, NETWORK)]
    lines += ["", *_table("share of the tighter ceiling", ours, workloads, _share)]
    missed = [
        f"{aim['aim']} (aim {aim['at_least']:g}, "
        + ("not measured" if aim["reached"] is None else f"reached {aim['reached']:.3g}")
        + ")"
        for aim in result["aims"]
        if not aim["met"]
    ]
    wanted = ", ".join(f"{times}x with `{name}`" for name, times in TIMES_KYMATIO.items())
    lines += [
        "",
        f"Milliseconds per batch, and how many times as fast as Kymatio {versions['kymatio']} in "
        f"Torch {versions['torch']} on the same {gpu['name']} (driver {gpu['driver']}, CUDA "
        f"{gpu['runtime_cuda']}, numba-cuda {versions['numba-cuda']}), order 2, float32, medians "
        f"of {result['settings']['rounds']} interleaved rounds"
        f"{', a quick run' if result['setting'] == 'quick' else ''}. Below, the transfers from and "
        "to pageable NumPy arrays are included. The shares are those of the useful work, images "
        "on the GPU, in the tighter of two ceilings measured in the same run: "
        f"{_number(highest['flops_per_second'] / 1e12)} TFLOP/s of float32 multiply-adds and "
        f"{_number(highest['bytes_per_second'] / 1e9)} GB/s of copying; (a) stands for the "
        "arithmetic, (m) for the memory. The aims were "
        f"{wanted} on the first batch, and {100 * OF_CEILING:.0f} % of the tighter ceiling; "
        f"missed: {'; '.join(missed) or 'none'}. Written by "
        f"`{result['environment']['command']}`; rounds, blocks, larger and smaller batches and "
        "workspaces are in [gpu.json](benchmarks/results/gpu.json).",
    ]
    return "\n".join(lines)


def _table(head: str, names: list[str], workloads: dict, cell) -> list[str]:
    titles = " | ".join(COLUMNS[name] for name in names)
    lines = [f"| {head} | {titles} |", "|---" * (1 + len(names)) + "|"]
    for workload, record in workloads.items():
        cells = [cell(record["contestants"].get(name, {"reason": ""})) for name in names]
        lines.append(f"| {workload} | {' | '.join(cells)} |")
    return lines


def _time_of(way: str):
    def cell(one: dict) -> str:
        if "reason" in one:
            return one["reason"].split(":")[0]
        times = one.get("times_as_fast_as_kymatio", {}).get(way)
        return _number(one[way]["ms"]) + (f" ({_number(times)}x)" if times else "")

    return cell


def _share(one: dict) -> str:
    if "of_ceilings" not in one:
        return ""
    reached = one["of_ceilings"]
    return f"{100 * reached['of_tighter_ceiling']:.0f} % ({reached['tighter_ceiling'][0]})"


def _number(value: float) -> str:
    """Return a number with three significant digits, no exponent."""
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"
