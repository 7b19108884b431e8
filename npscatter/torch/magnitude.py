"""Levels and shifts of images in Torch operations; see `npscatter.program.magnitude`."""

from __future__ import annotations

import torch
from torch import Tensor

from npscatter.program.magnitude import ordinary_exponents

_ORDINARY = {
    torch.float32: ordinary_exponents("float32"),
    torch.float64: ordinary_exponents("float64"),
}
# How a float's bits are an exponent and a fraction: those of an integer of its size.
_BITS = {torch.float32: (torch.int32, 127, 23), torch.float64: (torch.int64, 1023, 52)}


def levels_and_shifts(images: Tensor, has_level: bool) -> tuple[Tensor, Tensor]:
    """Return level and shift of each of some images (N, H, W), in two tensors (N, 1, 1).

    That is `npscatter.program.magnitude.level_and_shift` for all images at once.
    """
    finite, inside = images.isfinite(), (-2, -1)
    low = images.where(finite, torch.inf).amin(inside, keepdim=True)
    high = images.where(finite, -torch.inf).amax(inside, keepdim=True)
    level, size = torch.zeros_like(low), torch.maximum(-low, high)
    if has_level:
        nearest = low.clamp(min=0) + high.clamp(max=0)
        is_high = (low <= high) & (16 * (high - low) <= nearest.abs())
        level, size = nearest.where(is_high, 0), (high - low).where(is_high, size)
    least, most = _ORDINARY[images.dtype]
    exponent = torch.frexp(size).exponent - 1
    is_extreme = (size > 0) & (size < torch.inf) & ((exponent < least) | (exponent > most))
    return level, (most - exponent).where(is_extreme, 0)


def scaled(images: Tensor, shifts: Tensor) -> Tensor:
    """Return ``images * 2**shifts``, exactly; the powers alone may be no numbers of the dtype."""
    half = shifts // 2
    for exponent in (half, shifts - half):
        images = images * _power_of_two(exponent, images.dtype)
    return images


def _power_of_two(exponent: Tensor, dtype: torch.dtype) -> Tensor:
    """Return 2**exponent, put together from bits: powers that are computed are rounded."""
    integers, bias, fraction = _BITS[dtype]
    return ((exponent.to(integers) + bias) << fraction).view(dtype)
