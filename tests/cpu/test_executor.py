"""The compiled executor: equal to NumPy's to rounding, and to itself to the bit."""

import _thread
import threading
import time
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle, product

import numpy as np
import pytest
from banks import bank_of
from cases import by_definition
from tolerances import assert_equal_by_order

from npscatter import FilterBank, Scattering2D, list_banks
from npscatter.backends.cpu import executor
from npscatter.backends.cpu.executor import (
    DEFAULT,
    KeptMemory,
    Limits,
    choose,
    cut_steps,
    execute,
    is_worth_sharing,
    run_layout,
    useful_threads,
)
from npscatter.backends.cpu.geometry import columns_by_octave
from npscatter.backends.cpu.layout import CpuLayout, lay_out
from npscatter.backends.cpu.simd import vector_bytes
from npscatter.program.padding import BOUNDARIES

ARCHITECTURES = [
    "symmetric L=2 R=1",
    "symmetric L=4 R=3",
    "symmetric L=6 R=4 K=9",
    "free L=4 R=2",
    "free, one tap",
    "free, strided wavelets",
    "free, weights per octave",
    "paper shape",
    "empty",
]
# Sides odd, not multiples of 2^J, the smallest possible, far from square.
CASES = [
    (1, (2, 3), {}),
    (1, (2, 2), {"boundary": "periodic"}),
    (1, (9, 5), {"boundary": "zero", "pre_pad": True}),
    (1, (3, 70), {"max_order": 1}),
    (2, (4, 4), {}),
    (2, (5, 7), {"boundary": "zero"}),
    (2, (4, 16), {"boundary": "periodic", "max_order": 1}),
    (2, (37, 18), {"pre_pad": True}),
    (3, (8, 11), {}),
    (3, (16, 40), {"boundary": "periodic"}),
    (3, (29, 8), {"boundary": "zero"}),
    (4, (16, 21), {}),
    (4, (35, 16), {"boundary": "zero", "max_order": 1}),
    (4, (16, 32), {"boundary": "periodic"}),
]
DTYPES = [np.float32, np.float64]
# Limits by which all is cut as finely as can be, and shared by all threads.
FINEST = {"work_per_thread": 1, "work_per_part": 1, "work_per_step": 0, "rows_per_part": 1}


def lanes(dtype):
    return vector_bytes() // np.dtype(dtype).itemsize


def images_of(S, *batch, dtype=np.float64, seed=0):
    generator = np.random.default_rng(seed)
    return generator.normal(size=(*batch, *S.plan.input_shape)).astype(dtype)


def assert_close(actual, expected, S, image):
    assert actual.dtype == image.dtype
    assert_equal_by_order(actual, expected, S, image)


def execute_with(S, images, limits, threads=1):
    """Return coefficients that are computed within other limits."""
    output = np.empty((*images.shape[:-2], *S.output_shape), np.result_type(images, np.float32))
    execute(S.plan, S.bank, images, output, threads, limits)
    return output


def run_side_by_side(S, images, images_per_vector, limits=DEFAULT, threads=2):
    """Return coefficients for which so many images shared vectors, whatever would be chosen."""
    output = np.empty((*images.shape[:-2], *S.output_shape), images.dtype)
    layout = lay_out(S.plan, S.bank, images.dtype.name, images_per_vector)
    run_layout(layout, images, output, threads, limits)
    return output


# The same numbers as NumPy's


# Toys of every architecture and every shipped bank, each in one of the types; one in both.
@pytest.mark.parametrize(
    ("name", "dtype"),
    [*zip([*ARCHITECTURES, *list_banks()], cycle(DTYPES), strict=False), ("accurate", np.float32)],
)
def test_equals_numpy_and_each_image_its_own(name, dtype):
    bank = bank_of(name)
    for J, shape, options in CASES:
        options = {"L": bank.L, "bank": bank, "boundary": "kymatio", **options}
        S = Scattering2D(J, shape, threads=2, **options)
        N = Scattering2D(J, shape, backend="numpy", **options)
        assert S.backend == "numba"
        images = images_of(S, lanes(dtype) + 3, dtype=dtype)
        alone = [S(image) for image in images]
        assert_close(alone[0], N(images[0].astype(np.float64)), S, images[0])
        assert np.array_equal(S(images), np.stack(alone))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("boundary", ["kymatio", "zero"])
@pytest.mark.parametrize("name", ["symmetric L=4 R=3", "free, strided wavelets", "paper shape"])
def test_wide_and_tall_images_equal_numpys(name, boundary, dtype):
    bank = bank_of(name)
    for shape in ((20, 1500), (700, 9)):
        S = Scattering2D(2, shape, L=4, bank=bank, boundary=boundary)
        N = Scattering2D(2, shape, L=4, bank=bank, boundary=boundary, backend="numpy")
        image = images_of(S, dtype=dtype)
        assert_close(S(image), N(image.astype(np.float64)), S, image)


@pytest.mark.parametrize("J", [2, 4, 5])
def test_rounding_errors_are_no_larger_than_numpys(J):
    """At a photograph's ranges, a mean above the detail, where orders of addition matter most."""
    S = Scattering2D(J, (64, 72))
    N = Scattering2D(J, (64, 72), backend="numpy")
    image = (10 + images_of(S)).astype(np.float32)
    exact, order = N(image.astype(np.float64)), S.meta()["order"]
    for o in range(3):
        ours, numpys = (((T(image) - exact)[order == o] ** 2).mean() ** 0.5 for T in (S, N))
        assert ours <= 2 * numpys


@pytest.mark.parametrize("boundary", ["kymatio", "zero", "periodic"])
@pytest.mark.parametrize("name", ["symmetric L=4 R=3", "free L=4 R=2", "free, weights per octave"])
def test_batches_equal_the_definition(name, boundary):
    bank = bank_of(name)
    S = Scattering2D(2, (8, 12), L=4, bank=bank, boundary=boundary)
    images = images_of(S, lanes(float) + 1)
    actual = S(images)
    for index in (0, len(images) - 2, len(images) - 1):
        expected = by_definition(images[index], bank, 2, boundary=boundary)
        assert_close(actual[index], expected, S, images[index])


@pytest.mark.parametrize("boundary", ["kymatio", "zero", "periodic"])
@pytest.mark.parametrize("name", ["symmetric L=4 R=3", "paper shape"])
def test_rows_cut_anew_between_octaves(name, boundary):
    """Of one image: strips of its coarse octaves are not halves of the finer ones'."""
    S = Scattering2D(6, (64, 320), L=4, bank=bank_of(name), boundary=boundary)
    N = Scattering2D(6, (64, 320), L=4, bank=bank_of(name), boundary=boundary, backend="numpy")
    image = images_of(S)
    expected = N(image)
    cut = []
    for images_per_vector in (1 << k for k in range(lanes(float).bit_length())):
        layout = lay_out(S.plan, S.bank, "float64", images_per_vector)
        cut.append(layout.steps["recut_plane"].any())
        images = np.stack([image] * images_per_vector)
        for actual in run_side_by_side(S, images, images_per_vector):
            assert_close(actual, expected, S, image)
    assert cut[0] and not cut[-1]


@pytest.mark.parametrize("strips", [1, 2, 4, 8, 16])
def test_strips_are_even_and_hardly_wider_than_need_be(strips):
    for J, width in product(range(1, 9), (1, 3, 40, 240, 768, 1000, 2080)):
        width *= 2**J
        columns = columns_by_octave(width, J, strips)
        assert len(columns) == J
        for octave, own in enumerate(columns):
            least = 2 * -(-width // (2 * strips << octave))
            assert own % 2 == 0 and least <= own <= max(9 / 8 * least, least + 4)
        if strips == 1:
            assert columns == [width >> octave for octave in range(J)]


# The same bits, however the work is shared


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("J", "shape"), [(1, (2, 3)), (2, (9, 14)), (3, (8, 37)), (4, (16, 130))])
@pytest.mark.parametrize("name", ["symmetric L=4 R=3", "free, strided wavelets"])
def test_images_side_by_side_have_the_bits_of_each_alone(toy_bank, name, J, shape, dtype):
    S = Scattering2D(J, shape, L=4, bank=bank_of(name), threads=2)
    width = lanes(dtype)
    images = images_of(S, 2 * width + 1, dtype=dtype)
    alone = np.stack([S(image) for image in images])
    for together in (1 << k for k in range(width.bit_length())):
        for count in {1, 2, together - 1, together, together + 1, 2 * width + 1} - {0}:
            for some in (slice(count), slice(-count, None)):
                assert np.array_equal(run_side_by_side(S, images[some], together), alone[some])


@pytest.mark.parametrize("batch", [(), (1,), (2, 3), (3, 1, 7), (0,), (4, 0)])
def test_any_leading_shape(toy_bank, batch):
    S = Scattering2D(2, (9, 14), L=4, bank=toy_bank("free", 4, 2), threads=3)
    images = images_of(S, *batch)
    coefficients = S(images)
    assert coefficients.shape == (*batch, *S.output_shape)
    for index in np.ndindex(*batch):
        assert np.array_equal(coefficients[index], S(images[index]))


@pytest.mark.parametrize("dtype", ["uint8", "int64", "float16", ">f4", ">f8", "bool"])
def test_large_batches_are_converted_some_at_a_time(toy_bank, dtype):
    S = Scattering2D(3, (130, 120), max_order=1, L=4, bank=toy_bank("free", 4, 2), threads=1)
    images = (100 * images_of(S, 3, 13)).astype(dtype).swapaxes(0, 1)
    plain = images.astype(np.result_type(images.dtype.newbyteorder("="), np.float32))
    assert np.array_equal(S(images), S(plain))
    assert np.array_equal(S(images[4:5, :, ::-1]), S(plain[4:5, :, ::-1]))


@pytest.mark.parametrize("boundary", ["kymatio", "zero", "periodic"])
@pytest.mark.parametrize("name", ["symmetric L=6 R=4 K=9", "free, strided wavelets"])
def test_bits_depend_neither_on_threads_nor_on_parts(toy_bank, name, boundary):
    bank = bank_of(name)
    S = Scattering2D(3, (48, 24), L=bank.L, bank=bank, boundary=boundary, threads=1)
    images = images_of(S, 7, dtype=np.float32)
    expected = np.stack([S(image) for image in images])
    # Images whole or in parts, and coming back to Python after every part or never.
    for settings in (
        {},
        FINEST,
        {**FINEST, "rows_per_part": 5, "work_per_turn": 1},
        {"work_per_turn": 1},
    ):
        for threads, together in product((1, 2, 3, 5), (1, 4)):
            for some in (slice(None), slice(2), 4):
                actual = run_side_by_side(S, images[some], together, Limits(**settings), threads)
                assert np.array_equal(actual, expected[some])
    layout = lay_out(S.plan, bank, "float32", 1)
    assert len(cut_steps(layout, 5, Limits(**FINEST))) > 5 * len(layout.steps)


@pytest.mark.parametrize(
    ("boundary", "name"),
    [("kymatio", "accurate"), ("zero", "accurate"), ("kymatio", "symmetric L=6 R=3")],
)
def test_rounds_of_orientations_change_no_bit(boundary, name):
    bank = bank_of(name)
    S = Scattering2D(3, (33, 40), L=bank.L, bank=bank, boundary=boundary)
    image = images_of(S, dtype=np.float32)
    expected, rounds = S(image), set()
    for limits in (Limits(memory=2**k) for k in range(14, 24)):
        rounds.add(choose(S.plan, S.bank, "float32", 1, 1, limits=limits).plan.rounds)
        assert np.array_equal(execute_with(S, image, limits), expected)
    assert len(rounds) > 1


def test_runs_repeat():
    S = Scattering2D(2, (64, 65), L=6, bank=bank_of("symmetric L=6 R=4 K=9"), threads=3)
    images = images_of(S, 40)
    expected = S(images)
    for _ in range(20):
        assert np.array_equal(S(images), expected)


# NaN and infinity


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ["free L=4 R=2", "accurate"])
def test_nan_and_infinity_reach_as_far_as_numpys_and_no_other_image(name, dtype):
    bank = bank_of(name)
    for J, boundary, poison in product((1, 2), ("kymatio", "zero", "periodic"), (np.nan, np.inf)):
        arguments = {"J": J, "shape": (52, 56), "L": bank.L, "bank": bank, "boundary": boundary}
        S, N = Scattering2D(**arguments), Scattering2D(**arguments, backend="numpy")
        clean = images_of(S, lanes(dtype) + 1, dtype=dtype)
        expected, poisoned, changed = S(clean), clean.copy(), clean[1].copy()
        poisoned[1, 3, 50], changed[3, 50] = poison, 1e4
        reached, numpys = S(changed) != expected[1], ~np.isfinite(N(poisoned[1]))
        assert reached.any() and not numpys.all()
        for together in (1, lanes(dtype)):
            actual = run_side_by_side(S, poisoned, together)
            spoilt = ~np.isfinite(actual[1])
            assert not (reached & ~spoilt).any() and not (spoilt & ~numpys).any()
            # NumPy multiplies by taps that are zero, too; toy banks have none.
            assert name == "accurate" or np.array_equal(spoilt, numpys)
            assert np.array_equal(actual[1][~spoilt], expected[1][~spoilt])
            assert np.array_equal(np.delete(actual, 1, 0), np.delete(expected, 1, 0))


# Memory


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("J", [1, 2, 3, 4, 5])
def test_memory_of_a_thread(J, dtype):
    batches = ((1, 1), (2, 16), (1, 999))
    for side, (threads, images) in product((32, 150, 224, 512), batches):
        S = Scattering2D(J, (side, side))
        layout = choose(S.plan, S.bank, dtype, images, threads)
        assert layout.memory <= 16 * 2**20, (side, images)


@pytest.mark.parametrize(("name", "J"), [("fast-L4", 2), ("fast", 1), ("accurate", 2)])
def test_batches_fill_vectors_with_whole_images_whatever_threads_there_are(name, J):
    """Threads that are not worth starting leave no vectors half empty."""
    bank = FilterBank.load(name)
    S = Scattering2D(J, (32, 32), L=bank.L, bank=bank)
    layouts = [choose(S.plan, bank, "float32", 50, threads) for threads in (1, 2)]
    assert [layout.images_per_vector for layout in layouts] == 2 * [lanes(np.float32)]
    few = useful_threads(layouts[0], 50, 2, DEFAULT)
    assert few == (2 if name == "accurate" else 1)
    assert useful_threads(layouts[0], 1, 99, DEFAULT) == 1
    assert useful_threads(layouts[0], 10**6, 99, DEFAULT) == 99


@pytest.mark.parametrize(("J", "side"), [(6, 256), (7, 256), (8, 256), (6, 512), (7, 512)])
def test_memory_of_a_thread_in_depth(J, side):
    S = Scattering2D(J, (side, side))
    for images in (1, 99):
        assert choose(S.plan, S.bank, "float32", images, 1).memory <= 16 * 2**20


def test_a_program_too_large_either_way_takes_four_rounds():
    S = Scattering2D(2, (64, 64))
    limits = Limits(memory=2**10)
    assert choose(S.plan, S.bank, "float32", 1, 1, limits=limits).plan.rounds == 4


def test_an_image_is_shared_only_where_threads_are_done_sooner(monkeypatch):
    started, start = [], _thread.start_new_thread
    monkeypatch.setattr(
        _thread, "start_new_thread", lambda *given: started.append(1) or start(*given)
    )
    deep, large = (Scattering2D(*case, threads=2) for case in ((8, (256, 256)), (2, (1024, 1024))))
    deep(np.zeros((3, 256, 256), np.float32))
    assert started  # images side by side are
    for S, shared in ((deep, False), (large, True)):
        layout = choose(S.plan, S.bank, "float32", 1, 2)
        assert is_worth_sharing(layout, 2) == shared
        started.clear()
        S(np.zeros((1, *S.shape), np.float32))
        assert bool(started) == shared
        assert is_worth_sharing(layout, 2, Limits(work_per_step=0))
        assert not is_worth_sharing(layout, 2, Limits(work_per_step=1e12))


@pytest.mark.parametrize("given", ["float32", "uint8", ">f4", "int64"])
@pytest.mark.parametrize("threads", [1, 2])
def test_measured_memory(threads, given):
    """NumPy reports to tracemalloc, from all threads."""
    for side, count in ((32, 200), (128, 20), (256, 8)):
        S = Scattering2D(2, (side, side), threads=threads)
        images = np.ones((count, side, side), given)
        S(images)
        tracemalloc.start()
        try:
            output = S(images)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert peak - output.nbytes <= threads * 16 * 2**20


# Threads


def test_many_threads_may_call_at_once(toy_bank):
    """Also while the code is compiled: the first bank is no other test's."""
    banks = [toy_bank("free", 2, 2, K=5), *map(bank_of, ARCHITECTURES[:4])]
    transforms = [
        Scattering2D(2, shape, L=bank.L, bank=bank, threads=threads)
        for bank, shape, threads in product(banks, [(16, 24), (130, 131)], [1, 2])
    ]
    jobs = [(S, images_of(S, count)) for S, count in product(transforms, (1, 20))]
    barrier = threading.Barrier(6)

    def work(number):
        barrier.wait()
        order = np.random.default_rng(number).permutation(len(jobs))
        return {k: jobs[k][0](jobs[k][1]) for k in sorted(order, key=lambda k: (k > 1, order[k]))}

    with ThreadPoolExecutor(6) as pool:
        results = list(pool.map(work, range(6)))
    for k, (S, images) in enumerate(jobs):
        expected = np.stack([S(image) for image in images])
        for result in results:
            assert np.array_equal(result[k], expected)


def test_kept_memory_is_used_again(toy_bank):
    """By calls of the same layout, with the same result, whatever other calls left in it."""
    S = Scattering2D(2, (64, 64), L=4, bank=toy_bank("free", 4, 2), threads=1)
    images, one = images_of(S, 40), images_of(S, 1, seed=1)
    expected, alone = S(images), S(one)
    for _ in range(3):
        for x, y in ((one, alone), (np.full_like(images, np.nan), None), (images, expected)):
            actual = S(x)
            assert y is None or np.array_equal(actual, y)
    tracemalloc.start()
    try:
        output = S(images)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak - output.nbytes < 2**16


@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize("average", [True, False, "global"])
def test_no_program_reads_of_its_workspace_what_it_has_not_written(monkeypatch, boundary, average):
    """Which is why one may have the workspace of another."""
    shape = (48, 72) if boundary == "periodic" else (50, 75)
    S = Scattering2D(3, shape, boundary=boundary, average=average, out_type="list")
    new_workspace = CpuLayout.new_workspace

    def filled(layout):
        workspace = new_workspace(layout)
        workspace[...] = np.nan
        return workspace

    for images in (images_of(S), images_of(S, 9)):
        expected = S(images)
        with monkeypatch.context() as patch:
            patch.setattr(executor, "_WORKSPACES", executor.KeptWorkspaces())
            patch.setattr(CpuLayout, "new_workspace", filled)
            actual = S(images)
        for one, other in zip(actual, expected, strict=True):
            assert np.array_equal(one["coef"], other["coef"])


def test_no_thread_outlives_a_call(toy_bank):
    S = Scattering2D(2, (64, 64), L=4, bank=toy_bank("free", 4, 2))
    before = _thread._count()
    for count in (1, 40):
        execute_with(S, images_of(S, count), Limits(work_per_thread=1, work_per_step=0), threads=5)
        deadline = time.monotonic() + 60
        while _thread._count() > before:  # they have done their work, and are about to end
            assert time.monotonic() < deadline


@pytest.mark.parametrize("cores", [1, 3])
def test_threads_are_as_many_as_numbas_unless_given(toy_bank, monkeypatch, cores):
    monkeypatch.setattr("numba.config.NUMBA_NUM_THREADS", cores)
    started, start = [], _thread.start_new_thread
    monkeypatch.setattr(
        _thread, "start_new_thread", lambda *given: started.append(1) or start(*given)
    )
    S = Scattering2D(2, (64, 64), L=4, bank=toy_bank("free", 4, 2))
    images = images_of(S, 50)
    limits = Limits(**FINEST)
    for threads in (None, 1, 2):
        for x in (images, images[0], images.astype(int)[:7]):
            started.clear()
            execute_with(S, x, limits, threads)
            calls, rest = divmod(len(started), max(1, (threads or cores) - 1))
            assert rest == 0 and (calls > 0) == ((threads or cores) > 1)


def test_a_failure_in_any_thread_ends_the_call_and_is_raised(toy_bank, monkeypatch):
    limits = Limits(work_per_thread=1, work_per_turn=1, work_per_step=0)
    S = Scattering2D(2, (64, 64), L=4, bank=toy_bank("free", 4, 2))
    images = images_of(S, 50)
    expected, take, main = S(images), KeptMemory.take, _thread.get_ident()
    for fails in (lambda: _thread.get_ident() == main, lambda: True):

        def failing(*arguments, fails=fails):
            if fails():
                raise MemoryError("none left")
            return take(*arguments)

        monkeypatch.setattr(KeptMemory, "take", failing)
        with pytest.raises(MemoryError, match="none left"):
            execute_with(S, images, limits, threads=3)
        monkeypatch.setattr(KeptMemory, "take", take)
        assert np.array_equal(execute_with(S, images, limits, threads=3), expected)


# Coming back for Ctrl-C


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("side", [512, 3000, 16384])
def test_no_part_of_a_large_image_takes_long(side, threads):
    """Parts are what Ctrl-C waits for; several of them, if small, up to `work_per_turn`."""
    S = Scattering2D(2, (side, side))
    layout = lay_out(S.plan, S.bank, "float32", 1)
    for part in cut_steps(layout, threads):
        step = layout.steps[part["step"]]
        share = part["groups"] / step["groups"]
        share *= (part["stop"] - part["start"]) / step["height"]
        assert step["work"] * share <= 2 * DEFAULT.work_per_turn


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e30])
def test_extreme_images_that_threads_share(dtype, scale):
    S = Scattering2D(2, (40, 37))
    images = (scale * (100 + np.random.default_rng(0).random((3, 40, 37)))).astype(dtype)
    expected = np.stack([S(image) for image in images])
    for threads in (1, 2, 3):
        actual = execute_with(S, images, Limits(**FINEST, work_per_turn=1), threads)
        assert np.array_equal(actual, expected)
