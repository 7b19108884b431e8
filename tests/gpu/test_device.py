"""On a real GPU (``pytest -m gpu``): the simulator's cases, all banks, and what only a GPU has."""

import threading

import numpy as np
import pytest
from gpu_cases import CASES, in_a_row, named

from npscatter import FilterBank, Scattering2D, list_banks

pytestmark = pytest.mark.gpu
SHAPES = [
    (1, (32, 32)),
    (2, (32, 32)),
    (2, (37, 53)),
    (3, (64, 64)),
    (3, (224, 224)),
    (4, (100, 260)),
]


def images_of(S, *leading, dtype=np.float32):
    shape = *leading, *S.plan.input_shape
    return np.random.default_rng(3).normal(size=shape).astype(dtype)


def assert_close(found, S, images, tolerance=5e-6):
    """Compare order by order with the NumPy executor in float64."""
    options = {"L": S.L, "bank": S.bank, "boundary": S.boundary, "max_order": S.max_order}
    exact = Scattering2D(S.J, S.shape, backend="numpy", **options)(images.astype(np.float64))
    order = S.meta()["order"]
    for o in set(order):
        error = np.abs(found - exact)[..., order == o, :, :].max()
        assert error <= tolerance * np.abs(exact[..., order == o, :, :]).max()


@pytest.mark.parametrize("name", sorted(set(CASES) - {"not finite"}))
def test_the_simulators_cases(name):
    case = CASES[name]
    S = case.scattering("numpy")
    expected = in_a_row(S, S(case.images().astype(np.float64)))
    found = case.run()
    if case.powers:  # each to its own magnitude
        powers = np.intc(case.powers).reshape(-1, *(1,) * (found.ndim - 1))
        assert np.array_equal(found, np.ldexp(found[0], powers))
        found, expected = found[0], expected[0]
    assert np.abs(found - expected).max() <= case.tolerance * np.abs(expected).max()


@pytest.mark.parametrize("name", named("levels"))
def test_a_constant_that_is_added_changes_the_average_alone(name):
    plain, *raised = CASES[name].run()
    for found in raised:
        assert np.array_equal(found[1:], plain[1:])


def test_what_is_not_finite_decides_nothing():
    clean, *poisoned = CASES["not finite"].run()
    for found in poisoned:
        there = np.isfinite(found)
        assert 0.5 < there.mean() < 1 and np.array_equal(found[there], clean[there])


@pytest.mark.parametrize(("J", "shape"), SHAPES)
@pytest.mark.parametrize("name", list_banks())
def test_all_banks(name, J, shape):
    bank = FilterBank.load(name)
    for boundary in ("kymatio", "zero"):
        for options, tolerance in (({}, 5e-6), ({"storage": "float16"}, 8e-3)):
            S = Scattering2D(
                J, shape, bank.L, bank=bank, boundary=boundary, backend="cuda", **options
            )
            images = images_of(S, 3)
            assert_close(S(images), S, images, tolerance)


def test_float64():
    S = Scattering2D(3, (64, 64), backend="cuda")
    images = images_of(S, 5, dtype=np.float64)
    assert_close(S(images), S, images, 1e-13)


def test_the_same_bits_whatever_the_batch_and_the_pieces():
    S = Scattering2D(2, (32, 32), backend="cuda")
    images = images_of(S, 1000)
    whole = S(images)
    assert np.array_equal(whole[::97], np.stack([S(image) for image in images[::97]]))
    small = Scattering2D(2, (32, 32), backend="cuda", memory=2**20)
    assert np.array_equal(small(images), whole)


def test_the_same_bits_of_means_whatever_the_batch():
    S = Scattering2D(3, (200, 120), backend="cuda", average="global")
    images = images_of(S, 100)
    whole = S(images)
    assert np.array_equal(whole[::49], np.stack([S(image) for image in images[::49]]))


def test_maps_of_images_on_the_gpu_stay_there():
    from npscatter.backends.gpu.target import cuda

    for options in ({"average": False}, {"average": "global", "out_type": "list"}):
        S = Scattering2D(2, (32, 36), backend="cuda", **options)
        images = images_of(S, 2, 3)
        for found, expected in zip(S(cuda.to_device(images)), S(images), strict=True):
            assert np.array_equal(found["coef"].copy_to_host(), expected["coef"])


def test_torch_tensors_stay_on_the_gpu_and_on_their_stream():
    import torch

    if not torch.cuda.is_available():
        pytest.fail("install a Torch with CUDA")
    S = Scattering2D(2, (32, 32), backend="cuda")
    images = images_of(S, 64)
    expected = S(images)
    on_gpu = torch.from_numpy(images).cuda()
    side = torch.cuda.Stream()
    for stream in (torch.cuda.current_stream(), side):
        with torch.cuda.stream(stream):
            x = on_gpu * 2
            y = torch.as_tensor(S(x), device="cuda")
            assert np.array_equal((y / 2).cpu().numpy(), expected)
            out = torch.empty_like(y)
            assert S(x, out=out) is out
            assert torch.equal(out, y)
            # Views, uncopied.
            flipped = torch.as_tensor(S(x.flip(0).expand(1, 64, 32, 32)), device="cuda")
            assert torch.equal(flipped[0].flip(0), y)
            crossed = x.transpose(1, 2)
            assert_close(torch.as_tensor(S(crossed)).cpu().numpy(), S, crossed.cpu().numpy())


def test_threads_and_streams_do_not_mix():
    from npscatter.backends.gpu.target import cuda

    S = Scattering2D(3, (64, 64), backend="cuda", memory=2**22)
    images = [images_of(S, 40) * (k + 1) for k in range(4)]
    expected = [S(one) for one in images]
    failures = []

    def work(k):
        stream = cuda.stream() if k % 2 else None
        x = cuda.to_device(images[k])
        for _ in range(10):
            if not np.array_equal(S(x, stream=stream).copy_to_host(), expected[k]):
                failures.append(k)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


def test_nan_stays_in_its_window():
    S = Scattering2D(2, (64, 64), backend="cuda")
    image = images_of(S)
    clean = S(image)
    image[5, 7] = np.nan
    found = S(image)
    there = np.isnan(found)
    N = Scattering2D(2, (64, 64), backend="numpy")
    assert np.array_equal(there, np.isnan(N(image)))
    assert np.array_equal(found[~there], clean[~there])


def test_one_large_image_within_a_gibibyte():
    S = Scattering2D(3, (4096, 3000), backend="cuda", memory=2**30)
    image = images_of(S)
    fast = Scattering2D(3, (4096, 3000), backend="numba")(image)
    assert np.abs(S(image) - fast).max() <= 1e-5 * np.abs(fast).max()
