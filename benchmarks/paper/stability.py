"""Table 1: how far noise, a shift and a deformation move an image and its coefficients.

The raw squared distance that the paper prints falls with the size of what is compared: a transform
that shrinks its coefficients, or that hardly looks at the image, wins. So the same distances are
also taken against the coefficients' own norm, at Kymatio's gain, and against the distance between
different images; a transform that is almost constant goes through all of them as a control.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks import peers
from benchmarks.paper.experiment import BANKS, Experiment, Settings, measured_on
from benchmarks.tables import number, table
from benchmarks.workloads import Workload
from npscatter import FilterBank, Scattering2D
from npscatter.bounds.deformation import largest_gradient
from tools import data, distances, published_sets
from tools.distances import AVERAGING, CONSTANT, KYMATIO, Moments, Transform, energy
from tools.disturbances import deform, displacement_field, noise, shift

ORDERS = ("S0", "S1", "S2")
SIDE, J, L, SEED = 64, 2, 8, 60
COLOURS = ("red", "green", "blue")
# Pixels around a crop that a shift or a deformation may read.
MARGIN = 24
# 3 x 3 nodes from corner to corner.
SPACING = (SIDE - 1) / 2
# The paper's, and what else is tried: sigma of the noise, pixels down and right, std of the nodes.
STRENGTHS = {"noise": 0.7, "shift": 2.0, "deformation": 3.0}
SWEEPS = {
    "noise": (0.05, 0.1, 0.2, 0.35, 0.7, 1.0, 1.4, 2.0),
    # Whole pixels: between them interpolation blurs, and the blur is no shift.
    "shift": (1.0, 2.0, 3.0, 4.0, 6.0, 8.0),
    "deformation": (0.25, 0.5, 1.0, 2.0, 3.0, 4.0, 6.0),
}
SWEEP_COUNT = 256
PRINTED = {
    "noise": {"pixels": 0.490209549, "Kymatio": 0.001616994, "paper": 0.000192489},
    "shift": {"pixels": 0.725464642, "Kymatio": 0.002832161, "paper": 0.001696022},
    "deformation": {"pixels": 0.637948691, "Kymatio": 0.002723926, "paper": 0.002358358},
}


def colour_images(settings: Settings, count: int) -> tuple[np.ndarray, int, str]:
    """Return images (count, 3, 64 + 2 margin, 64 + 2 margin), their margin, and words for them.

    The first of Tiny ImageNet's validation set, which end where they end, or crops of photographs
    that no shipped bank learned from; the frames without their margin have mean 0 and variance 1,
    all together.
    """
    path = settings.tiny_imagenet
    if path:
        margin = 0
        planes = [published_sets.tiny_imagenet(path, "val", each, count)[0] for each in COLOURS]
        words = f"the first {count} images of Tiny ImageNet's validation set, 3 x 64x64"
    else:
        margin = MARGIN
        photographs = (data.packaged_photographs("held-out", each) for each in COLOURS)
        # Of one seed, so that the three planes of a crop come from one place.
        planes = [data.crops(each, SIDE + 2 * margin, count, SEED) for each in photographs]
        words = (
            f"stand-in for Tiny ImageNet, which was not at hand: {count} colour crops, 3 x 64x64, "
            f"of photographs kept out of learning ({', '.join(data.HELD_OUT_PHOTOGRAPHS)}; the "
            "grey ones, camera and brick, repeat their level in all three channels)"
        )
    images = np.stack(planes, axis=1)
    frames = frame(images, margin).astype(np.float64)
    return ((images - frames.mean()) / frames.std()).astype(np.float32), margin, words


def frame(images: np.ndarray, margin: int) -> np.ndarray:
    """Return images (..., H + 2 margin, W + 2 margin) without their margin."""
    H, W = images.shape[-2:]
    return images[..., margin : H - margin, margin : W - margin]


def disturbed(images: np.ndarray, margin: int, kind: str, strength: float) -> np.ndarray:
    """Return images (N, 3, H, W), with their margin before, under a disturbance of `SWEEPS`.

    The noise is another one for every image and channel, the deformation another one for every
    image; at all strengths they are the same but for their size.
    """
    if kind == "noise":
        return noise(frame(images, margin), strength, SEED)
    if kind == "shift":
        return shift(images, strength, strength, margin)
    fields = _fields(len(images), strength)
    return np.stack([deform(*each, margin) for each in zip(images, fields, strict=True)])


def _fields(count: int, std: float) -> Iterator[np.ndarray]:
    for index in range(count):
        yield displacement_field((SIDE, SIDE), std, SPACING, (SEED, index))


def transforms() -> dict[str, Transform]:
    """Return Kymatio and the banks."""
    kymatio = peers.Contestant(KYMATIO, "numpy", lambda work, _: peers.kymatio(work, "numpy"))
    prepared = kymatio.prepare(Workload(SIDE, SIDE, 1, J), None)

    def by_blocks(images: np.ndarray) -> np.ndarray:
        planes = images.reshape(-1, SIDE, SIDE)
        found = np.concatenate(prepared(planes, 8)).astype(np.float32, copy=False)
        return found.reshape(*images.shape[:2], *found.shape[1:])

    banks = {name: Scattering2D(J, (SIDE, SIDE), L, bank=name) for name in BANKS}
    return {KYMATIO: by_blocks} | banks


def compare(
    images: np.ndarray, margin: int, cases: list[tuple[str, float]]
) -> tuple[list[dict], dict]:
    """Measure every transform under every disturbance: cases of (kind, strength).

    Returns rows, which have by transform what `Moments.measures` returns, and by transform what
    `against_teacher` returns.
    """
    x, order = frame(images, margin), Scattering2D(J, (SIDE, SIDE), L).meta()["order"]
    versions = [disturbed(images, margin, *case) for case in cases]
    pixels = Moments(x[:, :, None], np.zeros(1, int))
    rows, relative, undisturbed = [], [], {}
    for (kind, strength), y in zip(cases, versions, strict=True):
        change = energy((x - y)[:, :, None])
        relative.append(float(np.sqrt(change / pixels.norm)[0]))
        measured = pixels.measures(change, relative[-1], None)
        whole = {key: {"whole": groups["whole"]} for key, groups in measured.items()}
        rows.append({"kind": kind, "strength": strength, "pixels": whole})
    for base, transform in transforms().items():
        S = transform(x)
        if base == KYMATIO:
            wanted, teacher, views = S, Moments(S, order), distances.controls(S, order)
        else:
            views = {base: lambda found: found}
        moments = {name: Moments(view(S), order) for name, view in views.items()}
        for name, view in views.items():
            undisturbed[name] = distances.against_teacher(view(S), wanted, order)
        for row, y, ratio in zip(rows, versions, relative, strict=True):
            V = transform(y)
            for name, view in views.items():
                moved = energy(view(S) - view(V))
                row[name] = moments[name].measures(moved, ratio, teacher)
    return rows, undisturbed


def largest_difference(rows: list[dict], name: str) -> float:
    """Return the largest |a / k - 1| of a transform's measures a to Kymatio's k."""
    return max(
        abs(row[name][measure][group] / value - 1)
        for row in rows
        for measure in ("normalised", "within/between")
        for group, value in row[KYMATIO][measure].items()
    )


def measure(settings: Settings) -> dict:
    """Measure the table and the sweeps."""
    count = settings.choose(512, 2048)
    images, margin, words = colour_images(settings, count)
    table_rows, undisturbed = compare(images, margin, list(STRENGTHS.items()))
    sweep = [(kind, strength) for kind, strengths in SWEEPS.items() for strength in strengths]
    sweep_rows, _ = compare(images[:SWEEP_COUNT], margin, sweep)
    return {
        "data": words,
        "images": count,
        "sweep_images": len(images[:SWEEP_COUNT]),
        "seed": SEED,
        "J": J,
        "L": L,
        "banks": {name: FilterBank.load(name).sha256 for name in BANKS},
        "strengths": STRENGTHS,
        "disturbances": {
            "noise": "y = x + sigma n, n normal, independent in every pixel and channel",
            "shift": "y(u) = x(u - c), as many pixels down as right",
            "deformation": "y(u) = x(u - tau(u)), one tau per image: nodes on a square grid with "
            "independent normal displacements, between them a cubic spline; the image is read "
            "between its pixels by a cubic spline too, which blurs it a little",
            "beyond the edge": f"from the photograph itself, {margin} pixels beyond the crop, then "
            "mirrored",
            "node spacing": SPACING,
            **field_sizes(count),
        },
        "printed": PRINTED,
        "table": table_rows,
        "undisturbed, against Kymatio": undisturbed,
        "sweeps": sweep_rows,
        "largest relative difference from Kymatio's curves": {
            name: largest_difference(sweep_rows, name) for name in BANKS
        },
    }


def field_sizes(count: int) -> dict:
    """Return how large the deformations of the table and their gradients are."""
    fields = list(_fields(count, STRENGTHS["deformation"]))
    gradients = [largest_gradient(field, periodic=False) for field in fields]
    return {
        "root mean square of tau": float(np.sqrt(np.mean(np.square(fields)))),
        "max |grad tau|": {
            "is": "as npscatter.bounds.deformation.largest_gradient has it, within the image",
            "median": float(np.median(gradients)),
            "largest": float(np.max(gradients)),
        },
    }


AXES = {
    "noise": "sigma of the noise",
    "shift": "shift right and down, pixels",
    "deformation": "deformation: std of the nodes, pixels",
}
LINES = {
    KYMATIO: {"color": "0.6", "lw": 5},
    "accurate": {"color": "C0"},
    "paper-tuned": {"color": "C1", "ls": "--"},
    "paper": {"color": "C3", "ls": "-."},
    CONSTANT: {"color": "C2", "ls": ":"},
    "pixels": {"color": "k", "lw": 1, "ls": ":"},
}


def draw(result: dict) -> Figure:
    """Draw the sweeps: normalised per order, and within/between without S0."""
    figure = Figure(figsize=(11, 13))
    axes = figure.subplots(4, 3, sharex="col", sharey="row")
    shown = [(f"{group}, normalised", "normalised", group) for group in ORDERS]
    shown.append(("S1 and S2, within / between", "within/between", "S1+S2"))
    for column, (kind, words) in zip(axes.T, AXES.items(), strict=True):
        rows = [row for row in result["sweeps"] if row["kind"] == kind]
        for place, (_, measure, group) in zip(column, shown, strict=True):
            _curves(place, rows, measure, group)
            place.axvline(result["strengths"][kind], color="0.8", lw=1, zorder=0)
        column[0].set_title(kind)
        column[3].set_xlabel(words)
    for place in axes.flat:
        place.set(xlim=(0, None), ylim=(0, None))
    for place, (words, _, _) in zip(axes[:, 0], shown, strict=True):
        place.set_ylabel(words)
    axes[3, 0].set_ylim(0, 2.2)
    figure.legend(*axes[3, 0].get_legend_handles_labels(), loc="outside lower center", ncols=6)
    agreement = result["largest relative difference from Kymatio's curves"]["accurate"]
    stand_in = result["data"].startswith("stand-in")
    images = "crops of photographs (stand-in for Tiny ImageNet)" if stand_in else "of Tiny ImageNet"
    error = result["undisturbed, against Kymatio"]["paper"]["error at the best gain"]
    figure.suptitle(
        f"Table 1's disturbances at all strengths ({result['setting']}: {result['sweep_images']} "
        f"{images}, 3 x 64x64, J = 2; vertical line: the paper's strength)\n"
        "normalised: (||Sx - Sy|| / ||Sx||) / (||x - y|| / ||x||); within / between: distance "
        "to the disturbed image over distance to another image\n"
        f"accurate lies within {100 * agreement:.2g} % of Kymatio in every curve; paper's S1 and "
        f"S2 are other features, {100 * error['S1']:.0f} % and {100 * error['S2']:.0f} % off "
        "Kymatio's at the best gain"
    )
    return figure


def _curves(axes: Axes, rows: list[dict], measure: str, group: str) -> None:
    for name, style in LINES.items():
        if measure == "normalised" and name in (CONSTANT, "pixels"):
            continue
        values = [row[name][measure]["whole" if name == "pixels" else group] for row in rows]
        axes.plot([row["strength"] for row in rows], values, label=name, **style)


def section(result: dict) -> str:
    """Return table 1 as printed, and with what it leaves out."""
    names = [KYMATIO, *BANKS, AVERAGING, CONSTANT]
    columns = list(product(("normalised", "gain-matched"), (KYMATIO, *BANKS)))
    raw, controlled, normalised = [], [], []
    for row in result["table"]:
        kind, printed = row["kind"], result["printed"][row["kind"]]
        values = [printed[key] for key in ("pixels", "Kymatio", "paper")]
        values += [row[name]["raw"]["whole"] for name in ("pixels", *names)]
        raw.append([kind, *map(number, values)])
        values = [row[name]["within/between"]["whole"] for name in ("pixels", *names)]
        controlled.append([kind, *map(number, values)])
        for order in ("S1", "S2"):
            values = [row[name][measure][order] for measure, name in columns]
            normalised.append([kind, order, *map(number, values)])
    undisturbed = []
    for name in BANKS:
        found = result["undisturbed, against Kymatio"][name]
        errors = [f"{100 * found['error at the best gain'][order]:.2g} %" for order in ORDERS]
        undisturbed.append([name, *(number(found["norm"][order]) for order in ORDERS), *errors])
    off = {
        name: f"{100 * difference:.2g} %"
        for name, difference in result["largest relative difference from Kymatio's curves"].items()
    }
    head = ["disturbance", "‖x − y‖²", "Kymatio", "the paper's", "‖x − y‖² here", *names]
    head_per_order = [f"{name}, {measure}" for measure, name in columns]
    return (
        "As printed, mean squared differences (the first three numbers are the paper's):\n\n"
        f"{table(head, raw)}\n\n"
        "Distance to the disturbed image over distance to another image (1: no better than "
        "chance; smaller is better):\n\n"
        f"{table(['disturbance', 'pixels', *names], controlled)}\n\n"
        "Normalised, (‖Sx − Sy‖ / ‖Sx‖) / (‖x − y‖ / ‖x‖), and the raw difference at Kymatio's "
        "gain, per order:\n\n"
        f"{table(['disturbance', 'order', *head_per_order], normalised)}\n\n"
        "Undisturbed: norm relative to Kymatio's, and error at the best gain:\n\n"
        f"{table(['bank', 'norm S0', 'S1', 'S2', 'error S0', 'S1', 'S2'], undisturbed)}\n\n"
        "Over all strengths and orders, `accurate` differs from Kymatio's curves by at most "
        f"{off['accurate']}, `paper-tuned` by {off['paper-tuned']}, `paper` by {off['paper']}. "
        f"{result['images']} images. {measured_on(result)}"
    )


TITLE = "Table 1: stability to noise, shift and deformation."
EXPERIMENT = Experiment("table1", TITLE, measure, draw, section)
