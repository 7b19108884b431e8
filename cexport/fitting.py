"""Which configurations fit into a microcontroller's memory, and which of them to take."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from itertools import product

from cexport.classifier import LinearClassifier
from cexport.configuration import DTYPES, TARGETS, Configuration
from cexport.counts import PROCESSORS
from cexport.integer_bank import integer_bank
from cexport.quantization import Quantization
from cexport.sample import sample_picture
from cexport.simulation import signal_to_noise
from cexport.size_report import KIB, Report, caveat, millions, report_of
from cexport.text import columns
from npscatter import list_banks
from npscatter.arguments import integer, one_of
from npscatter.bank import FilterBank, resolve
from npscatter.errors import ArgumentError, ArgumentTypeError, BankError, explain
from npscatter.program.plan import ROUNDS, make_plan

UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30}
_SIZE = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,9})?) ?([KMG]?)(?:i?B)?", re.IGNORECASE | re.ASCII)
# Errors that are larger than the least by no more than this factor are as good.
AS_GOOD = 1.25


def byte_count(name: str, value: object, remedy: str | None = None) -> int:
    """Return a number of bytes, given as an int or as text with a unit: "64K", "1M", "65536".

    K is 1024, M is 1024 K, G is 1024 M; "KB" and "KiB" are the same as "K". The remedy is what an
    error advises, if not to pass another argument of the name.
    """
    remedy = remedy or f"pass e.g. {name}='64K' or {name}=65536"
    if not isinstance(value, str):
        try:
            count = integer(name, value)
        except ArgumentTypeError:
            rule = "must be a number of bytes, or text with a unit"
            raise ArgumentTypeError(explain(name, value, rule, remedy)) from None
        if count < 1:
            raise ArgumentError(explain(name, count, "must be at least 1 byte", remedy))
        return count
    match = _SIZE.fullmatch(value.strip())
    if not match:
        rule = "must be a number of bytes, with K, M or G after it or not"
        raise ArgumentError(explain(name, value, rule, remedy))
    number = float(match[1]) * UNITS[match[2].upper()]
    if number < 1 or number != int(number):
        rule = "must be a whole number of bytes, at least 1"
        raise ArgumentError(explain(name, value, rule, remedy))
    return int(number)


@dataclass(frozen=True)
class Choice:
    """A configuration, and what it asks for.

    Attributes
    ----------
    bank, dtype, target : str
        What `cexport.generate` takes.
    rounds : int
        Likewise.
    report : Report
        Its memory, flash and instructions.
    ram_bytes, flash_bytes : int
        What must be there: scratch, image, stack and the output unless it is streamed or
        classified; and flash, that of a classifier included.
        To what is estimated, stack and flash, as much is added as such estimates were ever off.
    instructions : int
        An estimate, for one image.
    channels : int
        Of the coefficients, which banks of other L have more or fewer of.
    error : float
        Of the worst order, relative to Kymatio's coefficients: the bank's error on photographs, as
        its card has it, and what Q15 adds on the sample picture; infinite if the card says nothing.
    """

    bank: str
    dtype: str
    target: str
    rounds: int
    report: Report
    ram_bytes: int
    flash_bytes: int
    instructions: int
    channels: int
    error: float = math.inf

    @property
    def command(self) -> str:
        """The command line that generates the header."""
        return f"{self.report.command} -o nps.h"


@dataclass(frozen=True)
class Fitting:
    """What fits, and what the smallest of everything would need.

    Attributes
    ----------
    choices : tuple of Choice
        Most accurate first, then those of fewest instructions. Of every bank, dtype and target the
        one of fewest rounds that fits, as more rounds are more work and not more accurate.
    recommended : Choice or None
        Of those whose error is at most 1.25 times the least, the one of fewest instructions.
    least_ram_bytes, least_flash_bytes : int
        The least of either that any configuration needs of those tried, whatever it needs of the
        other; if nothing fits, all were tried.
    """

    choices: tuple[Choice, ...]
    least_ram_bytes: int
    least_flash_bytes: int

    @property
    def recommended(self) -> Choice | None:
        """See the class."""
        if not self.choices:
            return None
        good = [one for one in self.choices if one.error <= AS_GOOD * self.choices[0].error]
        return min(good, key=lambda one: one.instructions)


def find_fitting(
    ram: int | str,
    flash: int | str,
    J: int = 2,
    shape: tuple[int, int] = (32, 32),
    max_order: int = 2,
    *,
    cpu: str = "cortex-m4",
    streamed: bool = False,
    bank: str | os.PathLike | FilterBank | None = None,
    L: int | None = None,
    boundary: str | None = None,
    rounds: int | None = None,
    dtype: str | None = None,
    prefix: str = "nps",
    target: str | None = None,
    classifier: LinearClassifier | str | os.PathLike | None = None,
) -> Fitting:
    """Return which configurations fit into so much memory.

    Parameters
    ----------
    ram, flash : int or str
        Bytes that are free, as numbers or as text with a unit: 65536, "64K", "1M".
    J, shape, max_order
        As for `cexport.generate`.
    cpu : str
        "cortex-m0", "cortex-m4", "cortex-m7" or "cortex-m55".
    streamed : bool
        The output takes no memory, as coefficients are streamed to a callback.
    bank, L, boundary, rounds, dtype, target : optional
        As for `cexport.generate`; what is None is tried in all ways: every shipped bank, at
        its own boundary, in 1, 2, 4 ... rounds.
    prefix : str
        As for `cexport.generate`, in the commands of the choices.
    classifier : LinearClassifier or path, optional
        As for `cexport.generate`; of all banks that with which it was trained.

    Returns
    -------
    Fitting

    Raises
    ------
    ArgumentError, ArgumentTypeError, BankError, BackendError
        As `cexport.generate`, and for sizes that are none.

    Examples
    --------
    >>> from cexport import find_fitting
    >>> fitting = find_fitting("24K", "64K", bank="fast-L4", dtype="q15", target="speed")
    >>> fitting.recommended.rounds
    1
    """
    ram, flash = byte_count("ram", ram), byte_count("flash", flash)
    one_of("cpu", cpu, tuple(PROCESSORS))
    if bank is None and classifier is not None:
        bank = _trained_on(classifier)
    choices: list[Choice] = []
    tried: list[Choice] = []
    for requested, kind, spared in product(
        _banks(bank, L),
        DTYPES if dtype is None else (dtype,),
        TARGETS if target is None else (target,),
    ):
        make = partial(
            Configuration,
            requested,
            J,
            shape,
            max_order,
            boundary=boundary,
            dtype=kind,
            prefix=prefix,
            target=spared,
            classifier=classifier,
        )
        try:
            for configuration in _by_rounds(make, rounds):
                one = _choice(configuration, cpu, streamed)
                tried.append(one)
                if one.ram_bytes <= ram and one.flash_bytes <= flash:
                    choices.append(replace(one, error=relative_error(configuration)))
                    break
        except BankError:
            # Some banks have no integers; that is told where these are asked for.
            if dtype is not None or kind != "q15":
                raise
    choices.sort(key=lambda one: (one.error, one.instructions))
    least_ram, least_flash = (
        min(getattr(one, name) for one in tried) for name in ("ram_bytes", "flash_bytes")
    )
    return Fitting(tuple(choices), least_ram, least_flash)


def _trained_on(classifier: LinearClassifier | str | os.PathLike) -> str | None:
    """Return the name of a classifier's bank, if it is a shipped one."""
    if not isinstance(classifier, LinearClassifier):
        classifier = LinearClassifier.load(classifier)
    return classifier.bank if classifier.bank in list_banks() else None


def _banks(bank: str | os.PathLike | FilterBank | None, L: int | None) -> list:
    """Return the bank that is asked for, or every shipped one, of some L or of any."""
    if bank is not None:
        return [bank if L is None else resolve(bank, L)[0]]
    shipped = {name: FilterBank.load(name).L for name in list_banks()}
    if L is None:
        return list(shipped)
    one_of("L", integer("L", L), sorted(set(shipped.values())), "pass one, or a bank of your own")
    return [name for name, own in shipped.items() if own == L]


def _by_rounds(make: Callable[..., Configuration], rounds: int | None) -> Iterator[Configuration]:
    """Yield configurations of ever more rounds, as long as their programs differ."""
    if rounds is not None:
        yield make(rounds=rounds)
        return
    before = None
    for count in ROUNDS:
        if before is None or count <= 4 * before.bank.L:
            configuration = make(rounds=count)
            if before is None or configuration.plan.steps != before.plan.steps:
                yield configuration
            before = configuration


def _choice(configuration: Configuration, cpu: str, streamed: bool) -> Choice:
    report = report_of(configuration)
    estimate = report.estimates[cpu]
    output = 0 if streamed or configuration.trained else report.output_bytes
    stack = estimate.stack_bytes * (1 + estimate.errors["stack"])
    return Choice(
        bank=configuration.bank.name,
        dtype=configuration.dtype,
        target=str(configuration.target),
        rounds=configuration.plan.rounds,
        report=report,
        ram_bytes=report.scratch_bytes + report.image_bytes + output + math.ceil(stack),
        flash_bytes=report.classifier_bytes
        + math.ceil(estimate.flash_bytes * (1 + estimate.errors["flash"])),
        instructions=estimate.total_instructions,
        channels=configuration.plan.n_coefficients,
    )


def relative_error(configuration: Configuration) -> float:
    """Return the error of the worst order; see `Choice`."""
    bank, plan = configuration.bank, configuration.plan
    orders = {f"S{path.order}" for path in plan.paths}
    noise = dict.fromkeys(orders, 0.0)
    if configuration.dtype == "q15":
        noise |= _noise(bank, plan.J, plan.shape, plan.max_order, plan.boundary)
    return max(math.hypot(_bank_error(bank, plan.J, order), noise[order]) for order in orders)


def _bank_error(bank: FilterBank, J: int, order: str) -> float:
    """Return the largest error of an order on a bank's card, at scale J if it has that."""
    rows = bank.card.get("errors")
    found = {
        name: row[order]
        for name, row in (rows.items() if isinstance(rows, dict) else ())
        if isinstance(row, dict) and isinstance(row.get(order), float)
    }
    photographs = {name: error for name, error in found.items() if name.startswith("photographs")}
    there = [error for name, error in photographs.items() if name.endswith(f" J={J}")]
    return max(there or photographs.values(), default=math.inf)


@lru_cache(maxsize=32)
def _noise(
    bank: FilterBank, J: int, shape: tuple[int, int], max_order: int, boundary: str
) -> dict[str, float]:
    """Return what Q15 adds, relative to each order, on the sample picture; whatever the rounds."""
    plan = make_plan(J, shape, bank.architecture, max_order, boundary)
    ratios = signal_to_noise(Quantization(plan, integer_bank(bank)), sample_picture(shape))
    return {order: 10 ** (-ratio / 20) for order, ratio in ratios.items()}


def fitting_text(fitting: Fitting, cpu: str) -> str:
    """Return what fits as a table, with the command of what is recommended."""
    recommended = fitting.recommended
    assert recommended is not None
    name = PROCESSORS[cpu].short_name
    rows = [
        (
            one.bank,
            one.dtype,
            one.target,
            one.rounds,
            one.channels,
            "?" if math.isinf(one.error) else f"{100 * one.error:.2g}",
            f"{one.ram_bytes / KIB:.1f}",
            f"{one.flash_bytes / KIB:.1f}",
            millions(one.instructions),
            "<-" if one is recommended else "",
        )
        for one in fitting.choices
    ]
    head = (
        "bank",
        "dtype",
        "target",
        "rounds",
        "channels",
        "error %",
        "RAM KiB",
        "flash KiB",
        f"{name} M instr.",
        "",
    )
    return "\n".join(
        [
            *columns([head, *rows]),
            "",
            "error: from Kymatio's of as many channels, the worst order, on photographs, with what "
            "Q15",
            "adds on a sample picture. Banks of 4 and 6 orientations have fewer channels; --L "
            "chooses.",
            "<-: of those nearly as accurate as the first, the one of fewest instructions:",
            recommended.command,
            "",
            *caveat({cpu: recommended.report.estimates[cpu]}),
        ]
    )
