"""Generated headers, compiled and run: the float ones' values, and every bit of the Q15 ones'."""

import math
import re
from functools import cache, lru_cache

import numpy as np
import pytest
from banks import bank_of

from cexport import generate, simulate_q15
from cexport.integer_bank import IntegerBank
from cexport.quantization import Quantization
from npscatter import Scattering2D, list_banks
from npscatter.program.padding import BOUNDARIES
from npscatter.program.plan import make_plan
from npscatter.program.steps import WEIGHT_ARRAYS
from npscatter.program.symmetry import orientation_action

# Sides odd, not multiples of 2^J, the smallest possible, far from square; each in both dtypes.
CASES = [
    ("accurate", 1, (2, 3), {}),
    ("accurate", 2, (32, 32), {}),
    ("accurate", 3, (8, 11), {"rounds": 4}),
    ("accurate-L4", 4, (16, 21), {"rounds": 8}),
    ("accurate", 2, (7, 30), {"max_order": 1, "boundary": "zero"}),
    ("accurate-L4", 2, (9, 14), {"boundary": "zero", "rounds": 2}),
    ("accurate-L4", 3, (16, 24), {"boundary": "periodic"}),
    ("accurate-L6", 2, (8, 12), {"boundary": "periodic", "rounds": 3}),
    ("accurate-L6", 3, (29, 8), {"max_order": 1}),
    ("fast", 3, (10, 12), {"rounds": 2}),
    ("fast-L4", 4, (16, 19), {}),
    ("fast-L6", 2, (7, 12), {"boundary": "zero"}),
    ("paper", 2, (32, 32), {}),
    ("paper", 3, (9, 17), {"rounds": 4}),
    ("paper", 1, (5, 3), {"boundary": "kymatio"}),
    ("paper-tuned", 2, (19, 8), {"max_order": 1}),
    ("paper-tuned", 4, (16, 35), {"rounds": 2}),
    ("paper-tuned", 2, (16, 8), {"boundary": "periodic"}),
    ("paper-tuned", 2, (9, 14), {"boundary": "zero", "rounds": 2}),
    ("free L=4 R=1", 2, (4, 4), {"boundary": "periodic"}),
    ("free L=4 R=1", 3, (13, 8), {"boundary": "zero", "rounds": 2}),
    ("free L=2 R=3", 2, (5, 7), {}),
    ("free L=4 R=4", 4, (16, 16), {"boundary": "periodic", "rounds": 2}),
    ("free L=4 R=4", 1, (3, 70), {"boundary": "zero", "max_order": 1}),
    ("free, one tap", 3, (9, 8), {}),
    ("free, strided wavelets", 3, (11, 10), {"boundary": "zero"}),
    ("free, weights per octave", 3, (10, 9), {}),
    ("symmetric L=8 R=1", 3, (16, 24), {"boundary": "periodic"}),
    ("symmetric L=6 R=3", 2, (33, 6), {"rounds": 3}),
    ("symmetric L=4 R=4", 3, (8, 9), {"boundary": "zero", "rounds": 4}),
    ("paper shape", 2, (6, 7), {}),
    ("paper shape", 3, (35, 16), {"max_order": 1}),
    ("zeros", 3, (9, 10), {}),
    ("accurate-L4", 2, (9, 13), {"boundary": "symmetric"}),
    ("fast-L4", 3, (8, 11), {"boundary": "constant", "rounds": 2}),
]
DTYPES = ("float", "q15")
# Optimized, but so that compilers are done soon; test_compile.py has them do their most.
FLAGS = ("-O1",)
ROUNDED = ["accurate", "accurate-L4", "symmetric L=6 R=3", "free L=4 R=1", "fast-L4"]


@pytest.fixture(scope="session")
def exported(compiled, toy_bank):
    """Return the function that generates a case's header and compiles it."""

    @cache
    def export(name, J, shape, dtype, options=()):
        text = generate(bank_of(name), J, shape, dtype=dtype, **dict(options))
        return compiled(text, dtype, FLAGS)

    return lambda name, J, shape, dtype, **options: export(
        name, J, shape, dtype, tuple(sorted(options.items()))
    )


@pytest.fixture(scope="session")
def simulated(toy_bank):
    """Return the function that gives a case's images, their coefficients, and the exponents.

    The last four images are white noise.
    """

    @cache
    def simulate(name, J, shape, options):
        noise = np.random.default_rng(3).integers(0, 256, (4, *shape), np.uint8)
        images = np.concatenate([pixels_of(shape), noise])
        return images, *simulate_q15(images, bank_of(name), J, **dict(options))

    return lambda name, J, shape, **options: simulate(
        name, J, shape, tuple(sorted(without_rounds(options).items()))
    )


def transform(bank, J, shape, options):
    """Return the NumPy transform, which knows nothing of rounds."""
    options = without_rounds(options)
    return Scattering2D(J, shape, L=bank.L, bank=bank, backend="numpy", **options)


def without_rounds(options):
    return {key: value for key, value in options.items() if key != "rounds"}


def pixels_of(shape, seed=0):
    """Return 8-bit images: random, smooth, faint, sparse, and the most contrast there is."""
    generator = np.random.default_rng(seed)
    y, x = np.indices(shape)
    extremes = (y + x) % 2, y % 2, x // 2 % 2, (y // 2 + x // 2) % 2, np.ones(shape)
    return np.stack(
        [
            generator.integers(0, 256, shape),
            127 + 127 * np.sin(y / 3.1) * np.cos(x / 4.7),
            generator.integers(100, 103, shape),
            255 * (generator.random(shape) < 0.1),
            255 * (generator.random(shape) < 0.5),
            *(255 * extreme for extreme in extremes),
        ]
    ).astype(np.uint8)


def identify(case):
    name, J, shape, options = case
    words = [f"J={J}", "x".join(map(str, shape)), *(f"{k}={v}" for k, v in options.items())]
    return "-".join([name.replace(" ", "-"), *words])


def every_case(**wanted):
    """Parametrize with the cases whose options are as wanted."""
    some = [case for case in CASES if wanted.items() <= case[3].items()]
    return pytest.mark.parametrize(
        ("name", "J", "shape", "options"), some, ids=[identify(case) for case in some]
    )


def test_the_cases_cover_what_can_be_chosen(toy_bank):
    names, J, _, options = zip(*CASES, strict=True)
    assert set(names) > set(list_banks()) and set(J) == {1, 2, 3, 4}
    boundaries = {
        option.get("boundary", bank_of(name).boundary)
        for name, option in zip(names, options, strict=True)
    }
    assert boundaries == set(BOUNDARIES)
    assert {option.get("max_order", 2) for option in options} == {1, 2}
    assert {1, 2, 4, 8} <= {option.get("rounds", 1) for option in options}


@every_case()
def test_float_coefficients_are_those_in_double_precision(exported, name, J, shape, options):
    S = transform(bank_of(name), J, shape, options)
    header = exported(name, J, shape, "float", **options)
    generator = np.random.default_rng(1)
    images = [*pixels_of(shape)[:5], generator.normal(size=shape)]
    images = np.array(images, np.float32)
    actual = header(images, S.plan.output_shape[1:])
    expected = S(images.astype(np.float64))
    for order in set(S.meta()["order"].tolist()):
        channels = S.meta()["order"] == order
        wanted = expected[:, channels]
        error = np.linalg.norm(actual[:, channels] - wanted)
        assert error <= 2e-6 * np.linalg.norm(wanted)
        # Every channel on its own: none is lost among large ones.
        error = np.abs(actual[:, channels] - wanted).max((0, 2, 3))
        assert (error <= 2e-5 * np.abs(wanted).max()).all()
    assert header.selftest() == 0


@every_case()
def test_q15_coefficients_are_the_simulations_to_the_bit(
    exported, simulated, name, J, shape, options
):
    bank = bank_of(name)
    S = transform(bank, J, shape, options)
    header = exported(name, J, shape, "q15", **options)
    images, expected, exponents = simulated(name, J, shape, **options)
    assert expected.dtype == np.int16
    assert expected.shape == (len(images), *S.output_shape)
    assert np.array_equal(header(images, S.plan.output_shape[1:]), expected)
    assert list(header.lib.nps_exponents) == list(exponents)
    assert header.selftest() == 0


@every_case()
def test_q15_coefficients_are_near_those_in_double_precision(simulated, name, J, shape, options):
    """What the C equals must also be the transform: 30 dB and more per order, on white noise."""
    bank = bank_of(name)
    S = transform(bank, J, shape, options)
    images, coefficients, exponents = simulated(name, J, shape, **options)
    images, coefficients = images[-4:], coefficients[-4:]
    exact = S(images.astype(np.float64))
    error = coefficients * 2.0 ** -exponents[:, None, None] - exact
    for order in set(S.meta()["order"].tolist()):
        channels = S.meta()["order"] == order
        signal, noise = (np.linalg.norm(part[:, channels]) for part in (exact, error))
        assert noise <= 10 ** (-30 / 20) * signal


@pytest.mark.parametrize("dtype", DTYPES)
@every_case()
def test_paths_are_those_of_meta(exported, name, J, shape, options, dtype):
    meta = transform(bank_of(name), J, shape, options).meta()
    interleaved = np.stack([meta["j"], meta["theta"]], -1).reshape(-1, 4)
    header = exported(name, J, shape, dtype, **options)
    assert np.array_equal(header.paths, interleaved)


def test_values_are_coefficients_over_powers_of_two(exported):
    fixed = exported("accurate", 2, (32, 32), "q15")
    for channel, exponent in enumerate(fixed.lib.nps_exponents):
        for coefficient in (-32768, -32767, -1, 0, 1, 3, 32767):
            value = fixed.lib.nps_value(channel, coefficient)
            assert value == coefficient / 2**exponent
    floating = exported("accurate", 2, (32, 32), "float")
    assert floating.lib.nps_value(5, 0.75) == 0.75


@pytest.mark.parametrize(
    ("name", "boundary"),
    list(zip(ROUNDED, BOUNDARIES, strict=True)),
)
def test_rounds_change_no_q15_coefficient(exported, name, boundary):
    images = pixels_of((16, 8), 5)
    headers = [
        exported(name, 3, (16, 8), "q15", boundary=boundary, rounds=rounds) for rounds in (1, 4, 8)
    ]
    once, *others = (header(images, (2, 1)) for header in headers)
    assert all(np.array_equal(other, once) for other in others)
    exponents = {tuple(header.lib.nps_exponents) for header in headers}
    assert len(exponents) == 1
    sizes = [header.lib.NPS_SCRATCH_BYTES for header in headers]
    assert sizes == sorted(sizes, reverse=True) and sizes[-1] < sizes[0]


# Laws


@pytest.mark.parametrize(("J", "shape"), [(1, (2, 3)), (2, (32, 32)), (3, (8, 11))])
def test_constants_have_an_average_and_nothing_else(exported, J, shape):
    options = {} if J < 3 else {"rounds": 4}
    header = exported("accurate", J, shape, "q15", **options)
    constants = np.arange(256)
    images = np.broadcast_to(constants[:, None, None], (256, *shape)).astype(np.uint8)
    coefficients = header(images, (shape[0] >> J, shape[1] >> J))
    scale = 2.0 ** header.lib.nps_exponents[0]
    assert np.array_equal(coefficients[:, 0] / scale, images[:, : shape[0] >> J, : shape[1] >> J])
    assert not coefficients[:, 1:].any()


def moved(paths, L, generators):
    """Return the channel that each channel becomes, and whether some wavelet is conjugated."""
    number = {tuple(path): channel for channel, path in enumerate(paths.tolist())}
    channels, conjugated = np.arange(len(paths)), np.zeros(len(paths), bool)
    for generator in generators:
        image, conjugate = orientation_action(generator, L)
        target = []
        for path in paths[channels].tolist():
            turned = [(j, image[t] if t >= 0 else -1) for j, t in (path[:2], path[2:])]
            target.append(number[tuple(int(n) for pair in turned for n in pair)])
        theta = paths[channels][:, 1::2]
        conjugated ^= ((theta >= 0) & conjugate[theta]).any(1)
        channels = np.array(target)
    return channels, conjugated


@pytest.mark.parametrize("axis", [-1, -2], ids=["left-right", "up-down"])
@pytest.mark.parametrize(
    ("name", "J", "shape"),
    [
        ("symmetric L=8 R=1", 3, (16, 24)),
        ("paper-tuned", 2, (16, 8)),
        ("accurate-L4", 3, (16, 24)),
        ("accurate-L6", 2, (8, 12)),
    ],
)
def test_mirrored_images_have_mirrored_coefficients(exported, name, J, shape, axis):
    """Mirrors about pixel 0 keep the grid, and mirrored filters have mirrored integers.

    What the mirror leaves as it is has the same bits. Where it negates a sum (the imaginary part
    of a wavelet it conjugates, a derivative across it), rounding halves upwards is another
    rounding, so there some numbers differ by the last place of what they pass through. All
    carriers are even for R = 1, so channels without conjugated wavelets keep every bit then.
    """
    bank = bank_of(name)
    options = {"boundary": "periodic"}
    options |= {"rounds": 3} if name == "accurate-L6" else {}
    header = exported(name, J, shape, "q15", **options)
    size = (shape[0] >> J, shape[1] >> J)

    def mirrored(maps):
        return np.roll(np.flip(maps, axis), 1, axis)

    images = np.concatenate([pixels_of(shape, seed) for seed in range(5)])
    before, after = header(images, size), header(mirrored(images), size)
    generators = ("flip",) if axis == -2 else ("transpose", "flip", "transpose")
    channels, conjugated = moved(header.paths, bank.L, generators)
    assert sorted(channels) == list(range(len(channels)))
    difference = after[:, channels].astype(int) - mirrored(before)
    if bank.R == 1:
        assert (~conjugated).sum() > 2 or axis == -2
        assert not difference[:, ~conjugated].any()
    assert np.abs(difference).max() <= 2
    assert (difference != 0).mean() < 0.2


# The self-test


@lru_cache
def text_to_alter(dtype):
    return generate("accurate-L4", 3, (16, 24), dtype=dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("key", list(WEIGHT_ARRAYS))
def test_the_selftest_sees_one_altered_weight(compiled, dtype, key):
    """The largest weight of an array: one more in Q15, one in a hundred more in floating point."""
    text = text_to_alter(dtype)
    # The last of two orders, which is that of processors without pairs.
    *_, table = re.finditer(rf"nps_{key}(_by_\d)?_weights\[\d+\] = \{{\n", text)
    start = table.end()
    end = text.index("}", start)
    weights = text[start:end].split(",")
    values = [float(w.strip().rstrip("f") or 0) for w in weights]
    largest = int(np.argmax(np.abs(values)))
    value = values[largest]
    weights[largest] = f" {int(value) + 1}" if dtype == "q15" else f" {1.01 * value:.9g}f"
    altered = text[:start] + ",".join(weights) + text[end:]
    assert altered != text
    assert compiled(text, dtype, FLAGS).selftest() == 0
    assert compiled(altered, dtype, FLAGS).selftest() > 0


# The simulation itself, against the definition


def q15_oracle(image, quantization):
    """Return the Q15 coefficients of one image, a list of maps per channel, in plain integers.

    The recursion of `npscatter.program.plan`, as in tests/oracle.py; the shifts are looked up by
    what they are for, see `shifts_by_path`.
    """
    plan, design = quantization.plan, quantization.plan.architecture
    J, wrap = plan.J, plan.edge == "wrap"
    of_modulus, of_smoothing = shifts_by_path(quantization)
    raw = [
        [0 if y < 0 or x < 0 else 64 * int(image[y][x]) for x in plan.columns] for y in plan.rows
    ]
    results = {}

    def taps(role, level, octave):
        first = octave == (level if design.next_from == "carried" else 0)
        return quantization.integers.filters[f"{role}_{'first' if first else 'next'}"].taps.tolist()

    def smoothed(path, u, octave, role, level):
        stride = 1 if design.psi_stride == 2 and path and octave == level else 2
        maps = carried(path, u, octave, level)
        shifts = of_smoothing[path, octave]
        sums = integer_correlation(maps, taps(role, level, octave), stride, wrap)
        return [
            [[rounded_shift(value, shift) for value in row] for row in rows]
            for rows, shift in zip(sums, shifts, strict=True)
        ]

    def carried(path, u, octave, level):
        return [u] if octave == level else smoothed(path, u, octave - 1, "carry", level)

    def descend(path, u, level):
        (smooth,) = smoothed(path, u, J - 1, "low", level)
        emits = next(step for step in plan.steps if step.emits)
        (top, left), (height, width) = emits.first, emits.size
        results[path] = [row[left : left + width] for row in smooth[top : top + height]]
        if len(path) == plan.max_order:
            return
        for octave in range(level + (len(path) > 0), J):
            maps = carried(path, u, octave, level)
            parts = integer_correlation(maps, taps("psi", level, octave), design.psi_stride, wrap)
            for theta in range(design.orientations):
                longer = (*path, (octave, theta))
                shift = of_modulus[longer] - 1
                both = parts[theta], parts[theta + design.orientations]
                modulus = [
                    [
                        (
                            rounded_root(
                                rounded_shift(re, shift) ** 2 + rounded_shift(im, shift) ** 2
                            )
                            + 1
                        )
                        // 2
                        for re, im in zip(*rows, strict=True)
                    ]
                    for rows in zip(*both, strict=True)
                ]
                descend(longer, modulus, octave)

    descend((), raw, 0)
    ordered = [tuple(zip(path.j, path.theta, strict=True)) for path in plan.paths]
    return [results[path] for path in ordered]


def shifts_by_path(quantization):
    """Return the shifts of every modulus, by path, and of every smoothing, by (path, octave).

    Paths are tuples of (octave, theta), found by following the program from buffer to buffer.
    """
    plan = quantization.plan
    of_modulus, of_smoothing, held = {}, {}, {}
    held[plan.image.buffer] = [()], 0
    for step, shifts in zip(plan.steps, quantization.shifts, strict=True):
        paths, octave = held[step.source.buffer]
        each = plan.buffers[step.source.buffer].count // len(paths)
        first = step.source.first // each
        paths = paths[first : first + step.groups]
        if step.wavelets:
            paths = [(*path, (octave, theta)) for path in paths for theta in step.orientations]
            of_modulus.update(zip(paths, shifts.modulus, strict=True))
        count = len(shifts.smoothing) // len(paths)
        for number, path in enumerate(paths):
            of_smoothing[path, octave] = shifts.smoothing[count * number :][:count]
        if step.target:
            held[step.target.buffer] = paths, octave + 1
    return of_modulus, of_smoothing


def integer_correlation(maps, taps, stride, wrap):
    """Return the correlations as in tests/oracle.py, proving that none leaves 32 bits."""
    height, width, K = len(maps[0]), len(maps[0][0]), len(taps[0][0])
    assert all(-32768 <= value <= 32767 for rows in maps for row in rows for value in row)
    results = []
    for kernels in taps:
        rows = []
        for y in range(0, height, stride):
            rows.append([])
            for x in range(0, width, stride):
                total = 0
                for i, a, b in np.ndindex(len(maps), K, K):
                    row, column = y + a - K // 2, x + b - K // 2
                    if wrap:
                        row, column = row % height, column % width
                    if 0 <= row < height and 0 <= column < width:
                        total += kernels[i][a][b] * maps[i][row][column]
                        assert abs(total) < 2**31 - 2**15
                rows[-1].append(total)
        results.append(rows)
    return results


def rounded_shift(value, shift):
    return (2 * value + 2**shift) // 2 ** (shift + 1)


def rounded_root(square):
    return (math.isqrt(4 * square) + 1) // 2


@pytest.mark.parametrize(
    ("name", "J", "shape", "options"),
    [
        ("free L=2 R=3", 1, (6, 7), {}),
        ("free L=2 R=3", 2, (6, 7), {}),
        ("free L=2 R=3", 2, (6, 7), {"boundary": "zero"}),
        ("paper shape", 2, (6, 7), {}),
    ],
)
def test_q15_coefficients_are_those_of_the_definition(exported, name, J, shape, options):
    bank = bank_of(name)
    boundary = options.get("boundary", bank.boundary)
    plan = make_plan(J, shape, bank.architecture, 2, boundary)
    image = pixels_of(shape, 4)[0]
    expected = np.array(q15_oracle(image.tolist(), Quantization(plan, IntegerBank(bank))))
    simulated, _ = simulate_q15(image, bank, J, **options)
    assert np.array_equal(simulated, expected)
    header = exported(name, J, shape, "q15", **options)
    assert np.array_equal(header(image[None], plan.output_shape[1:])[0], expected)
    assert (np.abs(expected).max((1, 2)) > 10).all()
