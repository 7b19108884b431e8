"""Error against cost: the number of carried maps and the kernel sizes of the accurate bank.

``python -m benchmarks.frontier`` fits a bank of each design in closed form (no photographs are
learned from, so the designs are compared alike), measures it on held-out photographs, counts its
multiply-adds, and writes benchmarks/results/frontier.json and frontier.png.
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict

import click
import torch
from matplotlib.figure import Figure

from benchmarks.environment import RESULTS, environment
from npscatter import Scattering2D
from npscatter.bank import ROLES, multiply_adds
from tools.closed_form import closed_form, polish
from tools.measure import bank_errors
from tools.parameters import Design

COST_SHAPE = (512, 512)  # large, so that the padding counts little


def design(R: int, sizes: str, radius: dict[str, float] | None = None) -> Design:
    """Return an L = 8 design; `sizes` has a digit per array, in the order of the bank's arrays."""
    kernels = dict(zip(ROLES, map(int, sizes), strict=True))
    return Design(8, R, kernels, radius=radius or {})


# psi_first, carry_first, low_first, psi_next, carry_next, low_next; a radius keeps the taps within.
DESIGNS = [
    design(4, "977777"),
    design(4, "977777", {"psi_next": 3.7, "psi_first": 4.5}),
    design(4, "977777", {"psi_next": 3.2, "psi_first": 4.5}),
    design(4, "977777", {"psi_next": 3.0, "psi_first": 4.3}),
    design(4, "977577"),
    design(4, "777777"),
    design(4, "777777", {"psi_next": 3.2}),
    design(4, "977777", {"psi_next": 3.0}),
    design(4, "977777", {"psi_next": 3.0, "psi_first": 4.5}),
    design(4, "977777", {"psi_next": 3.0, "carry_first": 3.2, "low_first": 3.2}),
    design(4, "957755", {"psi_next": 3.0}),
    design(3, "977777"),
    design(3, "977777", {"psi_next": 3.2}),
    design(3, "977577"),
    design(3, "755555"),
    design(4, "755555"),
    design(1, "977777"),
    design(1, "777777"),
]


def measure(chosen: Design, steps: int) -> dict:
    """Return one design's errors and cost."""
    start = time.perf_counter()
    parameters = closed_form(chosen)
    filter_error = polish(parameters, steps)
    bank = parameters.bank("trial")
    plan = Scattering2D(2, COST_SHAPE, 8, bank=bank).plan
    return {
        "R": chosen.R,
        "kernels": chosen.kernels,
        "radius": chosen.radius,
        "filter_error": filter_error,
        "multiply_adds_per_pixel": {
            "folded": multiply_adds(plan, bank, True) / (COST_SHAPE[0] * COST_SHAPE[1]),
            "direct": multiply_adds(plan, bank, False) / (COST_SHAPE[0] * COST_SHAPE[1]),
        },
        "errors": {
            f"photographs {size}x{size} J={J}": bank_errors(bank, J, size)
            for J, size in ((1, 32), (2, 32), (2, 64), (3, 64))
        },
        "seconds": time.perf_counter() - start,
    }


def label(row: dict) -> str:
    """Return a short name: R, the six kernel sizes, and the radii where supports are round."""
    sizes = "".join(str(row["kernels"][key]) for key in ROLES)
    radii = " ".join(f"{key} r={radius}" for key, radius in row["radius"].items())
    return f"R={row['R']} {sizes} {radii}".strip()


def plot(rows: list[dict]) -> Figure:
    """Return the figure: error against multiply-adds, for both orders."""
    figure = Figure(figsize=(10, 5), layout="constrained")
    for axis, order in zip(figure.subplots(1, 2, sharex=True), ("S1", "S2"), strict=True):
        for R, marker in ((1, "^"), (3, "s"), (4, "o")):
            chosen = [row for row in rows if row["R"] == R]
            cost = [row["multiply_adds_per_pixel"]["folded"] for row in chosen]
            error = [100 * row["errors"]["photographs 64x64 J=2"][order] for row in chosen]
            axis.scatter(cost, error, marker=marker, label=f"R = {R}")
        best = float("inf")
        for row in sorted(rows, key=lambda row: row["multiply_adds_per_pixel"]["folded"]):
            error = 100 * row["errors"]["photographs 64x64 J=2"][order]
            if error < best:
                best = error
                axis.annotate(
                    label(row),
                    (row["multiply_adds_per_pixel"]["folded"], error),
                    xytext=(4, 4),
                    textcoords="offset points",
                    fontsize=7,
                )
        axis.axhline({"S1": 0.3, "S2": 0.5}[order], color="0.6", lw=1, ls="--")
        axis.set(
            yscale="log",
            title=f"{order}, photographs 64x64, J = 2, closed form",
            xlabel="multiply-adds per pixel, folded",
            ylabel="relative L2 error (%)",
        )
        axis.legend(title="dashed: the aim")
    return figure


@click.command(help=__doc__)
@click.option("--steps", default=18, show_default=True, help="Levenberg-Marquardt steps.")
@click.option("--missing", is_flag=True, help="Keep the designs that frontier.json has already.")
def main(steps: int, missing: bool) -> None:
    """Measure every design and write the results."""
    path = RESULTS / "frontier.json"
    rows = json.loads(path.read_text())["designs"] if missing and path.exists() else []
    known = [label(row) for row in rows]
    torch.set_num_threads(1)
    for chosen in DESIGNS:
        if label(asdict(chosen)) in known:
            continue
        rows.append(measure(chosen, steps))
        row = rows[-1]
        print(
            label(row),
            round(row["multiply_adds_per_pixel"]["folded"]),
            row["errors"]["photographs 64x64 J=2"],
            flush=True,
        )
        result = {"environment": environment("python -m benchmarks.frontier"), "designs": rows}
        path.write_text(json.dumps(result, indent=1) + "\n")
        plot(rows).savefig(RESULTS / "frontier.png", dpi=120)


if __name__ == "__main__":
    main()
