"""What a header asks of a microcontroller, told before it is generated or flashed."""

from __future__ import annotations

import os
from dataclasses import dataclass

from cexport.classifier import LinearClassifier
from cexport.configuration import Configuration
from cexport.counts import PARTS, PROCESSORS, Counts
from cexport.estimates import costs_of, learned
from cexport.footprint import footprint, header_layout
from cexport.text import columns, times
from npscatter.bank import FilterBank

KIB = 1024


@dataclass(frozen=True)
class Estimate:
    """What a header costs on one processor, estimated, by the parts of the program.

    The parts are the bank's arrays (loading, folding and multiplying what they read), "moduli", and
    "image and output", which of flash has all that is not a kernel's own.

    Attributes
    ----------
    instructions : dict of str to float
        For one image; they are no cycles.
    flash : dict of str to float
        Bytes of code and constants.
    stack_bytes : int
        Of the deepest call.
    errors : dict of str to float
        The largest relative error of "instructions", "flash" and "stack" on headers that what was
        learned had not seen.
    """

    instructions: dict[str, float]
    flash: dict[str, float]
    stack_bytes: int
    errors: dict[str, float]

    @property
    def total_instructions(self) -> int:
        """Instructions for one image."""
        return round(sum(self.instructions.values()))

    @property
    def flash_bytes(self) -> int:
        """Bytes of code and constants."""
        return round(sum(self.flash.values()))


@dataclass(frozen=True)
class Report:
    """What a header asks for; ``print`` shows it.

    Attributes
    ----------
    title, command : str
        What is generated, in words and by which command.
    scratch_bytes, image_bytes, output_bytes : int
        Memory while an image is transformed, exact; no output if coefficients are streamed, or
        classified.
    classifier_bytes : int
        Of flash besides, exact: the tables of a classifier.
    estimates : dict of str to Estimate
        By processor: "cortex-m0", "cortex-m4", "cortex-m7", "cortex-m55".
    """

    title: str
    command: str
    scratch_bytes: int
    image_bytes: int
    output_bytes: int
    classifier_bytes: int
    estimates: dict[str, Estimate]

    def __str__(self) -> str:
        names = [PROCESSORS[name].short_name for name in self.estimates]
        every = list(self.estimates.values())
        memory = columns(
            [
                ("scratch", f"{self.scratch_bytes:,} bytes"),
                ("image", f"{self.image_bytes:,} bytes"),
                ("output", f"{self.output_bytes:,} bytes"),
                *[("classifier", f"{self.classifier_bytes:,} bytes")] * bool(self.classifier_bytes),
            ]
        )
        parts = [
            [part]
            + [millions(estimate.instructions[part]) for estimate in every]
            + [_kib(estimate.flash[part]) for estimate in every]
            for part in PARTS
            if any(estimate.flash[part] or estimate.instructions[part] for estimate in every)
        ]
        return "\n".join(
            [
                self.title,
                self.command,
                "",
                *memory[:2],
                f"{memory[2]}; none if it is streamed" + " or classified" * bool(memory[3:]),
                *(f"{line} of flash, besides what is estimated" for line in memory[3:]),
                "",
                *columns(
                    [
                        ("estimated", *["M instr."] * len(names), *["KiB flash"] * len(names)),
                        ("", *names, *names),
                        *parts,
                        (
                            "all",
                            *(millions(estimate.total_instructions) for estimate in every),
                            *(_kib(estimate.flash_bytes) for estimate in every),
                        ),
                    ]
                ),
                "stack, bytes: "
                + ", ".join(
                    f"{name} {estimate.stack_bytes}"
                    for name, estimate in zip(names, every, strict=True)
                ),
                "",
                *caveat(self.estimates),
            ]
        )


def report(
    bank: str | os.PathLike | FilterBank = "accurate",
    J: int = 2,
    shape: tuple[int, int] = (32, 32),
    max_order: int = 2,
    *,
    L: int | None = None,
    boundary: str | None = None,
    rounds: int = 1,
    dtype: str = "float",
    prefix: str = "nps",
    target: str | None = None,
    classifier: LinearClassifier | str | os.PathLike | None = None,
) -> Report:
    """Return what a header asks of a microcontroller, without generating it.

    The exceptions are those of `cexport.generate`.

    Parameters
    ----------
    bank, J, shape, max_order, L, boundary, rounds, dtype, prefix, target, classifier
        As for `cexport.generate`.

    Returns
    -------
    Report
        Bytes of memory, which are exact, and estimates of flash and of instructions for each of
        Cortex-M0, M4, M7 and M55, altogether and by the parts of the program. They are of the
        transform; a classifier adds its tables, whose bytes are told, and a multiply-add for each
        of its weights.

    Examples
    --------
    >>> from cexport import report
    >>> sizes = report("fast-L4", J=2, shape=(32, 32), rounds=4, dtype="q15")
    >>> sizes.image_bytes, sizes.output_bytes
    (1024, 3200)
    >>> sizes.estimates["cortex-m4"].flash_bytes < 10_000
    True
    """
    return report_of(
        Configuration(
            bank,
            J,
            shape,
            max_order,
            L=L,
            boundary=boundary,
            rounds=rounds,
            dtype=dtype,
            prefix=prefix,
            target=target,
            classifier=classifier,
        )
    )


def report_of(configuration: Configuration) -> Report:
    """Return the report of a configuration that is checked."""
    layout = header_layout(configuration)
    memory = footprint(configuration, layout)
    estimates = {}
    for name, processor in PROCESSORS.items():
        counts = Counts(configuration, layout, processor)
        costs = costs_of(name, configuration.dtype, str(configuration.target))
        estimates[name] = Estimate(
            costs.instructions_of(counts),
            costs.flash_of(counts),
            round(costs.stack_of(counts)),
            costs.errors,
        )
    plan = configuration.plan
    title = (
        f"{configuration.bank.name}, {times(plan.shape)}, J = {plan.J}, order {plan.max_order}, "
        f"boundary {plan.boundary}, {configuration.dtype}, target {configuration.target}, "
        f"{plan.rounds} round{'s' if plan.rounds > 1 else ''}"
    )
    return Report(
        title,
        configuration.command,
        memory.scratch,
        memory.image,
        memory.output,
        memory.classifier,
        estimates,
    )


def caveat(estimates: dict[str, Estimate]) -> list[str]:
    """Return what readers of estimates must know, as lines."""
    known = learned()
    instructions, flash, stack = (
        f"{100 * max(estimate.errors[what] for estimate in estimates.values()):.0f} %"
        for what in ("instructions", "flash", "stack")
    )
    levels = ", ".join(
        f"{PROCESSORS[name].short_name} {known['optimisation'][name]}" for name in estimates
    )
    return [
        "Instructions, which are no cycles, flash and stack are estimates, learned from headers",
        f"compiled by {known['compiler']}",
        f"({levels}) and run by {known['emulator']}.",
        f"On headers they were not learned from, they were off by at most {instructions} "
        f"(instructions), {flash} (flash)",
        f"and {stack} (stack); how the sums divide into parts is less certain.",
    ]


def _kib(count: float) -> str:
    return f"{count / KIB:.1f}"


def millions(count: float) -> str:
    """Return a number of instructions in millions, of three digits or whole."""
    return f"{count / 1e6:.3g}" if count < 1e8 else f"{count / 1e6:.0f}"
