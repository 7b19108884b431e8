"""Levenberg-Marquardt over the coefficients of a `FoldedBank`, under its constraints."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from tools.folded import FoldedBank

# Value, half gradient and Gauss-Newton matrix.
Normal = tuple[float, np.ndarray, np.ndarray]
# Dampings tried for one step.
TRIES = 8
# What damps coefficients that nothing depends on.
LEAST_DIAGONAL = 1e-12


class Objective(Protocol):
    """A sum of squared residuals, as a function of a bank's coefficients (E,)."""

    bank: FoldedBank

    def value(self, c: np.ndarray) -> float:
        """Return the sum."""

    def normal(self, c: np.ndarray) -> Normal:
        """Return the sum, half its gradient (E,), and the Gauss-Newton matrix (E, E)."""


class Total:
    """The weighted sum of several objectives of one bank.

    Parameters
    ----------
    parts : list of tuple
        Weights and objectives.
    """

    def __init__(self, parts: list[tuple[float, Objective]]):
        self.bank, self.parts = parts[0][1].bank, parts

    def value(self, c: np.ndarray) -> float:
        """Return the sum."""
        return sum(weight * part.value(c) for weight, part in self.parts)

    def normal(self, c: np.ndarray) -> Normal:
        """Return the sum, half its gradient, and the Gauss-Newton matrix."""
        found = [(weight, part.normal(c)) for weight, part in self.parts]
        value, gradient, matrix = (
            sum(weight * normal[which] for weight, normal in found) for which in range(3)
        )
        return value, gradient, matrix


class Freedom:
    """Which coefficients of a bank are free, and how the others follow: ``c = offset + T x``.

    Of every constraint the element of the largest sum follows from the others. The scale of a
    carried derivative is arbitrary, what makes it and what reads it cancel: the largest coefficient
    that makes it is held.
    """

    def __init__(self, bank: FoldedBank, coefficients: np.ndarray):
        A, b = bank.constraints, bank.bounds
        follows = np.array([self._centre(bank, row) for row in A])
        held = [self._largest(bank, coefficients, row) for row in range(1, bank.R)]
        held = sorted({number for number in held if number is not None})
        count = len(bank.kept)
        self.free = np.setdiff1d(np.arange(count), [*follows, *held])
        inverse = np.linalg.inv(A[:, follows])
        self.T = np.zeros((count, len(self.free)))
        self.T[self.free, np.arange(len(self.free))] = 1
        self.T[follows] = -inverse @ A[:, self.free]
        self.offset = np.zeros(count)
        self.offset[held] = coefficients[held]
        self.offset[follows] = inverse @ (b - A[:, held] @ coefficients[held])

    @staticmethod
    def _centre(bank: FoldedBank, row: np.ndarray) -> int:
        inside = np.flatnonzero(row)
        return min(inside, key=lambda n: sum(bank.kept[n].label[-2:]))

    @staticmethod
    def _largest(bank: FoldedBank, coefficients: np.ndarray, output: int) -> int | None:
        """Return the largest element that makes a carried map, None if a tied map is held."""
        made = [n for n in bank.of_array("carry_first") if bank.kept[n].label[0] == output]
        return max(made, key=lambda n: abs(coefficients[n])) if made else None

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Return all coefficients."""
        return self.offset + self.T @ x


def minimise(
    objective: Objective,
    coefficients: np.ndarray,
    steps: int,
    tolerance: float = 1e-4,
    damping: float = 1e-4,
) -> tuple[np.ndarray, float]:
    """Return the coefficients after Levenberg-Marquardt steps, and the objective there.

    Parameters
    ----------
    steps : int
        At most so many; none after one that takes off less than the share `tolerance`.
    damping : float
        Of the first step, as a share of the matrix's diagonal.
    """
    freedom = Freedom(objective.bank, coefficients)
    x = coefficients[freedom.free]
    value = objective.value(freedom(x))
    for _ in range(steps):
        before, gradient, matrix = objective.normal(freedom(x))
        g, M = freedom.T.T @ gradient, freedom.T.T @ matrix @ freedom.T
        for _ in range(TRIES):
            damped = M + damping * np.diag(np.maximum(np.diag(M), LEAST_DIAGONAL))
            candidate = x - np.linalg.solve(damped, g)
            value = objective.value(freedom(candidate))
            if value < before:
                x, damping = candidate, max(damping / 5, 1e-9)
                break
            damping *= 6
        else:
            value = before
        if value > before * (1 - tolerance):
            break
    return freedom(x), value
