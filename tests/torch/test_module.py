"""`npscatter.torch.Scattering2D`: what it computes, and what Torch does with modules."""

import copy
import io
import multiprocessing
import pickle
import subprocess
import sys
from dataclasses import asdict

import numpy as np
import pytest
import torch
from banks import bank_of
from kymatio import Scattering2D as KymatioScattering2D
from tolerances import assert_equal_to_rounding
from torch import nn
from torch.autograd import gradcheck

import npscatter
from npscatter import ArgumentError, ArgumentTypeError
from npscatter.torch import Scattering2D
from npscatter.torch.module import _TRANSFORMS

SHAPE = (20, 17)


def transform(bank="free L=4 R=2", J=2, shape=SHAPE, **options):
    bank = bank_of(bank)
    return Scattering2D(J, shape, bank.L, bank=bank, **options)


def reference(S):
    outputs = asdict(S.plan.outputs)
    return npscatter.Scattering2D(
        *(S.J, S.shape, S.L, S.max_order, S.pre_pad), bank=S.bank, boundary=S.boundary, **outputs
    )


def images(count=3, dtype=torch.float32, shape=SHAPE, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, *shape, generator=generator, dtype=torch.float64).to(dtype)


def assert_close(actual, expected, S, x):
    for one, other, image in zip(actual, expected, x, strict=True):
        pair = one.detach().numpy(), other.detach().numpy()
        assert_equal_to_rounding(*pair, S, image.detach().numpy())


# Without a gradient


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.int16, torch.int64])
@pytest.mark.parametrize("leading", [(), (3,), (2, 3), (0,), (2, 0)])
def test_is_numpys_to_the_bit(dtype, leading):
    S = transform()
    x = (100 * images(6)).to(dtype)[: np.prod(leading, dtype=int)].reshape(*leading, *SHAPE)
    expected = reference(S)(x.numpy())
    actual = S(x)
    assert actual.dtype == torch.from_numpy(expected).dtype
    assert actual.shape == expected.shape and np.array_equal(actual, expected)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.bool])
def test_small_types_are_computed_in_single_precision(dtype):
    S, x = transform(), (100 * images()).to(dtype)
    assert torch.equal(S(x), S(x.float())) and S(x).dtype == torch.float32


def test_strided_tensors_are_taken():
    S, x = transform(), images(4, shape=(40, 34))
    assert torch.equal(S(x[::2, ::2, ::2]), S(x[::2, ::2, ::2].contiguous()))
    assert torch.equal(S(x[:, :20, :17].flip(-1)), S(x[:, :20, :17].flip(-1).contiguous()))


def test_nothing_is_copied(monkeypatch):
    S, x, seen = transform(), images(), []
    backend = S._transform._backend
    run = backend.run

    def watched(plan, bank, given, output, *others):
        seen.append((given.ctypes.data, output.ctypes.data))
        run(plan, bank, given, output, *others)

    monkeypatch.setattr(backend, "run", watched)
    assert seen == [] and S(x).data_ptr() == seen[0][1] and seen[0][0] == x.data_ptr()


def test_no_gradient_is_recorded_where_none_is_wanted():
    S, x = transform(), images().requires_grad_()
    assert S(x).requires_grad
    with torch.no_grad():
        assert not S(x).requires_grad
    with torch.inference_mode():
        assert torch.equal(S(x), S(x.detach()))
    assert not S(x.detach()).requires_grad


@pytest.mark.parametrize("boundary", ["kymatio", "zero", "periodic"])
def test_other_boundaries_orders_and_padding(boundary):
    S = transform(boundary=boundary, max_order=1, shape=(16, 24))
    x = images(shape=(16, 24))
    assert np.array_equal(S(x), reference(S)(x.numpy()))
    if boundary == "kymatio":
        padded = transform(shape=(16, 24), pre_pad=True)
        x = images(shape=padded.plan.input_shape)
        assert np.array_equal(padded(x), reference(padded)(x.numpy()))


def test_lists_hold_what_numpys_do():
    S = transform(out_type="list")
    listed = S(images())
    expected = reference(S)
    expected.out_type = "list"
    for one, other in zip(listed, expected(images().numpy()), strict=True):
        assert np.array_equal(one["coef"], other["coef"])
        assert [one[key] for key in ("j", "n", "theta")] == [other[k] for k in ("j", "n", "theta")]


OUTPUTS = {
    "moduli": {"average": False},
    "means": {"average": "global"},
    "oversampled": {"oversampling": 1},
    "paths": {"paths": [0, 3, 20]},
    "no average": {"paths": [5, 7], "average": "global"},
}


@pytest.mark.parametrize("kind", OUTPUTS)
def test_other_outputs_are_numpys_and_have_gradients(kind):
    S = Scattering2D(2, (8, 12), 4, bank="accurate-L4", **OUTPUTS[kind])
    x = images(2, shape=(8, 12)).double() + 100  # a level, which is taken off and given back

    def tensors(x, S=S):
        given = S(x)
        return tuple(one["coef"] for one in given) if isinstance(given, list) else (given,)

    of_numpy = reference(S)(x.numpy())
    if S.average is False:
        of_numpy = [one["coef"] for one in of_numpy]
    else:
        of_numpy = [of_numpy]
    with_gradient = tensors(x.clone().requires_grad_())
    for one, other, expected in zip(tensors(x), with_gradient, of_numpy, strict=True):
        assert np.array_equal(one, expected)
        assert other.requires_grad and other.shape == one.shape
        torch.testing.assert_close(other, one)
    assert gradcheck(tensors, x[:1].clone().requires_grad_(), fast_mode=True)
    again = pickle.loads(pickle.dumps(S))
    assert again.plan == S.plan


# As Kymatio is called


def test_a_call_is_kymatios():
    x = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    S, K = Scattering2D(J=2, shape=(32, 32)), KymatioScattering2D(2, (32, 32), frontend="torch")
    ours, theirs = S(x), K(x)
    assert ours.shape == theirs.shape and ours.dtype == theirs.dtype
    assert (ours - theirs).norm() < 0.01 * theirs.norm()
    for call in (S.forward, S.scattering, lambda x: S.scattering(input=x), lambda x: S(x=x)):
        assert torch.equal(call(x), ours)
    assert ours.view(2, -1).shape == (2, 3 * 81 * 64)
    for name in ("J", "L", "shape", "max_order", "pre_pad", "out_type"):
        assert getattr(S, name) == getattr(K, name), name
    S.out_type = K.out_type = "list"
    for one, other in zip(S(x), K(x), strict=True):
        assert [one[key] for key in ("j", "theta")] == [other[key] for key in ("j", "theta")]
        assert one["coef"].shape == other["coef"].shape


@pytest.mark.parametrize("backend", ["auto", "torch", "numba", "numpy"])
def test_backends(backend):
    S, x = transform(backend=backend), images()
    assert_close(S(x), transform()(x), S, x)


def test_errors_are_those_kymatios_callers_catch():
    S = transform()
    for wrong in (None, np.zeros(SHAPE), [[1.0]]):
        with pytest.raises(TypeError, match="input should be"):
            S(wrong)
    with pytest.raises(RuntimeError, match=r"must be of spatial size \(20, 17\)"):
        S(torch.zeros(21, 17))
    for small in (torch.zeros(()), torch.zeros(17)):
        with pytest.raises(RuntimeError, match="at least two dimensions"):
            S(small)
    with pytest.raises(ArgumentTypeError, match="dtype"):
        S(torch.zeros(SHAPE, dtype=torch.complex64))
    with pytest.raises(ArgumentError, match="out_type"):
        S.out_type = "tuple"
    with pytest.raises(AttributeError):
        S.nothing_of_this_name()
    with pytest.raises(AttributeError):
        S.bank = S.bank
    with pytest.raises(npscatter.BackendError):
        transform(backend="jax")


@pytest.mark.filterwarnings("ignore:.*nested tensors is in prototype stage")
@pytest.mark.parametrize("make", ["to_sparse", "to_mkldnn", "nested"])
def test_what_is_no_array_of_numbers_in_memory_is_refused(make):
    x = torch.ones(SHAPE)
    x = torch.nested.nested_tensor([x]) if make == "nested" else getattr(x, make)()
    with pytest.raises(ArgumentTypeError, match=r"x.layout=.*pass x.to_dense\(\)"):
        transform()(x)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"storage": "float8"}, "storage='float8': must be 'float16' or None"),
        ({"memory": 0}, "memory=0: must be at least 1"),
        ({"memory": "1 GiB"}, "memory='1 GiB': must be an integer"),
        ({"learnable": "no"}, "learnable='no': must be True or False"),
    ],
)
def test_options_are_checked_where_no_gpu_is(options, words):
    with pytest.raises((ArgumentError, ArgumentTypeError), match=words):
        transform(**options)


def test_options_for_a_gpu_are_kept_where_none_is():
    S = transform(storage="float16")
    assert S.storage == "float16" and S.memory is None and "storage='float16'" in repr(S)
    S.memory = 2**20
    for other in (S, copy.deepcopy(S), pickle.loads(pickle.dumps(S))):
        assert (other.storage, other.memory) == ("float16", 2**20)
        assert other._gpu_options == {"storage": "float16", "memory": 2**20}
    with pytest.raises(ArgumentError, match="memory=0"):
        S.memory = 0
    with pytest.raises(ArgumentError, match="storage='float16': has no effect on backend='numba'"):
        transform(backend="numba", storage="float16")


def test_what_it_was_made_with_stays():
    S = transform()
    for name, value in (("learnable", True), ("bank", S.bank), ("J", 3), ("plan", S.plan)):
        with pytest.raises(AttributeError, match=rf"{name}=.*read-only.*construct another object"):
            setattr(S, name, value)


# As a module


def test_moves_change_nothing():
    S, x = transform(), images()
    expected = S(x)
    assert S.to("cpu") is S and S.double() is S and S.half() is S and S.eval() is S
    assert not S.training and S.train().training
    assert torch.equal(S(x), expected)
    assert S.double()(x.double()).dtype == torch.float64
    assert S.state_dict() == {} and list(S.parameters()) == []


def test_in_a_network():
    S = transform()
    channels = S.n_coefficients
    flat = channels * S.output_shape[1] * S.output_shape[2]
    net = nn.Sequential(nn.Conv2d(1, 1, 3, padding=1), nn.Flatten(0, 1), S, nn.Flatten())
    net = nn.Sequential(net, nn.Linear(flat, 2))
    x = images(4)[:, None]
    net(x).square().sum().backward()
    assert all(p.grad.abs().sum() > 0 for p in net.parameters())
    assert "bank='toy-free-L4-R2'" in repr(net)
    assert nn.Sequential(S, nn.BatchNorm2d(channels))(x[:, 0]).isfinite().all()


@pytest.mark.parametrize("learnable", [False, True])
def test_copies_and_pickles(learnable):
    S, x = transform(learnable=learnable), images()
    expected = S(x)
    buffer = io.BytesIO()
    torch.save(S, buffer)
    buffer.seek(0)
    loaded = torch.load(buffer, weights_only=False)
    for other in (copy.deepcopy(S), pickle.loads(pickle.dumps(S)), loaded):
        assert torch.equal(other(x), expected)
        assert other.plan == S.plan and other.out_type == "array"
        other.out_type = "list"
        assert S.out_type == "array"


def test_checkpoints_that_hold_kymatios_filters_load():
    S, K = Scattering2D(2, (32, 32)), KymatioScattering2D(2, (32, 32), frontend="torch")
    ours, theirs = (nn.Sequential(one, nn.Linear(3, 3)) for one in (S, K))
    assert "0.tensor0" in theirs.state_dict()
    ours.load_state_dict(theirs.state_dict())
    assert torch.equal(ours[1].weight, theirs[1].weight)
    with pytest.raises(RuntimeError, match="tensors"):
        ours.load_state_dict({**theirs.state_dict(), "0.tensors": torch.zeros(1)})


def test_settings_reach_the_transform():
    S = transform(threads=1)
    assert S.threads == 1
    S.threads = 2
    assert S._transform.threads == 2 and "threads=2" in repr(S)
    assert np.array_equal(S.meta()["n"], reference(S).meta()["n"])


class Transformed(torch.utils.data.Dataset):
    """Images that workers transform."""

    def __init__(self, S, x):
        self.S, self.x = S, x

    def __len__(self):
        return len(self.x)

    def __getitem__(self, number):
        return self.S(self.x[number])


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="no fork")
def test_workers_of_a_loader_transform():
    S, x = transform(), images(5)
    expected = S(x)  # so that the workers are forks of a process that has computed
    loader = torch.utils.data.DataLoader(
        Transformed(S, x), batch_size=2, num_workers=2, multiprocessing_context="fork"
    )
    assert torch.equal(torch.cat(list(loader)), expected)


def test_without_torch_one_line_says_what_is_missing():
    code = """
import sys
sys.modules["torch"] = None
try:
    import npscatter.torch
except ImportError as error:
    print(error)
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stdout.count("\n") == 1 and "'.[torch]'" in result.stdout


# For compilers and other tracers


@pytest.mark.parametrize("gradient", [False, True])
def test_compiled_whole(gradient):
    S, x = transform(), images().requires_grad_(gradient)
    compiled = torch.compile(S, fullgraph=True, backend="aot_eager")
    output = compiled(x)
    assert_close(output, S(x), S, x)
    if gradient:
        (actual,) = torch.autograd.grad(output.square().sum(), x)
        (expected,) = torch.autograd.grad(S(x).square().sum(), x)
        assert torch.allclose(actual, expected, rtol=1e-4, atol=1e-5 * float(expected.abs().max()))
    else:
        assert torch.equal(output, S(x))


@pytest.mark.parametrize("gradient", [False, True])
def test_moduli_are_compiled_whole(gradient):
    shape = 9, 11 + gradient  # so that no plan was asked for anything before
    S = transform(J=1, max_order=1, average=False, shape=shape)
    x = images(shape=shape).requires_grad_(gradient)
    compiled = torch.compile(S, fullgraph=True, backend="aot_eager")
    for one, other in zip(compiled(x), S(x), strict=True):
        assert one["coef"].requires_grad == gradient and one["j"] == other["j"]
        torch.testing.assert_close(one["coef"], other["coef"])


def test_a_transform_is_known_to_compilers_by_one_key():
    S = transform()
    known, key = len(_TRANSFORMS), S._key
    for out_type in ("list", "array"):
        S.out_type = out_type
    assert len(_TRANSFORMS) == known and S._key == key
    other = copy.deepcopy(S)
    assert other._key != key and len(_TRANSFORMS) == known + 1


def test_two_compiled_transforms_are_not_mixed_up():
    one, other = transform(), transform("free L=4 R=3")
    compiled = torch.compile(lambda x: one(x) - other(x), fullgraph=True, backend="aot_eager")
    assert torch.equal(compiled(images()), one(images()) - other(images()))


@pytest.mark.parametrize("learnable", [False, True])
def test_exported_programs_need_no_executor(learnable):
    S, x = transform(J=1 + learnable, learnable=learnable), images()
    batch = torch.export.Dim("batch", min=2)
    exported = torch.export.export(S, (x,), dynamic_shapes={"x": {0: batch}})
    assert not any("npscatter" in str(node.target) for node in exported.graph.nodes)
    file = io.BytesIO()
    torch.export.save(exported, file)
    file.seek(0)
    x = images(5, seed=1)
    assert_close(torch.export.load(file).module()(x), S(x), S, x)


def test_functional_transforms():
    S, x = transform(), images()
    assert_close(torch.vmap(S)(x), S(x), S, x)
    gradient = torch.func.grad(lambda x: S(x).square().sum())(x)
    y = x.clone().requires_grad_()
    S(y).square().sum().backward()
    assert torch.allclose(gradient, y.grad, rtol=1e-4, atol=1e-5 * float(gradient.abs().max()))
    x, along = images(dtype=torch.float64), images(dtype=torch.float64, seed=1)
    _, forward = torch.func.jvp(S, (x,), (along,))
    difference = (S(x + 1e-6 * along) - S(x - 1e-6 * along)) / 2e-6
    assert (forward - difference).abs().max() < 1e-6 * difference.abs().max()


@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning", "ignore:.*torch.jit")
def test_traced_programs():
    S = transform(J=1, max_order=1)
    traced = torch.jit.trace(S, images())
    for magnitude in (1, 1e-30, 1e30):  # two of which are scaled, image by image
        x = images(4, seed=1) * magnitude
        assert_close(traced(x), S(x), S, x)


def test_autocast_loses_no_precision():
    S, x = transform(), images()
    for given in (x, x.clone().requires_grad_(), x[:1].clone().requires_grad_()):
        with torch.autocast("cpu", torch.bfloat16):
            output = S(given)
        assert output.dtype == torch.float32
        assert_close(output, S(given), S, given)


def test_made_where_another_device_is_the_default():
    """Parameters are made there, as those of other modules; filters that do not learn stay."""
    with torch.device("meta"):
        S, learnable = transform(), transform(learnable=True)
    x = images(1).requires_grad_()
    assert torch.equal(S(x), transform()(x))
    assert {p.device.type for p in learnable.parameters()} == {"meta"}


def test_meta_tensors_have_shapes():
    S = transform()
    assert S(torch.empty(3, *SHAPE, device="meta")).shape == S(images()).shape
