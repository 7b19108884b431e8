"""Do the coefficients serve as Kymatio's do?  The same classifiers on both, and on both at once."""

from __future__ import annotations

import textwrap
from collections.abc import Callable

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator, StrMethodFormatter

from benchmarks.paper.experiment import Experiment, Settings, measured_on
from benchmarks.tables import table
from benchmarks.workloads import BANKS
from npscatter import Scattering2D
from tools.classifiers import FOLDS_FOR_PENALTY, SVM_PENALTIES, SVMS
from tools.labelled import LabelledSet, digits, faces, textures
from tools.substitution import OWN, Stage, Substitution
from tools.teacher import teach

J, SEED = 2, 60
KYMATIO, PIXELS = "Kymatio", "pixels"
REPRESENTATIONS = (KYMATIO, *BANKS, PIXELS)
SUBSTITUTION = Substitution(KYMATIO, BANKS, (PIXELS,), margin=1.0, seed=SEED)


def measure(settings: Settings) -> dict:
    """Classify every set from every number of training images."""
    repeats = settings.choose(16, 50)
    sets = (
        digits(settings.choose(2, 10), SEED),
        textures(),
        faces(settings.choose(5, 10), SEED),
    )
    results = {chosen.name: _measure_set(chosen, repeats) for chosen in sets}
    return {
        "data": "real labelled images shipped with scikit-learn and scikit-image; "
        + "; ".join(f"{chosen.name}: {chosen.words}" for chosen in sets),
        "parameters": _parameters(repeats),
        "sets": results,
        "summary": [
            entry for name, found in results.items() for entry in SUBSTITUTION.summary(name, found)
        ],
    }


def _parameters(repeats: int) -> dict:
    return {
        "J": J,
        "L": 8,
        "max_order": 2,
        "features": "all coefficients in float32; of textures their mean over space, except "
        "of pixels",
        "classifier": "StandardScaler, then SVC with the kernel mean(a b) over features "
        "(linear) or exp(-mean((a - b)^2)) (RBF)",
        "C": list(SVM_PENALTIES),
        "C_chosen_by": f"stratified cross-validation in {FOLDS_FOR_PENALTY} folds (2 where a "
        "class has 2 images) of the training images alone, anew for every representation",
        "training_subsets": f"{repeats} random ones per size and fold, the same for all "
        "representations, the smaller part of the larger; a single one for the last size, "
        "which is all that every class has",
        "neighbours": "that patches of one photograph resemble their neighbours is left out of "
        "account",
        **SUBSTITUTION.parameters(),
    }


def represent(
    images: np.ndarray, teach: Callable[[np.ndarray], np.ndarray], pooled: bool = False
) -> dict[str, np.ndarray]:
    """Return every representation (N, features) of images (N, H, W) or (N, 3, H, W), all float32.

    `teach` returns Kymatio's coefficients of planes. Pooled ones are averaged over space.
    """
    planes, features = images.reshape(-1, *images.shape[-2:]), {}
    banks = {name: Scattering2D(J, planes.shape[1:], bank=name) for name in BANKS}
    for name, transform in ({KYMATIO: teach} | banks).items():
        maps = transform(planes).astype(np.float32, copy=False)
        features[name] = (maps.mean((2, 3)) if pooled else maps).reshape(len(images), -1)
    return features | {PIXELS: images.reshape(len(images), -1)}


def _measure_set(chosen: LabelledSet, repeats: int) -> dict:
    features = represent(chosen.images, lambda images: teach(images, J), chosen.pooled)
    most = chosen.smallest_pool()
    sizes = [size for size in (2, 5, 10, 20, 50, 100) if size < 0.75 * most] + [most]
    stages = [Stage(size, repeats if size < most else 1, tuple(SVMS)) for size in sizes]
    return {
        "words": chosen.words,
        "test_images": len(chosen.labels),
        "classes": int(chosen.labels.max()) + 1,
        "features": {name: values.shape[1] for name, values in features.items()},
        "sizes": sizes,
        "size": "training images per class",
        "unit": "percent of test images, and percentage points",
        **SUBSTITUTION.measure(chosen, features, stages),
    }


LINES = {
    KYMATIO: {"color": "black", "ls": "--", "zorder": 4},
    "accurate": {"color": "C0", "lw": 3},
    "fast": {"color": "C1"},
    "paper-tuned": {"color": "C2"},
    "paper": {"color": "C3"},
    PIXELS: {"color": "0.6"},
}
_TICKS = (-50, -20, -10, -5, -2, -1, 0, 1, 2, 5, 10, 20, 50)


def draw(result: dict) -> Figure:
    """Draw the accuracy, and the difference to Kymatio, against training size."""
    figure = panels(result, "linear SVM", "size", "training images per class")
    figure.suptitle(
        "The same classifier (standardised features, linear SVM) on Kymatio's coefficients and on "
        f"each bank's, J = {result['parameters']['J']}, {result['setting']} setting"
    )
    return captioned(figure, result, "The RBF kernel's curves are in the JSON file.")


def panels(result: dict, method: str, size: str, label: str) -> Figure:
    """Draw a column for every set: accuracies, differences trained anew, and swapped.

    `size` is the key of a row that is drawn against, `label` its words.
    """
    figure = Figure(figsize=(13, 11))
    margin = result["parameters"]["margin_points"]
    axes = figure.subplots(3, len(result["sets"]), sharex="col")
    for column, (name, found) in zip(axes.T, result["sets"].items(), strict=True):
        accuracy, retrained, swapped = column
        drawn = (
            (accuracy, OWN, REPRESENTATIONS, "accuracy"),
            (retrained, OWN, BANKS, "difference"),
            (swapped, SUBSTITUTION.swapped, BANKS, "difference"),
        )
        for axis, kind, names, value in drawn:
            rows = [row for row in found[kind] if row["method"] == method]
            _curves(axis, rows, names, size, value)
        accuracy.set_title(f"{name}: {found['classes']} classes, {found['test_images']:,} tested")
        for axis in (retrained, swapped):
            axis.axhspan(-margin, margin, color="0.9", zorder=0)
            axis.axhline(0, color="black", linewidth=0.8, zorder=1)
            axis.set_yscale("symlog", linthresh=margin)
            axis.yaxis.set_major_locator(FixedLocator([*_TICKS, -margin, margin]))
            axis.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
            axis.yaxis.set_minor_locator(NullLocator())
        sizes = sorted({row[size] for row in found[OWN]})
        swapped.set_xscale("log")
        swapped.set_xticks(sizes, [f"{size:,}" for size in sizes], rotation=30, ha="right")
        swapped.xaxis.set_minor_locator(NullLocator())
        swapped.set_xlabel(label)
    difference = "difference to Kymatio in points,\n"
    words = (
        "accuracy in %",
        f"{difference}each trained on its own coefficients",
        f"{difference}trained on Kymatio's, tested on the bank's",
    )
    for axis, text in zip(axes[:, 0], words, strict=True):
        axis.set_ylabel(text)
    axes[0, 0].legend(loc="lower right")
    return figure


def captioned(figure: Figure, result: dict, words: str) -> Figure:
    """Write below `panels` what was measured, and some words more."""
    margin = result["parameters"]["margin_points"]
    lines = [f"{name}: {found['words']}." for name, found in result["sets"].items()]
    lines.append(
        f"Bands: 95 %, over training subsets and test images. Grey: within {margin:g} point of "
        f"Kymatio; the scale of differences is linear up to there, beyond logarithmic. {words}"
    )
    caption = "\n".join(textwrap.fill(line, 190) for line in lines)
    figure.supxlabel(caption, x=0.02, ha="left", fontsize=9)
    return figure


def _curves(axes: Axes, rows: list[dict], names: tuple[str, ...], size: str, value: str) -> None:
    interval = "interval" if value == "accuracy" else "difference_interval"
    for name in names:
        chosen = [row for row in rows if row["representation"] == name]
        sizes, values = ([row[key] for row in chosen] for key in (size, value))
        axes.plot(sizes, values, marker=".", label=name, **LINES[name])
        low, high = zip(*(row[interval] for row in chosen), strict=True)
        axes.fill_between(sizes, low, high, alpha=0.15, color=LINES[name]["color"], linewidth=0)


def section(result: dict) -> str:
    """Return whether the coefficients classify as Kymatio's do."""
    accuracies = []
    for name, found in result["sets"].items():
        size = found["sizes"][-1]
        chosen = {
            row["representation"]: f"{row['accuracy']:.1f}"
            for row in found[OWN]
            if row["size"] == size and row["method"] == "linear SVM"
        }
        accuracies.append([name, str(size), *(chosen[name] for name in REPRESENTATIONS)])
    return (
        f"{table(['images', 'per class', *REPRESENTATIONS], accuracies)}\n\n"
        "Accuracy in percent at the largest training set, linear SVM. Below: the largest "
        "difference to Kymatio in percentage points over all training sizes and both kernels, "
        "with a classifier trained on the bank's own coefficients and with one trained on "
        "Kymatio's and never retrained; at how many sizes the 95 % interval of the paired "
        "difference includes zero; equivalent: the interval lies within one point.\n\n"
        f"{verdicts(result)}\n\n{measured_on(result)}"
    )


def verdicts(result: dict) -> str:
    """Return the table of the largest differences and of what the intervals say."""
    classifiers = {OWN: "its own", SUBSTITUTION.swapped: "Kymatio's"}
    rows = [
        [
            entry["set"],
            entry["representation"],
            classifiers[entry["classifier"]],
            f"{entry['largest']['difference']:+.2f}",
            f"{entry['including_zero']} of {entry['comparisons']}",
            ", ".join(f"{count} {name}" for name, count in entry["verdicts"].items()),
        ]
        for entry in result["summary"]
    ]
    head = ["images", "bank", "classifier", "largest difference", "includes zero", "verdicts"]
    return table(head, rows)


TITLE = "Question: do the coefficients classify as Kymatio's do?"
EXPERIMENT = Experiment("serve", TITLE, measure, draw, section)
