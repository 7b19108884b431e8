"""The free numbers of a bank, and how its weight arrays follow from them.

Learning moves `free` vectors; what a bank must satisfy holds by construction: kernels tied by the
square's symmetries, wavelets that sum to zero, low-passes that sum to one, taps outside the support
exactly zero.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch

from npscatter.bank import FilterBank
from npscatter.program.steps import WEIGHT_ARRAYS
from npscatter.program.symmetry import angle, tie


@dataclass(frozen=True)
class Design:
    """What is chosen before anything is learned.

    Attributes
    ----------
    L, R : int
        Orientations and carried maps.
    kernels : dict
        Kernel size of every weight array.
    symmetric : bool
        Tie the kernels by the square's symmetries (R in 1, 3, 4).
    constrained : bool
        Wavelets sum to zero, low-passes to one.
    shared_low : bool
        The low-pass is the carrier (R = 1; the paper has one phi per level).
    psi_stride : int
        1 or 2.
    next_from : str
        "carried" or "octave".
    boundary : str
        Boundary it is learned for.
    radius : dict
        Of a weight array's support: taps farther than this from the centre are zero. Arrays not
        named use their whole square.
    cross : float
        For R = 4: the wavelets of later octaves read the cross derivative only at angles with
        |sin 2 theta| at least this. It serves the diagonals; the others do without at little loss.
    """

    L: int
    R: int
    kernels: dict[str, int]
    symmetric: bool = True
    constrained: bool = True
    shared_low: bool = False
    psi_stride: int = 1
    next_from: str = "carried"
    boundary: str = "kymatio"
    radius: dict[str, float] = field(default_factory=dict)
    cross: float = 0.0

    def shape(self, key: str) -> tuple[int, ...]:
        """Return the shape of a weight array, real and imaginary part stacked in front."""
        return WEIGHT_ARRAYS[key].real_shape(self.L, self.R, self.kernels[key])

    def arrays(self) -> list[str]:
        """Return the weight arrays that have free numbers of their own."""
        return [
            key
            for key, array in WEIGHT_ARRAYS.items()
            if not (self.shared_low and array.role == "low")
        ]

    def support(self, key: str) -> np.ndarray:
        """Return 1 where a weight array may have taps, 0 where it is zero, of a shape like it."""
        shape = self.shape(key)
        a = np.arange(shape[-1]) - shape[-1] // 2
        support = np.hypot(a[:, None], a) <= self.radius.get(key, np.inf)
        support = np.broadcast_to(support, shape).astype(np.int8)
        if key == "psi_next" and self.R == 4:
            angles = angle(self.L, np.arange(self.L))
            support[:, np.abs(np.sin(2 * angles)) < self.cross, 3] = 0
        return support


class Parameters(torch.nn.Module):
    """Free numbers of a bank of some `Design`, zero until set.

    Calling it returns the weight arrays: a dict of tensors of the shapes `Design.shape` gives.
    """

    def __init__(self, design: Design, dtype: torch.dtype = torch.float64):
        super().__init__()
        self.design = design
        self.free = torch.nn.ParameterDict()
        for key in design.arrays():
            shape = design.shape(key)
            if design.symmetric:
                index, sign = tie(shape, WEIGHT_ARRAYS[key].role)
            else:
                index, sign = np.arange(np.prod(shape)).reshape(shape), np.ones(shape, np.int8)
            sign = sign * design.support(key)
            self.register_buffer(f"index_{key}", torch.from_numpy(np.ascontiguousarray(index)))
            self.register_buffer(f"sign_{key}", torch.from_numpy(sign).to(dtype))
            window = _window(shape[-1]) * design.support(key)
            window /= np.maximum(window.sum((-2, -1), keepdims=True), np.finfo(float).tiny)
            self.register_buffer(f"window_{key}", torch.from_numpy(window).to(dtype))
            self.free[key] = torch.nn.Parameter(torch.zeros(int(index.max()) + 1, dtype=dtype))

    def dense(self, key: str, free: torch.Tensor) -> torch.Tensor:
        """Return the weight array that free numbers make; affine in them when constrained."""
        taps = getattr(self, f"sign_{key}") * free[getattr(self, f"index_{key}")]
        if not self.design.constrained:
            return taps
        window = getattr(self, f"window_{key}")
        total = taps.sum((-2, -1), keepdim=True)
        # Only the first carried map has a mean; what the others pass on needs no constraint.
        wanted = torch.zeros_like(total)
        bound = torch.zeros_like(total)
        if WEIGHT_ARRAYS[key].is_complex:
            bound[:, :, 0] = 1
        else:
            bound[0, 0] = wanted[0, 0] = 1
        return taps + bound * (wanted - total) * window

    def forward(self) -> dict[str, torch.Tensor]:
        """Return all weight arrays."""
        weights = {key: self.dense(key, free) for key, free in self.free.items()}
        if self.design.shared_low:
            weights["low_first"] = weights["carry_first"]
            weights["low_next"] = weights["carry_next"]
        return weights

    @torch.no_grad()
    def set_dense(self, key: str, taps: np.ndarray) -> None:
        """Set the free numbers of one array to the nearest ones to given taps."""
        index = getattr(self, f"index_{key}").reshape(-1)
        sign = getattr(self, f"sign_{key}").reshape(-1)
        taps = torch.as_tensor(np.asarray(taps), dtype=sign.dtype).reshape(-1)
        total = torch.zeros_like(self.free[key]).index_add_(0, index, sign * taps)
        count = torch.zeros_like(self.free[key]).index_add_(0, index, sign.abs())
        self.free[key].copy_(total / count.clamp(min=1))

    @torch.no_grad()
    def normalise(self) -> None:
        """Give every carried map but the first the scale sum |w| = 1, changing no coefficient.

        The scale of a carried map is arbitrary: what makes it and what reads it cancel. Left
        free it drifts, and with it the step size that suits its weights.
        """
        weights = {key: taps.clone() for key, taps in self().items()}
        scale = weights["carry_first"].abs().sum((-3, -2, -1))
        scale[0] = 1
        column = scale.reshape(-1, 1, 1)
        self.set_dense("carry_first", weights["carry_first"] / column[:, None])
        self.set_dense("carry_next", weights["carry_next"] * column / column[:, None])
        self.set_dense("psi_next", weights["psi_next"] * column)
        if not self.design.shared_low:
            self.set_dense("low_next", weights["low_next"] * column)

    @torch.no_grad()
    def bank(self, name: str) -> FilterBank:
        """Freeze into a bank."""
        design = self.design
        arrays = {}
        for key, taps in self().items():
            taps = taps.double().cpu().numpy()
            if design.symmetric:
                taps = _retied(taps, *tie(design.shape(key), WEIGHT_ARRAYS[key].role))
            arrays[key] = taps[0] + 1j * taps[1] if WEIGHT_ARRAYS[key].is_complex else taps
        return FilterBank(
            name,
            **arrays,
            psi_stride=design.psi_stride,
            next_from=design.next_from,
            boundary=design.boundary,
        )


def _retied(taps: np.ndarray, index: np.ndarray, sign: np.ndarray) -> np.ndarray:
    """Return the taps with tied entries equal to the last bit, not only up to rounding."""
    _, where = np.unique(np.where(sign == 0, index.max() + 1, index), return_index=True)
    representative = (sign * taps).reshape(-1)[where]
    return sign * representative[index] + 0.0


def _window(K: int) -> np.ndarray:
    """Return the Gaussian window along which sums are corrected."""
    a = np.arange(K) - K // 2
    line = np.exp(-(a**2) / (2 * (K / 5) ** 2))
    return np.outer(line, line)
