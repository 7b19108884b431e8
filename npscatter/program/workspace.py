"""Where maps lie in memory: offsets, pitches, and buffers that are used again once free."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from npscatter.program.steps import Maps, Step


@dataclass(frozen=True)
class Workspace:
    """The memory of one image's maps.

    Map ``m``, row ``y`` and column ``x`` of some maps lie at element ``offset(maps) + m *
    plane(maps) + y * pitch(maps) + x``.

    Attributes
    ----------
    offsets : tuple of int
        Where each buffer starts, in elements.
    pitches : tuple of int
        Elements from one row of a buffer to the next.
    size : int
        Elements one image needs: the peak, buffers being used again once they are free.

    Examples
    --------
    >>> from npscatter import Scattering2D
    >>> plan = Scattering2D(J=2, shape=(32, 32)).plan
    >>> plan.workspace.pitch(plan.image), plan.workspace.plane(plan.image)
    (40, 1600)
    """

    offsets: tuple[int, ...]
    pitches: tuple[int, ...]
    size: int

    def pitch(self, maps: Maps) -> int:
        """Return the elements from one row to the next."""
        return self.pitches[maps.buffer]

    def plane(self, maps: Maps) -> int:
        """Return the elements from one map to the next."""
        return maps.height * self.pitches[maps.buffer]

    def offset(self, maps: Maps) -> int:
        """Return the element at which the first of the maps starts."""
        return self.offsets[maps.buffer] + maps.first * self.plane(maps)


def lay_out_workspace(
    steps: Sequence[Step],
    buffers: Sequence[Maps],
    image: Maps | None,
    pitch: Callable[[Maps], int] = lambda maps: maps.width,
) -> Workspace:
    """Place buffers in a workspace, each in the first hole that holds it while it is in use.

    Parameters
    ----------
    steps, buffers
        Of a plan.
    image : Maps or None
        The plan's padded image, which is there before the first step; None for executors that
        never store it.
    pitch : callable
        The elements that a row of a buffer takes, its width by default; executors have margins.
    """
    last_use: dict[int, int] = {}
    for number, step in enumerate(steps):
        for maps in (step.source, step.target):
            if maps:
                last_use[maps.buffer] = number
    pitches = tuple(map(pitch, buffers))
    offsets = [0] * len(buffers)
    taken: list[tuple[int, int, int]] = []  # (offset, end, buffer), by offset
    placed: set[int] = set()
    size = 0
    for number, written in enumerate([image, *(step.target for step in steps)], -1):
        # Several steps may fill a buffer, from the first of them on.
        if written and written.buffer not in placed:
            buffer = buffers[written.buffer]
            placed.add(written.buffer)
            needed, offset = buffer.count * buffer.height * pitches[written.buffer], 0
            for start, end, _ in taken:
                if start - offset >= needed:
                    break
                offset = end
            offsets[written.buffer] = offset
            taken = sorted([*taken, (offset, offset + needed, written.buffer)])
            size = max(size, offset + needed)
        taken = [entry for entry in taken if last_use.get(entry[2], number) > number]
    return Workspace(tuple(offsets), pitches, size)
