"""What of the transform is computed, and how finely it is sampled."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from npscatter.arguments import boolean, integer, one_of
from npscatter.errors import ArgumentError, ArgumentTypeError, explain
from npscatter.program.steps import Architecture

GLOBAL = "global"


@dataclass(frozen=True, slots=True)
class Outputs:
    """What of the transform is computed.

    Attributes
    ----------
    average : bool or str
        True: moduli are smoothed by the low-pass and sampled at its scale. False: the moduli
        themselves, each on the grid of its last wavelet. "global": their means over the image.
    oversampling : int
        0, or 1 for twice the samples per side of what is smoothed.
    paths : tuple of int or None
        The channels, of all there are, in increasing order; None for all.
    """

    average: bool | str = True
    oversampling: int = 0
    paths: tuple[int, ...] | None = None

    @property
    def smoothed(self) -> bool:
        """Whether moduli are smoothed by the low-pass."""
        return self.average is True

    @property
    def taken(self) -> str:
        """What steps emit; see `npscatter.program.steps.Step`."""
        return {True: "smoothed", False: "moduli", GLOBAL: "mean"}[self.average]


ALL = Outputs()


def checked_outputs(outputs: Outputs, architecture: Architecture, channels: int) -> Outputs:
    """Return what is asked for of a transform of so many channels, in plain types, or raise."""
    average = outputs.average
    if not isinstance(average, str):
        average = boolean("average", average, or_else=repr(GLOBAL))
    one_of("average", average, (True, False, GLOBAL))
    oversampling = integer("oversampling", outputs.oversampling)
    one_of("oversampling", oversampling, (0, 1))
    if oversampling and average is not True:
        remedy = "pass oversampling=0"
        rule = f"has no effect where average={average!r}"
        raise ArgumentError(explain("oversampling", oversampling, rule, remedy))
    if oversampling and architecture.psi_stride == 2:
        rule = "needs wavelets of stride 1, and this bank's have stride 2"
        remedy = "use another bank, e.g. 'accurate', or oversampling=0"
        raise ArgumentError(explain("oversampling", oversampling, rule, remedy))
    return Outputs(average, oversampling, _checked_paths(outputs.paths, channels))


def _checked_paths(paths: Any, channels: int) -> tuple[int, ...] | None:
    """Return channel numbers from increasing numbers or a mask; None for all."""
    if paths is None:
        return None
    remedy = "pass e.g. S.meta()['order'] == 1 of a transform of all paths, or channel numbers"
    try:
        listed = np.asarray(paths)
    except Exception:
        listed = np.array(None)
    if listed.shape == (0,):  # of floats, if it was a list
        listed = listed.astype(int)
    if listed.ndim != 1 or listed.dtype.kind not in "biu":
        rule = "must be channel numbers, or a mask of all channels"
        raise ArgumentTypeError(explain("paths", paths, rule, remedy))
    if listed.dtype.kind == "b":
        if len(listed) != channels:
            rule = f"must have a value for each of the {channels} channels, and has {len(listed)}"
            raise ArgumentError(explain("paths", paths, rule, remedy))
        listed = np.flatnonzero(listed)
    chosen = tuple(listed.tolist())
    if not chosen:
        raise ArgumentError(explain("paths", paths, "must name a path at least", remedy))
    if min(chosen) < 0 or max(chosen) >= channels:
        rule = f"must be channel numbers from 0 to {channels - 1}"
        raise ArgumentError(explain("paths", paths, rule, remedy))
    if any(first >= second for first, second in pairwise(chosen)):
        rule = "must be in increasing order, the order that channels stay in, each number once"
        remedy = "pass sorted(set(paths)), and reorder what is computed"
        raise ArgumentError(explain("paths", paths, rule, remedy))
    return None if len(chosen) == channels else chosen
