"""Filters as plain arrays: what is in the files, and that the cascade runs on nothing else."""

import importlib
import json

import numpy as np
import pytest
from banks import bank_of
from click.testing import CliRunner
from safetensors import safe_open
from safetensors.numpy import load_file
from tolerances import assert_equal_to_rounding

from npscatter import ArgumentError, BackendError, FilterBank, Scattering2D
from npscatter.cli.group import main
from npscatter.errors import install_extra


def read(path):
    """Return the arrays of a file, and what it says of them."""
    if path.suffix == ".npz":
        with np.load(path) as file:
            arrays = dict(file)
        return arrays, json.loads(str(arrays.pop("about")))
    with safe_open(path, "numpy") as file:
        about = json.loads(file.metadata()["about"])
    return load_file(path), about


@pytest.fixture(params=[".npz", ".safetensors"])
def path(request, tmp_path):
    return tmp_path / f"taps{request.param}"


@pytest.mark.parametrize("dtype", ["float32", "float16", "float64"])
@pytest.mark.parametrize("name", ["accurate", "paper"])
def test_taps_are_the_banks_as_layers_have_them(path, name, dtype):
    bank = FilterBank.load(name)
    assert bank.export_taps(path, dtype) == path
    arrays, about = read(path)
    assert set(arrays) == set(bank)
    L, K = bank.L, bank["psi_next"].shape[-1]
    assert arrays["psi_next"].shape == (2 * L, bank.R, K, K)
    for key, taps in arrays.items():
        assert taps.dtype == dtype
        wanted = bank[key]
        parts = [wanted.real, wanted.imag] if key.startswith("psi") else [wanted]
        np.testing.assert_array_equal(taps, np.concatenate(parts).astype(dtype))
    assert (about["name"], about["sha256"], about["L"]) == (name, bank.sha256, L)
    assert about["boundary"] == bank.boundary
    assert about["edge"] == {"accurate": "maps are their own period", "paper": "zeros"}[name]
    assert set(about["arrays"]) == set(bank)


def correlate(maps, taps, stride, edge):
    """Correlate maps (I, H, W) with taps (O, I, K, K), sample by sample."""
    K, (H, W) = taps.shape[-1], maps.shape[1:]
    mode = "constant" if edge == "zeros" else "wrap"
    padded = np.pad(maps, ((0, 0), (K // 2, K // 2), (K // 2, K // 2)), mode)
    return np.array(
        [
            [
                [(w * padded[:, y : y + K, x : x + K]).sum() for x in range(0, W, stride)]
                for y in range(0, H, stride)
            ]
            for w in taps
        ]
    )


def cascade(image, taps, about, J):
    """Return the coefficients by path: nothing but the arrays and what the file says of them."""
    strides, edge, L = about["strides"], about["edge"], about["L"]
    by_octave, found = about["next_from"] == "octave", {}

    def octaves(maps, start, path):
        raw = True
        of_modulus = bool(path)
        for octave in range(start, J):
            kind = "first" if (octave == 0 if by_octave else raw) else "next"
            if len(path) < 2 and (octave > start or not path):
                z = correlate(maps, taps[f"psi_{kind}"], strides["psi"], edge)
                for theta, modulus in enumerate(np.hypot(z[:L], z[L:])):
                    octaves(modulus[None], octave, (*path, (octave, theta)))
            role = "low" if octave == J - 1 else "carry"
            what = "a modulus" if of_modulus else "all else"
            maps = correlate(
                maps, taps[f"{role}_{kind}"], strides[f"carry and low of {what}"], edge
            )
            raw = of_modulus = False
        found[path] = maps[0]

    octaves(image[None], 0, ())
    return np.array([found[path] for path in sorted(found, key=lambda path: (len(path), path))])


CASCADES = ["free L=4 R=2", "free, strided wavelets", "free, weights per octave", "paper shape"]


@pytest.mark.parametrize("name", CASCADES)
def test_the_cascade_runs_on_the_arrays_alone(tmp_path, name):
    """Strides, edges, which arrays are for what: as the file says, in plain loops."""
    bank = bank_of(name)
    arrays, about = read(bank.export_taps(tmp_path / "taps.npz", "float64"))
    image = np.random.default_rng(0).standard_normal((8, 16))
    boundary = "zero" if about["edge"] == "zeros" else "periodic"
    S = Scattering2D(3, (8, 16), bank.L, bank=bank, boundary=boundary, backend="numpy")
    assert S.plan.padded_shape == S.shape
    assert_equal_to_rounding(cascade(image, arrays, about, 3), S(image), S, image)


def test_the_cascades_differ_in_all_that_files_say():
    designs = [bank_of(name) for name in CASCADES]
    assert {bank.boundary for bank in designs} == {"kymatio", "zero"}
    assert {bank.architecture.psi_stride for bank in designs} == {1, 2}
    assert {bank.architecture.next_from for bank in designs} == {"carried", "octave"}


@pytest.mark.parametrize("name", ["taps", "taps.txt", "taps.npz.gz"])
def test_other_suffixes_are_refused(tmp_path, name):
    with pytest.raises(ArgumentError, match=r"must end in \.npz or \.safetensors"):
        FilterBank.load("fast").export_taps(tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_without_safetensors(tmp_path, monkeypatch):
    def without(name):
        raise ModuleNotFoundError(name)

    monkeypatch.setattr(importlib, "import_module", without)
    with pytest.raises(BackendError) as raised:
        FilterBank.load("fast").export_taps(tmp_path / "a.safetensors")
    path = tmp_path / "a.safetensors"
    assert str(raised.value).startswith(f"path={path!r}: needs safetensors, which is not installed")
    assert install_extra("safetensors") in str(raised.value)
    assert not list(tmp_path.iterdir())


def test_the_command_writes_what_the_method_does(path, tmp_path):
    ran = CliRunner().invoke(main, ["export-taps", "fast", "--dtype", "float16", "-o", str(path)])
    assert (ran.exit_code, ran.stdout) == (0, f"{path}\n"), ran.output
    written = path.read_bytes()
    FilterBank.load("fast").export_taps(path, "float16")
    assert path.read_bytes() == written


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["fast", "-o", "a.txt"], "must end in .npz or .safetensors"),
        (["none", "-o", "a.npz"], "none"),
    ],
)
def test_errors_of_the_command_are_one_line(tmp_path, monkeypatch, arguments, words):
    monkeypatch.chdir(tmp_path)
    ran = CliRunner().invoke(main, ["export-taps", *arguments])
    assert ran.exit_code == 2 and ran.stderr.count("\n") == 1
    assert words in ran.stderr
    assert not list(tmp_path.iterdir())
