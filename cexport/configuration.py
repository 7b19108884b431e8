"""What a header is generated for: the arguments of `cexport.generate`, checked."""

from __future__ import annotations

import os
import shlex
import zlib
from dataclasses import InitVar, dataclass, field

import numpy as np

import npscatter
from cexport.classifier import LinearClassifier
from cexport.prefix import check_prefix
from cexport.text import in_comment, string_literal
from npscatter import list_banks
from npscatter.arguments import integer, one_of
from npscatter.backends.cost import plan_cost
from npscatter.bank import FilterBank, resolve
from npscatter.errors import ArgumentError, BankError, explain
from npscatter.program.magnitude import level_gain
from npscatter.program.plan import Plan, make_plan
from npscatter.program.steps import Step

DTYPES = ("float", "q15")
# What is spared: instructions, by sums that are written out, or flash, by tables of taps.
TARGETS = ("speed", "size")
# Products of all filters that are written out unless asked for; so many make a header of 2 MB.
MOST_WRITTEN_OUT = 2**14
# Stands for a pixel that is zero; so rows and columns of the padded image are numbered below it.
NO_PIXEL = 65535
# What a header's tables hold; then what NumPy may take to compute what the self-test expects:
# numbers of 8 bytes at a time, 2 GiB of them, and multiply-adds, so many of which take minutes.
LARGEST_TAPS, LARGEST_COEFFICIENTS = 2**18, 2**31 - 1
LARGEST_MEMORY, LARGEST_WORK = 2**28, 2**37
# Of a string constant, C99 promises no more.
LARGEST_LITERAL = 4095


@dataclass(frozen=True)
class Configuration:
    """The bank, the plan and the kind of C to generate.

    Parameters are those of `cexport.generate`; so are the exceptions.
    """

    requested: str | os.PathLike | FilterBank
    J: InitVar[int]
    shape: InitVar[tuple[int, int]]
    max_order: InitVar[int] = 2
    L: InitVar[int | None] = None
    boundary: InitVar[str | None] = None
    rounds: InitVar[int] = 1
    dtype: str = "float"
    prefix: str = "nps"
    weights_only: bool = False
    target: str | None = None
    classifier: LinearClassifier | str | os.PathLike | None = None
    trained: LinearClassifier | None = field(init=False)
    bank: FilterBank = field(init=False)
    plan: Plan = field(init=False)

    def __post_init__(
        self,
        J: int,
        shape: tuple[int, int],
        max_order: int,
        L: int | None,
        boundary: str | None,
        rounds: int,
    ) -> None:
        one_of("dtype", self.dtype, DTYPES, "pass one")
        if self.target is not None:
            one_of("target", self.target, TARGETS, "pass one, or None for what suits the bank")
        check_prefix(self.prefix)
        bank, edge = resolve(self.requested, L, boundary)
        _check_taps(bank)
        if self.weights_only:  # of the smallest plan there is: no number of it is written
            J, shape, max_order, rounds = 1, (2, 2), 1, 1
        if integer("rounds", rounds) > 4 * bank.L:
            rule = f"more than 4 L = {4 * bank.L} rounds save no memory"
            raise ArgumentError(explain("rounds", rounds, rule, "use fewer"))
        plan = make_plan(J, shape, bank.architecture, max_order, edge, rounds=rounds)
        _check_plan(plan, bank)
        object.__setattr__(self, "bank", bank)
        object.__setattr__(self, "plan", plan)
        if self.target is None:
            work = sum(bank.summation(key)[0].multiply_adds for key in bank)
            suits = "speed" if work <= MOST_WRITTEN_OUT else "size"
            object.__setattr__(self, "target", suits)
        object.__setattr__(self, "trained", self._trained())
        for words in (bank.name, self.command):
            _check_words(words)

    def _trained(self) -> LinearClassifier | None:
        """Return the classifier, if it is one of these coefficients."""
        if self.classifier is None:
            return None
        if self.weights_only:
            rule = "is of no use to a header that computes no coefficients"
            remedy = "leave it out, or weights_only"
            raise ArgumentError(explain("classifier", self.classifier, rule, remedy))
        if isinstance(self.classifier, LinearClassifier):
            trained = self.classifier
        else:
            trained = LinearClassifier.load(self.classifier)
            _check_words(os.fspath(self.classifier), "classifier")
        trained.check(self.plan, self.bank)
        return trained

    @property
    def conditions(self) -> dict[str, bool]:
        """What the templates ask for.

        ``PFX_Q15``: integers are computed with. ``PFX_ZERO_EDGE``: beyond their edge maps are
        zero, not their own period. ``PFX_LEVEL``: a level may be taken off images.
        ``PFX_CLASSIFIER``: coefficients are classified; ``PFX_ONE_SCORE``: by the sign of a score.
        """
        return {
            "PFX_Q15": self.dtype == "q15",
            "PFX_FAST": self.written_out,
            "PFX_ZERO_EDGE": self.plan.edge == "zero",
            "PFX_LEVEL": level_gain(self.plan, self.bank) is not None,
            "PFX_CLASSIFIER": self.trained is not None,
            "PFX_ONE_SCORE": self.trained is not None and len(self.trained.coef) == 1,
        }

    @property
    def written_out(self) -> bool:
        """Whether the sums of filters are written out; else loops read the taps from tables."""
        return self.target == "speed" and not self.weights_only

    @property
    def small_cells(self) -> bool:
        """Whether rows are folded into 16 bits, as instructions on pairs of them take them."""
        return self.written_out and self.dtype == "q15"

    @property
    def command(self) -> str:
        """The command line that generates the same header."""
        plan, bank = self.plan, self.requested
        if isinstance(bank, FilterBank):
            name = bank.name if _is_shipped(bank) else f"{bank.name} (a FilterBank)"
        else:
            name = os.fspath(bank)
        words = ["python -m cexport", f"--bank {shlex.quote(name)}", f"--L {self.bank.L}"]
        if self.weights_only:
            words += ["--weights-only"]
        else:
            words += [f"--J {plan.J}", f"--shape {plan.shape[0]} {plan.shape[1]}"]
            words += [f"--max-order {plan.max_order}", f"--boundary {plan.boundary}"]
            words += [f"--rounds {plan.rounds}", f"--target {self.target}"]
        if isinstance(self.classifier, LinearClassifier):
            words += ["--classifier '(a LinearClassifier)'"]
        elif self.classifier is not None:
            words += [f"--classifier {shlex.quote(os.fspath(self.classifier))}"]
        return " ".join([*words, f"--dtype {self.dtype}", f"--prefix {self.prefix}"])

    @property
    def provenance(self) -> list[str]:
        """What the header comes from, for its first comment."""
        return [
            f"npscatter {npscatter.__version__}, bank {in_comment(self.bank.name)}",
            f"sha256 {self.bank.sha256}",
            in_comment(self.command),
            "",
            "SPDX-FileCopyrightText: 2026 the npscatter maintainers",
            "SPDX-License-Identifier: BSD-3-Clause",
        ]

    @property
    def opening(self) -> list[str]:
        """The includes, and their guard, which refuses another header of the same prefix."""
        words = [npscatter.__version__, self.command, self.bank.sha256]
        words += [self.trained.sha256] if self.trained else []
        number = zlib.crc32(" ".join(words).encode())
        return [
            f"#if defined(PFX_INCLUDED) && PFX_INCLUDED != {number}U",
            '#error "two different headers with the same prefix: give one another with --prefix"',
            "#endif",
            "#ifndef PFX_INCLUDED",
            f"#define PFX_INCLUDED {number}U",
            "",
            "#include <stddef.h>",
            "#include <stdint.h>",
            "",
        ]

    @property
    def macros(self) -> list[str]:
        """What the header comes from, for a program to print."""
        return [
            f"#define PFX_VERSION {string_literal(npscatter.__version__)}",
            f"#define PFX_BANK {string_literal(self.bank.name)}",
            f"#define PFX_BANK_SHA256 {string_literal(self.bank.sha256)}",
            f"#define PFX_PROVENANCE {string_literal(self.command)}",
            *([f'#define PFX_CLASSIFIER_SHA256 "{self.trained.sha256}"'] if self.trained else []),
        ]


def _check_words(words: str, argument: str = "bank") -> None:
    """Refuse a name, or a command with a path, that no string constant can hold."""
    try:
        words.encode()
    except UnicodeEncodeError:
        rule = "is not UTF-8, and the header must tell where it comes from"
        raise ArgumentError(explain(argument, words, rule, "rename it")) from None
    if len(string_literal(words)) > LARGEST_LITERAL:
        rule = f"is more than {LARGEST_LITERAL} characters long as a string constant of C"
        raise ArgumentError(explain(argument, words, rule, "give it a shorter name or path"))


def _check_taps(bank: FilterBank) -> None:
    count = sum(bank.real_taps(key).size for key in bank)
    if count > LARGEST_TAPS:
        rule = f"has {count} taps, and a header holds at most {LARGEST_TAPS}"
        raise BankError(explain("bank", bank.name, rule, "use one of smaller kernels"))
    limits = np.finfo(np.float32)
    for key in bank:
        largest = np.abs(bank.real_taps(key)).max((1, 2, 3))
        if largest.max() > limits.max or (largest[largest > 0] < limits.tiny).any():
            remedy = f"scale its filters to between {limits.tiny:.2g} and {limits.max:.2g}"
            rule = f"{key} has taps that a float cannot hold"
            raise BankError(explain("bank", bank.name, rule, remedy))


def _check_plan(plan: Plan, bank: FilterBank) -> None:
    """Refuse a program of more numbers than a header can index, or NumPy can compute in minutes."""
    if max(plan.padded_shape) >= NO_PIXEL:
        rule = f"the padded image must have fewer than {NO_PIXEL} rows and columns"
        raise ArgumentError(explain("shape", plan.shape, rule, "cut the image into parts"))
    coefficients = plan.channel_starts[-1]
    _limit(plan, coefficients, LARGEST_COEFFICIENTS, "coefficients, and a header holds")
    memory = plan.workspace.size + max(map(_temporaries, plan.steps))
    _limit(plan, memory, LARGEST_MEMORY, "numbers at a time, and its self-test may take")
    work = plan_cost(plan, bank, folded=False).multiply_adds
    _limit(plan, work, LARGEST_WORK, "products, and its self-test may take")


def _temporaries(step: Step) -> int:
    """Return about how many numbers NumPy has in a step, besides the workspace."""
    source = step.maps_per_group * step.source.height * step.source.width
    moduli = len(step.orientations) * step.modulus_shape[0] * step.modulus_shape[1]
    return step.groups * (2 * source + 5 * moduli)


def _limit(plan: Plan, count: int, most: int, what: str) -> None:
    if count > most:
        rule = f"makes {count} {what} at most {most}"
        raise ArgumentError(explain("shape", plan.shape, rule, "cut the image into parts"))


def _is_shipped(bank: FilterBank) -> bool:
    return bank.name in list_banks() and FilterBank.load(bank.name) == bank
