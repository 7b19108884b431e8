"""The planner's program in Torch: a differentiable function of the images and of the weights."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional

from npscatter.bank import FilterBank
from npscatter.program.plan import Plan
from npscatter.program.steps import WEIGHT_ARRAYS


def weights_of(bank: FilterBank, dtype: torch.dtype = torch.float32) -> dict[str, Tensor]:
    """Return a bank's weight arrays as `run` takes them, wavelets as (2, L, R, K, K); on CPU."""
    weights = {}
    for key in bank:
        taps = torch.tensor(bank[key], device="cpu")  # whatever the default device is
        if WEIGHT_ARRAYS[key].is_complex:
            taps = torch.stack([taps.real, taps.imag])
        weights[key] = taps.to(dtype)
    return weights


def run(
    plan: Plan,
    weights: Mapping[str, Tensor],
    images: Tensor,
    of_moduli: Mapping[str, Tensor] | None = None,
) -> Tensor:
    """Run the plan's program.

    Parameters
    ----------
    plan : Plan
        The program, depth first: every step fills a buffer of its own.
    weights : dict of Tensor
        The bank's arrays, wavelets as (2, L, R, K, K); gradients flow to them.
    images : Tensor, shape (N, H, W)
        Of the plan's `input_shape`.
    of_moduli : dict of Tensor, optional
        The low-passes of moduli, where they are not those of `weights`.

    Returns
    -------
    Tensor, shape (N, output_shape)

    Notes
    -----
    Every image is computed as it comes: levels and shifts (`npscatter.program.magnitude`) are the
    caller's.
    """
    # Autograd keeps every map anyway, so the plan's reuse of the workspace is not imitated.
    stored = {plan.image.buffer: _pad(images, plan)[:, None]}
    channels: dict[int, Tensor] = {}
    for step in plan.steps:
        source = step.source
        maps = stored[source.buffer][:, source.first : source.first + source.count]
        if step.wavelets:
            taps = weights[step.wavelets][:, list(step.orientations)].flatten(0, 1)
            origin, grid = (0, 0), step.modulus_shape
            stride = step.wavelet_stride
            parts = _correlate(maps, taps, step.groups, stride, origin, grid, plan.edge)
            parts = parts.unflatten(1, (step.groups, 2, -1))
            maps = _moduli(parts[:, :, 0], parts[:, :, 1]).flatten(1, 2)
        emitted = maps
        if step.output == "mean":
            emitted = _within(maps, step.window).mean((-2, -1), keepdim=True)
        elif step.output == "moduli":
            emitted = _within(maps, step.window)
        if step.smoothing:
            smoothing = of_moduli if of_moduli and step.wavelets else weights
            taps, groups = smoothing[step.smoothing], step.smoothed_groups
            maps = _correlate(maps, taps, groups, step.stride, step.first, step.size, plan.edge)
            if step.target:
                stored[step.target.buffer] = maps
            else:
                emitted = maps
        if step.output:
            channels.update(zip(step.channels, emitted.unbind(1), strict=True))
    each = [channels[number] for number in range(plan.n_coefficients)]
    if plan.outputs.average is False:
        return torch.cat([one.flatten(1) for one in each], 1)
    return torch.stack(each, 1)


def _within(maps: Tensor, window: tuple[int, int, int, int]) -> Tensor:
    """Return what of maps lies in a window."""
    y, x, height, width = window
    return maps[..., y : y + height, x : x + width]


def _moduli(real: Tensor, imaginary: Tensor) -> Tensor:
    """Return moduli, all of whose derivatives are zero, not NaN, where they are zero."""
    is_zero = (real == 0) & (imaginary == 0)
    return torch.hypot(real.masked_fill(is_zero, 1), imaginary).masked_fill(is_zero, 0)


def _pad(images: Tensor, plan: Plan) -> Tensor:
    for axis, indices in ((-2, plan.rows), (-1, plan.columns)):
        index = torch.tensor(indices, device=images.device)
        images = images.index_select(axis, index.clamp(min=0))
        if -1 in indices:
            outside = index < 0
            images = images.masked_fill(outside[:, None] if axis == -2 else outside, 0)
    return images


def _correlate(
    maps: Tensor,
    taps: Tensor,
    groups: int,
    stride: int,
    first: tuple[int, int],
    size: tuple[int, int],
    edge: str,
) -> Tensor:
    """Return the correlation `npscatter.program.steps.Step` defines; groups lie in the channels."""
    outputs, inputs, K = taps.shape[:3]
    for axis in (0, 1):
        start, length = stride * first[axis] - K // 2, stride * (size[axis] - 1) + K
        maps = _continued(maps, axis - 2, start, length, edge)
    if inputs == 1:  # many times as quick as a batch of them
        each = taps.expand(groups, -1, 1, K, K).flatten(0, 1)
        return functional.conv2d(maps, each, stride=stride, groups=groups)
    stacks = maps.unflatten(1, (groups, inputs)).flatten(0, 1)
    return functional.conv2d(stacks, taps, stride=stride).reshape(-1, groups * outputs, *size)


def _continued(maps: Tensor, axis: int, start: int, length: int, edge: str) -> Tensor:
    """Return `length` samples of an axis from `start`, as maps continue beyond their edge."""
    side, stop = maps.shape[axis], start + length
    if edge == "zero":
        ends = (-start, stop - side)
        return functional.pad(maps, ends if axis == -1 else (0, 0, *ends))
    parts = []
    while start < stop:
        begin = start % side
        taken = min(stop - start, side - begin)
        parts.append(maps.narrow(axis, begin, taken))
        start += taken
    return torch.cat(parts, axis)
