"""The closed-form start: a bank fitted to Kymatio's filters in the Fourier domain, without data.

For a stationary input of power spectrum P the mean squared error of a filter is the integral of
|fitted - wanted|^2 P. Natural images have P ~ 1/|w|^2, for which the measure dw P is uniform in
log |w| and angle; the integrals here are sums over such a log-polar grid. After o octaves the
maps carried by the cascade are the image filtered by h_r, so the filters seen from the image are

    psi(w) = sum_r psi_next_r(2^o w) h_r(w),    h_r(w) = sum_s carry_next_rs(2^(o-1) w) h_s(w)

wanted: Kymatio's Morlet at scale o; one set of weights serves octaves 1, 2, 3, ... at once.
"""

from __future__ import annotations

import numpy as np
import torch

import npscatter.bounds.morlet
from npscatter.errors import ArgumentError, explain
from npscatter.program.steps import WEIGHT_ARRAYS, WeightArray
from npscatter.program.symmetry import angle_steps
from tools.parameters import Design, Parameters

OCTAVES = 4
CARRIER_SIGMA = 1.1


class Grid:
    """Quasi-random frequencies, even in log |w| and angle, inside the square |w0|, |w1| <= pi.

    A regular grid would be met in step by the waves of the deeper octaves, and a fit would hide
    its errors between the points.

    Parameters
    ----------
    points : int
        How many, before those outside the square are dropped.
    seed : int
        Of the scrambled Sobol sequence.

    Attributes
    ----------
    w : Tensor, shape (N, 2)
        Radians per pixel, |w| from 0.02 up.
    """

    def __init__(self, points: int = 2048, seed: int = 0):
        unit = torch.quasirandom.SobolEngine(2, scramble=True, seed=seed).draw(points).numpy()
        radius = 0.02 * (np.pi * np.sqrt(2) / 0.02) ** unit[:, 0].astype(np.float64)
        angle = 2 * np.pi * unit[:, 1].astype(np.float64)
        w = np.stack([radius * np.cos(angle), radius * np.sin(angle)], -1)
        self.w = torch.from_numpy(w[(np.abs(w) <= np.pi).all(1)])
        self._waves: dict[tuple[int, int], torch.Tensor] = {}

    def waves(self, K: int, octave: int) -> torch.Tensor:
        """Return exp(i 2^octave w a) for the taps a of a K x K kernel, shape (K * K, N)."""
        if (K, octave) not in self._waves:
            a = torch.arange(K, dtype=self.w.dtype) - K // 2
            rows = torch.exp(1j * 2**octave * self.w[:, 0] * a[:, None])
            columns = torch.exp(1j * 2**octave * self.w[:, 1] * a[:, None])
            self._waves[K, octave] = (rows[:, None] * columns).reshape(K * K, -1)
        return self._waves[K, octave]

    def response(self, taps: torch.Tensor, octave: int = 0) -> torch.Tensor:
        """Return the transfer function of a correlation, sum_a taps[a] exp(i 2^octave w a).

        Parameters
        ----------
        taps : Tensor, shape (..., K, K)
        octave : int
            The grid the kernel works on has 2^octave pixels per sample.

        Returns
        -------
        Tensor of complex, shape (..., N)
        """
        waves = self.waves(taps.shape[-1], octave)
        return taps.flatten(-2).to(waves.dtype) @ waves


def morlet(w: torch.Tensor, L: int, scale: int) -> torch.Tensor:
    """Return `npscatter.bounds.morlet.morlet` as a tensor, shape (L, N)."""
    return torch.from_numpy(npscatter.bounds.morlet.morlet(w.numpy(), L, scale))


def low_pass(w: torch.Tensor, J: int) -> torch.Tensor:
    """Return `npscatter.bounds.morlet.low_pass` as a tensor, shape (N,)."""
    return torch.from_numpy(npscatter.bounds.morlet.low_pass(w.numpy(), J))


def carriers(R: int, scale: float) -> torch.Tensor:
    """Return the R sampled kernels {g, dg/d0, dg/d1, d2g/d0d1} of a Gaussian, size 31."""
    a = np.arange(-15, 16)
    g = np.exp(-(a**2) / (2 * scale**2))
    g /= g.sum()
    d = a * g / (np.abs(a) * g).sum()
    kernels = [np.outer(g, g), np.outer(d, g), np.outer(g, d), np.outer(d, d)]
    return torch.from_numpy(np.stack(kernels[:R]))


def filters(weights: dict, orientations: list[int], grid: Grid, octaves: int):
    """Yield per octave the cascade's transfer functions: wavelets (orientations, N), low-pass (N,).

    As seen before any aliasing.
    """
    h = torch.ones(1, len(grid.w), dtype=torch.complex128)
    for octave in range(octaves):
        generation = "next" if octave else "first"
        psi, carry, low = (
            weights[WeightArray(role, generation).name] for role in ("psi", "carry", "low")
        )
        psi = grid.response(torch.complex(psi[0], psi[1])[orientations], octave)
        yield (psi * h).sum(1), (grid.response(low, octave) * h).sum(1)[0]
        h = (grid.response(carry, octave) * h).sum(1)


def filter_errors(weights: dict, L: int, grid: Grid, octaves: int = OCTAVES):
    """Return the squared relative errors over a frequency grid.

    Returns
    -------
    psi : Tensor, shape (octaves, orbits)
        Of the wavelets, one orientation of every orbit under the square's symmetries.
    low : Tensor, shape (octaves,)
        Of the low-passes.
    """
    psi_errors, low_errors = [], []
    chosen = representatives(L)
    for octave, (psi, low) in enumerate(filters(weights, chosen, grid, octaves)):
        wanted = morlet(grid.w, L, octave)[chosen]
        psi_errors.append((psi - wanted).abs().square().sum(1) / wanted.square().sum(1))
        wanted = low_pass(grid.w, octave + 1)
        low_errors.append((low - wanted).abs().square().sum() / wanted.square().sum())
    return torch.stack(psi_errors), torch.stack(low_errors)


def representatives(L: int) -> list[int]:
    """Return one orientation of every orbit under the square's symmetries.

    Their angles are those from 0 to pi / 4, in this order.
    """
    return [theta for theta in reversed(range(L)) if 0 <= angle_steps(L, theta) <= L // 4]


def closed_form(design: Design) -> Parameters:
    """Return parameters fitted to Kymatio's filters by linear least squares, array by array.

    The carried maps are taken to be the image seen through a Gaussian and its derivatives, of
    sigma 1.1 pixels at their own resolution; `polish` then frees them.

    Parameters
    ----------
    design : Design
        Symmetric, constrained, with a low-pass of its own. Strides do not enter: aliases are not
        fitted, so that for ``psi_stride`` 2 this is only a start.

    Raises
    ------
    ArgumentError
        For another design.
    """
    if not (design.symmetric and design.constrained) or design.shared_low:
        rule = "fits symmetric, constrained designs with a low-pass of their own"
        raise ArgumentError(explain("start", "closed-form", rule, "use start='random'"))
    parameters = Parameters(design)
    grid, L = Grid(), design.L
    image = torch.ones(1, len(grid.w), dtype=torch.complex128)
    carried = [grid.response(carriers(design.R, CARRIER_SIGMA * 2**o)) for o in range(OCTAVES)]
    targets = {
        "psi": lambda o: morlet(grid.w, L, o)[representatives(L)],
        "carry": lambda o: carried[o],
        "low": lambda o: low_pass(grid.w, o + 1)[None],
    }
    for array in WEIGHT_ARRAYS.values():
        if array.generation == "first":
            _fit(parameters, array, grid, [0], [image], targets[array.role])
    carried_first = grid.response(parameters()["carry_first"].detach())[:, 0]
    octaves = list(range(1, OCTAVES))
    maps = [carried_first, *carried[1 : OCTAVES - 1]]
    for array in WEIGHT_ARRAYS.values():
        if array.generation == "next":
            _fit(parameters, array, grid, octaves, maps, targets[array.role])
    return parameters


@torch.no_grad()
def _fit(parameters: Parameters, array: WeightArray, grid: Grid, octaves, maps, target) -> None:
    """Fit one array over several octaves, `maps` being the transfer functions of its inputs."""
    free, K = parameters.free[array.name], parameters.design.kernels[array.name]
    # (octaves * N, inputs * K * K): what every single tap does.
    taps = torch.cat(
        [
            torch.einsum("in,kn->nik", h, grid.waves(K, o)).reshape(len(grid.w), -1)
            for o, h in zip(octaves, maps, strict=True)
        ]
    )
    wanted = torch.cat([target(o).to(taps.dtype) for o in octaves], 1)

    def outputs(free: torch.Tensor) -> torch.Tensor:
        dense = parameters.dense(array.name, free)
        if array.is_complex:
            dense = torch.complex(dense[0], dense[1])[representatives(parameters.design.L)]
        return dense.to(taps.dtype).reshape(len(dense), -1) @ taps.T

    zero = torch.zeros_like(free)
    offset = outputs(zero)
    columns = [outputs(unit) - offset for unit in torch.eye(len(free), dtype=free.dtype)]
    matrix = torch.view_as_real(torch.stack(columns, -1).movedim(-1, 0)).reshape(len(free), -1)
    right = torch.view_as_real(wanted - offset).reshape(-1)
    normal = matrix @ matrix.T
    ridge = 1e-10 * normal.diagonal().mean() * torch.eye(len(free), dtype=free.dtype)
    free.copy_(torch.linalg.solve(normal + ridge, matrix @ right))


def polish(parameters: Parameters, steps: int = 30) -> float:
    """Fit all arrays at once, by Levenberg-Marquardt on the relative filter errors.

    Returns
    -------
    float
        The root mean square of the relative filter errors that is left.
    """
    design = parameters.design
    grid = Grid()
    chosen, keys = representatives(design.L), list(parameters.free)
    sizes = [len(parameters.free[key]) for key in keys]
    wanted = [
        (morlet(grid.w, design.L, octave)[chosen], low_pass(grid.w, octave + 1))
        for octave in range(OCTAVES)
    ]

    def residual(theta: torch.Tensor) -> torch.Tensor:
        free = dict(zip(keys, theta.split(sizes), strict=True))
        weights = {key: parameters.dense(key, free[key]) for key in keys}
        parts = []
        for (psi, low), (psi_wanted, low_wanted) in zip(
            filters(weights, chosen, grid, OCTAVES), wanted, strict=True
        ):
            scale = psi_wanted.square().sum(1, keepdim=True).sqrt() * len(chosen) ** 0.5
            parts.append(((psi - psi_wanted) / scale).reshape(-1))
            parts.append((low - low_wanted) / low_wanted.square().sum().sqrt())
        return torch.view_as_real(torch.cat(parts)).reshape(-1) / len(parts) ** 0.5

    theta = torch.cat([parameters.free[key].detach() for key in keys])
    damping, error = 1e-3, residual(theta)
    for _ in range(steps):
        jacobian = _jacobian(residual, theta)
        normal, gradient = jacobian @ jacobian.T, jacobian @ error
        for _ in range(12):
            scaled = normal + damping * torch.diag(normal.diagonal().clamp(min=1e-12))
            candidate = theta - torch.linalg.solve(scaled, gradient)
            candidate_error = residual(candidate)
            if candidate_error.square().sum() < error.square().sum():
                theta, error, damping = candidate, candidate_error, damping / 5
                break
            damping *= 4
        else:
            break
    with torch.no_grad():
        for key, free in zip(keys, theta.split(sizes), strict=True):
            parameters.free[key].copy_(free)
    return float(error.square().sum().sqrt())


def _jacobian(function, theta: torch.Tensor) -> torch.Tensor:
    """Return the derivative of every residual (columns) by every parameter (rows)."""

    def directional(direction: torch.Tensor) -> torch.Tensor:
        return torch.func.jvp(function, (theta,), (direction,))[1]

    units = torch.eye(len(theta), dtype=theta.dtype)
    return torch.vmap(directional, chunk_size=64)(units)
