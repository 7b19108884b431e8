"""What one GPU thread sums: a run of neighbouring samples of a correlation.

A thread sums `RegisterTile.run` neighbours of one row at once, all outputs of them, in registers:
samples and their foldings are shared by the neighbours. The order of the sums is a
`npscatter.program.summation.Summation`; `npscatter.backends.gpu.run_codegen` emits them as code.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from npscatter.bank import FilterBank
from npscatter.program.steps import WEIGHT_ARRAYS
from npscatter.program.summation import Summation
from npscatter.program.symmetry import mirrored_orientations

# Registers (of four bytes) that a thread's sums may take; the folded samples need as many again.
SUM_REGISTERS = {"float32": 64, "float64": 32}


@dataclass(frozen=True)
class SubTile:
    """Some outputs of a weight array, which are summed together.

    Attributes
    ----------
    outputs : tuple of int
        Their numbers among all that are stored (of moduli: one per orientation).
    summation : Summation
        The order of the sums.
    weights : tuple of float
        In the order `summation` uses them.
    """

    outputs: tuple[int, ...]
    summation: Summation
    weights: tuple[float, ...] = field(repr=False)


@dataclass(frozen=True)
class RegisterTile:
    """A correlation, as a thread computes it.

    Attributes
    ----------
    parts : tuple of SubTile
        Outputs that are summed one after the other, so that registers suffice.
    modulus : bool
        The outputs are real parts, then imaginary parts, of which the modulus is stored.
    stride : int
        1 or 2.
    shift : int
        Columns from the tile's first to the first that output 0 reads.
    dtype : str
        "float32" or "float64".
    """

    parts: tuple[SubTile, ...]
    modulus: bool
    stride: int
    shift: int
    dtype: str

    @property
    def size(self) -> int:
        """K, of the K x K kernels."""
        return self.parts[0].summation.size

    @property
    def run(self) -> int:
        """Neighbours a thread sums."""
        return run_length(self.dtype)

    @property
    def wide(self) -> int:
        """Neighbours of one phase that are loaded at once."""
        return max(1, self.stride * self.run // 2)

    @property
    def outputs(self) -> int:
        """Maps that are stored."""
        count = sum(len(part.summation.outputs) for part in self.parts)
        return count // 2 if self.modulus else count

    @property
    def operations(self) -> int:
        """Floating-point instructions of one run: multiply-adds, foldings, sums of parts."""
        total = 0
        for part in self.parts:
            summation = part.summation
            window = self.stride * (self.run - 1) + summation.size
            total += self.run * (summation.multiply_adds + summation.additions)
            total += window * sum(row.fold != 0 for row in summation.rows)
            total += self.run * len(summation.outputs) * self.modulus
        return total

    @property
    def instructions(self) -> int:
        """About how many instructions a run takes: those, loads, addresses, and some more."""
        total = self.operations + 40
        for part in self.parts:
            summation = part.summation
            columns = self.stride * (self.run - 1) + summation.size
            loads = 2 * -(-columns // (2 * self.wide))
            total += summation.maps * summation.size * (loads + 2)
        return total

    @cached_property
    def digest(self) -> str:
        """A name for the code: equal only if it is."""
        weights = [part.weights for part in self.parts]
        return hashlib.sha256(f"{self!r} {weights!r}".encode()).hexdigest()[:24]


def make_register_tile(
    bank: FilterBank,
    name: str,
    outputs: tuple[int, ...] | None,
    stride: int,
    shift: int,
    dtype: str,
) -> RegisterTile:
    """Return how a thread correlates with one of a bank's weight arrays.

    Parameters
    ----------
    bank : FilterBank
        The weights.
    name : str
        Of the weight array.
    outputs : tuple of int or None
        Which orientations or carriers; None for all.
    stride, shift, dtype
        See `RegisterTile`.
    """
    modulus = WEIGHT_ARRAYS[name].is_complex
    if outputs is None:
        outputs = tuple(range(len(bank[name])))
    registers = run_length(dtype) * np.dtype(dtype).itemsize // 4 * (2 if modulus else 1)
    most = max(1, SUM_REGISTERS[dtype] // registers)
    if modulus:
        # Orientations that mirror each other share their products.
        together = mirrored_orientations(bank.L, -(-bank.L // most))
    else:
        together = [tuple(outputs[k : k + most]) for k in range(0, len(outputs), most)]
    parts = []
    for group in together:
        chosen = tuple(o for o in group if o in outputs)
        if chosen:
            summation, weights = bank.summation(name, chosen)
            numbers = tuple(outputs.index(o) for o in chosen)
            parts.append(SubTile(numbers, summation, tuple(weights.tolist())))
    return RegisterTile(tuple(parts), modulus, stride, shift, dtype)


def run_length(dtype: str) -> int:
    """Return how many neighbours a thread sums: a vector of 16 bytes of them."""
    return 16 // np.dtype(dtype).itemsize
