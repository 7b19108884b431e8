"""What a header is generated for: the arguments of `cexport.generate`, checked."""

from __future__ import annotations

import os
import re
import shlex
import zlib

import numpy as np

import npscatter
from cexport.text import in_comment, string_literal
from npscatter import list_banks
from npscatter.bank import FilterBank, resolve
from npscatter.errors import ArgumentError, ArgumentTypeError, BankError, explain
from npscatter.program.plan import make_plan

DTYPES = ("float", "q15")
# Stands for a pixel that is zero; so rows and columns of the padded image are numbered below it.
NO_PIXEL = 65535
# The macros of limits.h and stdint.h that PREFIX_WIDTH would be.
_TAKEN = (
    "bool char schar uchar short ushort int uint long ulong llong ullong size ptrdiff wchar wint "
    "sig_atomic intptr uintptr intmax uintmax"
).split()
_PREFIX = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,30}")


class Configuration:
    """The bank, the plan and the kind of C to generate.

    Parameters are those of `cexport.generate`; so are the exceptions.
    """

    def __init__(
        self,
        bank: str | os.PathLike | FilterBank,
        J: int,
        shape: tuple[int, int],
        max_order: int = 2,
        *,
        L: int | None = None,
        boundary: str | None = None,
        rounds: int = 1,
        dtype: str = "float",
        prefix: str = "nps",
        weights_only: bool = False,
    ):
        if not isinstance(dtype, str) or dtype not in DTYPES:
            raise ArgumentError(explain("dtype", dtype, f"must be one of {DTYPES}", "pass one"))
        if not isinstance(prefix, str):
            raise ArgumentTypeError(explain("prefix", prefix, "must be a str", "pass 'nps'"))
        if not _PREFIX.fullmatch(prefix):
            rule = "must be a C identifier of at most 31 characters that begins with a letter"
            raise ArgumentError(explain("prefix", prefix, rule, "pass e.g. 'nps'"))
        if prefix.lower() in _TAKEN:
            rule = f"would redefine the standard macro {prefix.upper()}_WIDTH"
            raise ArgumentError(explain("prefix", prefix, rule, "pass another, e.g. 'nps'"))
        self.dtype, self.prefix, self.weights_only = dtype, prefix, weights_only
        self._requested = bank
        self.bank, boundary = resolve(bank, L, boundary)
        for key in self.bank:
            largest = np.abs(self.bank.real_taps(key)).max()
            if largest > np.finfo(np.float32).max:
                rule = f"{key} has taps that a float cannot hold"
                raise BankError(explain("bank", self.bank.name, rule, "scale its filters down"))
        architecture = self.bank.architecture
        self.plan = make_plan(J, shape, architecture, max_order, boundary, rounds=rounds)
        if max(self.plan.padded_shape) >= NO_PIXEL:
            raise ArgumentError(
                explain(
                    "shape",
                    self.plan.shape,
                    f"the padded image must have fewer than {NO_PIXEL} rows and columns",
                    "cut the image into parts",
                )
            )

    @property
    def conditions(self) -> dict[str, bool]:
        """What the templates ask for.

        ``PFX_Q15``: integers are computed with. ``PFX_ZERO_EDGE``: beyond their edge maps are
        zero, not their own period.
        """
        return {"PFX_Q15": self.dtype == "q15", "PFX_ZERO_EDGE": self.plan.edge == "zero"}

    @property
    def command(self) -> str:
        """The command line that generates the same header."""
        plan, bank = self.plan, self._requested
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


def _is_shipped(bank: FilterBank) -> bool:
    return bank.name in list_banks() and FilterBank.load(bank.name) == bank
