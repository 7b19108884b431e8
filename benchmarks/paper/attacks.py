"""Trying to violate bounds: many different inputs, then gradients towards the worst of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch

# From inputs (N, ...) to the quantity that is bounded, (N,).
Quantity = Callable[[torch.Tensor], torch.Tensor]
# Exact arithmetic is bounded; the quantities are computed in float64.
ROUNDING = 1e-9
STEP = 0.1


@dataclass(frozen=True)
class Effort:
    """How hard an attack tries.

    Attributes
    ----------
    random : int
        Inputs drawn.
    climbers, steps : int
        Inputs improved together by their gradients, and for how many steps; each step is one more
        attempt for every climber.
    """

    random: int = 10_000
    climbers: int = 40
    steps: int = 100

    @property
    def attempts(self) -> int:
        """Inputs tried in all."""
        return self.random + self.climbers * (self.steps + 1)


@dataclass
class Outcome:
    """What an attack found.

    Attributes
    ----------
    bound : float
        What was attacked.
    random, gradient : float
        The most extreme value among random inputs, and among those found by gradients.
    attempts, violations : int
        Inputs tried, and how many passed the bound.
    """

    bound: float
    random: float
    gradient: float
    attempts: int
    violations: int

    lower: bool = False

    @property
    def tightness(self) -> float:
        """The part of the bound that was reached, 1 for all of it; of a lower bound its inverse."""
        if self.lower:
            return self.bound / min(self.random, self.gradient)
        return max(self.random, self.gradient) / self.bound if self.bound else 1.0

    def as_dict(self) -> dict:
        """Return the outcome for a result file."""
        return {
            "bound": self.bound,
            "lower": self.lower,
            "worst random": self.random,
            "worst by gradient": self.gradient,
            "tightness": self.tightness,
            "attempts": self.attempts,
            "violations": self.violations,
        }


def attack(
    quantity: Quantity,
    shape: tuple[int, ...],
    bound: float,
    effort: Effort,
    seed: int,
    lower: bool = False,
) -> Outcome:
    """Look for inputs whose quantity passes a bound.

    Parameters
    ----------
    quantity : callable
        Differentiable, of float64 inputs (N, *shape).
    shape : tuple of int
        Of one input, (..., H, W).
    bound : float
        What the quantity must not exceed.
    effort : Effort
        How hard to try.
    seed : int
        Of the inputs.
    lower : bool
        The quantity must not fall below the bound instead.

    Returns
    -------
    Outcome
    """
    sign = -1 if lower else 1
    worst, values = [], []
    for batch in _batches(seed, shape, effort.random):
        with torch.no_grad():
            found = sign * quantity(batch)
        values.append(found)
        chosen = found.topk(min(effort.climbers, len(found))).indices
        worst.append((found[chosen], batch[chosen]))
    values = torch.cat(values)
    violations = int(_passed(values, sign, bound).sum())

    # Half from the worst inputs of all, half from inputs of every kind.
    scores, inputs = (torch.cat(parts) for parts in zip(*worst, strict=True))
    best = inputs[scores.topk(effort.climbers // 2).indices]
    others = inputs[torch.linspace(0, len(inputs) - 1, effort.climbers - len(best)).long()]
    climbed, passed = _climb(quantity, torch.cat([best, others]), effort.steps, sign, bound)
    return Outcome(
        bound,
        sign * float(values.max()),
        sign * climbed,
        effort.attempts,
        violations + passed,
        lower,
    )


def _climb(quantity, start, steps, sign, bound) -> tuple[float, int]:
    """Follow gradients; return the highest signed quantity met, and how many passed the bound."""
    inputs = (start / _norm(start)).requires_grad_()
    size = start[0].numel() ** -0.5  # of one sample
    optimizer = torch.optim.Adam([inputs], lr=STEP * size)
    highest, passed = -np.inf, 0
    for step in range(steps + 1):
        values = sign * quantity(inputs)
        highest = max(highest, float(values.detach().max()))
        passed += int(_passed(values.detach(), sign, bound).sum())
        optimizer.zero_grad()
        (-values.sum()).backward()
        for group in optimizer.param_groups:
            group["lr"] = STEP * size * (1 - step / (steps + 1))
        optimizer.step()
        with torch.no_grad():
            inputs /= _norm(inputs)
    return highest, passed


def _passed(values: torch.Tensor, sign: int, bound: float) -> torch.Tensor:
    # NaN counts as a violation.
    return ~(values <= sign * bound + ROUNDING * abs(bound))


def _norm(inputs: torch.Tensor) -> torch.Tensor:
    return torch.linalg.vector_norm(inputs.flatten(1), dim=1).reshape(-1, *[1] * (inputs.ndim - 1))


@lru_cache(maxsize=4)
def _batches(seed: int, shape: tuple[int, ...], count: int, size: int = 500) -> list[torch.Tensor]:
    """Return inputs of many kinds, float64 (N, *shape); kept, for all quantities of a shape."""
    generator = np.random.default_rng(seed)
    inputs = torch.from_numpy(np.stack([_input(generator, shape) for _ in range(count)]))
    return list(inputs.split(size))


def _input(generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Return noise of some spectrum, waves, impulses, edges or a constant, and noise on top."""
    H, W = shape[-2:]
    rows, columns = np.mgrid[:H, :W]
    kind = generator.integers(5)
    if kind == 0:
        fall = generator.uniform(-1, 3)
        w = np.hypot(*np.meshgrid(np.fft.fftfreq(H), np.fft.fftfreq(W), indexing="ij"))
        w[0, 0] = 1 / max(H, W)
        spectrum = np.fft.fft2(generator.standard_normal(shape)) * w**-fall
        found = np.fft.ifft2(spectrum).real
    elif kind == 1:
        found = np.zeros(shape)
        for _ in range(generator.integers(1, 4)):
            p, q = generator.integers(0, H), generator.integers(0, W)
            phase = generator.random((*shape[:-2], 1, 1))
            size = generator.standard_normal((*shape[:-2], 1, 1))
            found = found + size * np.cos(2 * np.pi * (p * rows / H + q * columns / W + phase))
    elif kind == 2:
        found = generator.standard_normal(shape) * (generator.random(shape) < 4 / (H * W))
    elif kind == 3:
        angle = generator.uniform(0, 2 * np.pi)
        line = np.cos(angle) * (rows - H / 2) + np.sin(angle) * (columns - W / 2)
        found = generator.standard_normal((*shape[:-2], 1, 1)) * (line > generator.uniform(-4, 4))
    else:
        found = generator.standard_normal((*shape[:-2], 1, 1)) * np.ones(shape)
    size = np.abs(found).max() or 1.0
    noise = 10 ** generator.uniform(-6, 0)
    return found / size + noise * generator.standard_normal(shape)
