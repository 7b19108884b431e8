"""Table 2: first and second order on images of CIFAR-10's size, against Kymatio."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from statistics import median

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks import timing, verify
from benchmarks.paper.experiment import Experiment, Settings, measured_on
from benchmarks.paper.sources import cifar_images
from benchmarks.peers import KYMATIO, NETWORK, kymatio_on, network_on, ours, scattering
from benchmarks.speed import PAUSE, time_pass
from benchmarks.tables import number, table
from benchmarks.workloads import Workload
from tools.teacher import teach

IMAGES, SIDE, SEED, ROUNDS = 10_000, 32, 40, 5
# On a GPU; a small one holds no more of Kymatio's maps.
GPU_BLOCK = 1000
# The paper's order -> J and order. One level of its network halves the resolution, as J = 1 does,
# and gives 9 channels; two levels give the 81 of J = 2.
ORDERS = {"L1": (1, 1), "L2": (2, 2)}
# Seconds on an Intel 8600K and a GTX 1060.
PRINTED = {
    ("L1", "CPU"): {"Scatter": 37.5701, "Our method": 0.5909},
    ("L1", "GPU"): {"Scatter": 0.2015, "Our method": 0.0037},
    ("L2", "CPU"): {"Scatter": 180.37, "Our method": 2.22},
    ("L2", "GPU"): {"Scatter": 4.65, "Our method": 0.023},
}
_, KYMATIO_TORCH = KYMATIO
FEWER_ORIENTATIONS = (ours("accurate-L4", "accurate-L4"), ours("accurate-L6", "accurate-L6"))
RATIOS = ("times_as_fast_as_kymatio", "times_as_fast_as_kymatio_torch")
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
            verified = verify.verify(workload, "auto") | verify_fewer_orientations(workload)
            orders[name] = found = {"J": J, "max_order": order, "verified": verified}
            for words_of_pass, threads in PASSES.items():
                timed = time_pass(workload, threads, ROUNDS, "auto", FEWER_ORIENTATIONS)
                found[words_of_pass] = compared(timed)
            gpu = torch.cuda.is_available()
            found["GPU"] = time_on(workload, torch.device("cuda"), ROUNDS) if gpu else "no GPU"
            found["printed"] = {device: printed(name, device) for device in ("CPU", "GPU")}
    return {
        "data": words,
        "images": IMAGES,
        "seed": SEED,
        "calls": "as many of the images as take 0.3 s, in the block size that suits each best",
        "rounds": ROUNDS,
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
        what = f"{contestant.name}, Kymatio NumPy of L = {S.L}"
        order = S.meta()["order"]
        found[what] = verify.compared(what, S(images), wanted, order, verify.TAUGHT["accurate"])
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
                del result[RATIOS[0]]
            else:
                result[RATIOS[1]] = round(slow / result["ms_per_image"], 3)
    return timed


def printed(order: str, device: str) -> dict:
    """Return the seconds the paper prints, and what they come to as a ratio."""
    seconds = PRINTED[order, device]
    return seconds | {"ratio": round(seconds["Scatter"] / seconds["Our method"], 2)}


def time_on(workload: Workload, device: torch.device, rounds: int) -> dict:
    """Compare Kymatio and the paper's network in Torch with the CPU, then time them on a device.

    Images and coefficients stay on it; float32, not TF32.
    """
    images = torch.from_numpy(workload.images())
    blocks = images.to(device).split(GPU_BLOCK)
    order = scattering(workload, "accurate").meta()["order"]
    contestants, calls = {}, {}
    with torch.inference_mode():
        for name, make in {KYMATIO_TORCH: kymatio_on, NETWORK: network_on}.items():
            transform = make(workload, device)
            wanted = make(workload, torch.device("cpu"))(images[:3]).numpy()
            few = transform(blocks[0][:3]).cpu().numpy()
            errors = verify.compared(name, few, wanted, order, verify.SAME_NETWORK)
            contestants[name] = {"verified": errors}
            calls[name] = partial(_call, transform, blocks, device)
        for name, seconds in timing.interleaved(calls, rounds).items():
            each = [round(1e3 * taken / len(images), 6) for taken in seconds]
            contestants[name] |= {"each_round": each, "ms_per_image": median(each)}
    gpu = torch.cuda.get_device_name() if device.type == "cuda" else device.type
    return compared({"name": gpu, "block": len(blocks[0]), "contestants": contestants})


def _call(transform: Callable, blocks: tuple[torch.Tensor, ...], device: torch.device) -> None:
    for block in blocks:
        transform(block)
    if device.type == "cuda":
        torch.cuda.synchronize(device)


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
    words = ("to its faster CPU backend", "to its Torch backend on the same device")
    for offset, key, label in zip((0.2, -0.2), RATIOS, words, strict=True):
        ratios = [row.get(key, np.nan) for row in rows.values()]
        axes.barh(places + offset, ratios, 0.38, label=label)
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
    rows, printed, gpu = [], [], []
    for order, found in result["orders"].items():
        on_cpu, on_gpu = (f"{found['printed'][device]['ratio']:.3g}" for device in ("CPU", "GPU"))
        printed.append(f"{order} {on_gpu}")
        rows.append([order, "printed", "the paper's network", "", "", on_cpu, ""])
        for timed in PASSES:
            for name, one in found[timed]["contestants"].items():
                if one["ms_per_image"] is not None:
                    cells = [number(one["ms_per_image"]), f"{one['images_per_second']:,.0f}"]
                    cells += [number(one.get(ratio)) for ratio in reversed(RATIOS)]
                    rows.append([order, timed, name, *cells])
        if found["GPU"] != "no GPU":
            ratio = found["GPU"]["contestants"][NETWORK][RATIOS[1]]
            gpu.append(f"{order} {number(ratio)} on {found['GPU']['name']}")
    of_gpu = f"measured: {', '.join(gpu)}" if gpu else "are not checked: no GPU was at hand"
    head = ["order", "threads", "what", "ms per image", "images / s"]
    head += ["times Kymatio Torch", "times the faster Kymatio"]
    words = f"The printed GPU ratios ({', '.join(printed)}) {of_gpu}."
    return f"{table(head, rows)}\n\n{words} {measured_on(result)}"


TITLE = "Table 2: speed of first and second order against Kymatio"
EXPERIMENT = Experiment("table2", TITLE, measure, draw, section)
