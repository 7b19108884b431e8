"""Do the coefficients serve on sets people know?  CIFAR-10, Fashion-MNIST and MNIST."""

from __future__ import annotations

import hashlib
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from statistics import median

import numpy as np
import torch
from matplotlib.figure import Figure

from benchmarks import peers, timing, verify
from benchmarks.paper import classification
from benchmarks.paper.classification import KYMATIO, PIXELS, REPRESENTATIONS, SEED, J
from benchmarks.paper.experiment import Experiment, Settings, measured_on
from benchmarks.paper.speed import BLOCKS, PASSES, SAMPLE, untouched_torch
from benchmarks.results import usable_threads
from benchmarks.speed import PAUSE
from benchmarks.tables import number, percent, table
from benchmarks.workloads import BANKS, Workload
from npscatter import FilterBank, Scattering2D
from npscatter.features import relative_errors
from tools.classifiers import FOLDS_FOR_PENALTY, RIDGE, RIDGE_PENALTIES, SVM_PENALTIES, SVMS
from tools.kept_runs import kept
from tools.labelled import TRAINING_ONLY, LabelledSet, cifar10, fashion_mnist, mnist
from tools.substitution import OWN, Stage, Substitution

SUBSTITUTION = Substitution(KYMATIO, BANKS, (PIXELS,), margin=0.5, seed=SEED)
FASHION = "Fashion-MNIST"
TIMED = ("accurate", "fast")
# Images of a block that Kymatio gets where nothing is timed.
BLOCK = 100
# Rounds of ours; what has taken so many seconds in three rounds is called no more: Kymatio.
ROUNDS, SHARE = 7, 20.0
ALL, MOST_FOR_SVMS = (*SVMS, RIDGE), 200
# Set -> images per class -> random training subsets, in the reduced setting and in full.
PLAN = {
    "CIFAR-10": {10: (3, 20), 50: (2, 10), 100: (2, 6), 500: (0, 3)},
    FASHION: {10: (3, 20), 100: (2, 10), 1000: (0, 3)},
    "MNIST": {30: (2, 4), 100: (1, 2), 200: (0, 1)},
}
# Percent of what was classified rightly, after so many training images. CIFAR-10's linear layers
# and Fashion-MNIST's private one stand in the READMEs of their authors' repositories, Kymatio's in
# its examples/2d/cifar.py; the others are as they are cited.
PUBLISHED = (
    ("MNIST", 300, 95.3, "Bruna and Mallat 2013: affine spaces by PCA; full test set"),
    ("MNIST", 5000, 98.97, "Bruna and Mallat 2013: affine spaces by PCA; full test set"),
    ("MNIST", 60_000, 99.57, "Bruna and Mallat 2013: RBF SVM; full test set"),
    ("CIFAR-10", 100, 36.01, "Gauthier et al. 2022: linear layer by SGD, augmented images"),
    ("CIFAR-10", 500, 48.12, "Gauthier et al. 2022: the same"),
    ("CIFAR-10", 1000, 53.25, "Gauthier et al. 2022: the same"),
    ("CIFAR-10", 50_000, 65.58, "Gauthier et al. 2022: the same"),
    ("CIFAR-10", 50_000, 70.5, "Kymatio's example: linear layer by SGD, shifted, mirrored images"),
    ("CIFAR-10", 50_000, 80.3, "Oyallon and Mallat 2015: features selected by class, RBF SVM"),
    (FASHION, 60_000, 89.7, "Tramèr and Boneh 2021: linear layer under differential privacy"),
)


def known_sets(settings: Settings) -> list[LabelledSet]:
    """Return the sets; all are read before anything is measured, for one may be missing."""
    assert settings.cifar10 is not None  # or it does not run
    tested = settings.choose(4000, 10_000)
    return [
        cifar10(settings.cifar10, settings.choose(2000, 10_000), tested),
        fashion_mnist(settings.fashion_mnist, settings.choose(10_000, 60_000), tested),
        mnist(settings.choose(2, 5), SEED),
    ]


def stages(chosen: LabelledSet, settings: Settings) -> list[Stage]:
    """Return how much is trained on how often; at last all there is."""
    every = max(int(np.bincount(chosen.labels[pool]).max()) for pool, _ in chosen.splits())
    draws = {size: settings.choose(*both) for size, both in PLAN[chosen.name].items()} | {every: 1}
    return [
        Stage(size, times, ALL if size <= MOST_FOR_SVMS else (RIDGE,))
        for size, times in draws.items()
        if times
    ]


def measure(settings: Settings) -> dict:
    """Classify every set, and time the coefficients of Fashion-MNIST."""
    sets, seconds, speed = {}, {}, {}
    for chosen in known_sets(settings):
        sets[chosen.name] = _measure_set(chosen, stages(chosen, settings), seconds, settings.runs)
        if chosen.name == FASHION:
            with _clock(seconds, "speed"), untouched_torch():
                speed = extraction(chosen.images)
    return {
        "data": "; ".join(f"{name}: {found['words']}" for name, found in sets.items()),
        "parameters": _parameters(),
        "sets": sets,
        "summary": [row for name, rows in sets.items() for row in SUBSTITUTION.summary(name, rows)],
        "speed": speed,
        "published": [list(row) for row in PUBLISHED],
        "seconds_by_part": seconds,
        "peak_memory_gb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2),
    }


def _measure_set(
    chosen: LabelledSet, plan: list[Stage], seconds: dict[str, float], runs: Path | None
) -> dict:
    with _clock(seconds, f"{chosen.name}, coefficients"):
        features = classification.represent(chosen.images, taught)
    found = {
        "words": chosen.words,
        "test_images": int((chosen.folds != TRAINING_ONLY).sum()),
        "classes": int(chosen.labels.max()) + 1,
        "features": {name: values.shape[1] for name, values in features.items()},
        "errors": errors(chosen.images.shape, features),
        **{kind: [] for kind in SUBSTITUTION.cases(ALL)},
    }
    data = hashlib.sha256()
    for values in (chosen.images, chosen.labels, chosen.folds):
        data.update(np.ascontiguousarray(values))
    given = [chosen.name, data.hexdigest(), SEED, [FilterBank.load(name).sha256 for name in BANKS]]
    for stage in plan:
        judged, seconds[f"{chosen.name}, {stage.per_class} per class"] = kept(
            runs,
            [*given, asdict(stage)],
            partial(SUBSTITUTION.judgements, chosen, features, stage),
        )
        for kind, rows in SUBSTITUTION.rows(stage, *judged).items():
            found[kind] += rows
    return found


@contextmanager
def _clock(seconds: dict[str, float], part: str) -> Iterator[None]:
    start = time.monotonic()
    yield
    seconds[part] = round(time.monotonic() - start, 1)


def _parameters() -> dict:
    return {
        "J": J,
        "L": 8,
        "max_order": 2,
        "features": "all coefficients, or pixels, of all colours, in float32, standardised by the "
        "training images; Kymatio's are computed in float32 too",
        RIDGE: "least squares for class indicators with a penalty on the squared weights",
        "SVM": "kernel mean(a b) over features (linear) or exp(-mean((a - b)^2)) (RBF)",
        "penalties": {RIDGE: RIDGE_PENALTIES, "SVM's C": SVM_PENALTIES},
        "chosen_by": f"stratified cross-validation in {FOLDS_FOR_PENALTY} folds of the training "
        "images alone, anew for every representation",
        "training_subsets": "random, as many of each class, the same for all representations, the "
        "smaller part of the larger; at the last size all there are",
        **SUBSTITUTION.parameters(),
    }


def _kymatio(name: str) -> peers.Contestant:
    return next(one for one in peers.contestants() if one.name == name)


def taught(planes: np.ndarray) -> np.ndarray:
    """Return Kymatio's coefficients, in float32, by its NumPy backend on all threads."""
    workload = Workload(*planes.shape[1:], len(planes), J)
    numpy = _kymatio(peers.KYMATIO[0]).prepare(workload, None)
    maps = np.empty((len(planes), *Scattering2D(J, planes.shape[1:]).output_shape), np.float32)
    start = 0
    for part in numpy.outputs(planes, BLOCK):
        maps[start : start + len(part)] = part
        start += len(part)
    return maps


def errors(shape: tuple[int, ...], features: dict[str, np.ndarray]) -> dict[str, dict]:
    """Return by bank the relative errors per order on some images of a shape (N, ..., H, W)."""
    transform = Scattering2D(J, shape[-2:])
    some = slice(None, None, -(-shape[0] // SAMPLE))
    maps = {
        name: features[name][some].reshape(-1, *transform.output_shape)
        for name in (KYMATIO, *BANKS)
    }
    order = transform.meta()["order"]
    return {name: relative_errors(maps[name], maps[KYMATIO], order) for name in BANKS}


def extraction(images: np.ndarray) -> dict:
    """Time the coefficients of all images (N, H, W) at once, on one thread and on all.

    Each contestant was compared with Kymatio's NumPy backend on some of them before.
    """
    sample = np.ascontiguousarray(images[:: -(-len(images) // SAMPLE)])
    workload = Workload(*images.shape[1:], len(images), J)
    order = Scattering2D(J, workload.shape).meta()["order"]
    wanted, calls, blocks, verified = taught(sample), {}, {}, {}
    for words, threads in PASSES.items():
        for name, (prepared, block) in _contestants(workload, threads, sample).items():
            found = np.concatenate(_extract(prepared, sample, block))
            tolerance = verify.TAUGHT.get(name, verify.SAME_NETWORK)
            verified[f"{name}, {words}"] = verify.compared(name, found, wanted, order, tolerance)
            calls[words, name] = partial(_extract, prepared, images, block)
            blocks[words, name] = block
    pauses = {key: PAUSE if "Torch" in key[1] else 0.0 for key in calls}
    taken = timing.interleaved(calls, ROUNDS, warm=0, share=SHARE, pauses=pauses)
    passes: dict[str, dict] = {words: {} for words in PASSES}
    for (words, name), each in taken.items():
        slow = next(
            median(times)
            for key, times in taken.items()
            if key[0] == words and key[1] in peers.KYMATIO
        )
        passes[words][name] = {
            "seconds": round(median(each), 6),
            "each_round": [round(one, 6) for one in each],
            "images_per_second": round(len(images) / median(each), 1),
            "times_as_fast_as_kymatio": round(slow / median(each), 3),
            "block": blocks[words, name],
        }
    return {
        "images": len(images),
        "shape": list(workload.shape),
        "threads": usable_threads(),
        "verified": verified,
        **passes,
    }


def _contestants(
    workload: Workload, threads: int | None, sample: np.ndarray
) -> dict[str, tuple[peers.Prepared, int]]:
    """Return ours and the faster of Kymatio's backends, with the block size that suits each."""
    found = {name: peers.ours(name, name).prepare(workload, threads) for name in TIMED}
    backends, calls = {}, {}
    for name in peers.KYMATIO:
        prepared = _kymatio(name).prepare(workload, threads)
        block = timing.fastest_block(BLOCKS, partial(_extract, prepared, sample))
        backends[name], calls[name] = (prepared, block), partial(_extract, prepared, sample, block)
    taken = timing.interleaved(calls, 3)
    faster = min(taken, key=lambda name: median(taken[name]))
    whole = {name: (prepared, workload.batch) for name, prepared in found.items()}
    return whole | {faster: backends[faster]}


def _extract(prepared: peers.Prepared, images: np.ndarray, block: int) -> list:
    torch.set_num_threads(prepared.threads)
    return prepared(images, block)


def draw(result: dict) -> Figure:
    """Draw accuracies and differences to Kymatio against the number of labelled images."""
    figure = classification.panels(result, RIDGE, "images", "labelled images")
    for column, name in enumerate(result["sets"]):
        axes = figure.axes[column]
        points = [(count, value) for one, count, value, _ in result["published"] if one == name]
        style = {"mfc": "none", "color": "0.4", "zorder": 5}
        axes.plot(*zip(*points, strict=True), "D", **style, label="published")
        below = figure.axes[len(figure.axes) - len(result["sets"]) + column]
        shown = below.get_xticks()
        beyond = max(max(count for count, _ in points), max(shown))
        sizes = sorted({*map(int, shown), beyond})
        below.set_xticks(sizes, [f"{size:,}" for size in sizes])
    figure.axes[0].legend(loc="lower right")
    figure.suptitle(
        "The same linear classifier (ridge, standardised features) on Kymatio's coefficients and "
        f"on each bank's, J = {result['parameters']['J']}, {result['setting']} setting"
    )
    words = (
        "Diamonds: figures published for scattering, by other protocols, see benchmarks/PAPER.md."
    )
    return classification.captioned(figure, result, words)


def section(result: dict) -> str:
    """Return how the sets are classified, what was published, and how long it takes."""
    margin = result["parameters"]["margin_points"]
    return (
        f"{_accuracies(result)}\n\n"
        "Percent of test images classified rightly, and in brackets the 95 % interval of the "
        "difference to Kymatio in percentage points, paired; equivalent: it lies within "
        f"{margin:g} point. Below: the largest difference over all sizes and classifiers, the "
        f"linear SVM among them.\n\n{classification.verdicts(result)}\n\n"
        f"Published figures beside ours, at the nearest size:\n\n{_published(result)}\n\n"
        f"{_speed(result['speed'])}\n\n{measured_on(result)} It took up to "
        f"{result['peak_memory_gb']:.0f} GB of memory."
    )


def _accuracies(result: dict) -> str:
    lines = []
    for name, found in result["sets"].items():
        cells: dict[tuple, dict[str, str]] = {}
        for row in found[OWN]:
            words = f"{row['accuracy']:.2f}"
            if row["representation"] in TIMED:
                low, high = row["difference_interval"]
                said = row["verdict"].removesuffix(" at this size")
                words += f" ({low:+.2f} to {high:+.2f}, {said})"
            cells.setdefault((row["images"], row["method"]), {})[row["representation"]] = words
        for (images, method), values in cells.items():
            if method != "linear SVM":
                own = [values[representation] for representation in REPRESENTATIONS]
                lines.append([name, f"{images:,}", method, *own])
    return table(["images", "labelled", "classifier", *REPRESENTATIONS], lines)


def _published(result: dict) -> str:
    lines = []
    for name, images, value, words in result["published"]:
        rows = result["sets"][name][OWN]
        size = min({row["images"] for row in rows}, key=lambda count: abs(count - images))
        best = {}
        for row in rows:
            if row["images"] == size:
                kept = best.setdefault(row["representation"], row)
                if row["accuracy"] > kept["accuracy"]:
                    best[row["representation"]] = row
        own = [
            f"{best[each]['accuracy']:.2f} ({best[each]['method']})"
            for each in ("accurate", KYMATIO)
        ]
        lines.append([name, f"{images:,}", f"{value:g}", words, f"{size:,}", *own])
    head = ["images", "labelled", "published, %", "whose, and how", "labelled here"]
    return table([*head, "accurate", KYMATIO], lines)


def _speed(speed: dict) -> str:
    lines = []
    for words in PASSES:
        for name, one in speed[words].items():
            rate, ratio = f"{one['images_per_second']:,.0f}", one["times_as_fast_as_kymatio"]
            rounds = str(len(one["each_round"]))
            lines.append([words, name, number(one["seconds"]), rate, number(ratio), rounds])
    head = ["threads", "what", "seconds", "images / s", "times as fast as Kymatio", "rounds"]
    off = {
        name: ", ".join(
            percent(error) for error in speed["verified"][f"{name}, all cores"].values()
        )
        for name in TIMED
    }
    height, width = speed["shape"]
    return (
        f"All {speed['images']:,} images of Fashion-MNIST, {height}x{width}, from pixels to "
        f"coefficients, one call:\n\n{table(head, lines)}\n\n"
        "Medians of calls in turn, against the faster of Kymatio's CPU backends in the block size "
        f"that suits it. Errors of S0, S1 and S2 before: `accurate` {off['accurate']} %, `fast` "
        f"{off['fast']} %."
    )


TITLE = "Question: do they serve on CIFAR-10, Fashion-MNIST and MNIST, and how fast?"
EXPERIMENT = Experiment("sets", TITLE, measure, draw, section, needs_cifar10=True)
