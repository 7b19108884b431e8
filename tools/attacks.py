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
class Target:
    """A bound to attack: what a quantity must not exceed, or not fall below if `lower`.

    The quantity is differentiable, of float64 inputs (N, *shape), shape being (..., H, W).
    """

    name: str
    bound: float
    quantity: Quantity
    shape: tuple[int, ...]
    lower: bool = False


@dataclass(frozen=True)
class Effort:
    """How hard an attack tries: inputs drawn, and inputs improved for some steps of gradients."""

    random: int
    climbers: int
    steps: int

    @property
    def attempts(self) -> int:
        """Inputs tried in all: each step is one more for every climber."""
        return self.random + self.climbers * (self.steps + 1)


def attack(target: Target, effort: Effort, seed: int) -> dict:
    """Look for inputs whose quantity passes a bound; return what was found.

    "tightness" is the part of the bound that was reached, 1 for all of it (of a lower bound its
    inverse) by the worst of random inputs and of those found by gradients.
    """
    sign = -1 if target.lower else 1
    worst, values = [], []
    for batch in _batches(seed, target.shape, effort.random):
        with torch.no_grad():
            found = sign * target.quantity(batch)
        values.append(found)
        chosen = found.topk(min(effort.climbers, len(found))).indices
        worst.append((found[chosen], batch[chosen]))
    values = torch.cat(values)

    # Half from the worst inputs of all, half from inputs of every kind.
    scores, inputs = (torch.cat(parts) for parts in zip(*worst, strict=True))
    best = inputs[scores.topk(effort.climbers // 2).indices]
    others = inputs[torch.linspace(0, len(inputs) - 1, effort.climbers - len(best)).long()]
    climbed, passed = _climb(target, torch.cat([best, others]), effort.steps)
    by_chance, by_gradient = sign * float(values.max()), sign * climbed
    worst = sign * max(sign * by_chance, climbed)
    if target.lower:
        tightness = target.bound / worst
    else:
        tightness = worst / target.bound if target.bound else 1.0
    return {
        "bound": target.bound,
        "lower": target.lower,
        "worst random": by_chance,
        "worst by gradient": by_gradient,
        "tightness": tightness,
        "attempts": effort.attempts,
        "violations": _violations(target, values) + passed,
    }


def _climb(target: Target, start: torch.Tensor, steps: int) -> tuple[float, int]:
    """Follow gradients; return the highest signed quantity met, and how many passed the bound."""
    sign = -1 if target.lower else 1
    inputs = (start / _norm(start)).requires_grad_()
    size = start[0].numel() ** -0.5  # of one sample
    optimizer = torch.optim.Adam([inputs], lr=STEP * size)
    highest, passed = -np.inf, 0
    for step in range(steps + 1):
        values = sign * target.quantity(inputs)
        highest = max(highest, float(values.detach().max()))
        passed += _violations(target, values.detach())
        optimizer.zero_grad()
        (-values.sum()).backward()
        optimizer.param_groups[0]["lr"] = STEP * size * (1 - step / (steps + 1))
        optimizer.step()
        with torch.no_grad():
            inputs /= _norm(inputs)
    return highest, passed


def _violations(target: Target, signed: torch.Tensor) -> int:
    bound = -target.bound if target.lower else target.bound
    # NaN counts as a violation.
    return int((~(signed <= bound + ROUNDING * abs(bound))).sum())


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
    one_each = (*shape[:-2], 1, 1)
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
            phase, size = generator.random(one_each), generator.standard_normal(one_each)
            found = found + size * np.cos(2 * np.pi * (p * rows / H + q * columns / W + phase))
    elif kind == 2:
        found = generator.standard_normal(shape) * (generator.random(shape) < 4 / (H * W))
    elif kind == 3:
        angle = generator.uniform(0, 2 * np.pi)
        line = np.cos(angle) * (rows - H / 2) + np.sin(angle) * (columns - W / 2)
        found = generator.standard_normal(one_each) * (line > generator.uniform(-4, 4))
    else:
        found = generator.standard_normal(one_each) * np.ones(shape)
    noise = 10 ** generator.uniform(-6, 0)
    return found / (np.abs(found).max() or 1.0) + noise * generator.standard_normal(shape)
