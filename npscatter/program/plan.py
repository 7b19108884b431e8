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

Breadth first, the same subtrees advance side by side, an octave at a time: the steps are fewer and
wider, and more maps are stored at a time.

A modulus is read once, by the smoothing that follows it, so the two make one step and no program
ever stores a modulus. Everything an executor needs to know stands in the `Plan` this makes:
padded sizes, where each padded pixel comes from, the steps, where in the workspace each step
reads and writes, and which output channel a path fills. No executor computes a size, an order or
a channel of its own.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from npscatter.errors import ArgumentError, ArgumentTypeError, explain
from npscatter.program.symmetry import mirrored_orientations

BOUNDARIES = ("kymatio", "zero", "periodic")


@dataclass(frozen=True, slots=True)
class Architecture:
    """What the planner must know of a bank: integers and one rule.

    Attributes
    ----------
    orientations : int
        L, the number of wavelets per octave, even.
    carriers : int
        R, the number of maps carried from one octave to the next.
    psi_stride : int
        1: wavelets keep the resolution and the smoothing after them halves it.
        2: wavelets halve it and the smoothing after them keeps it (the paper's network).
    next_from : str
        When the ``*_next`` weights take over from the ``*_first``: "carried" (as soon as the
        input is carried maps, not one raw map) or "octave" (from the second octave on; the
        paper's one set of weights per level, possible only for R = 1).
    """

    orientations: int
    carriers: int
    psi_stride: int
    next_from: str

    def generation(self, raw: bool, octave: int) -> str:
        """Return "first" or "next": which weights apply to such maps at such an octave."""
        first = raw if self.next_from == "carried" else octave == 0
        return "first" if first else "next"


@dataclass(frozen=True, slots=True)
class Maps:
    """A run of maps in one buffer of the workspace: ``count`` maps of ``height`` x ``width``."""

    buffer: int
    first: int
    count: int
    height: int
    width: int

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of each map."""
        return self.height, self.width

    def __getitem__(self, part: slice) -> Maps:
        """Return some of the maps, as a slice of a list."""
        start, stop, _ = part.indices(self.count)
        return Maps(self.buffer, self.first + start, stop - start, self.height, self.width)


@dataclass(frozen=True, slots=True)
class Step:
    """One operation of the program.

    "pad" copies the input through the plan's `rows` and `columns`. The others correlate: with
    ``w`` a weight array of the bank and K its kernel size, for every group g, output map o and
    sample (y, x)::

        (w * maps)[g, o, y, x] = sum over i, a, b of
            w[o, i, a, b] * maps[g, i, s*(y + y0) + a - K//2, s*(x + x0) + b - K//2]

    s being a stride and (y0, x0) the first sample that is computed; samples beyond the edge of
    the maps are wrapped or zero, as the plan's `edge` says. Where the step has `wavelets`, it
    first takes the modulus of the correlation of the source with them, ``|psi * source|``, whose
    maps are each a group of their own in what follows. Then it correlates with `weights`:
    "smooth" writes to the target, "emit" to the output, one channel per group.

    Attributes
    ----------
    operation : str
        "pad", "smooth" or "emit".
    wavelets : str
        Name of the bank's wavelets whose modulus is taken first; "" for none.
    orientations : tuple of int
        Which of these wavelets are used, in this order.
    wavelet_stride : int
        Stride of the wavelets, 1 or 2.
    weights : str
        Name of the bank's array that smooths ("" for "pad").
    source, target : Maps or None
        Where it reads and writes; None for the input and the output.
    groups : int
        The source holds `groups` independent stacks.
    stride : int
        Stride of the smoothing, 1 or 2.
    first : tuple of int
        Index (y0, x0) on the target's full grid of the first sample that is computed.
    size : tuple of int
        Height and width computed of each target map.
    channels : tuple of int
        Output channel of each group of an "emit".
    """

    operation: str
    wavelets: str
    orientations: tuple[int, ...]
    wavelet_stride: int
    weights: str
    source: Maps | None
    target: Maps | None
    groups: int
    stride: int
    first: tuple[int, int]
    size: tuple[int, int]
    channels: tuple[int, ...]

    @property
    def modulus_shape(self) -> tuple[int, int]:
        """Height and width of what is smoothed: the modulus, or the source where there is none."""
        return tuple(-(-side // self.wavelet_stride) for side in self.source.shape)


@dataclass(frozen=True, slots=True)
class Path:
    """One output channel: scale j, orientation theta and n = j L + theta of each wavelet."""

    j: tuple[int, ...]
    theta: tuple[int, ...]
    n: tuple[int, ...]

    @property
    def order(self) -> int:
        """Number of wavelet moduli along the path: 0, 1 or 2."""
        return len(self.j)


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
        "kymatio", "zero" or "periodic".
    edge : str
        What every convolution does beyond the edge of its maps: "wrap" or "zero".
    pre_pad : bool
        The images come padded.
    rounds, breadth_first
        See `make_plan`.
    shape : tuple of int
        (H, W) of an unpadded image.
    input_shape : tuple of int
        (H, W) an image must have (the padded size under ``pre_pad``).
    output_shape : tuple of int
        (H // 2^J, W // 2^J) of one channel.
    rows, columns : tuple of int
        Padded pixel (y, x) is image pixel (rows[y], columns[x]); -1 stands for a zero.
    steps : tuple of Step
        The program.
    paths : tuple of Path
        One per output channel, in Kymatio's order.
    buffers : tuple of Maps
        Every stack of maps the program stores, whole.
    offsets : tuple of int
        Where each buffer starts in the workspace, in samples.
    workspace_size : int
        Samples of workspace one image needs: the peak, buffers being reused once free.
    """

    J: int
    max_order: int
    architecture: Architecture
    boundary: str
    edge: str
    pre_pad: bool
    rounds: int
    breadth_first: bool
    shape: tuple[int, int]
    input_shape: tuple[int, int]
    output_shape: tuple[int, int]
    rows: tuple[int, ...]
    columns: tuple[int, ...]
    steps: tuple[Step, ...]
    paths: tuple[Path, ...]
    buffers: tuple[Maps, ...]
    offsets: tuple[int, ...]
    workspace_size: int

    def __hash__(self) -> int:
        # What a plan was made from decides the rest, which would take long to hash.
        made_from = (self.J, self.shape, self.architecture, self.max_order, self.boundary)
        return hash((*made_from, self.pre_pad, self.rounds, self.breadth_first))

    @property
    def padded_shape(self) -> tuple[int, int]:
        """Height and width of the finest grid."""
        return len(self.rows), len(self.columns)

    def in_rounds(self, rounds: int) -> Plan:
        """Return the plan that takes the image's orientations in so many rounds, depth first."""
        return make_plan(*self._made_from, rounds)

    def octave_by_octave(self) -> Plan:
        """Return the plan that goes breadth first."""
        return make_plan(*self._made_from, breadth_first=True)

    @property
    def _made_from(self) -> tuple:
        what = (self.J, self.shape, self.architecture, self.max_order, self.boundary)
        return (*what, self.pre_pad)

    @property
    def n_coefficients(self) -> int:
        """Number of output channels, 1 + L J (+ L^2 J (J-1) / 2 at order 2)."""
        return len(self.paths)


def make_plan(
    J: int,
    shape: tuple[int, int],
    architecture: Architecture,
    max_order: int = 2,
    boundary: str = "kymatio",
    pre_pad: bool = False,
    rounds: int = 1,
    breadth_first: bool = False,
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
        "kymatio": reflect once to ``(H // 2^J + 2) 2^J`` pixels, then wrap; "zero": zeros beyond
        the edge at every level; "periodic": the image is its own period.
    pre_pad : bool
        The caller's images already have the padded size; the margin is still cropped.
    rounds : int
        The image's own moduli, where they are carried on, are taken in about so many rounds of
        orientations, each through to its last channel, so that fewer maps are stored at a time;
        the moduli of moduli in a quarter as many.
    breadth_first : bool
        All stacks of maps of an octave advance together, as the groups of two or three steps,
        instead of one after the other. Only for ``rounds=1``.

    Returns
    -------
    Plan

    Raises
    ------
    ArgumentError, ArgumentTypeError
        For values no plan can be made from.
    """
    J = integer("J", J)
    max_order = integer("max_order", max_order)
    rounds = integer("rounds", rounds)
    shape = _shape(shape)
    if not isinstance(pre_pad, bool):
        raise ArgumentTypeError(explain("pre_pad", pre_pad, "must be True or False", "pass a bool"))
    if max_order not in (1, 2):
        raise ArgumentError(
            explain("max_order", max_order, "must be 1 or 2", "pass max_order=1 or max_order=2")
        )
    if rounds < 1:
        raise ArgumentError(
            explain("rounds", rounds, "must be at least 1", "pass rounds=1 for all at once")
        )
    if breadth_first and rounds > 1:
        raise ArgumentError(
            explain("rounds", rounds, "must be 1 if breadth_first", "pass one of the two")
        )
    if not isinstance(boundary, str) or boundary not in BOUNDARIES:
        raise ArgumentError(
            explain(
                "boundary",
                boundary,
                f"must be one of {BOUNDARIES}",
                "pass one, or None for the bank's",
            )
        )
    _check_scale(J, shape)
    period = 2**J
    if boundary == "periodic" and not pre_pad and any(side % period for side in shape):
        raise ArgumentError(
            explain(
                "shape",
                shape,
                f"under boundary='periodic' both sides must be multiples of 2^J = {period}",
                "crop or pad the images, lower J, or use boundary='kymatio'",
            )
        )
    return _make_plan(
        J, shape, architecture, max_order, boundary, pre_pad, rounds, bool(breadth_first)
    )


def shape_before_padding(J: int, padded_shape: tuple[int, int]) -> tuple[int, int]:
    """Return the (H, W) that images of `padded_shape`, padded by 2^J on every side, had.

    Raises
    ------
    ArgumentError
        Unless both padded sides are multiples of 2^J, at least 3 2^J.
    """
    J, padded_shape = integer("J", J), _shape(padded_shape)
    _check_scale(J, padded_shape)
    period = 2**J
    if any(side % period or side < 3 * period for side in padded_shape):
        raise ArgumentError(
            explain(
                "x.shape[-2:]",
                padded_shape,
                f"with pre_pad=True both must be multiples of 2^J = {period}, "
                f"at least {3 * period}",
                "pad the images by 2^J on every side, or use pre_pad=False",
            )
        )
    return padded_shape[0] - 2 * period, padded_shape[1] - 2 * period


@lru_cache(maxsize=64)
def _make_plan(
    J: int,
    shape: tuple[int, int],
    architecture: Architecture,
    max_order: int,
    boundary: str,
    pre_pad: bool,
    rounds: int,
    breadth_first: bool,
) -> Plan:
    period = 2**J
    output_shape = (shape[0] // period, shape[1] // period)
    rows, first_row = _padding(shape[0], period, boundary, pre_pad)
    columns, first_column = _padding(shape[1], period, boundary, pre_pad)
    paths = _paths(J, architecture.orientations, max_order)
    program = _Unroller(J, architecture, max_order, (first_row, first_column), output_shape, paths)
    program.rounds = [
        mirrored_orientations(architecture.orientations, count)
        for count in (rounds, max(1, rounds // 4))
    ]
    image = program.store(1, len(rows), len(columns))
    program.steps.append(Step("pad", "", (), 1, "", None, image, 1, 1, (0, 0), image.shape, ()))
    if breadth_first:
        program.side_by_side(image)
    else:
        program.octaves(image, 0, [()])
    steps, buffers = tuple(program.steps), tuple(program.buffers)
    offsets, workspace_size = place(
        steps, buffers, lambda maps: maps.count * maps.height * maps.width
    )
    return Plan(
        J=J,
        max_order=max_order,
        architecture=architecture,
        boundary=boundary,
        edge="zero" if boundary == "zero" else "wrap",
        pre_pad=pre_pad,
        rounds=rounds,
        breadth_first=breadth_first,
        shape=shape,
        input_shape=(len(rows), len(columns)) if pre_pad else shape,
        output_shape=output_shape,
        rows=rows,
        columns=columns,
        steps=steps,
        paths=paths,
        buffers=buffers,
        offsets=offsets,
        workspace_size=workspace_size,
    )


def _padding(side: int, period: int, boundary: str, pre_pad: bool) -> tuple[tuple[int, ...], int]:
    """Return the image index of every padded sample of one axis, and the first output kept.

    Kymatio pads to ``((M + 2^J) // 2^J + 1) 2^J``, the odd pixel to the right, and crops one
    output sample per side (kymatio/scattering2d/utils.py).
    """
    padded = ((side + period) // period + 1) * period
    before = (padded - side) // 2
    if pre_pad:
        return tuple(range(padded)), 1
    if boundary == "periodic":
        return tuple(range(side)), 0
    if boundary == "zero":
        # Only as many zeros in front as put output samples on the pixels where Kymatio has them.
        lead = before % period
        return (-1,) * lead + tuple(range(side)), 1 if lead else 0
    # Reflection about the edge pixels has period 2 side - 2, however far it goes.
    reflected = 2 * side - 2
    positions = (i % reflected for i in range(-before, padded - before))
    return tuple(min(i, reflected - i) for i in positions), 1


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

    def __init__(self, J, architecture, max_order, first, output_shape, paths):
        self.J = J
        self.architecture = architecture
        self.max_order = max_order
        self.first = first
        self.output_shape = output_shape
        self.channels = {path.n: channel for channel, path in enumerate(paths)}
        self.rounds: list[list[tuple[int, ...]]] = []
        self.steps: list[Step] = []
        self.buffers: list[Maps] = []

    def octaves(self, maps: Maps, start: int, paths: list[tuple[int, ...]]) -> None:
        """Append the subtree of the stacks `maps`, one per path, that stand at octave `start`."""
        raw = start == 0
        for octave in range(start, self.J):
            if len(paths[0]) < self.max_order:
                self.branch(maps, raw, octave, paths)
            maps, raw = self.smooth(maps, raw, octave, paths), False

    def side_by_side(self, image: Maps) -> None:
        """Append the whole program, breadth first.

        The stacks that branch stand in front in every buffer: those carried on, then the moduli.
        """
        L, R = self.architecture.orientations, self.architecture.carriers
        maps, branching, others = image, [()], []
        for octave in range(self.J):
            raw = octave == 0
            moduli = [(*path, octave * L + theta) for path in branching for theta in range(L)]
            ends = [R * len(branching), R * (len(branching) + len(moduli))]
            sources = (maps, maps, None)
            if not raw:
                sources = (maps[: ends[0]], maps[: ends[0]], maps[ends[0] :])
            targets = (None,) * 3
            if octave < self.J - 1:
                grid = tuple(-(-side // 2) for side in maps.shape)
                maps = self.store(ends[1] + R * len(others), *grid)
                targets = (maps[ends[0] : ends[1]], maps[: ends[0]], maps[ends[1] :])
            self.smooth(sources[0], raw, octave, moduli, tuple(range(L)), targets[0])
            self.smooth(sources[1], raw, octave, branching, (), targets[1])
            if others:
                self.smooth(sources[2], raw, octave, others, (), targets[2])
            # Paths are in the order of their lengths, so what branches again comes first.
            again = [path for path in moduli if len(path) < self.max_order]
            others = moduli[len(again) :] + others
            branching = branching + again

    def branch(self, maps: Maps, raw: bool, octave: int, paths: list[tuple[int, ...]]) -> None:
        """Append the wavelets of one octave and all that follows from their moduli."""
        L, R = self.architecture.orientations, self.architecture.carriers
        stored = octave < self.J - 1
        order = len(paths[0])
        for orientations in self.rounds[order] if stored else [tuple(range(L))]:
            longer = [(*path, octave * L + theta) for path in paths for theta in orientations]
            moduli = self.smooth(maps, raw, octave, longer, orientations)
            if stored and len(longer[0]) == self.max_order:
                # Nothing branches off any more: all go on side by side.
                self.octaves(moduli, octave + 1, longer)
            elif stored:
                for index, path in enumerate(longer):
                    self.octaves(moduli[R * index : R * (index + 1)], octave + 1, [path])

    def smooth(self, maps, raw, octave, paths, orientations=(), target=None) -> Maps | None:
        """Append one step, which carries `paths` to the next octave or emits them at the last.

        With `orientations`, the step takes their moduli first. Without a `target`, it gets a buffer
        of its own.
        """
        design = self.architecture
        generation = design.generation(raw, octave)
        wavelets, wavelet_stride, stride = "", 1, 2
        if orientations:
            # Each octave halves the resolution once: in the wavelet or in what smooths it.
            wavelets, wavelet_stride = f"psi_{generation}", design.psi_stride
            stride = 2 // design.psi_stride
            generation = design.generation(True, octave)
        grid = tuple(-(-side // (stride * wavelet_stride)) for side in maps.shape)
        emits = octave == self.J - 1
        if not emits and target is None:
            target = self.store(len(paths) * design.carriers, *grid)
        self.steps.append(
            Step(
                operation="emit" if emits else "smooth",
                wavelets=wavelets,
                orientations=tuple(orientations),
                wavelet_stride=wavelet_stride,
                weights=f"{'low' if emits else 'carry'}_{generation}",
                source=maps,
                target=target,
                groups=len(paths) // max(1, len(orientations)),
                stride=stride,
                first=self.first if emits else (0, 0),
                size=self.output_shape if emits else grid,
                channels=tuple(self.channels[path] for path in paths) if emits else (),
            )
        )
        return target

    def store(self, count: int, height: int, width: int) -> Maps:
        """Return a new buffer."""
        self.buffers.append(Maps(len(self.buffers), 0, count, height, width))
        return self.buffers[-1]


def place(
    steps: tuple[Step, ...], buffers: tuple[Maps, ...], samples: Callable[[Maps], int]
) -> tuple[tuple[int, ...], int]:
    """Place buffers in a workspace, each in the first hole that holds it while it is in use.

    Parameters
    ----------
    steps, buffers
        Of a plan.
    samples : callable
        The samples a buffer takes, which depend on how an executor lays its rows out.

    Returns
    -------
    offsets : tuple of int
        Where each buffer starts.
    size : int
        Samples of the whole workspace.
    """
    last_use = {}
    for number, step in enumerate(steps):
        for maps in (step.source, step.target):
            if maps:
                last_use[maps.buffer] = number
    offsets = [0] * len(buffers)
    taken: list[tuple[int, int, int]] = []  # (offset, end, buffer), by offset
    placed: set[int] = set()
    size = 0
    for number, step in enumerate(steps):
        # Several steps may fill a buffer, from the first of them on.
        if step.target and step.target.buffer not in placed:
            placed.add(step.target.buffer)
            needed, offset = samples(buffers[step.target.buffer]), 0
            for start, end, _ in taken:
                if start - offset >= needed:
                    break
                offset = end
            offsets[step.target.buffer] = offset
            taken = sorted([*taken, (offset, offset + needed, step.target.buffer)])
            size = max(size, offset + needed)
        taken = [entry for entry in taken if last_use[entry[2]] > number]
    return tuple(offsets), size


def _check_scale(J: int, shape: tuple[int, int]) -> None:
    largest = min(shape).bit_length() - 1
    if not 1 <= J <= largest:
        raise ArgumentError(
            explain(
                "J",
                J,
                f"must be at least 1 and 2^J at most the smaller side of shape={shape}",
                f"pass J between 1 and {largest}" if largest else "pass larger images",
            )
        )


def integer(name: str, value: object) -> int:
    """Return `value` as an int, or raise an `ArgumentTypeError` that names it."""
    try:
        if isinstance(value, bool):
            raise TypeError
        return operator.index(value)
    except TypeError:
        raise ArgumentTypeError(
            explain(name, value, "must be an integer", f"pass {name} as an int")
        ) from None


def integer_pair(name: str, value: object, kind: str, remedy: str) -> tuple[int, int]:
    """Return `value` as two ints, or raise an `ArgumentTypeError` that names it."""
    try:
        first, second = value
    except (TypeError, ValueError):
        raise ArgumentTypeError(explain(name, value, f"must be a pair {kind}", remedy)) from None
    return integer(f"{name}[0]", first), integer(f"{name}[1]", second)


def _shape(shape: object) -> tuple[int, int]:
    height, width = integer_pair("shape", shape, "(H, W)", "pass e.g. shape=(32, 32)")
    if height < 1 or width < 1:
        raise ArgumentError(
            explain(
                "shape", (height, width), "both sides must be at least 1", "pass the image's size"
            )
        )
    return height, width
