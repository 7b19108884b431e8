"""The plan as an ONNX model: a graph of standard operators, for every runtime that reads them.

The graph is the program, octave by octave. What `npscatter.program.steps.Step` says in a formula
stands there as Slice and Concat (what lies beyond the edge), Conv (the correlations), and Split,
Mul, Add and Sqrt (the modulus). Stacks of maps are folded into the batch, so that one Conv without
groups serves all paths of an octave, and no node computes a shape. What is taken off an extreme
image and given back (`npscatter.program.magnitude`) is part of the graph, image by image.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

import npscatter
from npscatter.arguments import at_least, boolean, one_of
from npscatter.atomic_write import atomic_write
from npscatter.bank import FilterBank
from npscatter.errors import (
    ArgumentError,
    ArgumentTypeError,
    BackendError,
    explain,
    install_extra,
)
from npscatter.program.magnitude import level_gain, ordinary_exponents
from npscatter.program.plan import Plan
from npscatter.program.steps import Maps, Step

try:
    from onnx import ModelProto, TensorProto, checker, helper, numpy_helper
except ImportError as error:
    missing = f"npscatter.onnx needs onnx, which is not installed: {install_extra('onnx')}"
    raise BackendError(missing) from error

__all__ = ["export", "make_model"]
# The operators of ONNX 1.8, of 2020: the first whose Unsqueeze and ReduceSum take their axes as an
# input, as all later ones do. And the version of the file's format that belongs to it.
OPSET, FORMAT = 13, 7
# Of the axes whose lengths a model states.
LARGEST_BATCH = 2**31 - 1
_TYPES = {
    "float32": TensorProto.FLOAT,
    "float16": TensorProto.FLOAT16,
    "float64": TensorProto.DOUBLE,
}


def export(S: Any, path: str | os.PathLike, **options: Any) -> Path:
    """Write a transform as an ONNX model, which needs neither npscatter nor Torch to run.

    Parameters
    ----------
    S : Scattering2D
        The transform: its bank, J, shape, order, boundary and padding. Its backend does not matter.
    path : str or path
        The file to write; it appears whole or not at all.
    **options
        `dtype`, `batch` and `magnitudes`, as for `make_model`.

    Returns
    -------
    Path
        Of the file.

    Raises
    ------
    ArgumentError, ArgumentTypeError
        As `make_model`.

    Examples
    --------
    >>> from npscatter import Scattering2D
    >>> from npscatter.onnx import export
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     export(Scattering2D(J=2, shape=(32, 32)), f"{folder}/scattering.onnx").name
    'scattering.onnx'
    """
    target = Path(path)
    content = make_model(S, **options).SerializeToString()
    with atomic_write(target) as file:
        file.write(content)
    return target


def make_model(
    S: Any,
    *,
    dtype: str = "float32",
    batch: Iterable[str | int] = ("N",),
    magnitudes: bool = True,
) -> ModelProto:
    """Return a transform as an ONNX model.

    Its input ``images`` has shape (\\*batch, H, W), its output ``coefficients`` shape
    (\\*batch, C, H // 2^J, W // 2^J), or (\\*batch, C) for ``average="global"``, in the order of
    ``S.meta()``, and both one dtype.

    Parameters
    ----------
    S : Scattering2D
        The transform: its bank, J, shape, order, boundary, padding, ``average`` (but for False),
        ``oversampling`` and ``paths``. Its backend does not matter.
    dtype : str, optional
        "float32", "float16" or "float64", of images, weights, maps and coefficients. ONNX Runtime
        computes float16 in float32 on CPUs, and has no convolution in float64 there.
    batch : iterable of str or int, optional
        The axes before H and W: at most one by a name, which may have any length, the others by
        their lengths. () for one image, ("N", 3) for images of three channels.
    magnitudes : bool, optional
        Whether the graph also takes levels and magnitudes off extreme images, and gives them
        back, as `Scattering2D` does. Without, in float32, an image's largest value must be between
        5e-7 and 9e12, and in float16 between 1/4 and 64; and a contrast on a high level is buried
        in rounding. The graph then has no comparison and no table.

    Returns
    -------
    onnx.ModelProto
        Of operator set 13. Its ``metadata_props`` say of which bank (``bank``, ``sha256``),
        ``J``, ``L``, ``max_order``, ``shape``, ``boundary``, ``pre_pad``, ``average``,
        ``oversampling`` and ``version`` it is, and as JSON lists, channel by channel, ``j`` and
        ``theta`` of ``S.meta()``. The same for the same arguments and versions.

    Raises
    ------
    ArgumentError, ArgumentTypeError
        For what is no transform, and for values that no model can be made of.

    Examples
    --------
    >>> from npscatter import Scattering2D
    >>> from npscatter.onnx import make_model
    >>> model = make_model(Scattering2D(J=2, shape=(32, 32)), batch=("N", 3))
    >>> output = model.graph.output[0].type.tensor_type
    >>> [axis.dim_param or axis.dim_value for axis in output.shape.dim]
    ['N', 3, 81, 8, 8]
    """
    plan, bank = _plan_and_bank(S)
    one_of("dtype", dtype, tuple(_TYPES))
    axes = _batch_axes(batch)
    graph = _Graph(dtype)
    images = graph.reshape("images", (-1, *plan.input_shape)) if len(axes) != 1 else "images"
    if boolean("magnitudes", magnitudes):
        ordinary = _Ordinary(graph, images, level_gain(plan, bank))
        coefficients = ordinary.given_back(_program(graph, plan, bank, ordinary.images), plan)
    else:
        coefficients = _program(graph, plan, bank, images)
    lengths = [-1 if isinstance(axis, str) else axis for axis in axes]
    graph.reshape(coefficients, (*lengths, *plan.call_shape), "coefficients")
    kind = _TYPES[dtype]
    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            "scattering",
            [helper.make_tensor_value_info("images", kind, [*axes, *plan.input_shape])],
            [helper.make_tensor_value_info("coefficients", kind, [*axes, *plan.call_shape])],
            [numpy_helper.from_array(value, name) for name, value in graph.constants.items()],
            doc_string="2-D wavelet scattering coefficients; channels as metadata j and theta say",
        ),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=FORMAT,
        producer_name="npscatter",
        producer_version=npscatter.__version__,
    )
    helper.set_model_props(model, _metadata(plan, bank))
    checker.check_model(model, full_check=True)
    return model


def _plan_and_bank(S: Any) -> tuple[Plan, FilterBank]:
    """Return what a transform consists of, whichever door it came through, or raise."""
    plan, bank = getattr(S, "plan", None), getattr(S, "bank", None)
    if not (isinstance(plan, Plan) and isinstance(bank, FilterBank)):
        remedy = "pass npscatter.Scattering2D(J, shape)"
        raise ArgumentTypeError(explain("S", S, "must be a Scattering2D", remedy))
    if plan.outputs.average is False:
        rule = "makes maps of many sizes, and a model has one array of coefficients"
        remedy = "pass a transform with average=True or average='global'"
        raise ArgumentError(explain("S.average", False, rule, remedy))
    return plan, bank


def _batch_axes(batch: Any) -> tuple[str | int, ...]:
    """Return the names and lengths of the axes before H and W, or raise."""
    remedy = "pass e.g. batch=('N',), batch=('N', 3) or batch=()"
    if isinstance(batch, str) or not isinstance(batch, Iterable):
        raise ArgumentTypeError(explain("batch", batch, "must be a tuple of axes", remedy))
    axes: list[str | int] = []
    for number, axis in enumerate(batch):
        what, length_remedy = f"batch[{number}]", "name the axis that may have any length"
        axes.append(axis if isinstance(axis, str) else at_least(what, axis, 1, length_remedy))
    names = [axis for axis in axes if isinstance(axis, str)]
    if len(names) > 1:
        raise ArgumentError(explain("batch", axes, "may have one axis of any length", remedy))
    if not all(name.isascii() and name.isidentifier() for name in names):
        raise ArgumentError(explain("batch", axes, "an axis is named as a variable is", remedy))
    images = prod(axis for axis in axes if isinstance(axis, int))
    if images > LARGEST_BATCH:
        rule = f"holds {images} images; at most {LARGEST_BATCH} are counted"
        raise ArgumentError(explain("batch", axes, rule, "name the longest axis"))
    return tuple(axes)


def _metadata(plan: Plan, bank: FilterBank) -> dict[str, str]:
    """Return what a model says of itself."""
    return {
        "bank": bank.name,
        "sha256": bank.sha256,
        "J": str(plan.J),
        "L": str(bank.L),
        "max_order": str(plan.max_order),
        "shape": json.dumps(plan.shape),
        "boundary": plan.boundary,
        "pre_pad": json.dumps(plan.pre_pad),
        "average": json.dumps(plan.outputs.average),
        "oversampling": json.dumps(plan.outputs.oversampling),
        "version": npscatter.__version__,
        "j": json.dumps([path.j for path in plan.paths]),
        "theta": json.dumps([path.theta for path in plan.paths]),
    }


class _Graph:
    """Nodes and constants in the order in which they are added; tensors are known by name."""

    def __init__(self, dtype: str):
        self.dtype = np.dtype(dtype)
        self.nodes: list[Any] = []
        self.constants: dict[str, np.ndarray] = {}
        self._names: dict[tuple, str] = {}

    def add(self, operator: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        """Add a node of one output; return the output's name."""
        name = f"{operator}_{len(self.nodes)}"
        output = output or name
        self.nodes.append(helper.make_node(operator, inputs, [output], name, **attributes))
        return output

    def split(self, x: str, half: int) -> tuple[str, str]:
        """Cut channels in two."""
        name = f"Split_{len(self.nodes)}"
        halves = f"{name}_a", f"{name}_b"
        inputs = [x, self.integers(half, half)]
        self.nodes.append(helper.make_node("Split", inputs, halves, name, axis=1))
        return halves

    def slice(self, x: str, axis: int, start: int, stop: int) -> str:
        ends = self.integers(start), self.integers(stop)
        return self.add("Slice", x, *ends, self.integers(axis))

    def concat(self, parts: list[str], axis: int) -> str:
        return parts[0] if len(parts) == 1 else self.add("Concat", *parts, axis=axis)

    def reshape(self, x: str, shape: tuple[int, ...], output: str = "") -> str:
        return self.add("Reshape", x, self.integers(*shape), output=output)

    def unsqueeze(self, x: str) -> str:
        """Insert an axis of channels behind the batch."""
        return self.add("Unsqueeze", x, self.integers(1))

    def integers(self, *values: int) -> str:
        return self._constant(np.array(values, np.int64))

    def numbers(self, values: Any, name: str = "") -> str:
        """Return the name of a constant of the graph's dtype; equal ones are stored once."""
        return self._constant(np.asarray(values, self.dtype), name)

    def _constant(self, values: np.ndarray, name: str = "") -> str:
        key = values.dtype.str, values.shape, values.tobytes()
        if key not in self._names:
            if not name or name in self.constants:
                name = f"{name or 'constant'}_{len(self.constants)}"
            self._names[key] = name
            self.constants[name] = values
        return self._names[key]


class _Ordinary:
    """Images without their levels, and of ordinary magnitude: `npscatter.program.magnitude`.

    Both are found as `level_and_shift` finds them, in the images' own precision, in which that
    arithmetic is exact. An exponent is the number of powers of two that are reached.

    Attributes
    ----------
    images : str
        What the program runs on, shape (N, H, W).
    """

    def __init__(self, graph: _Graph, images: str, gain: float | None):
        self._graph, self._gain = graph, gain
        precision = np.finfo(graph.dtype)
        finite = graph.add("LessOrEqual", graph.add("Abs", images), graph.numbers(precision.max))
        low = self._extreme("ReduceMin", images, finite, np.inf)
        high = self._extreme("ReduceMax", images, finite, -np.inf)
        size = graph.add("Max", graph.add("Neg", low), high)
        if gain is not None:
            zero = graph.numbers(0)
            nearest = graph.add("Add", graph.add("Max", low, zero), graph.add("Min", high, zero))
            span = graph.add("Sub", high, low)
            far = graph.add("Mul", span, graph.numbers(16))
            on_level = graph.add("LessOrEqual", far, graph.add("Abs", nearest))
            self._level = graph.add("Where", on_level, nearest, zero)
            size = graph.add("Where", on_level, span, size)
            images = graph.add("Sub", images, self._level)
        self._factors = self._find_factors(size)
        for factor, _ in self._factors:
            images = graph.add("Mul", images, factor)
        self.images = images

    def _extreme(self, operator: str, images: str, finite: str, other: float) -> str:
        """Return the least or the greatest finite value of each image, shape (N, 1, 1)."""
        only = self._graph.add("Where", finite, images, self._graph.numbers(other))
        return self._graph.add(operator, only, axes=[1, 2], keepdims=1)

    def _find_factors(self, size: str) -> list[tuple[str, str]]:
        """Return two factors of 2^shift for each image, and their inverses.

        2^shift itself may be beyond the largest number.
        """
        graph, precision = self._graph, np.finfo(self._graph.dtype)
        exponents = np.arange(precision.minexp - precision.nmant, precision.maxexp)
        powers = np.ldexp(np.ones(len(exponents), graph.dtype), exponents)
        reached = graph.add("GreaterOrEqual", size, graph.numbers(powers))
        reached = graph.add("Cast", reached, to=TensorProto.INT32)
        count = graph.add("ReduceSum", reached, graph.integers(2), keepdims=1)
        least, most = ordinary_exponents(graph.dtype)
        ordinary = (least <= exponents) & (exponents <= most)
        # An image of nothing but zeros reaches none.
        shifts = np.r_[0, np.where(ordinary, 0, most - exponents)]
        factors = []
        for half in (shifts // 2, shifts - shifts // 2):
            table, inverse = (graph.numbers(np.ldexp(1.0, sign * half)) for sign in (1, -1))
            factors.append((graph.add("Gather", table, count), graph.add("Gather", inverse, count)))
        return factors

    def given_back(self, coefficients: str, plan: Plan) -> str:
        """Return the coefficients (N, C, h, w) of the images as they came."""
        graph = self._graph
        for _, inverse in self._factors:
            coefficients = graph.add("Mul", coefficients, graph.unsqueeze(inverse))
        if not self._gain:
            return coefficients
        gains = np.zeros((plan.n_coefficients, 1, 1))
        gains[0] = self._gain
        levels = graph.add("Mul", graph.unsqueeze(self._level), graph.numbers(gains))
        return graph.add("Add", coefficients, levels)


def _program(graph: _Graph, plan: Plan, bank: FilterBank, images: str) -> str:
    """Add the program, from images (N, H, W) to coefficients (N, C, h, w)."""
    plan = plan.octave_by_octave()
    stored: dict[int, dict[Maps, str]] = {
        plan.image.buffer: {plan.image: _padded(graph, plan, images)}
    }
    emitted: list[str] = []
    channels: list[int] = []  # of what is emitted, in that order
    for step in plan.steps:
        shape = step.source.shape
        maps = _taken(graph, stored[step.source.buffer], step.source)
        maps = graph.reshape(maps, (-1, step.maps_per_group, *shape))
        if step.wavelets:
            taps = bank.real_taps(step.wavelets, step.orientations)
            window = _Window(shape, taps.shape[-1], step.wavelet_stride, (0, 0), step.modulus_shape)
            parts = window.correlated(graph, maps, graph.numbers(taps, step.wavelets), plan.edge)
            squares = [graph.add("Mul", x, x) for x in graph.split(parts, len(taps) // 2)]
            moduli = graph.add("Sqrt", graph.add("Add", *squares))
            shape = step.modulus_shape
            maps = graph.reshape(moduli, (-1, 1, *shape))
        if step.emits_moduli:
            emitted.append(_means(graph, maps, step))
            channels += step.channels
        if not step.smoothing:
            continue
        taps = bank.real_taps(step.smoothing)
        window = _Window(shape, taps.shape[-1], step.stride, step.first, step.size)
        smooth = window.correlated(graph, maps, graph.numbers(taps, step.smoothing), plan.edge)
        smooth = graph.reshape(smooth, (-1, step.smoothed_groups * len(taps), *step.size))
        if step.emits:
            emitted.append(smooth)
            channels += step.channels
        elif step.target:
            stored.setdefault(step.target.buffer, {})[step.target] = smooth
    places = {channel: place for place, channel in enumerate(channels)}
    order = [places[channel] for channel in range(plan.n_coefficients)]
    return graph.add("Gather", graph.concat(emitted, 1), graph.integers(*order), axis=1)


def _means(graph: _Graph, maps: str, step: Step) -> str:
    """Return the means of a step's moduli (N, 1, H, W) over its window, shape (N, groups, 1, 1)."""
    shape = step.modulus_shape
    for axis, (start, length) in enumerate(zip(step.window[:2], step.window[2:], strict=True)):
        if length < shape[axis]:
            maps = graph.slice(maps, axis + 2, start, start + length)
    means = graph.add("ReduceMean", maps, axes=[2, 3], keepdims=1)
    return graph.reshape(means, (-1, step.smoothed_groups, 1, 1))


def _padded(graph: _Graph, plan: Plan, images: str) -> str:
    """Add the padding of images (N, H, W); return the plan's image, shape (N, 1, H', W')."""
    for axis, places in ((1, plan.rows), (2, plan.columns)):
        side = plan.input_shape[axis - 1]
        if -1 in places:
            # A line of zeros behind the last, where index -1 leads.
            behind = [0] * 6
            behind[3 + axis] = 1
            images = graph.add("Pad", images, graph.integers(*behind))
        if places != tuple(range(side)):
            images = graph.add("Gather", images, graph.integers(*places), axis=axis)
    return graph.unsqueeze(images)


def _taken(graph: _Graph, stored: dict[Maps, str], source: Maps) -> str:
    """Return maps that a step reads, which several steps may have written to their buffer."""
    parts = []
    for maps in sorted(stored, key=lambda maps: maps.first):
        start = max(source.first - maps.first, 0)
        stop = min(source.first + source.count - maps.first, maps.count)
        if start < stop:
            whole = stop - start == maps.count
            parts.append(stored[maps] if whole else graph.slice(stored[maps], 1, start, stop))
    return graph.concat(parts, 1)


class _Window:
    """What a correlation reads of maps: samples from `starts` to `stops`, also beyond the edge."""

    def __init__(
        self,
        shape: tuple[int, int],
        K: int,
        stride: int,
        first: tuple[int, int],
        size: tuple[int, int],
    ):
        self._shape, self._stride = shape, stride
        self._starts = [stride * index - K // 2 for index in first]
        lengths = [stride * (count - 1) + K for count in size]
        self._stops = [sum(both) for both in zip(self._starts, lengths, strict=True)]

    def correlated(self, graph: _Graph, maps: str, taps: str, edge: str) -> str:
        """Add the correlation of maps (N, I, H, W) with taps (O, I, K, K)."""
        before, after = [0, 0], [0, 0]
        for axis, side in enumerate(self._shape):
            start, stop = self._starts[axis], self._stops[axis]
            if edge == "wrap":
                runs = _runs(np.arange(start, stop) % side)
            else:
                before[axis], after[axis] = max(0, -start), max(0, stop - side)
                runs = [(max(0, start), min(stop, side))]
            if runs != [(0, side)]:
                maps = graph.concat([graph.slice(maps, axis + 2, *run) for run in runs], axis + 2)
        strides = [self._stride] * 2
        return graph.add("Conv", maps, taps, strides=strides, pads=before + after)


def _runs(places: np.ndarray) -> list[tuple[int, int]]:
    """Return where stretches of neighbours begin and end."""
    cuts = np.flatnonzero(np.diff(places) != 1) + 1
    return [(int(run[0]), int(run[-1]) + 1) for run in np.split(places, cuts)]
