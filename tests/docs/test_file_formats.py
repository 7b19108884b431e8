"""The page of file formats: a file of each is written, and holds what its table lists."""

import json
import re
from pathlib import Path

import numpy as np
import onnx
import pyarrow.parquet as parquet
import pytest
import zarr
from command_line import grey, run
from safetensors import safe_open

import npscatter
from cexport import LinearClassifier, generate
from npscatter import FilterBank, Scattering2D
from npscatter.onnx import export

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "file-formats.md").read_text()
SHIPPED = Path(npscatter.__path__[0]) / "banks"
SETTINGS = "bank", "images"


def rows(title):
    """Return the rows of a section's table: lists of cells."""
    (section,) = re.findall(rf"^##+ {re.escape(title)}\n(.*?)(?=^##|\Z)", PAGE, re.M | re.S)
    lines = [line for line in section.splitlines() if line.startswith("| `")]
    assert lines, title
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def names(title):
    """Return what the first column names, in its order."""
    return [name for first, *_ in rows(title) for name in re.findall(r"`([^`]+)`", first)]


def settings_of(listed):
    return listed[listed.index("bank") :]


def columns_of(listed):
    return listed[listed.index("channels") : listed.index("bank")]


@pytest.fixture(scope="module")
def bank():
    return FilterBank.load("accurate")


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Return the folder that ``npscatter transform`` has written one of each into."""
    folder = tmp_path_factory.mktemp("transform")
    for number in range(2):
        grey(folder / "cats" / f"{number}.png", number)
    common = ["--J", 1, "--L", 4, "--backend", "numpy", "--workers", 0, "--labels", "folder"]
    whole = [folder / "cats" / f"{number}.png" for number in range(2)]
    (folder / "cats" / "broken.png").write_bytes(b"no picture")
    outputs = {"all.npz": [], "all.zarr": [], "all.parquet": [], "means.parquet": ["mean"]}
    for output, summary in outputs.items():
        asked = [word for one in summary for word in ("--summary", one)]
        done = run("transform", folder / "cats", "-o", folder / output, *common, *asked)
        assert done.exit_code == 1, done.output
    assert run("transform", *whole, "-o", folder / "all.npy", *common).exit_code == 0
    return folder


def shape_of(cell, bank, K):
    sizes = {"L": bank.L, "R": bank.R, "K": K, "2 L": 2 * bank.L}
    return tuple(sizes.get(part) or int(part) for part in cell.strip("()").split(", "))


def test_a_bank(bank, tmp_path):
    npz = bank.save(tmp_path / "mine.npz")
    listed = rows("A bank: NAME.npz")
    for path in (npz, SHIPPED / "accurate.npz"):
        with np.load(path) as file:
            assert file.files == [first.strip("`") for first, *_ in listed]
            for (_, dtype, shape, _), taps in zip(listed, file.values(), strict=True):
                assert taps.dtype.newbyteorder("=") == dtype
                assert taps.shape == shape_of(shape, bank, taps.shape[-1])


def test_a_card(bank, tmp_path):
    bank.save(tmp_path / "mine.npz")
    listed = names("Its card: NAME.json")
    for path in (tmp_path / "mine.json", SHIPPED / "accurate.json"):
        card = json.loads(path.read_text())
        assert set(card) == set(listed)
        assert set(card["architecture"]) == set(names("architecture"))
    bare = bank.with_card({})
    bare.save(tmp_path / "bare.npz")
    optional = {first.strip("`") for first, kind, _ in rows("Its card: NAME.json") if "opt" in kind}
    assert set(json.loads((tmp_path / "bare.json").read_text())) == set(listed) - optional


def test_plain_taps(bank, tmp_path):
    listed = rows("Plain taps: .npz and .safetensors")
    arrays = {first.strip("`"): shape for first, shape, _ in listed}
    with np.load(bank.export_taps(tmp_path / "taps.npz")) as file:
        assert set(file.files) == set(arrays)
        about = json.loads(str(file["about"]))
        del arrays["about"]
        for key, shape in arrays.items():
            assert file[key].dtype == np.float32
            assert file[key].shape == shape_of(shape, bank, file[key].shape[-1])
    assert set(about) == set(names("about"))
    assert all(name in PAGE for name in about["strides"])
    with safe_open(bank.export_taps(tmp_path / "taps.safetensors"), "np") as file:
        assert set(file.keys()) == set(arrays)
        assert json.loads(file.metadata()["about"]) == about
        assert set(file.metadata()) == {"about"}


def test_transform_to_npz(written):
    listed = names("transform: .npz")
    with np.load(written / "all.npz") as file:
        assert set(file.files) == set(listed)
        N, C, *_ = file["coefficients"].shape
        sizes = {"N": N, "C": C, "M": len(file["skipped"]), "2": 2}
        for first, shape, _ in rows("transform: .npz"):
            for name in re.findall("`(.*?)`", first):
                if re.fullmatch(r"\([NCM2, ]*\)", shape):
                    lengths = [sizes[part] for part in re.findall(r"\w", shape)]
                    assert file[name].shape == tuple(lengths), name


def test_transform_to_npy(written):
    card = json.loads((written / "all.npy.json").read_text())
    assert set(card) == set(names("transform: .npy and .npy.json"))
    listed = names("transform: .npz")
    assert list(card["settings"]) == [name for name in card["settings"] if name in listed]
    assert set(card["settings"]) == set(settings_of(listed))
    assert set(card["columns"]) == set(columns_of(listed))
    assert next(iter(card)) == "npscatter" and card["skipped"] == []


def test_transform_to_zarr(written):
    group, listed = zarr.open_group(str(written / "all.zarr"), mode="r"), names("transform: .npz")
    assert {key for key, _ in group.arrays()} == set(names("transform: .zarr"))
    assert set(names("transform: .zarr")) == set(listed) - set(settings_of(listed))
    assert set(group.attrs) == set(settings_of(listed))
    for first, axes in rows("transform: .zarr"):
        for name in re.findall("`(.*?)`", first):
            axes_of = re.sub(r"\(.*?\) |;.*", "", axes).split(", ")
            assert group[name].attrs["_ARRAY_DIMENSIONS"] == axes_of, name
    assert "coordinates" in group["coefficients"].attrs
    assert (written / "all.zarr" / ".zgroup").exists()


def test_transform_to_parquet(written):
    schema = parquet.read_schema(written / "all.parquet")
    assert schema.names == names("transform: .parquet")[:3]
    about = json.loads(schema.metadata[b"npscatter"])
    assert set(about) == set(names("parquet metadata"))
    card = json.loads((written / "all.npy.json").read_text())
    for key in ("settings", "columns"):
        assert about[key].keys() == card[key].keys()
    means = parquet.read_schema(written / "means.parquet")
    assert means.names[2:4] == ["mean_S0", "mean_S1_j0_t0"]
    assert all(f"`{name}`" in PAGE for name in means.names[2:4])


def test_a_model(tmp_path):
    path = export(Scattering2D(J=1, shape=(8, 8), L=4, backend="numpy"), tmp_path / "model.onnx")
    model = onnx.load(path)
    assert {one.key for one in model.metadata_props} == set(names("An ONNX model"))
    assert f"format {model.ir_version}, operator set {model.opset_import[0].version}" in PAGE
    assert [one.name for one in (*model.graph.input, *model.graph.output)] == [
        "images",
        "coefficients",
    ]


def test_a_classifier(tmp_path):
    S = Scattering2D(J=1, shape=(8, 8), L=4, backend="numpy")
    weights = np.ones((1, np.prod(S.output_shape)))
    path = LinearClassifier.of(S, weights, [0], [3, 8]).save(tmp_path / "model.npz")
    with np.load(path) as file:
        assert set(file.files) == set(names("A classifier: model.npz"))
        for first, dtype, shape, _ in rows("A classifier: model.npz"):
            for name in re.findall("`(.*?)`", first):
                kind = "U" if dtype == "text" else np.dtype(dtype.split()[0]).kind
                assert file[name].dtype.kind == kind, name
                axes = {"()": 0, "(2,)": 1, "(K,)": 1, "(K,), or (2,)": 1, "(K, C h w)": 2}[shape]
                assert file[name].ndim == axes, name


def test_a_header():
    S = Scattering2D(J=1, shape=(8, 8), L=4, backend="numpy")
    trained = LinearClassifier.of(S, np.ones((1, np.prod(S.output_shape))), [0], [3, 8])
    header = generate(J=1, shape=(8, 8), L=4, classifier=trained)
    for name in names("A generated C header"):
        assert re.search(rf"^#define {name} ", header, re.MULTILINE), name
