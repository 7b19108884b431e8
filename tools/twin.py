"""The Torch twin: the planner's program as a differentiable function of the weights."""

from __future__ import annotations

import torch
from torch.nn import functional

from npscatter.bank import ROLES, FilterBank
from npscatter.plan import Maps, Plan, Step


def weights_of(bank: FilterBank, dtype: torch.dtype = torch.float32) -> dict[str, torch.Tensor]:
    """Return a bank's weight arrays as `run` takes them, wavelets as (2, L, R, K, K)."""
    weights = {}
    for key in bank:
        taps = torch.tensor(bank[key])
        if ROLES[key] == "psi":
            taps = torch.stack([taps.real, taps.imag])
        weights[key] = taps.to(dtype)
    return weights


def run(plan: Plan, weights: dict[str, torch.Tensor], images: torch.Tensor) -> torch.Tensor:
    """Run the plan's program.

    Parameters
    ----------
    plan : Plan
        The program.
    weights : dict of Tensor
        The bank's arrays, wavelets as (2, L, R, K, K); gradients flow to them.
    images : Tensor, shape (N, H, W)
        Of the plan's `input_shape`.

    Returns
    -------
    Tensor, shape (N, C, H // 2^J, W // 2^J)
    """
    # Autograd keeps every map anyway, so the plan's reuse of the workspace is not imitated:
    # a map is looked up by its place, which the program writes before it reads.
    stored: dict[Maps, torch.Tensor] = {}
    channels = {}
    for step in plan.steps:
        if step.operation == "pad":
            stored[step.target] = _pad(images, plan)[:, None]
            continue
        source, taps = stored[step.source], weights[step.weights]
        if step.operation == "modulus":
            parts = _correlate(source, taps.flatten(0, 1), step, plan.edge)
            # Unlike a square root, this norm has the gradient zero, not NaN, at zero.
            moduli = torch.linalg.vector_norm(parts.unflatten(1, (2, -1)), dim=1)
            stored[step.target] = moduli
            for theta in range(step.target.count):
                stored[step.target[theta]] = moduli[:, theta : theta + 1]
        elif step.operation == "smooth":
            stored[step.target] = _correlate(source, taps, step, plan.edge)
        else:
            channels[step.channel] = _correlate(source, taps, step, plan.edge)
    return torch.cat([channels[channel] for channel in sorted(channels)], 1)


def _pad(images: torch.Tensor, plan: Plan) -> torch.Tensor:
    rows, columns = torch.tensor(plan.rows), torch.tensor(plan.columns)
    inside = ((rows >= 0)[:, None] & (columns >= 0)).to(images.dtype)
    return images[:, rows[:, None].clamp(min=0), columns.clamp(min=0)] * inside


def _correlate(source, taps, step: Step, edge: str) -> torch.Tensor:
    """Return the correlation `npscatter.plan.Step` defines; groups lie along the channels."""
    margin = taps.shape[-1] // 2
    if edge == "wrap":
        rows = torch.arange(-margin, source.shape[-2] + margin) % source.shape[-2]
        columns = torch.arange(-margin, source.shape[-1] + margin) % source.shape[-1]
        padded = source[..., rows[:, None], columns]
    else:
        padded = functional.pad(source, (margin,) * 4)
    top, left = (step.stride * first for first in step.first)
    stacks = padded[..., top:, left:].unflatten(1, (step.groups, -1)).flatten(0, 1)
    result = functional.conv2d(stacks, taps, stride=step.stride)[
        ..., : step.size[0], : step.size[1]
    ]
    return result.unflatten(0, (-1, step.groups)).flatten(1, 2)
