"""ONNX models of the plan: run by ONNX Runtime, against the NumPy executor and the definition."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from banks import bank_of
from cases import random_cases
from click.testing import CliRunner
from hypothesis import given
from onnx.reference import ReferenceEvaluator
from tolerances import assert_channels_equal

import npscatter
from npscatter import ArgumentError, ArgumentTypeError, Scattering2D, list_banks
from npscatter.cli.group import main
from npscatter.errors import install_extra
from npscatter.features import relative_errors
from npscatter.onnx import OPSET, export, make_model
from npscatter.program.magnitude import level_and_shift, ordinary_exponents
from npscatter.program.padding import BOUNDARIES

ROOT = Path(npscatter.__file__).parent.parent
# Of every order, relative to the same bank in double precision.
EXACT = 1e-5
CASES = {
    **{
        f"J={J}, odd": {"J": J, "shape": (35, 33), "bank": bank}
        for J, bank in enumerate(
            ("accurate", "fast-L6", "paper-tuned", "fast-L4", "accurate-L4"), 1
        )
    },
    **{f"bank {bank}": {"J": 2, "shape": (29, 38), "bank": bank} for bank in list_banks()},
    "zero, odd": {"J": 3, "shape": (29, 38), "boundary": "zero"},
    "zero, strided": {"J": 4, "shape": (33, 16), "boundary": "zero", "bank": "paper-tuned"},
    # The maps of the last octave are so small that they wrap more than once.
    "periodic": {"J": 5, "shape": (32, 64), "boundary": "periodic"},
    "periodic, strided": {"J": 3, "shape": (8, 16), "boundary": "periodic", "bank": "paper"},
    "order 1": {"J": 3, "shape": (31, 30), "max_order": 1},
    "order 1, J=1, zero": {"J": 1, "shape": (5, 2), "max_order": 1, "boundary": "zero"},
    "padded before": {"J": 2, "shape": (13, 18), "pre_pad": True},
    "symmetric": {"J": 2, "shape": (29, 38), "boundary": "symmetric"},
    "constant": {"J": 2, "shape": (29, 38), "boundary": "constant"},
    "twice the samples": {"J": 3, "shape": (29, 38), "oversampling": 1},
    "means": {"J": 3, "shape": (29, 38), "average": "global"},
    "means, zero, strided": {
        **{"J": 3, "shape": (24, 31), "average": "global", "boundary": "zero", "bank": "paper"}
    },
    "some paths": {"J": 3, "shape": (29, 38), "bank": "fast-L4", "paths": [2, 5, 17, 60]},
    "means of some paths": {
        **{"J": 3, "shape": (29, 38), "bank": "fast-L4", "average": "global", "paths": [0, 3, 33]}
    },
}
PLAIN = {"Unsqueeze", "Gather", "Slice", "Concat", "Reshape", "Conv", "Split", "Mul", "Add", "Sqrt"}
WITH_MAGNITUDES = PLAIN | {
    *("Abs", "LessOrEqual", "GreaterOrEqual", "Where", "ReduceMin", "ReduceMax", "ReduceSum"),
    *("Neg", "Max", "Min", "Sub", "Cast"),
}


def session(model):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    content = model.SerializeToString()
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def run(model, images):
    return session(model).run(["coefficients"], {"images": images})[0]


def transform(J, shape, **options):
    return Scattering2D(J, shape, None, backend="numpy", **options)


def noise(S, *batch, seed=0, dtype=np.float32):
    shape = *batch, *S.plan.input_shape
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def assert_close(actual, images, S, most=EXACT):
    """Compare order by order with the transform in double precision."""
    expected = S(images.astype(np.float64))
    assert actual.shape == expected.shape
    if S.average == "global":
        actual, expected = actual[..., None, None], expected[..., None, None]
    errors = relative_errors(actual.astype(np.float64), expected, S.meta()["order"])
    assert max(errors.values()) <= most, errors


# Values


@pytest.mark.parametrize("name", CASES)
def test_equals_numpy(name):
    S = transform(**CASES[name])
    images = noise(S, 2)
    actual = run(make_model(S), images)
    assert actual.dtype == np.float32
    assert_close(actual, images, S)
    on_level = np.rint(64 * images) + np.float32(2**16)
    assert_close(run(make_model(S), on_level), on_level, S)


def test_the_cases_cover_all_that_differs():
    given = [{"bank": "accurate", "max_order": 2, **case} for case in CASES.values()]
    assert {case["bank"] for case in given} == set(list_banks())
    assert {case["J"] for case in given} == {1, 2, 3, 4, 5}
    assert {case.get("boundary") for case in given} == {None, *BOUNDARIES[1:]}


@given(case=random_cases(dtypes=("float32",), outputs=True))
def test_random_transforms_equal_the_definition(case):
    S, images = case.scattering("numpy"), case.images()
    if S.average is False:
        with pytest.raises(ArgumentError, match="maps of many sizes"):
            make_model(S)
        return
    actual = run(make_model(S), images)
    for number, image in enumerate(images):
        assert_channels_equal(actual, number, case.expected(image), S, image)


@pytest.mark.parametrize("name", ["wide wavelets", "wide smoothing", "free, one tap"])
def test_zeros_beyond_windows_that_begin_anywhere(name):
    """Windows may begin before the edge or behind it, and so be padded or cut."""
    bank = bank_of(name)
    S = Scattering2D(2, (9, 14), bank.L, bank=bank, boundary="zero", backend="numpy")
    assert_close(run(make_model(S), noise(S, 2)), noise(S, 2), S)


@pytest.mark.parametrize("batch", [(), (1,), (3,), (0,), ("N",), ("N", 3), (2, "frames", 2)])
def test_axes_before_the_image(batch):
    S = transform(2, (16, 17), bank="fast-L4")
    if 0 in batch:
        assert run(make_model(S), noise(S, 0)).shape == (0, *S.output_shape)
        return
    lengths = [axis if isinstance(axis, int) else 2 for axis in batch]
    model = make_model(S, batch=batch)
    assert_close(run(model, noise(S, *lengths)), noise(S, *lengths), S)
    declared = model.graph.output[0].type.tensor_type.shape.dim
    stated = [axis.dim_param or axis.dim_value for axis in declared]
    assert stated == [*batch, *S.output_shape]


# Magnitudes and levels


@pytest.fixture(scope="module")
def both():
    """Return a transform and a session of its model."""
    S = transform(2, (40, 41))
    return S, session(make_model(S))


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("boundary", ["periodic", "zero"])
def test_what_is_taken_off_is_what_the_rule_says(boundary, dtype):
    """To the last bit; no level where edges are part of the picture."""
    S = transform(1, (4, 4), bank="fast-L4", boundary=boundary)
    model = make_model(S, dtype=dtype)
    # The program begins with padding, or where the images get an axis of channels.
    inner = next(node.input[0] for node in model.graph.node if node.op_type in ("Unsqueeze", "Pad"))
    model.graph.output.append(onnx.ValueInfoProto(name=inner))
    limits = np.finfo(dtype)
    ratios = [(0, 1), (-1, 0.5), (1, 1), (-1, -15 / 16), (1, 17 / 16), (1, 69 / 64), (-1.5, -0.75)]
    sizes = 2.0 ** np.arange(limits.minexp - limits.nmant, limits.maxexp)
    lows, highs = (np.outer(sizes, end).ravel().astype(dtype) for end in zip(*ratios, strict=True))
    images = np.repeat(lows, 16).reshape(-1, 4, 4)
    images[:, 1, 2] = highs
    images[::5, 3, 3] = np.inf
    actual = session(model).run([inner], {"images": images})[0]
    has_level = boundary != "zero"
    for image, low, high, found in zip(images, lows, highs, actual, strict=True):
        rule = min(low, high), max(low, high), has_level, *ordinary_exponents(dtype)
        level, shift = level_and_shift(*map(float, rule[:2]), *rule[2:])
        np.testing.assert_array_equal(found, np.ldexp(image - np.dtype(dtype).type(level), shift))


def test_images_of_any_magnitude_side_by_side(both):
    S, model = both
    scales = np.float32([1, 1e-20, 1e30, 1e-38, 1e38, 5e-7, 9e12, -1e25])
    images = scales[:, None, None] * noise(S).clip(-3, 3)
    for actual, image, expected in zip(
        model.run(None, {"images": images})[0], images, S(images), strict=True
    ):
        # Coefficients of the very small are rounded to denormal numbers.
        most = EXACT if np.abs(image).max() > 1e-30 else 1e-4
        errors = relative_errors(actual.astype(float), expected.astype(float), S.meta()["order"])
        assert max(errors.values()) < most, (np.abs(image).max(), errors)


def test_powers_of_two_change_nothing_but_the_scale(both):
    S, model = both
    image = noise(S)
    powers = [np.float32(2.0**k) for k in (-90, -40, 60, 100)]
    images = np.stack([image * power for power in powers])
    by_scale = [y / p for y, p in zip(model.run(None, {"images": images})[0], powers, strict=True)]
    for one in by_scale[1:]:
        np.testing.assert_array_equal(one, by_scale[0])


def test_contrast_on_a_high_level_is_kept(both):
    S, model = both
    contrast = np.rint(100 * noise(S)).astype(np.float32)
    for level in (0, 2**20, -(2**22)):
        actual = model.run(None, {"images": contrast[None] + np.float32(level)})[0][0]
        expected = S(contrast.astype(np.float64))
        np.testing.assert_allclose(actual[1:], expected[1:], atol=1e-6 * np.abs(expected).max())
    assert np.abs(actual[0] + 2**22).max() < 1000


@pytest.mark.parametrize("value", [0, 3.3, -1e30, 1e-42])
def test_constant_images_have_an_average_and_nothing_else(both, value):
    S, model = both
    images = np.full((1, 40, 41), value, np.float32)
    actual = model.run(None, {"images": images})[0]
    smallest = np.finfo(np.float32).smallest_subnormal
    np.testing.assert_allclose(actual, S(images), rtol=1e-6, atol=smallest)
    assert not actual[:, 1:].any()


def test_nan_and_infinity_reach_no_further_than_their_windows(both):
    S, model = both
    images = noise(S, 2)
    images[0, 3, 4], images[0, 5, 4] = np.nan, np.inf
    actual = model.run(None, {"images": images * np.float32(1e-25)})[0]
    expected = S(images * np.float32(1e-25))
    np.testing.assert_array_equal(np.isfinite(actual), np.isfinite(expected))
    assert 0 < np.isfinite(actual[0]).mean() < 1
    finite = np.isfinite(expected)
    np.testing.assert_allclose(actual[finite], expected[finite], rtol=1e-3, atol=1e-31)


def test_without_magnitudes_ordinary_images_alone_are_right():
    S = transform(2, (24, 24), bank="fast")
    model = session(make_model(S, magnitudes=False))
    for scale in (5e-7, 1, 9e12):
        images = noise(S, 2)
        images *= np.float32(scale) / np.abs(images).max()
        assert_close(model.run(None, {"images": images})[0], images, S)
    assert not np.isfinite(model.run(None, {"images": noise(S, 1) * np.float32(1e30)})[0]).all()


# Number formats


@pytest.mark.parametrize("scale", [1, 255, 60_000])
def test_half_precision_in_onnx_runtime(scale):
    S = transform(3, (33, 38))
    images = (scale * np.random.default_rng(0).random((2, 33, 38))).astype(np.float16)
    actual = run(make_model(S, dtype="float16"), images)
    assert actual.dtype == np.float16
    assert_close(actual, images, S, 2e-3)


@pytest.mark.parametrize(("dtype", "most"), [("float16", 5e-3), ("float64", 1e-12)])
def test_other_formats_by_the_standards_own_evaluator(dtype, most):
    """Every node rounds to the format, which ONNX Runtime does not do on CPUs."""
    S = transform(2, (13, 10), bank="fast-L4")
    images = 255 * np.random.default_rng(1).random((2, 13, 10))
    images = images.astype(dtype)
    actual = ReferenceEvaluator(make_model(S, dtype=dtype)).run(None, {"images": images})[0]
    assert actual.dtype == dtype
    assert_close(actual, images, S, most)


# What is in the file


@pytest.mark.parametrize("boundary", ["kymatio", "zero", "periodic"])
@pytest.mark.parametrize(("magnitudes", "allowed"), [(True, WITH_MAGNITUDES), (False, PLAIN)])
def test_operators_are_few_and_old(boundary, magnitudes, allowed):
    S = transform(2, (16, 20), bank="fast-L4", boundary=boundary)
    model = make_model(S, magnitudes=magnitudes)
    used = {node.op_type for node in model.graph.node}
    assert used <= allowed | ({"Pad"} if boundary == "zero" else set())
    assert [(one.domain, one.version) for one in model.opset_import] == [("", OPSET)]
    assert not any(node.domain for node in model.graph.node)


def test_a_model_says_what_it_is(tmp_path):
    S = transform(2, (16, 20), bank="fast-L4", max_order=1, boundary="zero")
    assert export(S, tmp_path / "a.onnx") == tmp_path / "a.onnx"
    onnx.checker.check_model(str(tmp_path / "a.onnx"), full_check=True)
    said = onnxruntime.InferenceSession(tmp_path / "a.onnx").get_modelmeta()
    meta = said.custom_metadata_map
    j, theta = json.loads(meta.pop("j")), json.loads(meta.pop("theta"))
    assert meta == {
        "bank": "fast-L4",
        "sha256": S.bank.sha256,
        "J": "2",
        "L": "4",
        "max_order": "1",
        "shape": "[16, 20]",
        "boundary": "zero",
        "pre_pad": "false",
        "average": "true",
        "oversampling": "0",
        "version": npscatter.__version__,
    }
    assert said.producer_name == "npscatter"
    assert [(one["j"], one["theta"]) for one in paths(S)] == [
        (tuple(a), tuple(b)) for a, b in zip(j, theta, strict=True)
    ]


def paths(S):
    listed = transform(S.J, S.shape, bank=S.bank, max_order=S.max_order, out_type="list")
    return listed(np.zeros(S.plan.input_shape, np.float32))


def test_the_same_arguments_give_the_same_bytes(tmp_path):
    for name in "ab":
        export(transform(2, (16, 20)), tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


# What cannot be


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"dtype": "float128"}, "dtype='float128': must be one of"),
        ({"batch": "N"}, "must be a tuple of axes"),
        ({"batch": 3}, "must be a tuple of axes"),
        ({"batch": ("N", "M")}, "may have one axis of any length"),
        ({"batch": ("",)}, "an axis is named as a variable is"),
        ({"batch": ("a b",)}, "an axis is named as a variable is"),
        ({"batch": (0,)}, "batch[0]=0: must be at least 1"),
        ({"batch": (1.5,)}, "batch[0]=1.5: must be an integer"),
        ({"batch": (2**20, 2**20)}, "at most 2147483647 are counted"),
        ({"magnitudes": 2}, "magnitudes=2: must be True or False"),
    ],
)
def test_arguments_that_no_model_is_made_of(options, words):
    with pytest.raises((ArgumentError, ArgumentTypeError)) as raised:
        make_model(transform(2, (16, 16)), **options)
    assert words in str(raised.value)


@pytest.mark.parametrize("other", [None, "accurate", np.zeros((2, 2))])
def test_what_is_no_transform(other, tmp_path):
    with pytest.raises(ArgumentTypeError, match=r"S=.*must be a Scattering2D"):
        export(other, tmp_path / "a.onnx")
    assert not list(tmp_path.iterdir())


def test_maps_of_many_sizes_are_refused():
    with pytest.raises(ArgumentError, match=r"S.average=False: .*pass a transform with average=T"):
        make_model(transform(2, (16, 16), average=False))


def without_onnx(code, folder):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    code = f"import runpy, sys; sys.modules['onnx'] = None\n{code}"
    command = [sys.executable, "-c", code, "export-onnx", "-o", "a.onnx"]
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


def test_without_onnx(tmp_path):
    """The package works, the door says what is missing, and so does the command."""
    told = f"npscatter.onnx needs onnx, which is not installed: {install_extra('onnx')}\n"
    ran = without_onnx(
        "import npscatter\ntry: import npscatter.onnx\nexcept ImportError as error: print(error)",
        tmp_path,
    )
    assert (ran.stdout, ran.stderr) == (told, "")
    ran = without_onnx("runpy.run_module('npscatter', run_name='__main__')", tmp_path)
    # A slow machine is also told what takes so long.
    assert ran.returncode == 2 and ran.stderr.removeprefix("making the graph\n") == f"Error: {told}"
    assert not list(tmp_path.iterdir())


# The command


def test_the_command_writes_what_the_function_does(tmp_path):
    options = ["--bank", "fast-L4", "--J", "1", "--shape", "9", "8", "--max-order", "1"]
    options += ["--boundary", "zero", "--dtype", "float16", "--batch", "2", "--batch", "N"]
    for more, magnitudes in ([], True), (["--plain"], False):
        output = tmp_path / "a.onnx"
        ran = CliRunner().invoke(main, ["export-onnx", *options, *more, "-o", str(output)])
        assert (ran.exit_code, ran.stdout) == (0, f"{output}\n"), ran.output
        S = transform(1, (9, 8), bank="fast-L4", max_order=1, boundary="zero")
        made = make_model(S, dtype="float16", batch=(2, "N"), magnitudes=magnitudes)
        assert output.read_bytes() == made.SerializeToString()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--J", "9"], "pass J between 1 and 5"),
        (["--batch", "N", "--batch", "M"], "may have one axis of any length"),
        (["--bank", "none"], "none"),
        (["--L", "5"], "was learned for"),
    ],
)
def test_errors_of_the_command_are_one_line(tmp_path, options, words):
    ran = CliRunner().invoke(main, ["export-onnx", *options, "-o", str(tmp_path / "a.onnx")])
    assert ran.exit_code == 2 and ran.stderr.count("\n") == 1
    assert words in ran.stderr
    assert not list(tmp_path.iterdir())
