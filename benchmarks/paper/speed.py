"""Table 2: seconds per epoch of first and second order on CIFAR-10's test set, against Kymatio.

An epoch passes 10,000 images once; the coefficients of a batch are dropped before the next one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from statistics import median

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks import peers, timing, verify
from benchmarks.paper.experiment import Experiment, Settings, measured_on
from benchmarks.paper.sources import cifar_images
from benchmarks.peers import KYMATIO, NETWORK, scattering
from benchmarks.results import usable_threads
from benchmarks.speed import CALL_SECONDS, MOST_SECONDS, PAUSE
from benchmarks.tables import number, table
from benchmarks.workloads import Workload
from npscatter import FilterBank, list_banks
from tools.teacher import teach

EPOCH, SIDE, SEED, ROUNDS = 10_000, 32, 40, 5
# The paper's batch; others that are tried, on a sample. Larger ones are no faster for anything.
BATCH, BLOCKS, SAMPLE = 50, (1000, 500, 200, 100, 50, 20), 1000
# On a GPU; a small one holds no more of Kymatio's maps.
GPU_BLOCK = 1000
# Images that are passed one by one, which takes Kymatio ten times as long.
ONE_BY_ONE = 200
# The paper's order -> J and order. One level of its network halves the resolution, as J = 1 does,
# and gives 9 channels; two levels give the 81 of J = 2.
ORDERS = {"L1": (1, 1), "L2": (2, 2)}
# Seconds of Kymatio and of the paper's network, on an Intel 8600K and a GTX 1060.
PRINTED = {
    "L1": {"CPU": (37.5701, 0.5909), "GPU": (0.2015, 0.0037)},
    "L2": {"CPU": (180.37, 2.22), "GPU": (4.65, 0.023)},
}
_, KYMATIO_TORCH = KYMATIO
FEWER_ORIENTATIONS = tuple(bank for bank in list_banks() if FilterBank.load(bank).L < 8)
RATIOS = ("times_as_fast_as_kymatio_torch", "times_as_fast_as_kymatio")
PASSES = {"one thread": 1, "all cores": None}
BY_PAPER = ("Kymatio", "the paper's network")
IN_BATCHES, IN_BEST = f"in batches of {BATCH}", "in its best block"


@dataclass(frozen=True)
class CifarWorkload(Workload):
    """A workload of CIFAR-10's images or of their stand-in."""

    settings: Settings = field(default_factory=Settings)

    def images(self) -> np.ndarray:
        """Return the batch, float32 (batch, H, W)."""
        return cifar_images(self.settings, self.batch, SEED)[0]


def measure(settings: Settings) -> dict:
    """Verify and time every contestant at both orders, on one thread and on all cores."""
    images, words = cifar_images(settings, settings.choose(1000, EPOCH), SEED)
    count, orders = len(images), {}
    with untouched_torch():
        for name, (J, order) in ORDERS.items():
            workload = CifarWorkload(SIDE, SIDE, count, J, order, settings)
            verified = verify.verify(workload, "auto") | verify_fewer_orientations(workload)
            orders[name] = found = {"J": J, "max_order": order, "verified": verified}
            found |= {each: time_epochs(workload, threads) for each, threads in PASSES.items()}
            found["one by one"] = time_one_by_one(workload)
            gpu = torch.cuda.is_available()
            found["GPU"] = time_on(workload, torch.device("cuda"), ROUNDS) if gpu else "no GPU"
            found["printed"] = PRINTED[name]
    return {
        "data": words,
        "images": count,
        "images per epoch": EPOCH,
        "images passed one by one": min(count, ONE_BY_ONE),
        "seed": SEED,
        "rounds": f"{ROUNDS}, of what takes long 3",
        "pause_after_torch_seconds": PAUSE,
        "no ratio": "banks of 4 and 6 orientations compute fewer coefficients than Kymatio's 8",
        "orders": orders,
    }


def verify_fewer_orientations(workload: Workload) -> dict[str, dict[str, float]]:
    """Compare the banks of fewer orientations with Kymatio's transform of as many."""
    images, found = workload.images()[:3], {}
    for bank in FEWER_ORIENTATIONS:
        S = scattering(workload, bank)
        wanted = teach(images, workload.J, S.L, workload.max_order)
        what, tolerance = f"{bank}, Kymatio NumPy of L = {S.L}", verify.TAUGHT[bank.split("-")[0]]
        found[what] = verify.compared(what, S(images), wanted, S.meta()["order"], tolerance)
    return found


def epoch(prepared: peers.Prepared, images: np.ndarray, block: int) -> None:
    """Pass all images, in blocks, and drop their coefficients."""
    deque(prepared.outputs(images, block), maxlen=0)


def time_epochs(workload: Workload, threads: int | None) -> dict:
    """Time every contestant on some threads or on all (None), in two block sizes each."""
    images, count = workload.images(), threads or usable_threads()
    torch.set_num_threads(count)
    calls, missing, pauses = {}, {}, {}
    others = (one for one in peers.contestants() if not one.bank)
    for one in (*(peers.ours(bank, bank) for bank in list_banks()), *others):
        try:
            prepared = one.prepare(workload, threads)
        except timing.UnavailableError as error:
            missing[one.name] = {"reason": str(error)}
            continue
        best = timing.fastest_block(BLOCKS, partial(epoch, prepared, images[:SAMPLE]))
        for key in ((one.name, BATCH), (one.name, best)):
            calls[key] = partial(epoch, prepared, images, key[1])
            pauses[key] = PAUSE if one.engine == "torch" else 0
    timed = timed_epochs(calls, len(images), ROUNDS, pauses)
    return {"threads": count, "contestants": timed | missing}


def timed_epochs(
    calls: dict[tuple[str, int], Callable[[], object]],
    images: int,
    rounds: int,
    pauses: dict[tuple[str, int], float] | None = None,
) -> dict[str, dict]:
    """Time calls, by name and block, of so many images; return by name the epochs and ratios."""
    shared = {"at_least": CALL_SECONDS, "share": MOST_SECONDS, "pauses": pauses}
    found: dict[str, dict] = {}
    for (name, block), taken in timing.interleaved(calls, rounds, **shared).items():
        each = [round(seconds * EPOCH / images, 6) for seconds in taken]
        one = {"block": block, "each_round": each, "seconds_per_epoch": median(each)}
        one["images_per_second"] = round(EPOCH / median(each), 1)
        held = found.setdefault(name, {})
        held |= {IN_BATCHES: dict(one)} if block == BATCH else {}
        if one["seconds_per_epoch"] < held.get(IN_BEST, {}).get("seconds_per_epoch", np.inf):
            held[IN_BEST] = one
    return compared(found)


def compared(found: dict[str, dict]) -> dict[str, dict]:
    """Add the ratios to Kymatio, its Torch backend and the faster one, of what computes as much."""
    for blocks in (IN_BATCHES, IN_BEST):
        seconds = {name: one[blocks]["seconds_per_epoch"] for name, one in found.items()}
        kymatio = seconds[KYMATIO_TORCH], min(seconds.get(name, np.inf) for name in KYMATIO)
        for name in set(found) - set(FEWER_ORIENTATIONS):
            ratios = (round(theirs / seconds[name], 3) for theirs in kymatio)
            found[name][blocks] |= dict(zip(RATIOS, ratios, strict=True))
    return found


def time_one_by_one(workload: Workload) -> dict[str, float]:
    """Return seconds per epoch in Torch of one image a call, from the first few images."""
    images = workload.images()[:ONE_BY_ONE]
    chosen = [one for one in peers.contestants() if one.name in (KYMATIO_TORCH, NETWORK)]
    calls = {one.name: partial(epoch, one.prepare(workload, None), images, 1) for one in chosen}
    taken = timing.interleaved(calls, 3)
    return {name: round(EPOCH * median(each) / len(images), 3) for name, each in taken.items()}


def time_on(workload: Workload, device: torch.device, rounds: int) -> dict:
    """Compare Kymatio and the paper's network in Torch with the CPU, then time them on a device.

    Images and coefficients stay on it; float32, not TF32.
    """
    images = torch.from_numpy(workload.images())
    there = images.to(device)
    order = scattering(workload, "accurate").meta()["order"]
    verified, calls = {}, {}
    with torch.inference_mode():
        for name, make in {KYMATIO_TORCH: peers.kymatio_on, NETWORK: peers.network_on}.items():
            transform = make(workload, device)
            wanted = make(workload, torch.device("cpu"))(images[:3]).numpy()
            few = transform(there[:3]).cpu().numpy()
            verified[name] = verify.compared(name, few, wanted, order, verify.SAME_NETWORK)
            for block in (BATCH, GPU_BLOCK):
                calls[name, block] = partial(_call, transform, there.split(block), device)
        timed = timed_epochs(calls, len(images), rounds)
    gpu = torch.cuda.get_device_name() if device.type == "cuda" else device.type
    return {"name": gpu, "verified": verified, "contestants": timed}


def _call(transform: Callable, blocks: tuple[torch.Tensor, ...], device: torch.device) -> None:
    for block in blocks:
        transform(block)
    if device.type == "cuda":
        torch.cuda.synchronize(device)


@contextmanager
def untouched_torch() -> Iterator[None]:
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
    """Show the seconds an epoch takes, beside the printed ones."""
    machine = result["environment"]
    figure = Figure(figsize=(13, 6.4))
    figure.suptitle(
        f"Table 2 again: seconds per epoch of {EPOCH:,} images in batches of {BATCH}; "
        "at the right, times as fast as the faster Kymatio on all cores\n"
        f"{result['data']}; seconds {_images_timed(result)}\n"
        f"{machine['cpu']}, float32, medians; Kymatio {machine['versions']['kymatio']}, "
        f"Torch {machine['versions']['torch']}"
    )
    panels = figure.subplots(1, len(result["orders"]), sharey=True)
    for axes, (name, order) in zip(panels, result["orders"].items(), strict=True):
        _panel(axes, order)
        axes.set_title(f"{name}: order {order['max_order']}, J = {order['J']}")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=5)
    return figure


def _panel(axes: Axes, order: dict) -> None:
    names = _timed(order)
    places = np.arange(len(names))[::-1]
    for offset, words in zip((0.2, -0.2), PASSES, strict=True):
        timed = [order[words]["contestants"][name] for name in names]
        seconds = [one[IN_BATCHES]["seconds_per_epoch"] for one in timed]
        axes.barh(places + offset, seconds, 0.38, label=words)
        best = [one[IN_BEST]["seconds_per_epoch"] for one in timed]
        label = IN_BEST if words == "all cores" else None
        axes.plot(best, places + offset, "k|", ms=9, mew=2, label=label)
    for place, one in zip(places, timed, strict=True):
        if RATIOS[1] in one[IN_BATCHES]:
            text, at = f"{number(one[IN_BATCHES][RATIOS[1]])}x", (0.99, place)
            axes.annotate(text, at, xycoords=("axes fraction", "data"), ha="right", va="center")
    if isinstance(order["GPU"], dict):
        for name, one in order["GPU"]["contestants"].items():
            at = one[IN_BATCHES]["seconds_per_epoch"], places[names.index(name)]
            axes.plot(*at, "k*", label="on the GPU" if name == NETWORK else None)
    for at, whose, ls in zip(order["printed"]["CPU"], BY_PAPER, (":", "--"), strict=True):
        axes.axvline(at, color="black", ls=ls, label=f"printed, CPU: {whose}")
    axes.set_yticks(places, ["the paper's, Torch conv2d" if n == NETWORK else n for n in names])
    axes.set(xscale="log", xlim=(0.01, 1000), xlabel="seconds per epoch")
    ticks = (0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100)
    axes.set_xticks(ticks, map(str, ticks))
    axes.minorticks_off()
    axes.grid(False, axis="y")


def _images_timed(result: dict) -> str:
    count = result["images"]
    return f"{'of all' if count == EPOCH else 'scaled from'} {count:,} images"


def section(result: dict) -> str:
    """Return table 2, in the paper's batches and in the best blocks."""
    orders = result["orders"]
    columns = ["images / s", "times Kymatio Torch", "times the faster Kymatio"]
    head = ["what", "one thread: s per epoch", *columns]
    head += [f"all {orders['L1']['all cores']['threads']} cores: s per epoch", *columns]
    parts = []
    for name, order in orders.items():
        title = f"{name}: order {order['max_order']} at J = {order['J']}, in batches of {BATCH}"
        parts += [f"{title}:", table(head, _rows(order))]
    parts.append(
        "In the block that suits each best: seconds per epoch (images a block; times the faster "
        "Kymatio in its best block):"
    )
    found = {
        f"{name}, {words}": order[words]["contestants"]
        for name, order in orders.items()
        for words in PASSES
    }
    best = [
        [name, *(_best_cell(contestants[name][IN_BEST]) for contestants in found.values())]
        for name in _timed(orders["L1"])
    ]
    parts.append(table(["what", *found], best))
    single, gpu = [], []
    for name, order in orders.items():
        single.append(f"{name} {_pair(*order['one by one'].values())}")
        gpu.append(f"{name} {_pair(*order['printed']['GPU'])}, {_gpu_words(order['GPU'])}")
    parts.append(
        "Kymatio in Torch against the paper's network, an image a call on all cores, scaled from "
        f"{result['images passed one by one']} images: {'; '.join(single)}. Printed for a GPU: "
        f"{'; '.join(gpu)}. All other seconds {_images_timed(result)}. {measured_on(result)}"
    )
    return "\n\n".join(parts)


def _timed(order: dict) -> list[str]:
    return [name for name, one in order["all cores"]["contestants"].items() if IN_BEST in one]


def _rows(order: dict) -> Iterator[list[str]]:
    kymatio, _ = seconds = order["printed"]["CPU"]
    for own, whose in zip(seconds, BY_PAPER, strict=True):
        cells = [number(own), f"{EPOCH / own:,.0f}", number(kymatio / own), ""]
        yield [f"*printed: {whose}, threads not said*", "", "", "", "", *cells]
    for name in _timed(order):
        cells = []
        for words in PASSES:
            one = order[words]["contestants"][name][IN_BATCHES]
            cells += [number(one["seconds_per_epoch"]), f"{one['images_per_second']:,.0f}"]
            cells += [number(one.get(ratio)) for ratio in RATIOS]
        yield [name, *cells]


def _best_cell(one: dict) -> str:
    ratio = f"; {number(one[RATIOS[1]])}" if RATIOS[1] in one else ""
    return f"{number(one['seconds_per_epoch'])} ({one['block']}{ratio})"


def _pair(slow: float, fast: float) -> str:
    return f"{number(slow)} s against {number(fast)} s"


def _gpu_words(gpu: dict | str) -> str:
    if isinstance(gpu, str):
        return "not checked: no GPU was at hand"
    timed = (one[IN_BATCHES]["seconds_per_epoch"] for one in gpu["contestants"].values())
    return f"measured on {gpu['name']} {_pair(*timed)}"


TITLE = "Table 2: speed of first and second order against Kymatio"
EXPERIMENT = Experiment("table2", TITLE, measure, draw, section)
