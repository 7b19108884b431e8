"""The planner's program in Torch: a differentiable function of the weights."""

from __future__ import annotations

import torch
from torch.nn import functional

from npscatter.bank import FilterBank
from npscatter.program.plan import Plan
from npscatter.program.steps import WEIGHT_ARRAYS


def weights_of(bank: FilterBank, dtype: torch.dtype = torch.float32) -> dict[str, torch.Tensor]:
    """Return a bank's weight arrays as `run` takes them, wavelets as (2, L, R, K, K)."""
    weights = {}
    for key in bank:
        taps = torch.tensor(bank[key])
        if WEIGHT_ARRAYS[key].is_complex:
            taps = torch.stack([taps.real, taps.imag])
        weights[key] = taps.to(dtype)
    return weights


def run(plan: Plan, weights: dict[str, torch.Tensor], images: torch.Tensor) -> torch.Tensor:
    """Run the plan's program.

    Parameters
    ----------
    plan : Plan
        The program, depth first: every step fills a buffer of its own.
    weights : dict of Tensor
        The bank's arrays, wavelets as (2, L, R, K, K); gradients flow to them.
    images : Tensor, shape (N, H, W)
        Of the plan's `input_shape`.

    Returns
    -------
    Tensor, shape (N, C, H // 2^J, W // 2^J)
    """
    # Autograd keeps every map anyway, so the plan's reuse of the workspace is not imitated.
    stored: dict[int, torch.Tensor] = {plan.image.buffer: _pad(images, plan)[:, None]}
    channels = {}
    for step in plan.steps:
        source = step.source
        maps = stored[source.buffer][:, source.first : source.first + source.count]
        if step.wavelets:
            taps = weights[step.wavelets][:, list(step.orientations)].flatten(0, 1)
            origin, grid = (0, 0), step.modulus_shape
            parts = _correlate(maps, taps, step.groups, step.wavelet_stride, origin, grid, plan)
            parts = parts.unflatten(1, (step.groups, 2, -1))
            # Unlike a square root, this norm has the gradient zero, not NaN, at zero.
            maps = torch.linalg.vector_norm(parts, dim=2).flatten(1, 2)
        taps = weights[step.smoothing]
        maps = _correlate(
            maps, taps, step.smoothed_groups, step.stride, step.first, step.size, plan
        )
        if step.target:
            stored[step.target.buffer] = maps
        else:
            channels.update(zip(step.channels, maps.unbind(1), strict=True))
    return torch.stack([channels[channel] for channel in sorted(channels)], 1)


def _pad(images: torch.Tensor, plan: Plan) -> torch.Tensor:
    rows, columns = torch.tensor(plan.rows), torch.tensor(plan.columns)
    inside = ((rows >= 0)[:, None] & (columns >= 0)).to(images.dtype)
    return images[:, rows[:, None].clamp(min=0), columns.clamp(min=0)] * inside


def _correlate(source, taps, groups, stride, first, size, plan: Plan) -> torch.Tensor:
    """Return the correlation `npscatter.program.steps.Step` defines; groups lie in the channels."""
    margin = taps.shape[-1] // 2
    if plan.edge == "wrap":
        rows = torch.arange(-margin, source.shape[-2] + margin) % source.shape[-2]
        columns = torch.arange(-margin, source.shape[-1] + margin) % source.shape[-1]
        padded = source[..., rows[:, None], columns]
    else:
        padded = functional.pad(source, (margin,) * 4)
    top, left = (stride * index for index in first)
    stacks = padded[..., top:, left:].unflatten(1, (groups, -1)).flatten(0, 1)
    result = functional.conv2d(stacks, taps, stride=stride)[..., : size[0], : size[1]]
    return result.unflatten(0, (-1, groups)).flatten(1, 2)
