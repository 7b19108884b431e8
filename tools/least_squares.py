"""Levenberg-Marquardt over the coefficients of a `FoldedBank`, under its constraints."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tools.folded import FoldedBank


@dataclass(frozen=True)
class Objective:
    """A sum of squared residuals.

    Attributes
    ----------
    value : callable
        From coefficients (E,) to the sum.
    normal : callable
        From coefficients to the sum, half its gradient (E,), and the Gauss-Newton matrix (E, E).
    """

    value: Callable
    normal: Callable


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
        self.fixed = np.array([*follows, *held])
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
    bank: FoldedBank, coefficients: np.ndarray, objective: Objective, steps: int,
    tolerance: float = 1e-4, damping: float = 1e-4, report=None,
) -> tuple[np.ndarray, float]:
    """Return the coefficients after up to `steps` Levenberg-Marquardt steps, and the objective."""
    freedom = Freedom(bank, coefficients)
    x = coefficients[freedom.free]
    c = freedom(x)
    for step in range(steps):
        value, gradient, matrix = objective.normal(c)
        g, M = freedom.T.T @ gradient, freedom.T.T @ matrix @ freedom.T
        before = value
        for _ in range(8):
            scaled = M + damping * np.diag(np.maximum(np.diag(M), 1e-12))
            candidate = x - np.linalg.solve(scaled, g)
            new = objective.value(freedom(candidate))
            if new < value:
                x, value, damping = candidate, new, max(damping / 5, 1e-9)
                break
            damping *= 6
        c = freedom(x)
        if report:
            report(step, before, value)
        if value > before * (1 - tolerance):
            break
    return c, value


def removal(bank: FoldedBank, coefficients: np.ndarray, objective: Objective):
    """Return what dropping each element alone adds to the objective, refitted; inf where held.

    With G the Gauss-Newton matrix, c^2 / diag(G^-1) is the exact increase of a squared error that
    is quadratic (B. Hassibi and D. Stork, Optimal brain surgeon, 1993).
    """
    freedom = Freedom(bank, coefficients)
    _, gradient, matrix = objective.normal(coefficients)
    M = freedom.T.T @ matrix @ freedom.T
    M += 1e-8 * np.diag(np.maximum(np.diag(M), 1e-12))
    inverse = np.linalg.inv(M)
    increase = np.full(len(coefficients), np.inf)
    increase[freedom.free] = coefficients[freedom.free] ** 2 / np.diag(inverse)
    return increase
