"""Error against cost: supports cut by discs, and banks whose folded taps were chosen one by one.

``python -m benchmarks.frontier --run runs/accurate --run runs/fast`` fits a bank of each disc to
Kymatio's filters, takes the banks that every round of the runs left, and the shipped ones, measures
all on held-out photographs and counts what they cost: multiply-adds, and nanoseconds by the model
that benchmarks.kernels fitted. It writes benchmarks/results/frontier.json and frontier.png.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator
from threadpoolctl import threadpool_limits

from benchmarks import results, run
from benchmarks.kernels import priced
from npscatter import FilterBank, list_banks
from npscatter.program.steps import WEIGHT_ARRAYS
from tools.closed_form import closed_form
from tools.filter_fit import FilterFit, Targets
from tools.folded import FoldedBank, within
from tools.least_squares import minimise
from tools.measure import multiply_adds_per_pixel, photograph_errors
from tools.selection import output_rates

SHOWN = "photographs 64x64 J=2"
# Relative errors of S0, S1 and S2 at J = 2 on photographs.
AIMS = {"S0": 0.001, "S1": 0.003, "S2": 0.005}
BESIDE = {"textcoords": "offset points", "ha": "left", "va": "top"}
MARKERS = {"disc": "o", "selected": "s", "shipped": "*"}
COSTS = {
    "multiply_adds": "multiply-adds per pixel, folded",
    "nanoseconds": "nanoseconds per pixel by the kernels' cost model",
}
# R, the sizes of psi, carry and low for the first octave and for the later ones, radii of psi_first
# and psi_next, and from what |sin 2 theta| on the later wavelets read the cross derivative.
DISCS = [
    (4, "977777", 9, 9, 0.0),
    (4, "977777", 4.5, 3.7, 0.0),
    (4, "977777", 4.5, 3.2, 0.0),
    (4, "977777", 4.5, 3.2, 0.8),
    (4, "977777", 4.3, 3.0, 0.0),
    (4, "957755", 9, 3.0, 0.0),
    (4, "755555", 9, 9, 0.0),
    (3, "977777", 4.5, 3.2, 0.0),
    (3, "755555", 9, 9, 0.0),
    (1, "977777", 9, 9, 0.0),
]


def disc(R: int, sizes: str, first: float, following: float, cross: float, steps: int):
    """Return an L = 8 bank fitted to Kymatio's filters, its supports cut by discs."""
    name = f"R={R} {sizes} r={first:g}, {following:g}" + (" cross on diagonals" if cross else "")
    kernels = dict(zip(WEIGHT_ARRAYS, map(int, sizes), strict=True))
    radii = {"psi_first": first, "psi_next": following}
    fit = FilterFit(within(FoldedBank(8, R, kernels), radii, cross), Targets(8))
    return fit.bank.bank(name, minimise(fit, closed_form(fit), steps)[0])


def banks(runs: tuple[Path, ...], steps: int) -> Iterator[tuple[str, FilterBank]]:
    """Yield families and banks."""
    for name in list_banks():
        if (bank := FilterBank.load(name)).L == 8 and bank.architecture.psi_stride == 1:
            yield "shipped", bank
    for folder in runs:
        for path in sorted((folder / "rounds").glob("*.npz")):
            yield "selected", FilterBank.load(path)
    for chosen in DISCS:
        yield "disc", disc(*chosen, steps)


def nanoseconds(bank: FilterBank, model: dict[str, float]) -> float:
    """Return what J = 2 costs a pixel by the kernels' cost model, of vectors of 16 outputs."""
    total = 0.0
    for key, rate in output_rates(bank.architecture, 2, bank.boundary).items():
        order, _ = bank.summation(key)
        psi, psi_stride = WEIGHT_ARRAYS[key].is_complex, bank.architecture.psi_stride
        counts = priced(order, psi_stride if psi else 2 // psi_stride, bank.L if psi else 0)
        total += rate * sum(model[name] * count for name, count in counts.items()) / 16
    return total


def meets(errors: dict) -> bool:
    """Say whether all J = 2 errors are within the aims."""
    return all(
        found[order] <= AIMS[order]
        for images, found in errors.items()
        if images.endswith("J=2")
        for order in AIMS
    )


def cheapest(points: list[dict], family: str) -> dict | None:
    """Return the point of a family with the fewest multiply-adds that meets the aims."""
    good = [point for point in points if point["family"] == family and meets(point["errors"])]
    return min(good, key=lambda point: point["multiply_adds"], default=None)


def plot(points: list[dict]) -> Figure:
    """Return the figure: error against cost, for both orders and both costs."""
    figure = Figure(figsize=(12, 9), layout="constrained")
    panels = figure.subplots(2, 2, sharex="col", sharey="row")
    for row, order in zip(panels, ("S1", "S2"), strict=True):
        for axis, (cost, words) in zip(row, COSTS.items(), strict=True):
            for family, marker in MARKERS.items():
                chosen = [point for point in points if point["family"] == family]
                errors = [100 * point["errors"][SHOWN][order] for point in chosen]
                costs = [point[cost] for point in chosen]
                axis.scatter(costs, errors, marker=marker, label=family)
                for point, *place in zip(chosen, costs, errors, strict=True):
                    if family == "shipped":
                        axis.annotate(point["label"], place, (6, -3), **BESIDE)
            axis.axhline(100 * AIMS[order], color="0.6", lw=1, ls="--", label="aim")
            axis.set(xlabel=words, ylabel=f"relative L2 error of {order} (%)", yscale="log")
            axis.margins(y=0.1)
            axis.yaxis.set_major_formatter("{x:g}")
            axis.yaxis.set_minor_locator(LogLocator(subs=(2, 3, 5)))
            axis.yaxis.set_minor_formatter("{x:g}")
            axis.legend()
    figure.suptitle(f"Error against Kymatio on {SHOWN}, held out")
    return figure


@click.command(help=__doc__)
@click.option("--run", "runs", multiple=True, type=click.Path(exists=True, path_type=Path))
@click.option("--steps", default=12, show_default=True, help="Levenberg-Marquardt steps.")
def main(runs: tuple[Path, ...], steps: int) -> None:
    """Measure every bank and write the results."""
    model, points = results.read("kernels")["cost_model"]["nanoseconds"], []
    with threadpool_limits(1):
        for family, bank in banks(runs, steps):
            point = {
                "family": family,
                "label": bank.name,
                "multiply_adds": multiply_adds_per_pixel(bank)["folded"],
                "nanoseconds": nanoseconds(bank, model),
                "errors": photograph_errors(bank),
            }
            points.append(point)
            print(family, bank.name, point["multiply_adds"], point["errors"][SHOWN], flush=True)
    environment = results.environment("python -m benchmarks.frontier")
    found = {"environment": environment, "aims": AIMS, "cost_model": model, "points": points}
    results.write("frontier", found)
    results.write_figure("frontier", lambda: plot(points))


if __name__ == "__main__":
    run(main)
