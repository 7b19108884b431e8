"""Levels and shifts of images in Torch operations; see `npscatter.program.magnitude`."""

from __future__ import annotations

import torch
from torch import Tensor

from npscatter.program.magnitude import ordinary_exponents

_ORDINARY = {
    torch.float32: ordinary_exponents("float32"),
    torch.float64: ordinary_exponents("float64"),
}
# Exponents of normal numbers whose inverses are normal, too.
_EXPONENTS = {torch.float32: range(-126, 127), torch.float64: range(-1022, 1023)}


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
    exponents = _EXPONENTS[images.dtype]
    # Looked up, for powers that are computed are rounded, and no tracer need see through bits.
    powers = torch.tensor([2.0**k for k in exponents], dtype=images.dtype, device=images.device)
    half = shifts // 2
    for exponent in (half, shifts - half):
        images = images * powers[exponent.long() - exponents[0]]
    return images
