"""The command line ``python -m cexport``, also ``npscatter export-c``."""

from __future__ import annotations

import os
from collections.abc import Callable
from itertools import permutations
from pathlib import Path
from typing import Any

import click

from cexport.configuration import DTYPES, TARGETS
from cexport.generator import generate
from cexport.package import KINDS, obstacle, package_files, write_package
from cexport.report_options import report_options, reported
from npscatter.cli.options import (
    STANDARD_OUTPUT,
    Folder,
    bank_files,
    bank_option,
    check_apart,
    check_output,
    output_file,
    output_option,
    told_in_one_line,
    transform_options,
)
from npscatter.cli.terminal import Failure
from npscatter.errors import explain


def _package_option(kind: str, words: str) -> Callable:
    """Return the option of a folder that a package is written to."""
    return click.option(f"--{kind}", type=Folder(), metavar="DIR", help=words)


@click.command(
    "export-c",
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="""\b
Examples:
  python -m cexport --J 2 --shape 32 32 -o nps.h
  python -m cexport --J 2 --shape 32 32 --dtype q15 --rounds 4 -o nps.h
  python -m cexport --J 2 --shape 28 28 --dtype q15 --classifier digits.npz -o nps.h
  python -m cexport --bank paper --weights-only -o paper.h
  python -m cexport --bank fast --L 4 --dtype q15 --rounds 4 --arduino Scattering
  python -m cexport --J 2 --shape 32 32 --dtype q15 --rounds 4 --report
  python -m cexport --J 2 --shape 32 32 --fit 64K 256K""",
)
@bank_option
@click.option("--J", "J", type=int, default=2, show_default=True, help="Log2 of the scale.")
@transform_options
@click.option(
    "--rounds",
    type=int,
    default=1,
    show_default=True,
    help="Take the orientations in so many rounds: less memory, somewhat more work.",
)
@click.option(
    "--dtype",
    type=click.Choice(DTYPES),
    default="float",
    show_default=True,
    help="float, or q15: integers only, from bytes to 16-bit numbers.",
)
@click.option(
    "--target",
    type=click.Choice(TARGETS),
    help="What to spare: instructions, or flash and scratch memory.  [default: speed, but size for "
    "large filters without symmetry]",
)
@click.option("--prefix", default="nps", show_default=True, help="What every name begins with.")
@click.option(
    "--weights-only",
    is_flag=True,
    help="Only the filters, as documented arrays; J, shape and the like are without effect.",
)
@click.option(
    "--classifier",
    metavar="PATH",
    help="An .npz file of cexport.LinearClassifier: the header classifies images too.",
)
@report_options
@output_option("The header to write.  [default: standard output, unless a package is written]")
@_package_option("zephyr", "Write a module for Zephyr.")
@_package_option("esp-idf", "Write a component for ESP-IDF.")
@_package_option("arduino", "Write a library for Arduino and PlatformIO, with examples.")
def export_c(
    output: Path | None,
    report: bool,
    fit: tuple[int, int] | None,
    streamed: bool,
    cpu: str | None,
    **arguments: Any,
) -> None:
    """Generate a C99 header that computes the scattering transform, and may classify by it."""
    folders = {kind: arguments.pop(kind.replace("-", "_")) for kind in KINDS}
    packages = {kind: folder for kind, folder in folders.items() if folder is not None}
    if packages and (report or fit):
        raise click.UsageError("--report and --fit write no package: leave out one or the other")
    if output is not None:
        check_output(output)
        check_apart(output, "--bank", bank_files(arguments["bank"]))
        check_apart(output, "--classifier", filter(None, [arguments["classifier"]]))
    _check_packages(packages, arguments["weights_only"])
    _check_places(output, packages)
    with told_in_one_line("generating the header; large images and q15 take longest"):
        text = reported(arguments, output, report, fit, streamed, cpu) or generate(**arguments)
        made = {kind: package_files(kind, text, arguments["prefix"]) for kind in packages}
    if output is None and not packages:
        click.echo(text, nl=False)
    if output is not None:
        with output_file(output) as file:
            file.write(text.encode("ascii"))
    for kind, folder in packages.items():
        try:
            write_package(folder, made[kind])
        except OSError as error:
            raise Failure(f"cannot write {folder}: {error.strerror or error}") from None


def _check_packages(packages: dict[str, Path], weights_only: bool) -> None:
    """Refuse folders that cannot be written, before any work."""
    for kind, folder in packages.items():
        if weights_only:
            rule = "is for a header that computes, which the package's examples call"
            remedy = "leave out --weights-only, or the package"
            raise Failure(explain(f"--{kind}", str(folder), rule, remedy))
        try:
            reason = obstacle(folder)
        except OSError as error:
            reason = f"{str(folder)!r}: {error.strerror}"
        if reason:
            raise Failure(f"--{kind}: {reason}; name another folder")


def _check_places(output: Path | None, packages: dict[str, Path]) -> None:
    """Refuse outputs within each other: the folder of a package holds that alone."""
    outputs = {f"--{kind}": folder for kind, folder in packages.items()}
    if output is not None and output != STANDARD_OUTPUT:
        outputs = {"-o": output, **outputs}
    places = {option: Path(os.path.realpath(path)) for option, path in outputs.items()}
    for inner, outer in permutations(places, 2):
        if places[outer] in (places[inner], *places[inner].parents):
            rule = f"would be within the folder of {outer}, which is for that package alone"
            raise Failure(explain(inner, str(outputs[inner]), rule, "name another place"))
