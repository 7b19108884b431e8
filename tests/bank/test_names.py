"""Shipped names, families, paths: which bank is meant."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from bank_files import parts

import npscatter
from npscatter import ArgumentError, ArgumentTypeError, BankError, FilterBank, list_banks
from npscatter.backends.jit_cache import source_digest
from npscatter.bank import resolve


@pytest.fixture
def family(tmp_path, toy_bank, ship_from):
    """Ship a family of three, "good", and a bank that stands alone; return their folder."""
    folder = tmp_path / "shipped"
    folder.mkdir()
    for name, L in [("good", 8), ("good-L4", 4), ("good-L6", 6), ("lone", 8)]:
        given = parts(toy_bank("symmetric", L, 1))
        given["card"] = {"family": "good"} if name.startswith("good-") else {}
        FilterBank(name, **given).save(folder / f"{name}.npz")
    ship_from(folder)
    return folder


def test_unknown_names_list_what_there_is(family):
    assert list_banks() == ["good", "good-L4", "good-L6", "lone"]
    for name in ("three", "GOOD", "", "good.json"):
        with pytest.raises(BankError, match=r"^bank=.*no such bank.*good, good-L4, good-L6, lone"):
            FilterBank.load(name)
    assert FilterBank.load("lone").name == "lone"
    assert FilterBank.load("lone") is FilterBank.load("lone")


@pytest.mark.parametrize("suffix", [".npz", ".json"])
def test_a_shipped_file_that_is_missing_is_named(family, suffix):
    (family / f"good{suffix}").unlink()
    with pytest.raises(BankError, match=rf"good\{suffix}' is missing; install npscatter again"):
        FilterBank.load("good")
    assert "good" in list_banks()
    shutil.rmtree(family)
    with pytest.raises(BankError, match=r"lone\.npz' is missing; install npscatter again"):
        FilterBank.load("lone")
    with pytest.raises(BankError, match="no such bank is shipped"):
        FilterBank.load("other")


def test_a_shipped_name_stands_for_its_family(family):
    assert [resolve("good", L)[0].name for L in (4, 6, 8)] == ["good-L4", "good-L6", "good"]
    assert resolve("good-L4", 4)[0].name == "good-L4"
    # A member's own name means that member, not its family.
    with pytest.raises(ArgumentError, match=r"^L=8: bank 'good-L4' has L=4; pass L=4"):
        resolve("good-L4", 8)
    assert resolve("good", np.int64(6))[0].name == "good-L6"
    assert resolve("lone", 8)[0].name == "lone"
    assert npscatter.Scattering2D(1, (8, 8), L=6, bank="good").bank.name == "good-L6"


def test_a_bank_nobody_learned_is_refused_with_what_there_is(family):
    with pytest.raises(BankError, match=r"^L=12: .*L=4, L=6, L=8"):
        resolve("good", 12)
    with pytest.raises(BankError, match=r"^L=4: bank 'lone' was learned for L=8"):
        resolve("lone", 4)
    for L in ("8", 8.0):
        with pytest.raises(ArgumentTypeError, match=r"^L="):
            resolve("good", L)


def test_without_an_L_or_a_boundary_the_banks_own_are_meant(family, toy_bank):
    assert resolve("good-L4")[0].L == 4 and resolve("good")[0].L == 8
    assert resolve("good")[1] == "kymatio" and resolve("good", boundary="zero")[1] == "zero"
    paper = toy_bank("paper", 4)
    assert resolve(paper) == (paper, "zero") and resolve(paper, 4, "periodic")[1] == "periodic"


def test_a_path_and_a_bank_stand_for_themselves(family):
    path = family / "good.npz"
    bank = FilterBank.load(path)
    assert resolve(path, 8)[0] == resolve(str(path), 8)[0] == resolve(bank, 8)[0] == bank
    assert resolve(bank, 8)[0] is bank
    for given in (path, str(path), bank):
        with pytest.raises(ArgumentError, match=r"^L=4: bank 'good' has L=8; pass L=8"):
            resolve(given, 4)


def test_a_renamed_file_keeps_its_banks_name(files, bank, tmp_path):
    for suffix in (".npz", ".json"):
        shutil.copy(files.with_suffix(suffix), tmp_path / f"renamed{suffix}")
    assert FilterBank.load(tmp_path / "renamed.npz").name == bank.name


# Paths


ODD = [
    "new\nline",
    "\x1b[31mred",
    "sp ace",
    "Ψ",
    "\udcff",
    "a.npz.json",
    "%s",
    "-o",
    "~",
    "🙂" * 40,
]


@pytest.mark.parametrize("name", ODD)
def test_odd_names_of_files_are_kept_and_shown_without_harm(tmp_path, bank, name):
    path = tmp_path / f"{name}.npz"
    with pytest.raises(BankError) as raised:
        FilterBank.load(path)
    assert str(raised.value).isprintable() and str(raised.value).encode()
    assert bank.save(path) == path and FilterBank.load(path) == bank
    assert FilterBank.load(str(path)) == bank
    path.write_bytes(b"")
    path.with_suffix(".json").write_bytes(b"")
    with pytest.raises(BankError) as raised:
        FilterBank.load(path)
    assert str(raised.value).isprintable() and str(raised.value).encode()


class BytesPath:
    def __fspath__(self):
        return b"bank.npz"


def test_what_is_no_path_is_told_in_load_and_save(bank, tmp_path):
    for path in (None, 3, b"accurate", ["accurate"], BytesPath()):
        with pytest.raises(ArgumentTypeError, match=r"^bank="):
            FilterBank.load(path)
        with pytest.raises(ArgumentTypeError, match=r"^path="):
            bank.save(path)
    for path in (tmp_path.root, "./", "..", tmp_path / ".."):
        with pytest.raises(BankError, match=r"^bank="):
            FilterBank.load(path)
    for path in ("", tmp_path.root):
        with pytest.raises(BankError, match=r"^path=.*names no file"):
            bank.save(path)


def test_paths_that_are_no_bank(tmp_path):
    missing = (tmp_path / "no" / "bank.npz", "./no.npz", "no.npz", "nul\0.npz", tmp_path / "a")
    for path in (tmp_path, *missing, tmp_path / ("long" * 1000)):
        with pytest.raises(BankError, match=r"^bank="):
            FilterBank.load(path)


# Data that come in an archive


FROM_A_ZIP = """
import npscatter
from npscatter.__main__ import main
assert ".zip" in npscatter.__file__, npscatter.__file__
for name in npscatter.list_banks():
    assert npscatter.FilterBank.load(name).name == name
from npscatter.backends.jit_cache import source_digest
print(source_digest(("npscatter.program.summation",)))
main()
"""


def test_the_package_works_from_a_zip_archive(tmp_path):
    """Banks, the demo's picture and its coefficients are found, and code is hashed as on disk."""
    folder = Path(npscatter.__file__).parent
    archive = tmp_path / "npscatter.zip"
    with zipfile.ZipFile(archive, "w") as packed:
        for path in folder.rglob("*"):
            if path.suffix in (".py", ".npz", ".json", ".png"):
                packed.write(path, path.relative_to(folder.parent))
    done = subprocess.run(
        [sys.executable, "-c", FROM_A_ZIP, "demo", "--no-figure", "--backend", "numpy", "--J", "1"],
        env={**os.environ, "PYTHONPATH": str(archive)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert source_digest(("npscatter.program.summation",)) in done.stdout
    assert "coefficients  9 x 128 x 128" in done.stdout
