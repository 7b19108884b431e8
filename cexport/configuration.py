"""What a header is generated for: the arguments of `cexport.generate`, checked."""

from __future__ import annotations

import os
import re
import shlex
import zlib
from dataclasses import InitVar, dataclass, field

import numpy as np

import npscatter
from cexport.text import in_comment, string_literal
from npscatter import list_banks
from npscatter.arguments import one_of
from npscatter.bank import FilterBank, resolve
from npscatter.errors import ArgumentError, ArgumentTypeError, BankError, explain
from npscatter.program.magnitude import level_gain
from npscatter.program.plan import Plan, make_plan

DTYPES = ("float", "q15")
# Stands for a pixel that is zero; so rows and columns of the padded image are numbered below it.
NO_PIXEL = 65535
# For which PREFIX_WIDTH is a macro of limits.h or stdint.h.
_STANDARD_WIDTHS = (
    "bool char schar uchar short ushort int uint long ulong llong ullong size ptrdiff wchar wint "
    "sig_atomic intptr uintptr intmax uintmax"
).split()
_PREFIX = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,30}")


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
        _check_prefix(self.prefix)
        bank, edge = resolve(self.requested, L, boundary)
        _check_taps(bank)
        plan = make_plan(J, shape, bank.architecture, max_order, edge, rounds=rounds)
        if max(plan.padded_shape) >= NO_PIXEL:
            rule = f"the padded image must have fewer than {NO_PIXEL} rows and columns"
            raise ArgumentError(explain("shape", plan.shape, rule, "cut the image into parts"))
        object.__setattr__(self, "bank", bank)
        object.__setattr__(self, "plan", plan)

    @property
    def conditions(self) -> dict[str, bool]:
        """What the templates ask for.

        ``PFX_Q15``: integers are computed with. ``PFX_ZERO_EDGE``: beyond their edge maps are
        zero, not their own period. ``PFX_LEVEL``: a level may be taken off images.
        """
        return {
            "PFX_Q15": self.dtype == "q15",
            "PFX_ZERO_EDGE": self.plan.edge == "zero",
            "PFX_LEVEL": level_gain(self.plan, self.bank) is not None,
        }

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
            words += [f"--rounds {plan.rounds}"]
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
        number = zlib.crc32(f"{npscatter.__version__} {self.command} {self.bank.sha256}".encode())
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
        ]


def _check_prefix(prefix: object) -> None:
    if not isinstance(prefix, str):
        raise ArgumentTypeError(explain("prefix", prefix, "must be a str", "pass 'nps'"))
    if not _PREFIX.fullmatch(prefix):
        rule = "must be a C identifier of at most 31 characters that begins with a letter"
        raise ArgumentError(explain("prefix", prefix, rule, "pass e.g. 'nps'"))
    if prefix.lower() in _STANDARD_WIDTHS:
        rule = f"would redefine the standard macro {prefix.upper()}_WIDTH"
        raise ArgumentError(explain("prefix", prefix, rule, "pass another, e.g. 'nps'"))


def _check_taps(bank: FilterBank) -> None:
    for key in bank:
        if np.abs(bank.real_taps(key)).max() > np.finfo(np.float32).max:
            rule = f"{key} has taps that a float cannot hold"
            raise BankError(explain("bank", bank.name, rule, "scale its filters down"))


def _is_shipped(bank: FilterBank) -> bool:
    return bank.name in list_banks() and FilterBank.load(bank.name) == bank
