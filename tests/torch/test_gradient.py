"""Gradients: against differences, of the compiled code against Torch's, and where moduli vanish."""

import numpy as np
import pytest
import torch
from banks import bank_of
from cases import random_cases
from hypothesis import given
from torch.autograd import gradcheck, gradgradcheck
from torch.optim import Adam

from npscatter.backends.cpu import gradient
from npscatter.backends.cpu.gradient_layout import lay_out, phases
from npscatter.backends.cpu.simd import vector_bytes
from npscatter.bank import FilterBank
from npscatter.program.padding import BOUNDARIES
from npscatter.program.steps import WEIGHT_ARRAYS
from npscatter.torch import Scattering2D, program

LANES = 16


def transform(bank="free L=2 R=3", J=2, shape=(6, 5), **options):
    bank = bank_of(bank)
    return Scattering2D(J, shape, bank.L, bank=bank, **options)


def images(count, shape=(6, 5), seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, *shape, generator=generator, dtype=torch.float64)


def is_compiled(output):
    return "_Compiled" in type(output.grad_fn).__name__


def in_torch(S, x, slopes):
    """Return the gradient by the plan in Torch operations, of images as they come."""
    x = x.detach().clone().requires_grad_()
    weights = program.weights_of(S.bank, x.dtype)
    program.run(S.plan, weights, x).backward(slopes)
    return x.grad


# Against differences


@pytest.mark.parametrize("boundary", ["kymatio", "zero"])
@pytest.mark.parametrize("count", [1, 4])
def test_gradients_by_images_are_the_limits_of_differences(boundary, count):
    S = transform(boundary=boundary, shape=(4, 5))
    x = images(count, (4, 5)).requires_grad_()
    assert is_compiled(S(x))
    assert gradcheck(S, x, fast_mode=True) and gradgradcheck(S, x, fast_mode=True)


def test_gradients_by_filters_are_the_limits_of_differences():
    S = transform(learnable=True, shape=(4, 5)).double()
    x = images(2, (4, 5)).requires_grad_()
    names, values = zip(*S.named_parameters(), strict=True)
    assert set(names) == set(WEIGHT_ARRAYS)

    def of(x, *values):
        return torch.func.functional_call(S, dict(zip(names, values, strict=True)), (x,))

    assert gradcheck(of, (x, *values), fast_mode=True)
    assert gradgradcheck(of, (x, *values), fast_mode=True)


# Compiled


@given(case=random_cases(dtypes=["float32", "float64"]))
def test_compiled_gradients_of_random_transforms_are_torchs(case):
    S = case.scattering()
    x = torch.from_numpy(case.images(19))  # the last vector is not full
    shape = (len(x), *S.output_shape)
    slopes = torch.randn(
        shape, dtype=x.dtype, generator=torch.Generator().manual_seed(case.seed % 2**31)
    )
    actual = gradient.gradient(S.plan, S.bank, x.numpy(), slopes.numpy(), threads=2)
    expected = in_torch(S, x, slopes).numpy()
    tolerance = 300 * np.finfo(case.dtype).eps * np.abs(expected).max()
    assert np.abs(actual - expected).max() <= tolerance


@pytest.mark.parametrize("images_per_vector", [1, 2, 4, 8])
@pytest.mark.parametrize(
    "J, shape, boundary",
    [(4, (16, 48) if name == "periodic" else (17, 33), name) for name in BOUNDARIES]
    # Maps of odd sides: 17 x 18, 9 x 9, 5 x 5.
    + [(3, (11, 13), "zero")],
)
def test_strips_change_no_gradient(J, shape, boundary, images_per_vector):
    """Rows of an image that share a vector, and are cut anew on their way to J."""
    S = transform(J=J, shape=shape, boundary=boundary)
    x = images(3, shape)  # the last vector is not full
    slopes = torch.from_numpy(np.random.default_rng(0).normal(size=(3, *S.output_shape)))
    most = vector_bytes() // x.element_size()
    layout = lay_out(S.plan.octave_by_octave(), S.bank, "float64", min(images_per_vector, most))
    actual = gradient.run_layout(layout, x.numpy(), slopes.numpy(), threads=1)
    expected = in_torch(S, x, slopes).numpy()
    assert np.abs(actual - expected).max() < 1e-12 * np.abs(expected).max()


@pytest.mark.parametrize("count", [1, 2, 3, 5])
@pytest.mark.parametrize("bank", ["free L=2 R=3", "symmetric L=4 R=3", "free, strided wavelets"])
def test_compiled_gradients_of_few_images_are_torchs(bank, count):
    S = transform(bank, J=3, shape=(13, 9))
    x = images(count, (13, 9)).requires_grad_()
    slopes = torch.from_numpy(np.random.default_rng(count).normal(size=(count, *S.output_shape)))
    output = S(x)
    assert is_compiled(output)
    (actual,) = torch.autograd.grad(output, x, slopes)
    expected = in_torch(S, x, slopes)
    assert (actual - expected).abs().max() < 1e-12 * expected.abs().max()


def test_no_images_have_no_gradient():
    S, x = transform(), torch.zeros(0, 6, 5, requires_grad=True)
    S(x).sum().backward()
    assert x.grad.shape == (0, 6, 5)


def test_phases_of_taps_meet_what_a_stride_leaves():
    taps = np.arange(1.0, 50).reshape(1, 1, 7, 7)
    parts = phases(taps, 2)
    assert np.array_equal(sum(parts), taps)
    for number, part in enumerate(parts):
        rows, columns = part[0, 0].nonzero()
        assert {(row - 3) % 2 for row in rows} == {number // 2}
        assert {(column - 3) % 2 for column in columns} == {number % 2}


@pytest.mark.parametrize("bank", ["accurate", "paper-tuned"])
def test_compiled_gradients_of_shipped_banks_are_torchs(bank):
    S = transform(bank, J=3, shape=(24, 24))
    x = images(LANES, (24, 24)).requires_grad_()
    slopes = torch.randn(S(x).shape, dtype=x.dtype, generator=torch.Generator().manual_seed(1))
    assert is_compiled(S(x))
    (actual,) = torch.autograd.grad(S(x), x, slopes)
    expected = in_torch(S, x, slopes)
    assert (actual - expected).abs().max() < 1e-10 * expected.abs().max()


def test_each_image_has_its_own_gradient():
    S, x = transform(), images(2 * LANES + 3)
    slopes = torch.ones(len(x), *S.output_shape, dtype=x.dtype)
    together = gradient.gradient(S.plan, S.bank, x.numpy(), slopes.numpy())
    for number in (0, LANES, len(x) - 1):
        alone = gradient.gradient(
            S.plan, S.bank, x[number : number + 1].numpy(), slopes[:1].numpy()
        )
        assert np.array_equal(alone[0], together[number])


# Where moduli vanish, and magnitudes


@pytest.mark.parametrize("count", [1, 4])
@pytest.mark.parametrize("value", [0.0, 3.0])
@pytest.mark.parametrize("bank", ["free L=2 R=3", "accurate"])
def test_flat_images_have_finite_gradients(bank, value, count):
    S = transform(bank, shape=(8, 8))
    x = torch.full((count, 8, 8), value, requires_grad=True)
    output = S(x)
    assert is_compiled(output)
    (slope,) = torch.autograd.grad(output.sum(), x)
    assert slope.isfinite().all()
    if value == 0:  # all moduli vanish; what flows is S0's
        (by_order_0,) = torch.autograd.grad(S(x)[:, 0].sum(), x)
        assert torch.allclose(slope, by_order_0, rtol=1e-5) and slope.abs().max() > 0


def test_second_derivatives_are_finite_where_moduli_vanish():
    S, x = transform(), torch.zeros(1, 6, 5, requires_grad=True)
    (slope,) = torch.autograd.grad(S(x).square().sum(), x, create_graph=True)
    (second,) = torch.autograd.grad(slope.sum(), x)
    assert second.isfinite().all()


@pytest.mark.parametrize("count", [1, 8])
@pytest.mark.parametrize("exponent", [-60, -30, 50, 100])
def test_gradients_do_not_depend_on_the_magnitude(count, exponent):
    """Homogeneous of degree 1: S(c x) = c S(x), so the gradient at c x is that at x."""
    S, x = transform(), images(count).float()

    def slope(x):
        x = x.requires_grad_()
        return torch.autograd.grad(S(x).sum(), x)[0]

    expected = slope(x.clone())
    actual = slope(2.0**exponent * x)
    assert torch.allclose(actual, expected, rtol=1e-4, atol=1e-5 * float(expected.abs().max()))


@pytest.mark.parametrize("count", [1, 8])
def test_a_level_changes_no_gradient(count):
    S = transform("accurate", shape=(8, 8))
    x = images(count, (8, 8)).clamp(-1, 1) / 64

    def slope(x):
        x = x.clone().requires_grad_()
        return torch.autograd.grad(S(x)[:, 1:].sum(), x)[0]

    expected = slope(x)
    # 2^20 is taken off exactly: without that the moduli would have 32 bits left.
    actual = slope(torch.round(x * 2**30) / 2**30 + 2.0**20)
    assert (actual - expected).abs().max() < 1e-5 * expected.abs().max()


@pytest.mark.parametrize("options", [{}, {"oversampling": 1}])
def test_what_flows_back_may_lie_anyhow(options):
    """Negated in name only, as the imaginary part of a conjugate is, or in no memory of its own."""
    S, x = transform(**options), images(2).requires_grad_()
    output = S(x)
    negated = torch.complex(output, output).detach().conj().imag
    assert negated.is_neg() and is_compiled(output) == (not options)
    for slopes in (negated, output.detach().mT.contiguous().mT, torch.ones(()).double()):
        given = slopes.expand_as(output)
        (actual,) = torch.autograd.grad(output, x, given, retain_graph=True)
        (expected,) = torch.autograd.grad(
            output, x, given.contiguous().resolve_neg(), retain_graph=True
        )
        assert torch.equal(actual, expected) and actual.abs().sum() > 0


def test_values_are_those_without_a_gradient():
    S = transform()
    for scale in (1, 1e-30, 1e30):
        x = scale * images(1).float()
        S_x = S(x)
        assert (S(x.clone().requires_grad_()) - S_x).abs().max() < 1e-5 * S_x.abs().max()


# Filters that learn


def test_filters_learn():
    S = transform("free L=4 R=2", learnable=True, shape=(16, 16))
    start, x = S.bank, images(4, (16, 16)).float()
    with torch.no_grad():
        wanted = transform("free L=4 R=3", shape=(16, 16))(x)
    optimiser, losses = Adam(S.parameters(), 1e-2), []
    for _ in range(12):
        loss = (S(x) - wanted).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.6 * losses[0]
    learned = S.bank
    assert isinstance(learned, FilterBank) and learned != start
    with torch.no_grad():
        by_torch = S(x)
    S.requires_grad_(False)  # and so the compiled program takes over
    assert (S(x) - by_torch).abs().max() < 1e-5 * by_torch.abs().max()
    with torch.no_grad():
        S.low_first.mul_(2)
    assert (S(x) - by_torch).abs().max() > 0.1 * by_torch.abs().max()


def test_filters_are_told_as_they_are_now():
    S = transform(learnable=True)
    before = S.filters().psi_hat, S.psi[0]["levels"][0], S.phi["levels"][0]
    np.testing.assert_allclose(before[0], transform().filters().psi_hat, atol=1e-6)
    with torch.no_grad():
        for name in ("psi_first", "low_next"):
            getattr(S, name).mul_(2)
    after = S.filters().psi_hat, S.psi[0]["levels"][0], S.phi["levels"][0]
    np.testing.assert_allclose(after[0][0], 2 * before[0][0], rtol=1e-6)
    for one, other in zip(after[1:], before[1:], strict=True):
        np.testing.assert_allclose(one, 2 * other, rtol=1e-6, atol=1e-12)
    assert S.bank.sha256[:16] in S._repr_html_()


def test_a_learnable_transform_has_its_filters_as_state():
    S, other = (transform(learnable=True) for _ in range(2))
    assert set(S.state_dict()) == set(WEIGHT_ARRAYS)
    x = images(2).float()
    assert (S(x) - transform()(x)).abs().max() < 1e-6
    with torch.no_grad():
        S.psi_first.mul_(2)
    other.load_state_dict(S.state_dict())
    assert torch.equal(other(x), S(x)) and other.bank == S.bank
