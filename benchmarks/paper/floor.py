"""What holds the paper's architecture back: its parts made right one after the other.

`paper-tuned` is the paper's network at its best. First, what is lost with Kymatio's own wavelets by
nothing but taking their moduli at every second pixel. Then designs that each mend one more thing,
learned alike.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
from matplotlib.figure import Figure

from benchmarks.paper import sources
from benchmarks.paper.experiment import Experiment, Settings, measured_on, percents
from benchmarks.paper.networks import J
from benchmarks.tables import number, percent, table
from npscatter.program.steps import WEIGHT_ARRAYS
from tools.design import Design
from tools.kept_runs import in_processes, learned
from tools.learning import Recipe
from tools.measure import bank_errors, errors_by_scale, multiply_adds_per_pixel, test_images
from tools.presets import ACCURATE, PAPER, PRESETS
from tools.teacher import teach, teacher

TUNED = PRESETS["paper-tuned"]
SIDE, THUMBNAILS, SMOOTHINGS = 64, 1000, (3, 5, 7, 9)
_ONE_MAP = Design(PAPER.L, 1, dict.fromkeys(WEIGHT_ARRAYS, 7))
# What results call the images, and readers.
IMAGES = {"photographs": "photographs", "thumbnails": "CIFAR-10's test images"}
# Levenberg-Marquardt steps after the closed form, where there are several maps.
POLISH = 20
# Each with the rate that suits it: more carried maps take smaller steps.
LADDER = {
    "the paper's network, tied": (TUNED.design, TUNED.learning_rate),
    "wavelets at every pixel": (_ONE_MAP, 1e-3),
    "kernels of 9 x 9": (replace(_ONE_MAP, kernels=dict.fromkeys(WEIGHT_ARRAYS, 9)), 1e-3),
    "three maps carried": (replace(_ONE_MAP, R=3), 2e-4),
    "four maps carried, first wavelets of 9 x 9": (ACCURATE, 2e-4),
}


def recipes(settings: Settings) -> dict[str, Recipe]:
    """Return what is learned, by its name."""
    count, epochs = settings.choose((500, 6), (5000, 12))
    source = "photographs"
    if settings.cifar10:
        source += f"+cifar10-train:{settings.cifar10}"
    shared = replace(TUNED, source=source, scales=(J,), count=count, epochs=epochs)
    return {
        name: replace(
            shared,
            design=design,
            learning_rate=rate,
            polish=POLISH if design.R > 1 else 0,
        )
        for name, (design, rate) in LADDER.items()
    }


def measure(settings: Settings) -> dict:
    """Measure the loss by strided moduli, and learn the ladder."""
    images, jobs = test_images("photographs", SIDE), recipes(settings)
    found = in_processes(_rung, [(recipe, settings) for recipe in jobs.values()])
    recipe = next(iter(jobs.values()))
    both = " and as many of CIFAR-10's training set" if settings.cifar10 else ""
    return {
        "data": f"learned from {recipe.count} images of 32x32, crops of photographs{both}; errors "
        f"on {len(images)} crops of {SIDE}x{SIDE} of photographs kept out of learning, and on "
        f"{THUMBNAILS} images: {sources.cifar_images(settings, 1)[1]}",
        "J": J,
        "epochs": recipe.epochs,
        "strided moduli, S1 at J = 1": {
            str(stride): {str(K): smoothing_floor(images, stride, K) for K in SMOOTHINGS}
            for stride in (1, 2)
        },
        "ladder": dict(zip(jobs, found, strict=True)),
    }


def _rung(recipe: Recipe, settings: Settings) -> dict:
    learner, seconds = learned(recipe, settings.runs)
    bank, (thumbnails, _) = learner.bank("rung"), sources.cifar_images(settings, THUMBNAILS)
    return {
        "seconds_per_epoch": seconds,
        "multiply_adds_per_pixel": multiply_adds_per_pixel(bank),
        "photographs": bank_errors(bank, J, SIDE),
        "thumbnails": errors_by_scale(bank, thumbnails, J)["orders"],
    }


def smoothing_floor(images: np.ndarray, stride: int, K: int) -> float:
    """Return the relative error of S1 at J = 1 of Kymatio's own wavelets under the best smoothing.

    Their moduli on the padded grid are taken at every `stride`-th pixel; for every orientation the
    K x K taps follow that come nearest to Kymatio's coefficients by least squares.
    """
    sides, transform = images.shape[-2:], teacher(1, images.shape[-2:])
    spare = [
        P - side for P, side in zip((transform._M_padded, transform._N_padded), sides, strict=True)
    ]
    ends = [(0, 0), *((one // 2, one - one // 2) for one in spare)]
    spectra = np.fft.fft2(np.pad(images.astype(np.float64), ends, mode="reflect"))
    wanted = teach(images, 1, max_order=1)[:, 1:]
    shifts = [-a for a in range(-(K // 2), K // 2 + 1)]
    missed = 0.0
    for psi, coefficients in zip(transform.psi, wanted.swapaxes(0, 1), strict=True):
        moduli = np.abs(np.fft.ifft2(spectra * psi["levels"][0]))[:, ::stride, ::stride]
        step, (h, w) = 2 // stride, coefficients.shape[1:]
        windows = [np.roll(moduli, shift, (1, 2)) for shift in product(shifts, shifts)]
        columns = [one[:, ::step, ::step][:, 1 : 1 + h, 1 : 1 + w].ravel() for one in windows]
        taps, *_ = np.linalg.lstsq(np.stack(columns, 1), coefficients.ravel(), rcond=None)
        missed += np.square(np.stack(columns, 1) @ taps - coefficients.ravel()).sum()
    return float(np.sqrt(missed / np.square(wanted).sum()))


def draw(result: dict) -> Figure:
    """Draw the errors of every rung, and the floor by strided moduli alone."""
    figure = Figure(figsize=(12, 5))
    panels = figure.subplots(1, 2, sharey=True)
    names = list(result["ladder"])
    for axes, images in zip(panels, IMAGES, strict=True):
        for offset, order in ((0.2, "S1"), (-0.2, "S2")):
            errors = [100 * rung[images][order] for rung in result["ladder"].values()]
            places = np.arange(len(names))[::-1] + offset
            bars = axes.barh(places, errors, 0.38, label=order)
            white = {"fc": "white", "ec": "none", "pad": 0.5}
            axes.bar_label(bars, fmt="%.2g", fontsize=9, padding=3, bbox=white)
        axes.set(xscale="log", xlabel="relative L2 error, percent", title=IMAGES[images])
        axes.set_xlim(0.05, 60)
        axes.grid(False, axis="y")
    least = 100 * min(result["strided moduli, S1 at J = 1"]["2"].values())
    words = "Kymatio's own wavelets, moduli at every second pixel, best smoothing (S1, J = 1)"
    panels[0].axvline(least, color="black", ls=":", label=words)
    panels[0].set_yticks(range(len(names)), names[::-1])
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    figure.suptitle(
        f"What holds the paper's architecture back (J = {result['J']}, {result['setting']} setting)"
    )
    return figure


def section(result: dict) -> str:
    """Return what strided moduli cost, and the errors of every rung."""
    floors = result["strided moduli, S1 at J = 1"]
    rows = [
        [f"every {'second ' if stride == '2' else ''}pixel", *map(percent, errors.values())]
        for stride, errors in floors.items()
    ]
    head = ["moduli at", *(f"{K} x {K}" for K in floors["1"])]
    rungs = []
    for name, rung in result["ladder"].items():
        work = rung["multiply_adds_per_pixel"]
        errors = [percents(rung[images]) for images in IMAGES]
        rungs.append([name, number(work["folded"] or work["direct"]), *errors])
    return (
        "S1 at J = 1 of Kymatio's own wavelets, percent off, by the size of the smoothing after "
        f"them, which is the best for the very images:\n\n{table(head, rows)}\n\n"
        "Designs, learned from closed forms by one recipe, but for the rate that suits each; of "
        f"several maps the closed form is polished by {POLISH} Levenberg-Marquardt steps:\n\n"
        + table(
            [
                "design",
                "multiply-adds a pixel",
                *(f"{of}: S0, S1, S2, %" for of in IMAGES.values()),
            ],
            rungs,
        )
        + f"\n\n{result['epochs']} epochs. {measured_on(result)}"
    )


TITLE = "What holds the paper's architecture back, one part after the other."
EXPERIMENT = Experiment("floor", TITLE, measure, draw, section)
