"""Table 2: first and second order on images of CIFAR-10's size, against Kymatio."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from statistics import median

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.paper.experiment import Experiment, Settings, cifar_images
from benchmarks.peers import kymatio_on, network_on, ours, scattering
from benchmarks.speed import KYMATIO, NETWORK, PAUSE, time_pass
from benchmarks.verify import KYMATIO as NEAR_KYMATIO
from benchmarks.verify import SAME_NETWORK, MismatchError, verify
from benchmarks.workloads import Workload
from npscatter import Scattering2D
from npscatter.metrics import relative_errors
from tools.teacher import teach

IMAGES, SIDE, SEED, ROUNDS = 10_000, 32, 40, 5
# On a GPU; a small one holds no more of Kymatio's maps.
GPU_BLOCK = 1000
# The paper's order -> J and order. One level of its network halves the resolution, as J = 1 does,
# and gives 9 channels; two levels give the 81 of J = 2.
ORDERS = {"L1": (1, 1), "L2": (2, 2)}
# Seconds on an Intel 8600K and a GTX 1060.
PRINTED = {
    "L1": {"CPU": {"Scatter": 37.5701, "Our method": 0.5909}}
    | {"GPU": {"Scatter": 0.2015, "Our method": 0.0037}},
    "L2": {"CPU": {"Scatter": 180.37, "Our method": 2.22}}
    | {"GPU": {"Scatter": 4.65, "Our method": 0.023}},
}
KYMATIO_TORCH = "Kymatio Torch"
FEWER_ORIENTATIONS = (ours("accurate-L4", "accurate-L4"), ours("accurate-L6", "accurate-L6"))
PASSES = {"one thread": 1, "all cores": None}
SHOWN = {
    "accurate": "npscatter, accurate",
    "paper-tuned": "npscatter, paper-tuned",
    "paper": "npscatter, paper",
    NETWORK: "the paper's network\nin Torch (conv2d)",
    **{name: name for name in KYMATIO},
}


@dataclass(frozen=True)
class CifarWorkload(Workload):
    """A workload of CIFAR-10's images or of their stand-in."""

    settings: Settings = field(default_factory=Settings)

    def images(self) -> np.ndarray:
        """Return the batch, float32 (batch, H, W)."""
        return cifar_images(self.settings, self.batch, SEED)[0]


def measure(settings: Settings) -> dict:
    """Verify and time every contestant at both orders, on one thread and on all cores."""
    _, words = cifar_images(settings, 1, SEED)
    orders = {}
    with _untouched_torch():
        for name, (J, order) in ORDERS.items():
            workload = CifarWorkload(SIDE, SIDE, IMAGES, J, order, settings)
            verified = verify(workload, "auto") | verify_fewer_orientations(workload)
            found = {"J": J, "max_order": order, "verified": verified}
            for words_of_pass, threads in PASSES.items():
                timed = time_pass(workload, threads, ROUNDS, "auto", FEWER_ORIENTATIONS)
                found[words_of_pass] = compared(timed)
            found["GPU"] = time_on_gpu(workload)
            found["printed"] = printed(name)
            orders[name] = found
    return {
        "data": words,
        "images": IMAGES,
        "seed": SEED,
        "calls": "as many of the images as take 0.3 s, in the block size that suits each best",
        "rounds": ROUNDS,
        "openmp": {name: os.environ.get(name) for name in ("OMP_WAIT_POLICY", "OMP_NUM_THREADS")},
        "pause_after_torch_seconds": PAUSE,
        "no ratio": "banks of 4 and 6 orientations compute fewer coefficients than Kymatio's 8",
        "orders": orders,
    }


def verify_fewer_orientations(workload: Workload) -> dict[str, dict[str, float]]:
    """Compare the banks of fewer orientations with Kymatio's transform of as many.

    Raises
    ------
    MismatchError
        If any order is off by more than `benchmarks.verify.KYMATIO`.
    """
    images, found = workload.images()[:3], {}
    for contestant in FEWER_ORIENTATIONS:
        S = scattering(workload, contestant.bank)
        wanted = teach(images, workload.J, S.L, workload.max_order)
        errors = relative_errors(S(images), wanted, S.meta()["order"])
        if not all(error <= NEAR_KYMATIO for error in errors.values()):  # NaN too
            raise MismatchError(f"{workload.name}, {contestant.name}: {errors}")
        found[f"{contestant.name}, Kymatio NumPy of L = {S.L}"] = errors
    return found


def compared(timed: dict) -> dict:
    """Add images per second and ratios to Kymatio's Torch backend, of what computes the same."""
    contestants = timed["contestants"]
    slow = contestants[KYMATIO_TORCH]["ms_per_image"]
    fewer = {contestant.name for contestant in FEWER_ORIENTATIONS}
    for name, result in contestants.items():
        if result["ms_per_image"] is not None:
            result["images_per_second"] = round(1e3 / result["ms_per_image"], 1)
            if name in fewer:
                del result["times_as_fast_as_kymatio"]
            else:
                result["times_as_fast_as_kymatio_torch"] = round(slow / result["ms_per_image"], 3)
    return timed


def printed(name: str) -> dict:
    """Return the seconds the paper prints, and what they come to as a ratio."""
    return {
        device: seconds | {"ratio": round(seconds["Scatter"] / seconds["Our method"], 2)}
        for device, seconds in PRINTED[name].items()
    }


def time_on_gpu(workload: Workload) -> dict | str:
    """Return the milliseconds per image of what runs on a GPU, "no GPU" where there is none."""
    if not torch.cuda.is_available():
        return "no GPU"
    timed = time_on_device(workload, torch.device("cuda"), ROUNDS)
    return {
        "name": torch.cuda.get_device_name(),
        "cuda": torch.version.cuda,
        "images": "on the device before and after: no transfers",
        "precision": "float32, not TF32",
        **timed,
    }


def time_on_device(workload: Workload, device: torch.device, rounds: int) -> dict:
    """Verify, then time Kymatio and the paper's network in Torch on a device.

    Raises
    ------
    MismatchError
        If the device computes something else than the CPU.
    """
    images = torch.from_numpy(workload.images())
    blocks = images.to(device).split(GPU_BLOCK)
    makers = {KYMATIO_TORCH: kymatio_on, NETWORK: network_on}
    transforms = {name: make(workload, device) for name, make in makers.items()}
    order = Scattering2D(workload.J, workload.shape, max_order=workload.max_order).meta()["order"]
    results = {}
    with torch.inference_mode():
        for name, transform in transforms.items():
            expected = makers[name](workload, torch.device("cpu"))(images[:3]).numpy()
            errors = relative_errors(transform(blocks[0][:3]).cpu().numpy(), expected, order)
            if not all(error <= SAME_NETWORK for error in errors.values()):  # NaN too
                raise MismatchError(f"{workload.name}, {name} on {device.type}: {errors}")
            results[name] = {"verified": errors, "each_round": []}
        # One round more, first, to warm up.
        for number in range(rounds + 1):
            for name, transform in transforms.items():
                seconds = _seconds(transform, blocks, device)
                if number:
                    milliseconds = 1e3 * seconds / len(images)
                    results[name]["each_round"].append(round(milliseconds, 6))
    for result in results.values():
        result["ms_per_image"] = median(result["each_round"])
    return compared({"block": len(blocks[0]), "contestants": results})


def _seconds(transform: Callable, blocks: tuple[torch.Tensor, ...], device: torch.device) -> float:
    def wait() -> None:
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    wait()
    start = time.perf_counter()
    for block in blocks:
        transform(block)
    wait()
    return time.perf_counter() - start


@contextmanager
def _untouched_torch() -> Iterator[None]:
    """Let Torch run as users have it, in full float32, and give it back as it was.

    Its deterministic mode, which the other experiments need, fills every new tensor.
    """
    deterministic, threads = torch.are_deterministic_algorithms_enabled(), torch.get_num_threads()
    short = torch.backends.cudnn.allow_tf32
    torch.use_deterministic_algorithms(False)
    torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(deterministic)
        torch.backends.cudnn.allow_tf32 = short
        torch.set_num_threads(threads)


def draw(result: dict) -> Figure:
    """Show how many times as fast as Kymatio everything is, beside the printed ratios."""
    machine = result["environment"]
    figure = Figure(figsize=(13, 5.4), layout="constrained")
    figure.suptitle(
        "Table 2 again: times as fast as Kymatio, and milliseconds per image\n"
        f"{result['images']} images: {result['data']}\n"
        f"{machine['cpu']}, all {machine['threads']} cores, float32, medians of "
        f"{result['rounds']} rounds; Kymatio {machine['versions']['kymatio']}, "
        f"Torch {machine['versions']['torch']}",
        fontsize=11,
    )
    panels = figure.subplots(1, len(result["orders"]), sharey=True)
    for axes, (name, order) in zip(panels, result["orders"].items(), strict=True):
        _panel(axes, order)
        ratios = ", ".join(f"{row['ratio']:.3g} on a {d}" for d, row in order["printed"].items())
        axes.set_title(
            f"{name}: order {order['max_order']}, J = {order['J']} (printed: {ratios})", fontsize=11
        )
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, fontsize=9.5)
    return figure


def _panel(axes: Axes, order: dict) -> None:
    rows = {words: order["all cores"]["contestants"][name] for name, words in SHOWN.items()}
    if isinstance(order["GPU"], dict):
        found = order["GPU"]["contestants"]
        rows |= {f"{SHOWN[name]}, GPU": result for name, result in found.items()}
    places = np.arange(len(rows))[::-1]
    fastest = [row.get("times_as_fast_as_kymatio", np.nan) for row in rows.values()]
    torch_backend = [row["times_as_fast_as_kymatio_torch"] for row in rows.values()]
    axes.barh(places + 0.2, fastest, 0.38, color="C0", label="to its faster CPU backend")
    axes.barh(
        places - 0.2,
        torch_backend,
        0.38,
        color="C1",
        label="to its Torch backend on the same device",
    )
    for place, row in zip(places, rows.values(), strict=True):
        text = f"{row['ms_per_image']:.3g} ms"
        at = (0.99, place)
        axes.annotate(
            text, at, xycoords=("axes fraction", "data"), ha="right", va="center", fontsize=9.5
        )
    for device, style in (("CPU", "--"), ("GPU", ":")):
        ratio = order["printed"][device]["ratio"]
        axes.axvline(ratio, color="black", linestyle=style, label=f"printed ratio, {device}")
    axes.set_yticks(places, rows, fontsize=10)
    axes.set_xscale("log")
    axes.set_xlim(0.2, 3000)
    axes.set_xticks([1, 3, 10, 30, 100, 300], ["1", "3", "10", "30", "100", "300"], fontsize=9)
    axes.minorticks_off()
    axes.grid(axis="x", alpha=0.3)
    axes.set_axisbelow(True)
    axes.set_xlabel("times as fast as Kymatio", fontsize=10)


EXPERIMENT = Experiment(
    "table2", "Table 2: speed of first and second order against Kymatio", measure, draw
)
