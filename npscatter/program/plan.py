"""The planner: integers in, a straight-line program out.

The transform is one short recursion over octaves, unrolled here once. Writing ``psi``, ``carry``
and ``low`` for the bank's wavelets, carriers and low-pass, it reads, depth first::

    octaves(u, level, order):                     # u: one raw map that enters at octave `level`
        maps = u
        for octave in level .. J-1:
            if order < max_order and (octave > level or order == 0):
                for each orientation: octaves(|psi maps|, octave, order + 1)
            if octave < J-1: maps = carry(maps), stride 2
        emit low(maps), stride 2                  # one output channel

Where moduli are not smoothed, they are emitted as they are taken, themselves or their means, and
nothing is carried that no wavelet will read. Where not all paths are asked for, what leads to none
of them is left out.

Breadth first, the same subtrees advance side by side, an octave at a time: the steps are fewer and
wider, and more maps are stored at a time.

A modulus is read once, by the smoothing that follows it, so the two make one step and no program
ever stores a modulus. Everything an executor needs to know stands in the `Plan` this makes:
padded sizes, where each padded pixel comes from (`npscatter.program.padding`), the steps
(`npscatter.program.steps`), where in the workspace each of them reads and writes
(`npscatter.program.workspace`), and which output channel a path fills. No executor computes a
size, an order or a channel of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import accumulate
from typing import Any

from npscatter.arguments import at_least, boolean, image_shape, integer, one_of
from npscatter.errors import ArgumentError, explain
from npscatter.program.outputs import ALL, GLOBAL, Outputs, checked_outputs
from npscatter.program.padding import (
    BOUNDARIES,
    Crop,
    Stretch,
    check_period,
    check_scale,
    check_sides,
    edge_of,
    padding,
)
from npscatter.program.steps import Architecture, Maps, Path, Step
from npscatter.program.symmetry import mirrored_orientations
from npscatter.program.workspace import Workspace, lay_out_workspace

# The wavelets along a path, by their numbers n = j L + theta.
PathNumbers = tuple[int, ...]
# Rounds of orientations: the more, the fewer maps are stored at a time.
ROUNDS = (1, 2, 4, 8, 16, 32)
# The most channels that plans are made for, which takes seconds; 16 bits number them.
LARGEST_CHANNELS = 2**16 - 1


@dataclass(frozen=True)
class Plan:
    """The program of one transform.

    Attributes
    ----------
    J, max_order : int
        Scale and highest order.
    architecture : Architecture
        Of the bank the plan was made for.
    boundary : str
        One of ``npscatter.program.padding.BOUNDARIES``.
    edge : str
        What every convolution does beyond the edge of its maps: "wrap" or "zero".
    pre_pad : bool
        The images come padded.
    outputs : Outputs
        What is computed.
    rounds, breadth_first
        See `make_plan`.
    shape : tuple of int
        (H, W) of an unpadded image.
    input_shape : tuple of int
        (H, W) an image must have (the padded size under ``pre_pad``).
    channel_octaves : tuple of int
        How often the padded image's grid is halved for each channel.
    channel_windows : tuple of tuple of int
        What is kept of that grid, or averaged: first row and column, height and width.
    crop : Crop
        What is kept of the padded image, or of the tile.
    is_tile : bool
        It is for tiles of a padded image, and its images come padded.
    rows, columns : tuple of int
        Padded pixel (y, x) is image pixel (rows[y], columns[x]); -1 stands for a zero.
    image : Maps
        The padded image, which is there before the first step.
    steps : tuple of Step
        The program.
    paths : tuple of Path
        One per output channel, in Kymatio's order; those asked for.
    buffers : tuple of Maps
        Every stack of maps the program stores, whole.
    workspace : Workspace
        Where they lie if rows are stored without margins.

    Examples
    --------
    >>> from npscatter import Scattering2D
    >>> plan = Scattering2D(J=2, shape=(32, 32)).plan
    >>> plan.n_coefficients, plan.output_shape, plan.padded_shape
    (81, (81, 8, 8), (40, 40))
    """

    J: int
    max_order: int
    architecture: Architecture
    boundary: str
    edge: str
    pre_pad: bool
    outputs: Outputs
    rounds: int
    breadth_first: bool
    shape: tuple[int, int]
    input_shape: tuple[int, int]
    channel_octaves: tuple[int, ...]
    channel_windows: tuple[tuple[int, int, int, int], ...]
    crop: Crop
    is_tile: bool
    rows: tuple[int, ...]
    columns: tuple[int, ...]
    image: Maps
    steps: tuple[Step, ...]
    paths: tuple[Path, ...]
    buffers: tuple[Maps, ...]
    workspace: Workspace

    # What a plan was made from decides the rest, which would take long to hash, makes pickles
    # large, and tells those of equal plans apart by what was asked of them before.

    def __hash__(self) -> int:
        return hash(self._made_from)

    def __repr__(self) -> str:
        return (
            f"Plan(J={self.J}, shape={self.shape}, max_order={self.max_order}, "
            f"boundary={self.boundary!r}, {len(self.steps)} steps, "
            f"{self.n_coefficients} coefficients)"
        )

    def __reduce__(self) -> tuple:
        return _make_plan, self._made_from

    @property
    def _made_from(self) -> tuple:
        what = (self.J, self.shape, self.architecture, self.max_order, self.boundary)
        tile = self.crop if self.is_tile else None
        return (*what, self.pre_pad, self.outputs, tile, self.rounds, self.breadth_first)

    @property
    def padded_shape(self) -> tuple[int, int]:
        """Height and width of the finest grid."""
        return len(self.rows), len(self.columns)

    def in_rounds(self, rounds: int) -> Plan:
        """Return the plan that takes the image's orientations in so many rounds, depth first."""
        return self._made_again(rounds, False)

    def octave_by_octave(self) -> Plan:
        """Return the plan that goes breadth first, if there is one of these outputs."""
        return self._made_again(1, _has_breadth_first(self.outputs))

    def by_memory(self) -> Iterator[Plan]:
        """Yield plans of the same transform, of which none needs more memory than those before."""
        return (self.in_rounds(rounds) for rounds in ROUNDS)

    def on(self, tile: Crop) -> Plan:
        """Return the plan of a tile of the padded image."""
        *made_from, _, rounds, breadth_first = self._made_from
        return _make_plan(*made_from, tile, rounds, breadth_first)

    def _made_again(self, rounds: int, breadth_first: bool) -> Plan:
        return _make_plan(*self._made_from[:-2], rounds, breadth_first)

    @property
    def n_coefficients(self) -> int:
        """Number of output channels: 1 + L J (+ L^2 J (J-1) / 2 at order 2) of all paths."""
        return len(self.paths)

    @property
    def channel_shapes(self) -> tuple[tuple[int, int], ...]:
        """Return (h, w) of every channel: (H // 2^J, W // 2^J), or (1, 1) of means.

        Of moduli what remains of (H, W) on their grid.
        """
        if self.outputs.average == GLOBAL:
            return ((1, 1),) * len(self.paths)
        return tuple((height, width) for _, _, height, width in self.channel_windows)

    @property
    def output_shape(self) -> tuple[int, ...]:
        """Shape of one image's coefficients: (C, h, w), or (S,), all samples of its moduli."""
        if self.outputs.average is False:
            return (self.channel_starts[-1],)
        return (self.n_coefficients, *self.channel_shapes[0])

    def positions(self, channel: int = 0) -> tuple[range, range]:
        """Return the rows and columns of pixels that samples of a channel's map are centred on."""
        octave, window = self.channel_octaves[channel], self.channel_windows[channel]
        starts = [
            (first << octave) - stretch.before
            for first, stretch in zip(window[:2], self.crop.stretches, strict=True)
        ]
        rows, columns = (
            range(start, start + (count << octave), 1 << octave)
            for start, count in zip(starts, window[2:], strict=True)
        )
        return rows, columns

    @property
    def call_shape(self) -> tuple[int, ...]:
        """Shape of what a call makes of one image: `output_shape`, but (C,) of means."""
        return self.output_shape[:1] if self.outputs.average == GLOBAL else self.output_shape

    @cached_property
    def channel_starts(self) -> tuple[int, ...]:
        """Where the samples of each channel start, one channel after the other; last the end."""
        sizes = (height * width for height, width in self.channel_shapes)
        return (0, *accumulate(sizes))

    def maps_of(self, output: Any, channel: int) -> Any:
        """Return the maps (..., h, w) of a channel of coefficients, of `output_shape`."""
        if self.outputs.average is not False:
            return output[..., channel, :, :]
        samples = output[..., self.channel_starts[channel] : self.channel_starts[channel + 1]]
        return samples.reshape(*samples.shape[:-1], *self.channel_shapes[channel])


def make_plan(
    J: int,
    shape: tuple[int, int],
    architecture: Architecture,
    max_order: int = 2,
    boundary: str = "kymatio",
    pre_pad: bool = False,
    rounds: int = 1,
    breadth_first: bool = False,
    outputs: Outputs = ALL,
) -> Plan:
    """Make the program for images of `shape`.

    Parameters
    ----------
    J : int
        Log2 of the scale, from 1 up to log2 of the smaller side.
    shape : tuple of int
        (H, W) of the unpadded image, any parity.
    architecture : Architecture
        The bank's.
    max_order : int
        1 or 2.
    boundary : str
        "kymatio": reflect once to ``(H // 2^J + 2) 2^J`` pixels, about the edge pixels, then wrap;
        "symmetric": the same, but about the edges, so that edge pixels stand twice; "constant": the
        same, but the edge pixels are repeated; "zero": zeros beyond the edge at every level;
        "periodic": the image is its own period.
    pre_pad : bool
        The caller's images already have the padded size; the margin is still cropped.
    rounds : int
        The image's own moduli, where they are carried on, are taken in about so many rounds of
        orientations, each through to its last channel, so that fewer maps are stored at a time;
        the moduli of moduli in a quarter as many.
    breadth_first : bool
        All stacks of maps of an octave advance together, as the groups of two or three steps,
        instead of one after the other. Only for ``rounds=1``, and all paths, smoothed.
    outputs : Outputs
        What is computed.

    Returns
    -------
    Plan

    Raises
    ------
    ArgumentError, ArgumentTypeError
        For values no plan can be made from, or none that could be used: beyond `LARGEST_CHANNELS`
        channels, or a side of ``npscatter.program.padding.LARGEST_SIDE``.

    Examples
    --------
    >>> from npscatter.program.plan import make_plan
    >>> from npscatter.program.steps import Architecture
    >>> architecture = Architecture(orientations=8, carriers=4, psi_stride=1, next_from="carried")
    >>> make_plan(2, (32, 32), architecture).output_shape
    (81, 8, 8)
    """
    J = integer("J", J)
    max_order = integer("max_order", max_order)
    one_of("max_order", max_order, (1, 2), "pass max_order=1 or max_order=2")
    shape = image_shape(shape)
    check_sides(shape)
    rounds = at_least("rounds", rounds, 1, "pass rounds=1 for all at once")
    if breadth_first and rounds > 1:
        raise ArgumentError(
            explain("rounds", rounds, "must be 1 if breadth_first", "pass one of the two")
        )
    one_of("boundary", boundary, BOUNDARIES, "pass one, or None for the bank's")
    check_scale(J, shape)
    channels = _checked_channels(J, architecture.orientations, max_order)
    if boundary == "periodic" and not boolean("pre_pad", pre_pad):
        check_period(J, shape)
    outputs = checked_outputs(outputs, architecture, channels)
    if breadth_first and not _has_breadth_first(outputs):
        rule = "is for all paths, smoothed"
        raise ArgumentError(explain("breadth_first", True, rule, "pass breadth_first=False"))
    return _make_plan(
        *(J, shape, architecture, max_order, boundary),
        *(boolean("pre_pad", pre_pad), outputs, None, rounds, bool(breadth_first)),
    )


def _has_breadth_first(outputs: Outputs) -> bool:
    return outputs.smoothed and outputs.paths is None


def _checked_channels(J: int, L: int, max_order: int) -> int:
    """Return the number of all paths, or raise for more than plans are made for."""
    channels = 1 + L * J + (L**2 * J * (J - 1) // 2 if max_order == 2 else 0)
    if channels > LARGEST_CHANNELS:
        rule = f"gives {channels} channels with L={L}; at most {LARGEST_CHANNELS} are computed"
        raise ArgumentError(explain("J", J, rule, "lower J or L, or pass max_order=1"))
    return channels


@lru_cache(maxsize=64)
def _make_plan(
    J: int,
    shape: tuple[int, int],
    architecture: Architecture,
    max_order: int,
    boundary: str,
    pre_pad: bool,
    outputs: Outputs,
    tile: Crop | None,
    rounds: int,
    breadth_first: bool,
) -> Plan:
    if tile:
        crop = tile
        rows, columns = tuple(range(crop.rows.length)), tuple(range(crop.columns.length))
    else:
        (rows, before), (columns, left) = (padding(side, 2**J, boundary, pre_pad) for side in shape)
        stretches = Stretch(len(rows), before, shape[0]), Stretch(len(columns), left, shape[1])
        crop = Crop(*stretches)
    paths = _paths(J, architecture.orientations, max_order)
    if outputs.paths is not None:
        paths = tuple(paths[channel] for channel in outputs.paths)
    program = _Unroller(J, architecture, max_order, outputs, crop, paths, rounds)
    image = program.store(1, (len(rows), len(columns)), 1, 0)
    if breadth_first:
        program.side_by_side(image)
    else:
        program.octaves(image, 0, [()])
    steps, buffers = tuple(program.steps), tuple(program.buffers)
    octaves = tuple(map(program.octave_of, paths))
    return Plan(
        J=J,
        max_order=max_order,
        architecture=architecture,
        boundary=boundary,
        edge=edge_of(boundary),
        pre_pad=pre_pad,
        outputs=outputs,
        rounds=rounds,
        breadth_first=breadth_first,
        shape=shape,
        input_shape=(len(rows), len(columns)) if pre_pad or tile else shape,
        channel_octaves=octaves,
        channel_windows=tuple(map(crop.window, octaves)),
        crop=crop,
        is_tile=tile is not None,
        rows=rows,
        columns=columns,
        image=image,
        steps=steps,
        paths=paths,
        buffers=buffers,
        workspace=lay_out_workspace(steps, buffers, image),
    )


def _paths(J: int, L: int, max_order: int) -> tuple[Path, ...]:
    """Return the paths in Kymatio's order: S0; S1 by j1, theta1; S2 by j1, theta1, j2, theta2."""
    first = [(j, theta) for j in range(J) for theta in range(L)]
    chains: list[tuple[tuple[int, int], ...]] = [(), *((one,) for one in first)]
    if max_order == 2:
        chains += [(one, two) for one in first for two in first if two[0] > one[0]]
    return tuple(
        Path(
            tuple(j for j, _ in chain),
            tuple(theta for _, theta in chain),
            tuple(j * L + theta for j, theta in chain),
        )
        for chain in chains
    )


class _Unroller:
    """The recursion, unrolled: collects steps and buffers, numbers channels."""

    def __init__(
        self,
        J: int,
        architecture: Architecture,
        max_order: int,
        outputs: Outputs,
        crop: Crop,
        paths: tuple[Path, ...],
        rounds: int,
    ):
        self.J = J
        self.architecture = architecture
        self.max_order = max_order
        self.outputs = outputs
        self.crop = crop
        self.channels = {path.n: channel for channel, path in enumerate(paths)}
        # Of every path the wavelets that go on from it to one that is asked for.
        self.followers: dict[PathNumbers, set[int]] = {}
        for path in paths:
            for length in range(path.order):
                self.followers.setdefault(path.n[:length], set()).add(path.n[length])
        # Of the image's own moduli, and of theirs.
        self.rounds = [
            mirrored_orientations(architecture.orientations, count)
            for count in (rounds, max(1, rounds // 4))
        ]
        self.steps: list[Step] = []
        self.buffers: list[Maps] = []

    def octaves(self, maps: Maps, start: int, paths: list[PathNumbers]) -> None:
        """Append the subtree of the stacks `maps`, one per path, that stand at octave `start`."""
        if not paths[0] and not self.outputs.smoothed and () in self.channels:
            self.append(maps, 0, paths)
        for octave in range(start, self.J):
            if len(paths[0]) < self.max_order:
                self.branch(maps, octave, paths)
            if not any(self.goes_on(path, octave) for path in paths):
                return
            maps = self.smooth(maps, octave, paths) or maps

    def goes_on(self, path: PathNumbers, octave: int) -> bool:
        """Say whether what a path's maps become after the wavelets of an octave is read."""
        if self.outputs.smoothed and path in self.channels:
            return True
        L = self.architecture.orientations
        return any(number >= (octave + 1) * L for number in self.followers.get(path, ()))

    def side_by_side(self, image: Maps) -> None:
        """Append the whole program, breadth first.

        The stacks that branch stand in front in every buffer: those carried on, then the moduli.
        """
        L, R = self.architecture.orientations, self.architecture.carriers
        maps = image
        branching: list[PathNumbers] = [()]
        others: list[PathNumbers] = []
        for octave in range(self.J):
            moduli = [(*path, octave * L + theta) for path in branching for theta in range(L)]
            ends = [R * len(branching), R * (len(branching) + len(moduli))]
            source = maps[: ends[0]] if octave > 0 else maps
            source_of_others = maps[ends[0] :]
            targets: tuple[Maps | None, ...] = (None, None, None)
            if octave < self.J - 1:
                maps = self.store(ends[1] + R * len(others), maps.shape, 2, octave + 1)
                targets = (maps[ends[0] : ends[1]], maps[: ends[0]], maps[ends[1] :])
            self.append(source, octave, moduli, tuple(range(L)), targets[0])
            self.append(source, octave, branching, (), targets[1])
            if others:
                self.append(source_of_others, octave, others, (), targets[2])
            # Paths are in the order of their lengths, so what branches again comes first.
            branching_next = [path for path in moduli if len(path) < self.max_order]
            others = moduli[len(branching_next) :] + others
            branching = branching + branching_next

    def branch(self, maps: Maps, octave: int, paths: list[PathNumbers]) -> None:
        """Append the wavelets of one octave and all that follows from their moduli."""
        L, R = self.architecture.orientations, self.architecture.carriers
        last = octave == self.J - 1
        wanted = {number - octave * L for path in paths for number in self.followers.get(path, ())}
        for orientations in [tuple(range(L))] if last else self.rounds[len(paths[0])]:
            for some in self.alike(paths, octave, [t for t in orientations if t in wanted]):
                longer = [(*path, octave * L + theta) for path in paths for theta in some]
                moduli = self.smooth(maps, octave, longer, some)
                if moduli and len(longer[0]) == self.max_order:
                    # Nothing branches off any more: all go on side by side.
                    self.octaves(moduli, octave + 1, longer)
                elif moduli:
                    for index, path in enumerate(longer):
                        self.octaves(moduli[R * index : R * (index + 1)], octave + 1, [path])

    def alike(
        self, paths: list[PathNumbers], octave: int, orientations: list[int]
    ) -> list[tuple[int, ...]]:
        """Return orientations whose moduli go on, and those whose do not, where there are any."""
        L = self.architecture.orientations
        on = [
            theta
            for theta in orientations
            if any(self.goes_on((*path, octave * L + theta), octave) for path in paths)
        ]
        rest = [theta for theta in orientations if theta not in on]
        return [tuple(some) for some in (on, rest) if some]

    def smooth(
        self,
        maps: Maps,
        octave: int,
        paths: list[PathNumbers],
        orientations: tuple[int, ...] = (),
    ) -> Maps | None:
        """Append a step that carries `paths` to the next octave, or emits them at the last.

        Return the maps it writes, a buffer of their own, if it carries any on.
        """
        target = None
        if octave < self.J - 1 and any(self.goes_on(path, octave) for path in paths):
            count = len(paths) * self.architecture.carriers
            target = self.store(count, maps.shape, 2, octave + 1)
        self.append(maps, octave, paths, orientations, target)
        return target

    def append(
        self,
        maps: Maps,
        octave: int,
        paths: list[PathNumbers],
        orientations: tuple[int, ...] = (),
        target: Maps | None = None,
    ) -> None:
        """Append a step, which emits what it takes or smooths unless that is only carried on.

        With `orientations`, it takes their moduli first.
        """
        design, smoothed = self.architecture, self.outputs.smoothed
        generation = design.generation(octave == 0, octave)
        wavelets, wavelet_stride, stride = "", 1, 2
        if orientations:
            # Each octave halves the resolution once: in the wavelet or in what smooths it.
            wavelets, wavelet_stride = f"psi_{generation}", design.psi_stride
            stride = 2 // design.psi_stride
            generation = design.generation(True, octave)
        smoothing, y, x, height, width = "", 0, 0, 0, 0
        if target:
            smoothing, height, width = f"carry_{generation}", target.height, target.width
        elif smoothed:
            smoothing, stride = f"low_{generation}", stride >> self.outputs.oversampling
            y, x, height, width = self.crop.window(self.J - self.outputs.oversampling)
        channels = tuple(self.channels.get(path, -1) for path in paths)
        emits = not target or (orientations and not smoothed)
        if not emits or max(channels) < 0:
            channels = ()
        window = (0, 0, 0, 0)
        if channels and not smoothed:
            window = self.crop.window(octave + wavelet_stride - 1)
        step = Step(
            wavelets=wavelets,
            orientations=tuple(orientations),
            wavelet_stride=wavelet_stride,
            smoothing=smoothing,
            source=maps,
            target=target,
            groups=len(paths) // max(1, len(orientations)),
            stride=stride if smoothing else 1,
            first=(y, x),
            size=(height, width),
            output=self.outputs.taken if channels else "",
            channels=channels,
            window=window,
        )
        self.steps.append(step)

    def octave_of(self, path: Path) -> int:
        """Return how often the grid was halved that a path's channel is on, or is averaged on."""
        if self.outputs.smoothed:
            return self.J - self.outputs.oversampling
        return path.j[-1] + self.architecture.psi_stride - 1 if path.j else 0

    def store(self, count: int, shape: tuple[int, int], factor: int, octave: int) -> Maps:
        """Return a new buffer of maps whose grid is every `factor`-th sample of a shape."""
        height, width = (-(-side // factor) for side in shape)
        self.buffers.append(Maps(len(self.buffers), 0, count, height, width, octave))
        return self.buffers[-1]
