"""Figures 5 to 7: the filters the paper's recipe finds, beside Kymatio's Morlet wavelets.

The paper's network has two levels, each with one low-pass and L complex filters of 7 x 7. It is
learned from a random start with the paper's weight decay and without it, on the images of each
figure, and every filter is compared with the Morlet wavelet of its orientation.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
from kymatio.scattering2d.filter_bank import gabor_2d, morlet_2d
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from benchmarks.paper import sources
from benchmarks.paper.experiment import Experiment, Settings, measured_on, percents, span
from benchmarks.tables import table
from npscatter import FilterBank, Scattering2D
from npscatter.features import relative_errors
from npscatter.program.symmetry import angle
from tools.kept_runs import in_processes, learned
from tools.learning import Learner, Recipe
from tools.presets import PRESETS
from tools.teacher import teach

LEVELS = {"first": "first level", "next": "second level"}
PAPER = PRESETS["paper"]
VARIANTS = {f"weight decay {PAPER.weight_decay:g}": PAPER.weight_decay, "no weight decay": 0.0}
COLOURS = dict(zip(VARIANTS, ("C3", "C0"), strict=True))
# The paper trains the second-order network of two levels, nothing smaller along with it.
J = 2
# One octave of Kymatio's: of wavelets, and of phi_J at J = 1. The second level's low-pass is the
# one that makes phi_J at J = 2 of it, in pixels of half the resolution: 1.6^2 = 0.8^2 + (2 s)^2.
SIGMA, FREQUENCY = 0.8, 3 * np.pi / 4
LOW_SIGMA = {"first": SIGMA, "next": np.sqrt((2 * SIGMA) ** 2 - SIGMA**2) / 2}
HELD_OUT_SEED = 41
HELD_OUT_WORDS = {
    "random": "random images of another seed",
    "cifar10": "images of CIFAR-10's training split",
    "tiny-imagenet": "images of Tiny ImageNet's validation split",
    "photographs": "crops of photographs kept out of learning",
}
DILATIONS = 2.0 ** np.arange(-0.5, 2.25, 0.25)
TINY = np.finfo(float).tiny


@dataclass(frozen=True)
class Group:
    """The images of one figure, and how long is learned from them.

    Images, epochs and batches are reduced, and as in the paper. Reduced batches have about as many
    pixels as the paper's of 32 x 32 images, and the steps come to the paper's for the random
    images. Errors are measured on `held_out` others.
    """

    number: int
    shape: tuple[int, int]
    source: Callable[[Settings], sources.Source]
    images: tuple[int, int]
    epochs: tuple[int, int]
    batch: tuple[int, int]
    held_out: int

    def recipe(self, settings: Settings, weight_decay: float) -> Recipe:
        """Return what is learned."""
        names = {"count": self.images, "epochs": self.epochs, "batch": self.batch}
        return replace(
            PAPER,
            source=self.source(settings).source,
            shape=self.shape,
            scales=(J,),
            weight_decay=weight_decay,
            **{name: settings.choose(*both) for name, both in names.items()},
        )


GROUPS = (
    Group(5, (512, 128), sources.random, (20, 1000), (60, 60), (1, 50), 8),
    Group(6, (32, 32), sources.cifar10, (1000, 10_000), (30, 30), (20, 50), 96),
    Group(7, (64, 64), sources.tiny_imagenet, (600, 10_000), (30, 30), (10, 50), 48),
)


def measure(group: Group, settings: Settings) -> dict:
    """Learn the filters with and without weight decay, and compare them with Morlet wavelets."""
    recipes = {name: group.recipe(settings, decay) for name, decay in VARIANTS.items()}
    found = in_processes(
        partial(learn, runs=settings.runs), [(one, group.held_out) for one in recipes.values()]
    )
    shown = next(iter(recipes.values())).as_dict()
    kind, _, _ = shown["source"].partition(":")
    del shown["weight_decay"]
    return {
        "data": group.source(settings).words,
        "figure": group.number,
        "held_out": f"{group.held_out} {HELD_OUT_WORDS[kind]}",
        "recipe": {**shown, "source": kind},  # without the reader's own path
        "steps": shown["epochs"] * -(-shown["count"] // shown["batch"]),
        "printed": {
            "images": group.images[1],
            "epochs": group.epochs[1],
            "batch": group.batch[1],
        },
        "morlet": {level: _taps(*reference(level, PAPER.design.L)) for level in LEVELS},
        "variants": dict(zip(recipes, found, strict=True)),
    }


def learn(
    recipe: Recipe,
    held_out: int,
    runs: Path | None = None,
    kind: type[Learner] = Learner,
) -> dict:
    """Learn one filter group; return its losses, errors on held-out images and filters.

    "start_similarity" is that of the random filters they started from.
    """
    start = kind(replace(recipe, epochs=0)).parameters.bank("start")
    learner, seconds = learned(recipe, runs, kind=kind)
    bank = learner.parameters.bank("learned")
    levels = {}
    for level in LEVELS:
        low, psi = filters(bank, level)
        random, morlets = filters(start, level)[1], reference(level, bank.L)[1]
        levels[level] = {
            **_taps(low, psi),
            **compare(low, psi, level),
            "start_similarity": _rounded(np.diag(similarity(random, morlets))),
        }
    images = sources.held_out_images(recipe.source, recipe.shape, held_out, HELD_OUT_SEED)
    images, (scale,) = learner.scaled(images), recipe.scales
    S = Scattering2D(scale, recipe.shape, bank.L, bank=bank)
    errors = relative_errors(S(images), teach(images, scale, bank.L), S.meta()["order"])
    return {
        "weight_decay": recipe.weight_decay,
        "seconds_per_epoch": seconds,
        "loss": [_rounded(entry["loss"][f"J={scale}"]) for entry in learner.log],
        "errors": {order: _rounded(error) for order, error in errors.items()},
        "levels": levels,
    }


def filters(bank: FilterBank, level: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the low-pass (K, K) that smooths a level's moduli, and its psi (L, K, K)."""
    return bank[f"carry_{level}"][0, 0], bank[f"psi_{level}"][:, 0]


@lru_cache
def reference(
    level: str, L: int, K: int = 7, dilation: float = 1.0
) -> tuple[np.ndarray, np.ndarray]:
    """Return Kymatio's low-pass (K, K) and Morlet wavelets (L, K, K) of one octave, in space.

    The wavelets of both levels are the same: the second octave's, sampled at half the resolution
    that the second level works at, are the first's. The dilation is that of the wavelets, whose
    frequency it divides.
    """
    side = 32  # so large that nothing is left at its edges
    cut = slice(side // 2 - K // 2, side // 2 + K // 2 + 1)
    low = gabor_2d(side, side, LOW_SIGMA[level], 0, 0, offset=-side // 2)
    sigma, frequency = SIGMA * dilation, FREQUENCY / dilation
    psi = [
        morlet_2d(side, side, sigma, angle(L, t), frequency, 4 / L, offset=-side // 2)
        for t in range(L)
    ]
    low, *psi = (whole[cut, cut].astype(np.complex128) for whole in (low, *psi))
    return low.real, np.stack(psi)


def similarity(found: np.ndarray, references: np.ndarray) -> np.ndarray:
    """Return how alike filters (n, K, K) and (m, K, K) are, up to what the modulus cannot see.

    |x * psi| of a real image x stays the same if psi is multiplied by a phase or conjugated. The
    normalised correlation |<w, m>| / (||w|| ||m||) is blind to the phase; the larger one of w and
    of its conjugate is taken. Of shape (n, m), from 0 to 1; 0 for a filter that is zero.
    """
    inner = [np.einsum("nab,mab->nm", w, references.conj()) for w in (found, found.conj())]
    norms = np.multiply.outer(_norms(found), _norms(references))
    return np.abs(inner).max(0) / np.maximum(norms, TINY)


def ripples(psi: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return how alike wavelets (L, K, K) are to Morlets of their orientation, and which dilation.

    Of all `DILATIONS` of Kymatio's, each wavelet's nearest: two arrays (L,).
    """
    families = [reference("first", len(psi), psi.shape[-1], float(s))[1] for s in DILATIONS]
    alike = np.stack([np.diag(similarity(psi, morlets)) for morlets in families])
    return alike.max(0), DILATIONS[alike.argmax(0)]


def aligned(found: np.ndarray, references: np.ndarray) -> np.ndarray:
    """Return filters (n, K, K) with the phase, or conjugated, so that each is nearest its own."""
    best = []
    for w, m in zip(found, references, strict=True):
        nearer = max((w, w.conj()), key=lambda one: abs(np.vdot(one, m)))
        best.append(nearer * np.exp(1j * np.angle(np.vdot(nearer, m))))
    return np.stack(best)


def compare(low: np.ndarray, psi: np.ndarray, level: str) -> dict:
    """Compare one level's filters with Kymatio's, orientation by orientation.

    The "mean" is |sum w| / sum |w|, zero for a wavelet.
    """
    gaussian, morlets = reference(level, len(psi))
    alike = similarity(psi, morlets)
    sums, sizes = np.abs(psi.sum((1, 2))), np.abs(psi).sum((1, 2))
    return {
        "similarity": _rounded(np.diag(alike)),
        "most_similar_orientation": alike.argmax(1).tolist(),
        "norm_ratio": _rounded(_norms(psi) / _norms(morlets)),
        "mean": _rounded(sums / np.maximum(sizes, TINY)),
        "peak_frequency": _rounded(peak_frequency(psi)),
        "low_similarity": _rounded(similarity(low[None], gaussian[None])[0, 0]),
        # Only the product of both levels' sums is seen by the loss: at J = 2 a factor of one
        # low-pass can be made up for by the other.
        "low_sum": _rounded(low.sum()),
    }


def peak_frequency(psi: np.ndarray) -> np.ndarray:
    """Return where filters (n, K, K) respond most, radians per pixel, shape (n,)."""
    side = 128
    response = np.abs(np.fft.fft2(psi, (side, side))).reshape(len(psi), -1)
    w = 2 * np.pi * np.fft.fftfreq(side)
    return np.hypot(w[:, None], w).reshape(-1)[response.argmax(1)]


def _norms(stack: np.ndarray) -> np.ndarray:
    return np.linalg.norm(stack, axis=(1, 2))


def _taps(low: np.ndarray, psi: np.ndarray) -> dict:
    return {"low": _rounded(low), "real": _rounded(psi.real), "imag": _rounded(psi.imag)}


def _rounded(values) -> float | list:
    """Return six significant digits, as JSON takes them."""
    return np.vectorize(lambda value: float(f"{value:.6g}"), otypes=[float])(values).tolist()


def draw(result: dict) -> Figure:
    """Show Morlet wavelets and both filter groups, and how alike they are."""
    recipe, printed, variants = result["recipe"], result["printed"], result["variants"]
    figure = Figure(figsize=(15, 8.6))
    ours, theirs = (
        f"{count} images, {each['epochs']} epochs, batches of {each['batch']}"
        for count, each in ((recipe["count"], recipe), (printed["images"], printed))
    )
    figure.suptitle(
        f"Figure {result['figure']} again: filters learned from a random start by the paper's "
        f"recipe\nImages: {result['data']}\n"
        f"{ours} ({result['setting']} setting; the paper: {theirs})\n"
        "Phases as near the Morlet wavelets' as they go, which no modulus sees; every block on its "
        "own scale"
    )
    top, bottom = figure.subfigures(2, 1, height_ratios=(1.75, 1))
    blocks = top.subplots(len(LEVELS), 1 + len(variants))
    for row, (level, words) in zip(blocks, LEVELS.items(), strict=True):
        low, morlets = filters_of(result["morlet"][level])
        show(row[0], low, morlets, f"{words}:\nKymatio's low-pass and Morlet wavelets")
        for axes, (name, variant) in zip(row[1:], variants.items(), strict=True):
            found = variant["levels"][level]
            low, psi = filters_of(found)
            alike, dilations = ripples(psi)
            show(
                axes,
                low if found["low_sum"] >= 0 else -low,
                aligned(psi, reference("first", len(psi), dilation=np.median(dilations))[1]),
                f"{words}, {name}: {span(alike)} similar\nto Morlets dilated by {span(dilations)}",
            )
    *parts, last = bottom.subplots(1, len(LEVELS) + 1)
    for axes, (level, words) in zip(parts, LEVELS.items(), strict=True):
        levels = {name: variant["levels"][level] for name, variant in variants.items()}
        start = next(iter(levels.values()))["start_similarity"]
        alike = {name: found["similarity"] for name, found in levels.items()}
        _bars(axes, alike, _angles(len(start)))
        axes.axhline(np.mean(start), color="black", linestyle="--", label="random start, mean")
        axes.set(title=f"{words}: similarity to the Morlet wavelet", ylim=(0, 1.02))
        axes.set_ylabel("normalised correlation")
    bottom.legend(*parts[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    orders = next(iter(variants.values()))["errors"]
    errors = {name: 100 * np.array([*one["errors"].values()]) for name, one in variants.items()}
    _bars(last, errors, [f"$S_{order[1:]}$" for order in orders])
    for bars in last.containers:
        last.bar_label(bars, fmt="%.3g", fontsize=9, padding=2)
    last.set(title=f"error on {result['held_out']}", ylabel="relative L2 error, percent")
    last.margins(y=0.15)
    return figure


def filters_of(taps: dict) -> tuple[np.ndarray, np.ndarray]:
    return np.array(taps["low"]), np.array(taps["real"]) + 1j * np.array(taps["imag"])


def show(axes: Axes, low: np.ndarray, psi: np.ndarray, title: str) -> None:
    """Draw the paper's three rows: the low-pass, on its own scale, real and imaginary parts."""
    L, K = psi.shape[:2]
    pitch = K + 1
    canvas = np.full((3 * pitch, L * pitch), np.nan)
    largest = max(np.abs(psi.real).max(), np.abs(psi.imag).max()) or 1.0
    rows = ([low / (np.abs(low).max() or 1.0)], psi.real / largest, psi.imag / largest)
    for i, row in enumerate(rows):
        for t, taps in enumerate(row):
            canvas[i * pitch : i * pitch + K, t * pitch : t * pitch + K] = taps
            corner = (t * pitch - 0.5, i * pitch - 0.5)
            axes.add_patch(Rectangle(corner, K, K, fill=False, edgecolor="0.5", linewidth=0.6))
    axes.imshow(canvas, cmap="RdBu_r", vmin=-1, vmax=1)
    axes.set_title(title)
    axes.set_yticks(np.arange(3) * pitch + K // 2, ["low-pass", r"Re $\psi$", r"Im $\psi$"])
    axes.set_xticks(np.arange(L) * pitch + K // 2, _angles(L))
    axes.tick_params(length=0)
    axes.grid(False)
    axes.spines[:].set_visible(False)


def _angles(L: int) -> list[str]:
    return [f"{np.degrees(angle(L, t)):g}°".replace("-", "−") for t in range(L)]


def _bars(axes: Axes, series: dict[str, list[float]], labels: list[str]) -> None:
    """Draw a group of bars per label, one bar per variant."""
    width = 0.8 / len(series)
    for i, (name, values) in enumerate(series.items()):
        places = np.arange(len(values)) + (i - (len(series) - 1) / 2) * width
        axes.bar(places, values, width, color=COLOURS[name], label=name)
    axes.set_xticks(range(len(labels)), labels)
    axes.grid(False, axis="x")


LIKENESS = [
    f"{level} level: {words}"
    for level in ("1st", "2nd")
    for words in ("similarity", "norm", "if dilated")
]
LIKENESS_IS = (
    "Similarity: normalised correlation with Kymatio's Morlet of the same orientation, at the best "
    "phase, smallest to largest of the eight; norm: relative to the Morlet's; if dilated: with the "
    "nearest of its dilations, and by how much."
)


def likeness(level: dict) -> list[str]:
    """Return the cells of `LIKENESS` for one level's filters."""
    alike, dilations = ripples(filters_of(level)[1])
    cells = [span(level["similarity"]), span(level["norm_ratio"])]
    return [*cells, f"{span(alike)}, by {span(dilations)}"]


def section(results: list[dict]) -> str:
    """Return how near the learned filters of figures 5 to 7 come to Morlet wavelets."""
    rows = []
    for result in results:
        for variant, found in result["variants"].items():
            row = [str(result["figure"]), variant]
            for level in LEVELS:
                filters = found["levels"][level]
                row += likeness(filters)
            rows.append([*row, percents(found["errors"])])
    head = ["figure", "recipe", *LIKENESS]
    notes = " ".join(f"Figure {result['figure']}: {measured_on(result)}" for result in results)
    return (
        f"{table([*head, 'S0, S1, S2 held out, %'], rows)}\n\n"
        f"{LIKENESS_IS} The paper prints no number. {notes}"
    )


EXPERIMENTS = tuple(
    Experiment(
        f"fig{group.number}",
        f"Figure {group.number}: filters learned from {images}, beside Morlet wavelets",
        partial(measure, group),
        draw,
    )
    for group, images in zip(GROUPS, ("random images", "CIFAR-10", "Tiny ImageNet"), strict=True)
)
