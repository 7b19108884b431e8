"""The planner: its programs, run symbolically, are the definition; its sizes are Kymatio's."""

import dataclasses
from itertools import product

import numpy as np
import pytest
from kymatio import Scattering2D as KymatioScattering2D
from kymatio.scattering2d.utils import compute_padding

from npscatter import plan as planner
from npscatter.errors import ArgumentError, ArgumentTypeError
from npscatter.plan import BOUNDARIES, Architecture, Maps, make_plan, shape_before_padding

ARCHITECTURES = [
    Architecture(2, 1, 1, "carried"),
    Architecture(4, 3, 1, "carried"),
    Architecture(2, 4, 2, "carried"),
    Architecture(2, 1, 1, "octave"),
    Architecture(4, 1, 2, "octave"),
]
SIZES = [(1, (2, 3)), (1, (9, 8)), (2, (4, 4)), (2, (7, 10)), (3, (8, 24)), (4, (16, 35))]


def all_plans():
    """Yield one plan per architecture, size, order, boundary and kind of padding."""
    for design, (J, shape), max_order in product(ARCHITECTURES, SIZES, (1, 2)):
        yield make_plan(J, shape, design, max_order)
        yield make_plan(J, shape, design, max_order, pre_pad=True)
        yield make_plan(J, shape, design, max_order, "zero")
        divisible = tuple(side // 2**J * 2**J for side in shape)
        yield make_plan(J, divisible, design, max_order, "periodic")


class Expressions:
    """Symbolic maps: equal operations on equal maps get the same number."""

    def __init__(self):
        self.numbers = {}

    def __call__(self, *expression):
        return self.numbers.setdefault(expression, len(self.numbers))


def by_definition(plan, name):
    """Return, per output channel, the symbolic map that the definition emits there."""
    J, design = plan.J, plan.architecture

    def filtered(operation, kind, outputs, maps, order, level, octave):
        first = octave == level if design.next_from == "carried" else octave == 0
        if operation == "modulus":
            stride = design.psi_stride
        else:
            halved = design.psi_stride == 2 and order > 0 and octave == level
            stride = 1 if halved else 2
        weights = f"{kind}_first" if first else f"{kind}_next"
        return [name(operation, weights, stride, o, maps) for o in range(outputs)]

    def carried(u, order, level, octave):
        if octave == level:
            return (u,)
        before = carried(u, order, level, octave - 1)
        smoothed = filtered("smooth", "carry", design.carriers, before, order, level, octave - 1)
        return tuple(smoothed)

    def moduli(u, order, level, octave):
        maps = carried(u, order, level, octave)
        return filtered("modulus", "psi", design.orientations, maps, order, level, octave)

    def average(u, order, level):
        maps = carried(u, order, level, J - 1)
        return filtered("emit", "low", 1, maps, order, level, J - 1)[0]

    x = name("pad")
    channels = [average(x, 0, 0)]
    second = []
    for j1 in range(J):
        for u1 in moduli(x, 0, 0, j1):
            channels.append(average(u1, 1, j1))
            if plan.max_order == 2:
                for j2 in range(j1 + 1, J):
                    second += [average(u2, 2, j2) for u2 in moduli(u1, 1, j1, j2)]
    return channels + second


class Workspace:
    """Remembers, sample by sample, which written map lies there; reads what is whole only."""

    def __init__(self, size):
        self.map = np.full(size, -1)
        self.sample = np.full(size, -1)
        self.written = []  # (symbolic map, height, width) of every map ever written
        self.end = 0

    def write(self, maps, expressions):
        assert len(expressions) == maps.count
        assert maps.offset >= 0 and maps.offset + maps.size <= len(self.map)
        self.end = max(self.end, maps.offset + maps.size)
        for index, expression in enumerate(expressions):
            one = maps[index]
            place = slice(one.offset, one.offset + one.size)
            self.map[place] = len(self.written)
            self.sample[place] = np.arange(one.size)
            self.written.append((expression, one.height, one.width))

    def read(self, maps):
        expressions = []
        for index in range(maps.count):
            one = maps[index]
            place = slice(one.offset, one.offset + one.size)
            (writer,) = set(self.map[place].tolist())
            assert writer >= 0, "read before it was written"
            assert np.array_equal(self.sample[place], np.arange(one.size)), "half overwritten"
            expression, height, width = self.written[writer]
            assert (height, width) == (maps.height, maps.width)
            expressions.append(expression)
        return expressions


def overlap(a, b):
    return a.offset < b.offset + b.size and b.offset < a.offset + a.size


def run_symbolically(plan, name):
    """Run the program over a symbolic workspace; return what every output channel received."""
    workspace, channels = Workspace(plan.workspace_size), {}
    design = plan.architecture
    inputs = {"first": 1, "next": design.carriers}
    outputs = {"psi": design.orientations, "carry": design.carriers, "low": 1}
    for step in plan.steps:
        if step.operation == "pad":
            assert step.size == step.target.shape == plan.padded_shape
            assert step.source is None and step.target.count == 1
            workspace.write(step.target, [name("pad")])
            continue
        kind, _, generation = step.weights.partition("_")
        assert {"modulus": "psi", "smooth": "carry", "emit": "low"}[step.operation] == kind
        assert step.source.count == step.groups * inputs[generation]
        maps = np.reshape(workspace.read(step.source), (step.groups, -1)).tolist()
        results = [
            name(step.operation, step.weights, step.stride, o, tuple(group))
            for group in maps
            for o in range(outputs[kind])
        ]
        grid = tuple(-(-side // step.stride) for side in (step.source.height, step.source.width))
        if step.operation == "emit":
            assert step.target is None
            for index, result in enumerate(results):
                assert step.channel + index not in channels, "emitted twice"
                channels[step.channel + index] = result
            assert step.size == plan.output_shape
            kept = np.add(step.first, step.size)
            assert min(step.first) >= 0 and (kept <= grid).all(), "beyond the grid"
        else:
            assert not overlap(step.source, step.target), "reads what it overwrites"
            assert step.size == step.target.shape == grid
            assert step.first == (0, 0) and step.channel == -1
            workspace.write(step.target, results)
    assert workspace.end == plan.workspace_size
    return channels


def test_the_program_run_symbolically_is_the_definition():
    for plan in all_plans():
        name = Expressions()
        channels = run_symbolically(plan, name)
        expected = by_definition(plan, name)
        assert sorted(channels) == list(range(plan.n_coefficients))
        assert [channels[c] for c in range(plan.n_coefficients)] == expected


def test_the_symbolic_workspace_notices_hazards():
    image, half = Maps(0, 1, 2, 2), Maps(2, 1, 1, 2)
    workspace = Workspace(6)
    with pytest.raises(AssertionError, match="before it was written"):
        workspace.read(image)
    workspace.write(image, [7])
    assert workspace.read(image) == [7]
    workspace.write(half, [8])
    with pytest.raises(ValueError):
        workspace.read(image)
    workspace.write(Maps(0, 2, 1, 2), [9, 9])
    with pytest.raises(ValueError):
        workspace.read(image)


def test_buffers_are_reused():
    for J in (2, 3, 4):
        plan = make_plan(J, (64, 64), Architecture(8, 4, 1, "carried"))
        targets = [step.target.size for step in plan.steps if step.target]
        height, width = plan.padded_shape
        assert sum(targets) > 2 * plan.workspace_size
        # The padded image, its eight moduli, and less than as much again for all below them.
        assert 9 * height * width <= plan.workspace_size < 15 * height * width


def leaves(value):
    if dataclasses.is_dataclass(value):
        for field in dataclasses.fields(value):
            yield from leaves(getattr(value, field.name))
    elif isinstance(value, tuple):
        for item in value:
            yield from leaves(item)
    else:
        yield value


def test_a_plan_is_integers_and_names():
    plans = [*all_plans(), make_plan(np.int64(2), np.array([8, 9]), ARCHITECTURES[1], np.uint8(2))]
    for plan in plans:
        for leaf in leaves(plan):
            assert leaf is None or type(leaf) in (int, str)
        hash(plan)
        assert plan == dataclasses.replace(plan)
        with pytest.raises(dataclasses.FrozenInstanceError):
            plan.J = 1


def test_the_same_arguments_make_the_same_plan():
    plans = list(all_plans())
    planner._make_plan.cache_clear()
    again = list(all_plans())
    assert plans == again and repr(plans) == repr(again)


@pytest.mark.parametrize("pre_pad", [False, True])
def test_padded_sizes_are_kymatios(pre_pad):
    design = Architecture(2, 1, 1, "carried")
    for H, W in zip(range(2, 71), range(70, 1, -1), strict=True):
        for J in range(1, min(H, W).bit_length()):
            plan = make_plan(J, (H, W), design, 1, pre_pad=pre_pad)
            padded = compute_padding(H, W, J)
            assert plan.padded_shape == padded
            assert plan.input_shape == (padded if pre_pad else (H, W))
            assert plan.output_shape == (H // 2**J, W // 2**J)
            if pre_pad:
                assert plan.rows == tuple(range(padded[0]))
                assert plan.columns == tuple(range(padded[1]))


def test_padding_is_numpys_reflection():
    design = Architecture(2, 1, 1, "carried")
    for side in range(2, 71):
        for J in range(1, side.bit_length()):
            margin = compute_padding(side, side, J)[0] - side
            pad = (margin // 2, margin - margin // 2)
            reflected = tuple(np.pad(np.arange(side), pad, mode="reflect").tolist())
            assert make_plan(J, (side, 70), design, 1).rows == reflected
            assert make_plan(J, (70, side), design, 1).columns == reflected


def test_under_zero_boundary_samples_sit_on_kymatios_pixels():
    design = Architecture(2, 1, 1, "carried")
    for side in range(2, 71):
        for J in range(1, side.bit_length()):
            plan = make_plan(J, (side, 70), design, 1, "zero")
            (emit,) = (step for step in plan.steps if step.channel == 0)
            kymatio = make_plan(J, (side, 70), design, 1)
            pixels = [plan.rows[2**J * (k + emit.first[0])] for k in range(side // 2**J)]
            assert pixels == [kymatio.rows[2**J * (k + 1)] for k in range(side // 2**J)]
            lead = len(plan.rows) - side
            assert 0 <= lead < 2**J
            assert plan.rows == (-1,) * lead + tuple(range(side))


def test_a_periodic_image_is_neither_padded_nor_cropped():
    plan = make_plan(2, (8, 12), ARCHITECTURES[1], boundary="periodic")
    assert (plan.rows, plan.columns) == (tuple(range(8)), tuple(range(12)))
    assert {step.first for step in plan.steps} == {(0, 0)}
    assert plan.edge == "wrap"


@pytest.mark.parametrize("max_order", [1, 2])
@pytest.mark.parametrize(("J", "L"), [(1, 8), (2, 4), (2, 8), (3, 2), (3, 6)])
def test_paths_are_kymatios(J, L, max_order):
    kymatio = KymatioScattering2D(J, (8, 8), L, max_order, out_type="list")
    plan = make_plan(J, (8, 8), Architecture(L, 1, 1, "carried"), max_order)
    expected = [(entry["j"], entry["theta"], entry["n"]) for entry in kymatio(np.zeros((8, 8)))]
    assert [(path.j, path.theta, path.n) for path in plan.paths] == expected
    assert [path.order for path in plan.paths] == [len(j) for j, _, _ in expected]


def test_shape_before_padding_undoes_the_padding():
    for J, H, W in product((1, 2, 3), range(8, 41, 8), range(8, 41, 8)):
        assert shape_before_padding(J, compute_padding(H, W, J)) == (H, W)


@pytest.mark.parametrize("padded", [(12, 13), (12, 8), (4, 12), (14, 12)])
def test_shape_before_padding_refuses_other_sizes(padded):
    with pytest.raises(ArgumentError, match=r"^x\.shape\[-2:\]=.*multiples of 2\^J = 4"):
        shape_before_padding(2, padded)


def test_refusals_name_the_argument():
    design = ARCHITECTURES[0]
    for arguments, message in [
        ((0, (8, 8), design), "J=0: .*pass J between 1 and 3"),
        ((4, (8, 9), design), "J=4: .*pass J between 1 and 3"),
        ((1, (8, 1), design), "J=1: .*pass larger images"),
        ((1, (8, 8), design, 3), "max_order=3: "),
        (
            (1, (8, 8), design, 2, "mirror"),
            "boundary='mirror': .*" + ", ".join(map(repr, BOUNDARIES)),
        ),
        ((2, (8, 6), design, 2, "periodic"), r"shape=\(8, 6\): .*2\^J = 4"),
    ]:
        with pytest.raises(ArgumentError, match=r"^" + message):
            make_plan(*arguments)
    for arguments, message in [
        ((True, (8, 8), design), "J=True: "),
        ((1, 8, design), "shape=8: "),
        ((1, ("8", 8), design), r"shape\[0\]='8': "),
        ((1, (8, 8), design, 1.0), "max_order=1.0: "),
    ]:
        with pytest.raises(ArgumentTypeError, match=r"^" + message):
            make_plan(*arguments)
