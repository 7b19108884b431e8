"""Table 2: first and second order on images of CIFAR-10's size, against Kymatio."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from statistics import median

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks import timing
from benchmarks.paper.experiment import Experiment, Settings, cifar_images, measured_on
from benchmarks.peers import kymatio_on, network_on, ours, scattering
from benchmarks.speed import KYMATIO, NETWORK, PAUSE, time_pass
from benchmarks.tables import number, table
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
    "L1": {
        "CPU": {"Scatter": 37.5701, "Our method": 0.5909},
        "GPU": {"Scatter": 0.2015, "Our method": 0.0037},
    },
    "L2": {
        "CPU": {"Scatter": 180.37, "Our method": 2.22},
        "GPU": {"Scatter": 4.65, "Our method": 0.023},
    },
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
            orders[name] = found = {"J": J, "max_order": order, "verified": verified}
            for timed, threads in PASSES.items():
                found[timed] = compared(
                    time_pass(workload, threads, ROUNDS, "auto", FEWER_ORIENTATIONS)
                )
            found["GPU"] = time_on_gpu(workload)
            found["printed"] = printed(name)
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
    """Compare the banks of fewer orientations with Kymatio's transform of as many."""
    images, found = workload.images()[:3], {}
    for contestant in FEWER_ORIENTATIONS:
        S = scattering(workload, contestant.bank)
        wanted = teach(images, workload.J, S.L, workload.max_order)
        errors = relative_errors(S(images), wanted, S.meta()["order"])
        _check(f"{workload.name}, {contestant.name}", errors, NEAR_KYMATIO)
        found[f"{contestant.name}, Kymatio NumPy of L = {S.L}"] = errors
    return found


def _check(what: str, errors: dict[str, float], tolerance: float) -> None:
    if not all(error <= tolerance for error in errors.values()):  # NaN too
        raise MismatchError(f"{what}: {errors}")


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
    return {
        "name": torch.cuda.get_device_name(),
        "cuda": torch.version.cuda,
        "images": "on the device before and after: no transfers",
        "precision": "float32, not TF32",
        **time_on_device(workload, torch.device("cuda"), ROUNDS),
    }


def time_on_device(workload: Workload, device: torch.device, rounds: int) -> dict:
    """Verify, then time Kymatio and the paper's network in Torch on a device.

    MismatchError is raised if the device computes something else than the CPU.
    """
    images = torch.from_numpy(workload.images())
    blocks = images.to(device).split(GPU_BLOCK)
    order = Scattering2D(workload.J, workload.shape, max_order=workload.max_order).meta()["order"]
    contestants, calls = {}, {}
    with torch.inference_mode():
        for name, make in {KYMATIO_TORCH: kymatio_on, NETWORK: network_on}.items():
            transform = make(workload, device)
            expected = make(workload, torch.device("cpu"))(images[:3]).numpy()
            errors = relative_errors(transform(blocks[0][:3]).cpu().numpy(), expected, order)
            _check(f"{workload.name}, {name} on {device.type}", errors, SAME_NETWORK)
            contestants[name] = {"verified": errors}

            def call(transform=transform) -> None:
                for block in blocks:
                    transform(block)
                if device.type == "cuda":
                    torch.cuda.synchronize(device)

            calls[name] = call
        for name, seconds in timing.interleaved(calls, rounds).items():
            each = [round(1e3 * taken / len(images), 6) for taken in seconds]
            contestants[name] |= {"each_round": each, "ms_per_image": median(each)}
    return compared({"block": len(blocks[0]), "contestants": contestants})


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
    figure = Figure(figsize=(13, 5.4))
    figure.suptitle(
        "Table 2 again: times as fast as Kymatio, and milliseconds per image\n"
        f"{result['images']} images: {result['data']}\n"
        f"{machine['cpu']}, all {machine['threads']} cores, float32, medians of "
        f"{result['rounds']} rounds; Kymatio {machine['versions']['kymatio']}, "
        f"Torch {machine['versions']['torch']}"
    )
    panels = figure.subplots(1, len(result["orders"]), sharey=True)
    for axes, (name, order) in zip(panels, result["orders"].items(), strict=True):
        _panel(axes, order)
        ratios = ", ".join(f"{row['ratio']:.3g} on a {d}" for d, row in order["printed"].items())
        axes.set_title(f"{name}: order {order['max_order']}, J = {order['J']} (printed: {ratios})")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return figure


def _panel(axes: Axes, order: dict) -> None:
    rows = {words: order["all cores"]["contestants"][name] for name, words in SHOWN.items()}
    if isinstance(order["GPU"], dict):
        found = order["GPU"]["contestants"]
        rows |= {f"{SHOWN[name]}, GPU": result for name, result in found.items()}
    places = np.arange(len(rows))[::-1]
    for offset, colour, key, words in (
        (0.2, "C0", "times_as_fast_as_kymatio", "to its faster CPU backend"),
        (-0.2, "C1", "times_as_fast_as_kymatio_torch", "to its Torch backend on the same device"),
    ):
        ratios = [row.get(key, np.nan) for row in rows.values()]
        axes.barh(places + offset, ratios, 0.38, color=colour, label=words)
    for place, row in zip(places, rows.values(), strict=True):
        text, at = f"{row['ms_per_image']:.3g} ms", (0.99, place)
        axes.annotate(text, at, xycoords=("axes fraction", "data"), ha="right", va="center")
    for device, style in (("CPU", "--"), ("GPU", ":")):
        ratio = order["printed"][device]["ratio"]
        axes.axvline(ratio, color="black", linestyle=style, label=f"printed ratio, {device}")
    axes.set_yticks(places, rows)
    axes.set(xscale="log", xlim=(0.2, 3000), xlabel="times as fast as Kymatio")
    axes.set_xticks([1, 3, 10, 30, 100, 300], ["1", "3", "10", "30", "100", "300"])
    axes.minorticks_off()
    axes.grid(False, axis="y")


def section(result: dict) -> str:
    """Return table 2: ratios to Kymatio."""
    rows, orders = [], result["orders"]
    for order, found in orders.items():
        ratio = f"{found['printed']['CPU']['ratio']:.3g}"
        rows.append([order, "printed", "the paper's network", "", "", ratio, ""])
        for timed in PASSES:
            for name, one in found[timed]["contestants"].items():
                if one["ms_per_image"] is not None:
                    ratios = (
                        number(one.get(f"times_as_fast_as_kymatio{which}"))
                        for which in ("_torch", "")
                    )
                    per_second = f"{one['images_per_second']:,.0f}"
                    time = number(one["ms_per_image"])
                    rows.append([order, timed, name, time, per_second, *ratios])
    ratios = ", ".join(f"{o} {found['printed']['GPU']['ratio']:.3g}" for o, found in orders.items())
    devices = [
        f"{order}, {name}: {number(one['ms_per_image'])} ms per image, "
        f"{number(one['times_as_fast_as_kymatio_torch'])} times Kymatio Torch"
        for order, found in orders.items()
        if isinstance(found["GPU"], dict)
        for name, one in found["GPU"]["contestants"].items()
    ]
    gpu = (
        f"On a GPU (printed ratios: {ratios}): {'; '.join(devices)}."
        if devices
        else f"The printed GPU ratios ({ratios}) are not checked: no GPU was at hand."
    )
    head = ["order", "threads", "what", "ms per image", "images / s"]
    head += ["times Kymatio Torch", "times the faster Kymatio"]
    return f"{table(head, rows)}\n\n{gpu} {measured_on(result)}"


EXPERIMENT = Experiment(
    "table2", "Table 2: speed of first and second order against Kymatio", measure, draw, section
)
