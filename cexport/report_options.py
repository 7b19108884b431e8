"""The options of ``python -m cexport`` that report sizes and write no header."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from cexport.counts import PROCESSORS
from cexport.fitting import byte_count, find_fitting, fitting_text
from cexport.size_report import KIB, report
from npscatter.cli.terminal import Failure
from npscatter.errors import ArgumentError

# What `find_fitting` leaves open unless it is said.
_LEFT_OPEN = ("bank", "rounds", "dtype", "target")


class _Size(click.ParamType):
    """A number of bytes, with a unit or without, by the name it has in the option's help."""

    def __init__(self, name: str):
        self.name = name

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        try:
            return byte_count(self.name, value, "pass two sizes, as --fit 64K 1M")
        except ArgumentError as error:
            self.fail(str(error), param, ctx)


def report_options(command: Callable) -> Callable:
    """Add the options."""
    for option in (
        click.option(
            "--streamed",
            is_flag=True,
            help="With --fit: coefficients go to a callback, and the output takes no memory.",
        ),
        click.option(
            "--cpu",
            type=click.Choice(list(PROCESSORS)),
            help="With --fit: the processor.  [default: cortex-m4]",
        ),
        click.option(
            "--fit",
            type=(_Size("RAM"), _Size("FLASH")),
            metavar="RAM FLASH",
            help="Write no header, but which configurations fit into so much memory, as 64K 1M: of "
            "every bank, dtype, target and number of rounds that no other option chooses.",
        ),
        click.option(
            "--report",
            is_flag=True,
            help="Write no header, but what it asks of a microcontroller: memory, and estimates of "
            "flash and instructions.",
        ),
    ):
        command = option(command)
    return command


def reported(
    arguments: dict[str, Any],
    output: Path | None,
    as_report: bool,
    fit: tuple[int, int] | None,
    streamed: bool,
    cpu: str | None,
) -> str | None:
    """Return what the options ask for instead of a header, None if nothing.

    `arguments` are those of `cexport.generate`.
    """
    if as_report and fit:
        raise click.UsageError("--report is of one configuration, --fit of many: give one of them")
    if (streamed or cpu) and not fit:
        told = ": --report tells what there is with all of them, and with streamed output"
        option = "--streamed" if streamed else "--cpu"
        raise click.UsageError(f"{option} is for --fit alone" + told * as_report)
    if not as_report and not fit:
        return None
    if output is not None:
        raise click.UsageError("-o is for a header; leave it out: --report and --fit print")
    if arguments["weights_only"]:
        asked = "--report" if as_report else "--fit"
        told = f"--weights-only makes no transform, which {asked} is of"
        raise click.UsageError(f"{told}: leave out one or the other")
    options = {name: value for name, value in arguments.items() if name != "weights_only"}
    if fit is None:
        return f"{report(**options)}\n"
    context = click.get_current_context()
    for name in _LEFT_OPEN:
        if context.get_parameter_source(name) == ParameterSource.DEFAULT:
            options[name] = None
    cpu = cpu or "cortex-m4"
    fitting = find_fitting(*fit, cpu=cpu, streamed=streamed, **options)
    if not fitting.choices:
        raise Failure(
            f"--fit {fit[0]} {fit[1]}: nothing fits: the least memory that any takes are "
            f"{fitting.least_ram_bytes} bytes, the least flash {fitting.least_flash_bytes}; "
            "try a smaller --shape, --max-order 1"
            + ("" if streamed else ", or --streamed")
            + (f"; numbers without K are bytes: {fit[0]}K is more" if max(fit) < KIB else "")
        )
    return fitting_text(fitting, cpu) + "\n"
