"""The free numbers of a bank as Torch learns them, and how its weight arrays follow from them.

What a tied bank must satisfy holds by construction: its arrays are affine in the coefficients of a
`tools.folded.FoldedBank`.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch

from npscatter.bank import FilterBank
from npscatter.program.steps import WEIGHT_ARRAYS
from tools.design import Design
from tools.folded import FoldedBank


class Parameters(torch.nn.Module):
    """Free numbers of a bank of some `Design`, zero until set.

    Calling it returns the weight arrays: a dict of tensors of the shapes that
    `npscatter.program.steps.WeightArray.real_shape` gives.
    """

    def __init__(self, design: Design, dtype: torch.dtype = torch.float64):
        super().__init__()
        self.design = design
        self.folded = None
        if design.tied:
            self.folded = FoldedBank(design.L, design.R, design.kernels, None, design.options)
            offset, T = self.folded.feasible()
        self.free = torch.nn.ParameterDict()
        for key, array in WEIGHT_ARRAYS.items():
            shape = array.real_shape(design.L, design.R, design.kernels[key])
            if self.folded:
                numbers = self.folded.of_array(key)
                taps = np.zeros((int(np.prod(shape)), len(numbers)))
                for column, number in enumerate(numbers):
                    element = self.folded.kept[number]
                    taps[element.places, column] = element.taps
                affine = {
                    "taps": taps @ T[np.ix_(numbers, numbers)],
                    "base": taps @ offset[numbers],
                }
                for name, values in affine.items():
                    self.register_buffer(f"{name}_{key}", torch.from_numpy(values).to(dtype))
                self.free[key] = torch.nn.Parameter(torch.zeros(len(numbers), dtype=dtype))
            elif array.role != "low":
                self.free[key] = torch.nn.Parameter(torch.zeros(shape, dtype=dtype))

    def forward(self) -> dict[str, torch.Tensor]:
        """Return all weight arrays."""
        if not self.folded:
            carriers = {f"low_{g}": self.free[f"carry_{g}"] for g in ("first", "next")}
            return dict(self.free.items()) | carriers
        weights = {}
        for key, free in self.free.items():
            taps = getattr(self, f"base_{key}") + getattr(self, f"taps_{key}") @ free
            weights[key] = taps.reshape(self.folded.shape(key))
        return weights

    def coefficients(self) -> np.ndarray:
        """Return the coefficients of a tied bank's elements."""
        offset, T = self.folded.feasible()
        free = torch.cat([self.free[key].detach() for key in WEIGHT_ARRAYS])
        return offset + T @ free.double().numpy()

    @torch.no_grad()
    def set_coefficients(self, coefficients: np.ndarray) -> None:
        """Set a tied bank's, made to meet the constraints."""
        for key, free in self.free.items():
            free.copy_(torch.from_numpy(coefficients[self.folded.of_array(key)]))

    @torch.no_grad()
    def randomise(self, seed: int) -> None:
        """Draw taps evenly from +- 1 / sqrt(fan in), Torch's default for convolutions."""
        generator = np.random.default_rng(seed)
        taps = {}
        for key, array in WEIGHT_ARRAYS.items():
            shape = array.real_shape(self.design.L, self.design.R, self.design.kernels[key])
            bound = 1 / np.sqrt(np.prod(shape[-3:]))
            if key in self.free:
                taps[key] = generator.uniform(-bound, bound, shape)
        if self.folded:
            self.set_coefficients(self.folded.coefficients(taps))
        else:
            self.set_taps({key: torch.from_numpy(taps[key]) for key in self.free})

    @torch.no_grad()
    def set_taps(self, weights: Mapping[str, torch.Tensor]) -> None:
        """Set the free taps of a bank that is not tied."""
        for key, free in self.free.items():
            free.copy_(weights[key])

    @torch.no_grad()
    def bank(self, name: str) -> FilterBank:
        """Freeze into a bank, the carried maps of a tied one brought to one scale."""
        if self.folded:
            return self.folded.bank(name, self.folded.normalised(self.coefficients()))
        arrays = {key: taps.double().numpy().copy() for key, taps in self().items()}
        for key, array in WEIGHT_ARRAYS.items():
            if array.is_complex:
                arrays[key] = arrays[key][0] + 1j * arrays[key][1]
        return FilterBank(name, **arrays, **self.design.options)
