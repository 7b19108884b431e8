"""``npscatter bounds``: what a bank's transform can do to any image at most."""

from __future__ import annotations

import click

from npscatter.bank import FilterBank
from npscatter.bounds import Bounds, Growth
from npscatter.bounds.bounds import LARGEST_J
from npscatter.bounds.growth import LARGEST_GROWTH
from npscatter.cli.options import Side, boundary_option, scale_option, times, told_in_one_line
from npscatter.cli.terminal import echo, echo_json


@click.command(
    epilog="""\b
Examples:
  npscatter bounds accurate
  npscatter bounds accurate --growth
  npscatter bounds paper --J 3 --shift 1 0 --shift 4 4
  npscatter bounds my/bank.npz --json"""
)
@click.argument("name")
@scale_option(LARGEST_J)
@click.option(
    "--size",
    nargs=2,
    type=Side(least=1),
    default=(32, 32),
    show_default=True,
    metavar="H W",
    help="Of the images, which padding and the distance from Kymatio depend on.",
)
@boundary_option("the bank's")
@click.option(
    "--shift",
    "displacements",
    nargs=2,
    type=int,
    multiple=True,
    default=((1, 0), (2, 2)),
    show_default=True,
    metavar="DY DX",
    help="Displacement in pixels; may be given several times.",
)
@click.option(
    "--attempts",
    type=click.IntRange(min=0),
    default=500,
    show_default=True,
    help="Deformations to try; 0 for none.",
)
@click.option(
    "--growth",
    "growth_alone",
    is_flag=True,
    help="Only how much the carried maps amplify from octave to octave: seconds, not minutes.",
)
@click.option("--json", "as_json", is_flag=True, help="Print all of it as JSON instead.")
def bounds(
    name: str,
    J: int,
    size: tuple[int, int],
    boundary: str | None,
    displacements: tuple[tuple[int, int], ...],
    attempts: int,
    growth_alone: bool,
    as_json: bool,
) -> None:
    """Bound what the transform V with bank NAME can do to any image.

    Proven from the filters, except for the deformation, which is the worst that a search found.
    Takes about a minute at J=2, minutes above; --growth, which J does not matter for, seconds.
    """
    with told_in_one_line("bounding; about a minute at J=2, minutes above, --growth seconds"):
        if growth_alone:
            report = Growth(FilterBank.load(name)).report()
        else:
            proven = Bounds(name, J, shape=size, boundary=boundary)
            report = proven.report(list(displacements), attempts)
    if as_json:
        echo_json(report)
    elif growth_alone:
        echo(f"bank         {report['bank']} (sha256 {report['bank_sha256'][:16]})")
        _print_growth(report)
    else:
        _print_bounds(report)


def _print_growth(report: dict) -> None:
    def listed(values: list[float | None]) -> str:
        return "  ".join("none" if value is None else f"{value:.3g}" for value in values)

    modes = [f"{real:.3g}{f'{imag:+.3g}i' if imag else ''}" for real, imag in report["modes"]]
    units = "; ".join(f"{name} {value:.4g}" for name, value in report["one octave"].items())
    cycles = [
        f"{cycle['rate']:.3g} at 2 pi ({', '.join(f'{w:.3g}' for w in cycle['frequency'])})"
        for cycle in report["cycles"][1:]
    ]
    echo(
        "",
        "carried maps, from octave to octave",
        f"  constant maps are multiplied by  {'  '.join(modes)}",
        "  a disturbance grows in one octave, in the best units of the maps, by no more than",
        f"             {units}",
        "  and in 1, 2, ... octaves by no more than",
        f"             {listed(report['octaves'])}",
        "  waves that come back after 2, 3 and 4 octaves are multiplied, per octave, by up to",
        f"             {'  '.join(cycles)}",
        "  white noise in all maps becomes",
        f"             {listed(report['noise'])}",
        "  what leaks into the wavelets of scales 1, 2, ..., in dB of what they see",
    )
    for name, leaks in report["leaks, dB"].items():
        echo(f"  of {name} noise:", f"             {listed(leaks)}")
    most = max(*report["octaves"], *report["noise"])
    sound = "is sound at every scale: " if most <= LARGEST_GROWTH else "AMPLIFIES: "
    echo(
        f"  the bank {sound}a disturbance grows {most:.3g} times at most in "
        f"{len(report['octaves'])} octaves, where a learned bank's may {LARGEST_GROWTH:g} times"
    )


def _print_bounds(report: dict) -> None:
    scale = 2 ** report["J"]

    def listed(values: dict[str, float], factor: float = scale) -> str:
        return "  ".join(f"{name} {factor * value:.4g}" for name, value in values.items())

    def between(frame: dict) -> str:
        A, B = (f"{frame[bound]['certified']:.4g}" for bound in "AB")
        found_A, found_B = (f"{frame[bound]['found']:.4g}" for bound in "AB")
        return f"{A} to {B}  (found: {found_A} to {found_B})"

    echo(
        f"bank         {report['bank']} (sha256 {report['bank_sha256'][:16]})",
        f"transform    V: J={report['J']}, order {report['max_order']}, boundary "
        f"{report['boundary']}, images of {times(report['shape'])}",
    )
    padding = f"; C includes a factor {report['padding']:.4g} for the padding"
    echo(f"norms        Euclidean{padding if report['padding'] > 1 else ''}")
    _print_growth(report["growth"])
    echo("", "Littlewood-Paley sum of the filters that the image sees")
    echo(f"             {between(report['littlewood_paley'])}")
    echo("", "frame bounds of every level, filters with their strides")
    for name, frame in report["frames"].items():
        echo(f"  {name}", f"             {between(frame)}")
    echo("", "2^J C of     ||V(x) - V(y)|| <= C ||x - y||")
    echo(f"             {listed(report['lipschitz'])}")
    echo("", "largest      4^J ||V(x)||^2 / ||x||^2")
    echo(f"             {listed(report['energies'], 1)}")
    if shifts := report.get("shift, boundary periodic"):
        echo("", "2^J C of     ||V(x shifted) - V(x)|| <= C ||x||, V of boundary periodic")
        echo(f"             {listed(shifts)}")
    if "teacher_certificate" in report:
        echo("", "2^J C of     ||V(x) - S(x)|| <= C ||x||, S: Kymatio")
        echo(f"             {listed(report['teacher_certificate'])}")
    if "deformation" in report:
        echo(
            "",
            "largest      2^J ||V(x deformed) - V(x)|| / ((2^-J max |tau| + max |grad tau|) "
            "||x||) found",
            f"             {report['deformation']:.4g}",
        )
