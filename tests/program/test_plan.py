"""The planner: its programs, run symbolically, are the definition; its sizes are Kymatio's."""

import dataclasses
from itertools import product

import numpy as np
import pytest
from kymatio import Scattering2D as KymatioScattering2D
from kymatio.scattering2d.utils import compute_padding

from npscatter.errors import ArgumentError, ArgumentTypeError
from npscatter.program import plan as planner
from npscatter.program.outputs import Outputs
from npscatter.program.padding import BOUNDARIES, shape_before_padding
from npscatter.program.plan import make_plan
from npscatter.program.steps import Architecture, Maps
from npscatter.program.symmetry import mirrored_orientations
from npscatter.program.workspace import lay_out_workspace

ARCHITECTURES = [
    Architecture(2, 1, 1, "carried"),
    Architecture(4, 3, 1, "carried"),
    Architecture(2, 4, 2, "carried"),
    Architecture(2, 1, 1, "octave"),
    Architecture(4, 1, 2, "octave"),
]
OUTPUTS = [Outputs(average=False), Outputs(average="global"), Outputs(oversampling=1)]
SIZES = [(1, (2, 3)), (1, (9, 8)), (2, (4, 4)), (2, (7, 10)), (3, (8, 24)), (4, (16, 35))]


def all_plans():
    """Yield one plan per architecture, size, order, boundary, padding and number of rounds."""
    for design, (J, shape), max_order in product(ARCHITECTURES, SIZES, (1, 2)):
        yield make_plan(J, shape, design, max_order)
        yield make_plan(J, shape, design, max_order, pre_pad=True)
        yield make_plan(J, shape, design, max_order, rounds=2)
        yield make_plan(J, shape, design, max_order, breadth_first=True)
        yield make_plan(J, shape, design, max_order, "zero")
        divisible = tuple(side // 2**J * 2**J for side in shape)
        yield make_plan(J, divisible, design, max_order, "periodic")
        for outputs in OUTPUTS:
            if design.psi_stride == 1 or not outputs.oversampling:
                yield make_plan(J, shape, design, max_order, outputs=outputs)
                yield make_plan(J, shape, design, max_order, "zero", rounds=2, outputs=outputs)
                some = dataclasses.replace(outputs, paths=some_paths(J, design, max_order))
                yield make_plan(J, shape, design, max_order, rounds=2, outputs=some)
        some = Outputs(paths=some_paths(J, design, max_order))
        yield make_plan(J, shape, design, max_order, outputs=some)


def some_paths(J, design, max_order):
    """Return the numbers of a few channels, of which some lead to others and some do not."""
    channels = make_plan(J, (2**J, 2**J), design, max_order).n_coefficients
    generator = np.random.default_rng(channels)
    return sorted(generator.permutation(channels)[: max(1, channels // 3)].tolist())


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
            stride = 1 if halved or (kind == "low" and plan.outputs.oversampling) else 2
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

    def emitted(u, order, level):
        if plan.outputs.average is not True:
            return name(plan.outputs.taken, u)
        maps = carried(u, order, level, J - 1)
        return filtered("smoothed", "low", 1, maps, order, level, J - 1)[0]

    x = name("image")
    channels = [emitted(x, 0, 0)]
    second = []
    for j1 in range(J):
        for u1 in moduli(x, 0, 0, j1):
            channels.append(emitted(u1, 1, j1))
            if plan.max_order == 2:
                for j2 in range(j1 + 1, J):
                    second += [emitted(u2, 2, j2) for u2 in moduli(u1, 1, j1, j2)]
    channels += second
    asked = plan.outputs.paths
    return channels if asked is None else [channels[number] for number in asked]


class Workspace:
    """Remembers, sample by sample, which written map lies there; reads what is whole only."""

    def __init__(self, size, offsets):
        self.map = np.full(size, -1)
        self.sample = np.full(size, -1)
        self.offsets = offsets
        self.written = []  # (symbolic map, height, width) of every map ever written
        self.end = 0

    def stretches(self, maps):
        """Return where each of the maps lies."""
        samples = maps.height * maps.width
        start = self.offsets[maps.buffer] + maps.first * samples
        assert start >= 0 and start + maps.count * samples <= len(self.map)
        return [slice(start + i * samples, start + (i + 1) * samples) for i in range(maps.count)]

    def write(self, maps, expressions):
        for stretch, expression in zip(self.stretches(maps), expressions, strict=True):
            self.map[stretch] = len(self.written)
            self.sample[stretch] = np.arange(maps.height * maps.width)
            self.written.append((expression, maps.height, maps.width))
            self.end = max(self.end, stretch.stop)

    def read(self, maps):
        expressions = []
        for stretch in self.stretches(maps):
            (writer,) = set(self.map[stretch].tolist())
            assert writer >= 0, "read before it was written"
            samples = np.arange(maps.height * maps.width)
            assert np.array_equal(self.sample[stretch], samples), "half overwritten"
            expression, height, width = self.written[writer]
            assert (height, width) == maps.shape
            expressions.append(expression)
        return expressions

    def overlap(self, one, other):
        """Say whether two runs of maps share a sample."""
        a, b = self.stretches(one), self.stretches(other)
        return a[0].start < b[-1].stop and b[0].start < a[-1].stop


def strided(shape, stride):
    """Return the shape of every `stride`-th sample."""
    return tuple(len(range(0, side, stride)) for side in shape)


def grid_of(plan, octave):
    """Return the shape of maps whose grid is halved so often."""
    shape = plan.padded_shape
    for _ in range(octave):
        shape = strided(shape, 2)
    return shape


def run_symbolically(plan, name):
    """Run the program over a symbolic workspace; return what the output channels received."""
    workspace, channels = Workspace(plan.workspace.size, plan.workspace.offsets), {}
    carriers, oversampled = plan.architecture.carriers, plan.outputs.oversampling == 1
    inputs = {"first": 1, "next": carriers}
    outputs = {"carry": carriers, "low": 1}
    assert [buffer.buffer for buffer in plan.buffers] == list(range(len(plan.workspace.offsets)))
    assert plan.image.shape == plan.padded_shape and plan.image.count == 1
    workspace.write(plan.image, [name("image")])
    # Every map of every buffer is written once.
    written = [(plan.image.buffer, plan.image.first)] + [
        (step.target.buffer, step.target.first + k)
        for step in plan.steps
        if step.target
        for k in range(step.target.count)
    ]
    assert sorted(written) == [(maps.buffer, k) for maps in plan.buffers for k in range(maps.count)]
    for step in plan.steps:
        groups = np.reshape(workspace.read(step.source), (step.groups, -1)).tolist()
        shape = step.source.shape
        if step.wavelets:
            kind, _, generation = step.wavelets.partition("_")
            assert kind == "psi" and len(groups[0]) == inputs[generation]
            groups = [
                [name("modulus", step.wavelets, step.wavelet_stride, theta, tuple(group))]
                for group in groups
                for theta in step.orientations
            ]
            shape = strided(shape, step.wavelet_stride)
        else:
            assert (step.orientations, step.wavelet_stride) == ((), 1)
        assert step.modulus_shape == shape

        def emit(results, first, size, grid, step=step):
            for channel, result in zip(step.channels, results, strict=True):
                assert channel not in channels, "emitted twice"
                if channel >= 0:
                    channels[channel] = result
                    means = step.output == "mean"
                    assert plan.channel_shapes[channel] == ((1, 1) if means else size)
            kept = np.add(first, size)
            assert min(first) >= 0 and (kept <= grid).all(), "beyond the grid"

        assert step.output in ("", plan.outputs.taken)
        assert bool(step.channels) == bool(step.output)
        if step.emits_moduli:
            assert max(step.channels) >= 0
            taken = [name(step.output, one) for (one,) in groups]
            emit(taken, step.window[:2], step.window[2:], shape)
        assert bool(step.smoothing) == bool(step.emits or step.target)
        if not step.smoothing:
            assert step.emits_moduli and step.stride == 1
            continue
        # Every step halves the resolution once, in its wavelets or in what smooths.
        assert step.wavelet_stride * step.stride == (1 if step.emits and oversampled else 2)
        kind, _, generation = step.smoothing.partition("_")
        assert ("low" if step.emits else "carry") == kind
        assert len(groups[0]) == inputs[generation]
        what = "smoothed" if step.emits else "smooth"
        results = [
            name(what, step.smoothing, step.stride, o, tuple(group))
            for group in groups
            for o in range(outputs[kind])
        ]
        grid = strided(shape, step.stride)
        if step.emits:
            assert step.target is None and min(step.channels) >= 0
            emit(results, step.first, step.size, grid)
        else:
            assert not workspace.overlap(step.source, step.target), "reads what it overwrites"
            assert step.size == step.target.shape == grid == grid_of(plan, step.target.octave)
            assert step.target.octave == step.source.octave + 1 and step.first == (0, 0)
            assert step.emits_moduli or step.channels == ()
            workspace.write(step.target, results)
    assert workspace.end == plan.workspace.size
    assert sorted(channels) == list(range(plan.n_coefficients))
    return [channels[channel] for channel in range(plan.n_coefficients)]


def test_the_program_run_symbolically_is_the_definition():
    for plan in all_plans():
        name = Expressions()
        assert run_symbolically(plan, name) == by_definition(plan, name)


def test_only_moduli_on_the_way_to_a_channel_are_taken_and_each_once():
    for plan in all_plans():
        needed = {path.n[:length] for path in plan.paths for length in range(1, path.order + 1)}
        taken = sum(step.groups * len(step.orientations) for step in plan.steps)
        assert taken == len(needed)
        read = {step.source.buffer for step in plan.steps}
        assert {step.target.buffer for step in plan.steps if step.target} <= read
        if plan.outputs.average is not True and plan.outputs.paths is None:
            # The image is carried to the last octave, U1 as far as wavelets read it, U2 never.
            carried = [step.target.octave for step in plan.steps if step.target]
            J, L = plan.J, plan.architecture.orientations
            of_U1 = L * (J - 1) * (J - 2) // 2 if plan.max_order == 2 else 0
            of_images_moduli = len([s for s in plan.steps if s.target and s.wavelets])
            assert len(carried) - of_images_moduli == J - 1 + of_U1


def test_the_symbolic_workspace_notices_hazards():
    # Two maps of four samples, and other buffers placed across them.
    workspace = Workspace(10, (0, 6, 4, 3))
    pair, half, same = Maps(0, 0, 2, 2, 2, 0), Maps(1, 0, 1, 1, 2, 0), Maps(2, 0, 1, 2, 2, 0)
    with pytest.raises(AssertionError, match="before it was written"):
        workspace.read(pair)
    workspace.write(pair, [7, 8])
    assert workspace.read(pair) == [7, 8] and workspace.read(pair[1:2]) == [8]
    assert workspace.overlap(pair, half) and workspace.overlap(pair[1:], half)
    assert not workspace.overlap(pair[:1], half) and not workspace.overlap(pair[:1], pair[1:])
    workspace.write(half, [9])
    assert workspace.read(pair[:1]) == [7]
    with pytest.raises(ValueError):
        workspace.read(pair)
    workspace.write(same, [10])
    assert workspace.read(pair) == [7, 10]
    with pytest.raises(AssertionError):
        workspace.read(Maps(2, 0, 1, 4, 1, 0))  # another shape than was written
    workspace.write(Maps(3, 0, 1, 1, 6, 0), [11])
    with pytest.raises(AssertionError, match="half overwritten"):
        workspace.read(pair[1:])
    for beyond in (Maps(1, 0, 1, 1, 5, 0), Maps(1, 2, 1, 1, 2, 0)):
        with pytest.raises(AssertionError):
            workspace.write(beyond, [12])


def test_buffers_are_reused():
    for J in (2, 3, 4):
        plan = make_plan(J, (64, 64), Architecture(8, 4, 1, "carried"))
        image, *carried = (maps.count * maps.height * maps.width for maps in plan.buffers)
        assert image + sum(carried) > (J - 1) * plan.workspace.size
        # The padded image, the carried maps of its eight moduli (four each, at a quarter of the
        # samples), and not half as much for all below them.
        assert 9 * image <= plan.workspace.size < 12 * image
        # No modulus is stored: of full resolution there is the image alone.
        assert max(carried) == 8 * image
        assert [maps.shape for maps in plan.buffers].count(plan.padded_shape) == 1


def uses(plan):
    """Return, per buffer, the numbers of the first step that writes and the last that reads it."""
    read = {step.source.buffer: n for n, step in enumerate(plan.steps)}
    written = {plan.image.buffer: -1}
    for number, step in enumerate(plan.steps):
        if step.target:
            written.setdefault(step.target.buffer, number)
    return [(written[maps.buffer], read[maps.buffer]) for maps in plan.buffers]


PITCHES = {
    "no margin": lambda maps: maps.width,
    "rows of sixteen": lambda maps: -(-maps.width // 16) * 16,
    "margins": lambda maps: maps.width + 6,
    "anything": lambda maps: 1 + maps.buffer * 7919 % 31,
}


@pytest.mark.parametrize("pitch", PITCHES.values(), ids=PITCHES)
@pytest.mark.parametrize("stored", [True, False], ids=["image stored", "image not stored"])
def test_buffers_in_use_never_overlap_whatever_they_take(pitch, stored):
    for plan in all_plans():
        image = plan.image if stored else None
        space = lay_out_workspace(plan.steps, plan.buffers, image, pitch)
        buffers = [maps for maps in plan.buffers if stored or maps != plan.image]
        assert space.pitches == tuple(map(pitch, plan.buffers))
        spans = {
            maps.buffer: (space.offset(maps), space.offset(maps) + maps.count * space.plane(maps))
            for maps in buffers
        }
        in_use = uses(plan)
        for buffer, (start, end) in spans.items():
            others = [b for b in spans if b < buffer and in_use[b][1] >= in_use[buffer][0]]
            assert start >= 0
            assert all(end <= spans[b][0] or spans[b][1] <= start for b in others)
            # No hole before it would have held it.
            for lower in {0, *(spans[b][1] for b in others)}:
                upper = lower + end - start
                assert lower >= start or any(
                    lower < spans[b][1] and spans[b][0] < upper for b in others
                )
        assert space.size == max((end for _, end in spans.values()), default=0)


def test_maps_of_a_buffer_lie_one_after_the_other():
    plan = make_plan(3, (16, 24), Architecture(4, 3, 1, "carried"))
    space = lay_out_workspace(plan.steps, plan.buffers, plan.image, lambda maps: maps.width + 5)
    for maps in plan.buffers:
        assert space.pitch(maps) == maps.width + 5
        assert space.plane(maps) == maps.height * space.pitch(maps)
        for k in range(maps.count):
            assert space.offset(maps[k : k + 1]) == space.offset(maps) + k * space.plane(maps)


def test_the_peak_is_what_is_in_use_at_once():
    def samples(maps):
        return maps.count * maps.height * maps.width

    for plan in all_plans():
        assert lay_out_workspace(plan.steps, plan.buffers, plan.image) == plan.workspace
        in_use = [0] * (1 + len(plan.steps))
        for maps, (written, read) in zip(plan.buffers, uses(plan), strict=True):
            for number in range(written, read + 1):
                in_use[1 + number] += samples(maps)
        # Not one sample is lost between buffers; breadth first the image's may be.
        lost = plan.workspace.size - max(in_use)
        assert lost in ((0, samples(plan.buffers[0])) if plan.breadth_first else (0,))


@pytest.mark.parametrize("psi_stride", [1, 2])
@pytest.mark.parametrize("J", [2, 3, 4])
def test_rounds_compute_the_same_channels_in_less_workspace(J, psi_stride):
    name = Expressions()
    for max_order in (1, 2):
        design = Architecture(8, 4, psi_stride, "carried")
        plans = [make_plan(J, (32, 35), design, max_order, rounds=n) for n in (1, 2, 4, 16)]
        expected = by_definition(plans[0], name)
        for plan in plans:
            assert run_symbolically(plan, name) == expected
        one, two, four, sixteen = (plan.workspace.size for plan in plans)
        assert one > two > four
        assert 2 * four < one
        # At J = 2 no modulus of a modulus is stored, at order 1 there is none.
        assert sixteen < four if J > 2 and max_order == 2 else sixteen == four
        # Nothing else of the plan knows of them.
        same = {"rounds": 0, "steps": (), "buffers": (), "workspace": None}
        assert len({dataclasses.replace(plan, **same) for plan in plans}) == 1


def test_breadth_first_takes_two_or_three_steps_an_octave():
    for design, J in product(ARCHITECTURES, (1, 2, 3, 5)):
        for max_order in (1, 2):
            broad = make_plan(J, (64, 64), design, max_order, breadth_first=True)
            assert broad == make_plan(J, (64, 64), design, max_order).octave_by_octave()
            assert broad.breadth_first and broad.in_rounds(1).breadth_first is False
            kinds = [bool(step.wavelets) for step in broad.steps]
            # The wavelets, what carries their stacks on, and what carries on the others.
            others = [(max_order == 1 and octave >= 1) or octave >= 2 for octave in range(J)]
            expected = [
                kind
                for there in others
                for kind in ([True, False, False] if there else [True, False])
            ]
            assert kinds == expected
    with pytest.raises(ArgumentError, match=r"rounds=2: must be 1 if breadth_first"):
        make_plan(2, (64, 64), ARCHITECTURES[0], rounds=2, breadth_first=True)


@pytest.mark.parametrize("rounds", [1, 2, 3, 4, 8, 100])
@pytest.mark.parametrize("L", [2, 6, 8, 10])
def test_a_round_takes_mirror_images_together(L, rounds):
    plan = make_plan(3, (16, 16), Architecture(L, 3, 1, "carried"), rounds=rounds)
    name = Expressions()
    assert run_symbolically(plan, name) == by_definition(plan, name)
    wavelets = [step for step in plan.steps if step.wavelets]
    of_the_image = [step.orientations for step in wavelets if step.source == plan.buffers[0]]
    assert of_the_image == mirrored_orientations(L, rounds)
    # Rounds at two octaves of the image, a quarter as many at one of the moduli; none at the last.
    of_moduli = len(mirrored_orientations(L, max(1, rounds // 4)))
    assert len(wavelets) == 2 * len(of_the_image) + 1 + L * (of_moduli + 2)


def test_without_a_next_octave_there_are_no_rounds():
    for design in ARCHITECTURES:
        plans = [make_plan(1, (8, 9), design, rounds=rounds) for rounds in (1, 2, 4)]
        assert len({dataclasses.replace(plan, rounds=1) for plan in plans}) == 1


@pytest.mark.parametrize("rounds", [1, 2, 4])
@pytest.mark.parametrize("max_order", [1, 2])
def test_a_step_emits_its_groups_in_order(max_order, rounds):
    plan = make_plan(3, (16, 16), Architecture(8, 4, 1, "carried"), max_order, rounds=rounds)
    emits = [step for step in plan.steps if step.emits]
    for step in emits:
        paths = [plan.paths[channel] for channel in step.channels]
        assert list(step.channels) == sorted(step.channels)
        assert len({path.j for path in paths}) == 1
        if step.wavelets:
            # The last wavelet of each path is the step's own: all those of one group follow.
            assert [path.theta[-1] for path in paths] == [*step.orientations] * step.groups
            assert {path.j[-1] for path in paths} == {plan.J - 1}
            assert len({path.theta[:-1] for path in paths}) == step.groups
        else:
            assert len(paths) == step.groups
            assert all(path.j[-1:] < (plan.J - 1,) for path in paths)
    assert sorted(c for step in emits for c in step.channels) == list(range(plan.n_coefficients))


def test_the_moduli_have_the_shape_their_stride_leaves():
    # Under "zero" sides may be odd: here six zeros go before 35 rows, and none before 16 columns.
    for stride, shapes in [
        (1, [(41, 16), (21, 8), (11, 4)]),
        (2, [(21, 8), (11, 4), (6, 2)]),
    ]:
        plan = make_plan(3, (35, 16), Architecture(2, 1, stride, "carried"), 1, "zero")
        moduli = [step for step in plan.steps if step.wavelets]
        assert [step.modulus_shape for step in moduli] == shapes
        for step in plan.steps:
            assert step.wavelets or step.modulus_shape == step.source.shape


def test_maps_are_sliced_like_a_list():
    maps = Maps(3, 10, 8, 4, 5, 1)
    for start, stop in product((None, 0, 2, 5, -3), (None, 5, 7, 8, 9, -1)):
        places = list(range(10, 18))[start:stop]
        part = maps[start:stop]
        assert list(range(part.first, part.first + part.count)) == places
        assert (part.buffer, part.shape, part.octave) == (3, (4, 5), 1)
    assert maps[2:7][1:3] == maps[3:5] == Maps(3, 13, 2, 4, 5, 1)


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
    integers = np.int64(2), np.array([8, 9]), ARCHITECTURES[1], np.uint8(2)
    for plan in [*all_plans(), make_plan(*integers, rounds=np.int8(2))]:
        for leaf in leaves(plan):
            assert leaf is None or type(leaf) in (int, str, bool)
        hash(plan)
        assert plan == dataclasses.replace(plan)
        with pytest.raises(dataclasses.FrozenInstanceError):
            plan.J = 1


def test_the_same_arguments_make_the_same_plan():
    plans = list(all_plans())
    planner._make_plan.cache_clear()
    again = list(all_plans())
    assert plans == again
    names = [field.name for field in dataclasses.fields(plans[0])]
    for plan, same in zip(plans, again, strict=True):
        assert all(repr(getattr(plan, name)) == repr(getattr(same, name)) for name in names)


@pytest.mark.parametrize("pre_pad", [False, True])
def test_padded_sizes_are_kymatios(pre_pad):
    design = Architecture(2, 1, 1, "carried")
    for H, W in zip(range(2, 71), range(70, 1, -1), strict=True):
        for J in range(1, min(H, W).bit_length()):
            plan = make_plan(J, (H, W), design, 1, pre_pad=pre_pad)
            padded = compute_padding(H, W, J)
            assert plan.padded_shape == padded
            assert plan.input_shape == (padded if pre_pad else (H, W))
            assert plan.output_shape == (1 + 2 * J, H // 2**J, W // 2**J)
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
            (emit,) = (step for step in plan.steps if 0 in step.channels)
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
        ((1, (8, 8), design, 2, "zero", False, 0), "rounds=0: .*at least 1; "),
        ((1, (8, 8), design, 2, "zero", False, np.int64(-2)), "rounds=-2: .*at least 1; "),
    ]:
        with pytest.raises(ArgumentError, match=r"^" + message):
            make_plan(*arguments)
    for arguments, message in [
        ((True, (8, 8), design), "J=True: "),
        ((1, 8, design), "shape=8: "),
        ((1, ("8", 8), design), r"shape\[0\]='8': "),
        ((1, (8, 8), design, 1.0), "max_order=1.0: "),
        *(
            ((1, (8, 8), design, 2, "zero", False, rounds), f"rounds={rounds!r}: .*an integer; ")
            for rounds in (2.0, True, "2", None, 1j)
        ),
    ]:
        with pytest.raises(ArgumentTypeError, match=r"^" + message):
            make_plan(*arguments)
