"""Do the coefficients serve as Kymatio's do?  The same classifiers on both, and on both at once."""

from __future__ import annotations

import textwrap
from collections import Counter
from dataclasses import dataclass
from itertools import product

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator, ScalarFormatter
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from tqdm import tqdm

from benchmarks.paper.experiment import Experiment, Settings, measured_on
from benchmarks.tables import table
from benchmarks.workloads import BANKS
from npscatter import Scattering2D
from tools.labelled import LabelledSet, digits, draw_training, faces, textures
from tools.teacher import teach

J, SEED = 2, 60
KYMATIO, PIXELS = "Kymatio", "pixels"
REPRESENTATIONS = (KYMATIO, *BANKS, PIXELS)
KERNELS = ("linear", "RBF")
PENALTIES = (1.0, 10.0, 100.0)
FOLDS_FOR_PENALTY = 3
DRAWS = 2000
MARGIN = 1.0


@dataclass(frozen=True)
class Case:
    """What was trained on, what was tested on, and the classifier's kernel."""

    trained: str
    tested: str
    kernel: str


CASES = {
    "retrained": [Case(name, name, kernel) for kernel in KERNELS for name in REPRESENTATIONS],
    "trained_on_Kymatio": [Case(KYMATIO, name, kernel) for kernel in KERNELS for name in BANKS],
}


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
        "summary": [entry for name, found in results.items() for entry in _summary(name, found)],
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
        "C": list(PENALTIES),
        "C_chosen_by": f"stratified cross-validation in {FOLDS_FOR_PENALTY} folds (2 where a "
        "class has 2 images) of the training images alone, anew for every representation",
        "training_subsets": f"{repeats} random ones per size and fold, the same for all "
        "representations, the smaller part of the larger; a single one for the last size, "
        "which is all that every class has",
        "interval": f"95 %, percentiles of {DRAWS} bootstrap draws of both training subsets "
        "and test images (crossed), paired for differences and then at least "
        "+-3/N for N images (rule of three: what no change at all would leave open); at the "
        "last size over test images alone; each interval stands for itself, without "
        "correction for their number; that patches of one photograph resemble their "
        "neighbours is left out of account",
        "verdict": f"equivalent: the interval of the difference lies within +-{MARGIN:g} "
        "point; better or worse: it does not, and excludes zero; else not decided",
        "margin_points": MARGIN,
        "seed": SEED,
    }


def represent(images: np.ndarray, pooled: bool) -> dict[str, np.ndarray]:
    """Return every representation (N, features) of images (N, H, W), all float32.

    Pooled coefficients are averaged over space.
    """
    maps = {KYMATIO: teach(images, J).astype(np.float32)}
    for name in BANKS:
        maps[name] = Scattering2D(J, images.shape[-2:], bank=name)(images)
    features = {
        name: values.mean((2, 3)) if pooled else values.reshape(len(images), -1)
        for name, values in maps.items()
    }
    return {**features, PIXELS: images.reshape(len(images), -1)}


def classify(
    features: dict[str, np.ndarray], labels: np.ndarray, training: np.ndarray, tested: np.ndarray
) -> dict[Case, np.ndarray]:
    """Train on some images, and return whether each of the others was judged rightly."""
    right = {}
    for name in REPRESENTATIONS:
        scaler = StandardScaler().fit(features[name][training])
        seen = scaler.transform(features[name][training])
        among = kernel_matrices(seen, seen)
        names = (KYMATIO, *BANKS) if name == KYMATIO else (name,)
        across = {
            other: kernel_matrices(scaler.transform(features[other][tested]), seen)
            for other in names
        }
        for kernel in KERNELS:
            machine = _chosen_machine(among[kernel], labels[training])
            for other in names:
                judged = machine.predict(across[other][kernel])
                right[Case(name, other, kernel)] = judged == labels[tested]
    return right


def kernel_matrices(a: np.ndarray, b: np.ndarray) -> dict[str, np.ndarray]:
    """Return every kernel between standardised features; one matrix product serves them all.

    "linear" is mean(a b), "RBF" exp(-mean((a - b)^2)) of rows (M, features) and (N, features). The
    mean over features, not the sum, makes one range of C fit all numbers of features.
    """
    linear = a @ b.T / a.shape[1]
    squares = [np.square(rows).mean(1) for rows in (a, b)]
    distances = squares[0][:, None] + squares[1] - 2 * linear
    return {"linear": linear, "RBF": np.exp(-np.maximum(distances, 0))}


def _chosen_machine(gram: np.ndarray, labels: np.ndarray) -> GridSearchCV:
    folds = StratifiedKFold(min(FOLDS_FOR_PENALTY, np.bincount(labels).min()))
    search = GridSearchCV(SVC(kernel="precomputed"), {"C": list(PENALTIES)}, cv=folds)
    return search.fit(gram, labels)


def _measure_set(chosen: LabelledSet, repeats: int) -> dict:
    features = represent(chosen.images, chosen.pooled)
    most = chosen.smallest_pool()
    sizes = [size for size in (2, 5, 10, 20, 50, 100) if size < 0.75 * most] + [most]
    rows = {classifier: [] for classifier in CASES}
    for size in sizes:
        times = repeats if size < most else 1
        right = _all_judgements(chosen, features, size, times)
        bootstrap = Bootstrap(times, len(chosen.labels))
        for classifier, cases in CASES.items():
            rows[classifier] += [_row(case, size, right, bootstrap) for case in cases]
    return {
        "words": chosen.words,
        "test_images": len(chosen.labels),
        "classes": int(chosen.labels.max()) + 1,
        "features": {name: values.shape[1] for name, values in features.items()},
        "sizes": sizes,
        "size": "training images per class",
        "unit": "percent of test images, and percentage points",
        **rows,
    }


def _all_judgements(
    chosen: LabelledSet, features: dict[str, np.ndarray], size: int, times: int
) -> dict[Case, np.ndarray]:
    """Return whether each image was judged rightly, each time: bool arrays (times, N)."""
    shape = times, len(chosen.labels)
    right = {case: np.zeros(shape, bool) for cases in CASES.values() for case in cases}
    turns = list(product(range(times), enumerate(chosen.splits())))
    for time, (fold, (pool, tested)) in tqdm(turns, f"{chosen.name} {size}", disable=None):
        training = draw_training(chosen.labels, pool, size, [SEED, time, fold])
        for case, judged in classify(features, chosen.labels, training, tested).items():
            right[case][time, tested] = judged
    return right


class Bootstrap:
    """Intervals of the mean of a table (rows, columns), both of which are random.

    Rows are training subsets and columns test images: both are drawn with replacement,
    independently of each other (Owen's pigeonhole bootstrap, 2007), so that the interval tells
    what other training and other test images would have given. A single row is taken as it is.
    """

    def __init__(self, rows: int, columns: int):
        generator = np.random.default_rng([SEED, rows, columns])
        self.rows = generator.multinomial(rows, np.full(rows, 1 / rows), DRAWS) / rows
        self.columns = generator.multinomial(columns, np.full(columns, 1 / columns), DRAWS)
        self.columns = self.columns / columns

    def interval(self, values: np.ndarray) -> list[float]:
        """Return the 95 % interval of the mean of a table."""
        means = np.einsum("dc,dc->d", self.rows @ values, self.columns)
        return [float(bound) for bound in np.percentile(means, [2.5, 97.5])]


def compare(right: np.ndarray, reference: np.ndarray, bootstrap: Bootstrap) -> dict:
    """Compare two tables (subsets, images) of whether each image was judged rightly.

    "changed" is the percentage of judgements of which only one of the two is right.
    """
    changed = 100 * (right.astype(float) - reference)
    difference = changed.mean()
    # What no change at all among N images would leave open; a bootstrap of rare changes says less.
    least = 300 / changed.shape[1]
    low, high = bootstrap.interval(changed)
    interval = min(low, difference - least), max(high, difference + least)
    return {
        "difference": _rounded(difference),
        "difference_interval": [_rounded(bound) for bound in interval],
        "includes_zero": bool(interval[0] <= 0 <= interval[1]),
        "verdict": verdict(*interval),
        "changed": _rounded(np.abs(changed).mean()),
    }


def verdict(low: float, high: float) -> str:
    """Return what the interval of a difference, in points, says."""
    if -MARGIN <= low and high <= MARGIN:
        return "equivalent"
    if low <= 0 <= high:
        return "not decided at this size"
    return "better" if low > 0 else "worse"


def _row(case: Case, size: int, right: dict[Case, np.ndarray], bootstrap: Bootstrap) -> dict:
    row = {
        "representation": case.tested,
        "kernel": case.kernel,
        "size": size,
        "accuracy": _rounded(100 * right[case].mean()),
        "interval": [_rounded(bound) for bound in bootstrap.interval(100 * right[case])],
    }
    if case.tested != KYMATIO:
        row |= compare(right[case], right[Case(KYMATIO, KYMATIO, case.kernel)], bootstrap)
    return row


def _rounded(value: float) -> float:
    return round(float(value), 3)


def _summary(name: str, result: dict) -> list[dict]:
    """Return per bank, trained anew and swapped, how far it is from Kymatio at most."""
    found = []
    for classifier, bank in product(CASES, BANKS):
        rows = [row for row in result[classifier] if row["representation"] == bank]
        largest = max(rows, key=lambda row: abs(row["difference"]))
        found.append(
            {
                "set": name,
                "representation": bank,
                "classifier": classifier,
                "largest": {key: largest[key] for key in ("difference", "size", "kernel")},
                "comparisons": len(rows),
                "including_zero": sum(row["includes_zero"] for row in rows),
                "verdicts": dict(Counter(row["verdict"] for row in rows)),
            }
        )
    return found


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
    figure = Figure(figsize=(13, 13))
    margin = result["parameters"]["margin_points"]
    axes = figure.subplots(3, len(result["sets"]), sharex="col")
    for column, (name, found) in zip(axes.T, result["sets"].items(), strict=True):
        accuracy, retrained, swapped = column
        _curves(accuracy, found["retrained"], REPRESENTATIONS, "accuracy")
        _curves(retrained, found["retrained"], BANKS, "difference")
        _curves(swapped, found["trained_on_Kymatio"], BANKS, "difference")
        accuracy.set_title(f"{name}: {found['classes']} classes, {found['test_images']} images")
        for axis in (retrained, swapped):
            axis.axhspan(-margin, margin, color="0.9", zorder=0)
            axis.axhline(0, color="black", linewidth=0.8, zorder=1)
            axis.set_yscale("symlog", linthresh=margin)
            axis.yaxis.set_major_locator(FixedLocator(_TICKS))
            axis.yaxis.set_major_formatter(ScalarFormatter())
            axis.yaxis.set_minor_locator(NullLocator())
        swapped.set_xscale("log")
        swapped.set_xticks(found["sizes"], [str(size) for size in found["sizes"]])
        swapped.xaxis.set_minor_locator(NullLocator())
        swapped.set_xlabel("training images per class")
    difference = "difference to Kymatio in points,\n"
    words = (
        "accuracy in %",
        f"{difference}each trained on its own coefficients",
        f"{difference}trained on Kymatio's, tested on the bank's",
    )
    for axis, label in zip(axes[:, 0], words, strict=True):
        axis.set_ylabel(label)
    axes[0, 0].legend(loc="lower right")
    figure.suptitle(
        "The same classifier (standardised features, linear SVM) on Kymatio's coefficients and on "
        f"each bank's, J = {result['parameters']['J']}, {result['setting']} setting"
    )
    lines = [f"{name}: {found['words']}." for name, found in result["sets"].items()]
    lines.append(
        "Bands: 95 %, over training subsets and test images. Grey: within one point of Kymatio. "
        "The scale of differences is linear up to one point, beyond logarithmic. The RBF kernel's "
        "curves are in the JSON file."
    )
    caption = "\n".join(textwrap.fill(line, 190) for line in lines)
    figure.supxlabel(caption, x=0.02, ha="left", fontsize=9)
    return figure


def _curves(axes: Axes, rows: list[dict], names: tuple[str, ...], value: str) -> None:
    interval = "interval" if value == "accuracy" else "difference_interval"
    for name in names:
        chosen = [r for r in rows if (r["representation"], r["kernel"]) == (name, "linear")]
        sizes = [row["size"] for row in chosen]
        axes.plot(
            sizes,
            [row[value] for row in chosen],
            marker=".",
            label=name,
            **LINES[name],
        )
        low, high = zip(*(row[interval] for row in chosen), strict=True)
        axes.fill_between(sizes, low, high, alpha=0.15, color=LINES[name]["color"], linewidth=0)


def section(result: dict) -> str:
    """Return whether the coefficients classify as Kymatio's do."""
    classifiers = {"retrained": "its own", "trained_on_Kymatio": "Kymatio's"}
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
    accuracies = []
    for name, found in result["sets"].items():
        size = found["sizes"][-1]
        chosen = {
            row["representation"]: f"{row['accuracy']:.1f}"
            for row in found["retrained"]
            if row["size"] == size and row["kernel"] == "linear"
        }
        accuracies.append([name, str(size), *(chosen[name] for name in REPRESENTATIONS)])
    head = ["images", "bank", "classifier", "largest difference", "includes zero", "verdicts"]
    return (
        f"{table(['images', 'per class', *REPRESENTATIONS], accuracies)}\n\n"
        "Accuracy in percent at the largest training set, linear SVM. Below: the largest "
        "difference to Kymatio in percentage points over all training sizes and both kernels, "
        "with a classifier trained on the bank's own coefficients and with one trained on "
        "Kymatio's and never retrained; at how many sizes the 95 % interval of the paired "
        "difference includes zero; equivalent: the interval lies within one point.\n\n"
        f"{table(head, rows)}\n\n{measured_on(result)}"
    )


TITLE = "Question: do the coefficients classify as Kymatio's do?"
EXPERIMENT = Experiment("serve", TITLE, measure, draw, section)
