"""The figures of the page on Kymatio: they are found as said, and stand there as found."""

from types import SimpleNamespace

import numpy as np
import pytest
from click.testing import CliRunner

from npscatter import Scattering2D
from tools import kymatio_figures
from tools.kymatio_figures import EXAMPLES, Example


@pytest.fixture
def suite(tmp_path, monkeypatch):
    """Let a program that says what it was given be in the place of Kymatio's suite."""
    path = tmp_path / "suite.py"
    path.write_text("import sys\nprint('Epoch 1\\rEpoch 2\\nPSNR:', 1 / 3, *sys.argv[3:])\n")
    monkeypatch.setattr(kymatio_figures, "SUITE", str(path))
    return path


def test_an_example_is_run_with_either_library(suite, tmp_path):
    example = Example("one.py", "PSNR", (("a b", "c"),))
    ours = kymatio_figures.ran(example, tmp_path, "npscatter")
    theirs = kymatio_figures.ran(example, tmp_path, "Kymatio")
    assert ours["said"] == [f"PSNR: {1 / 3} one.py --change a b c"] and ours["seconds"] >= 0
    assert theirs["said"] == [f"PSNR: {1 / 3} one.py --kymatio --change a b c"]
    assert kymatio_figures.said(ours).startswith("PSNR: 0.3333 one.py")


def test_an_example_that_fails_says_why(suite, tmp_path):
    suite.write_text("raise SystemExit('no data')")
    with pytest.raises(kymatio_figures.click.ClickException, match=r"one.py: no data"):
        kymatio_figures.ran(Example("one.py", "PSNR"), tmp_path, "Kymatio")


def test_rows_are_kept_one_by_one(suite, tmp_path, monkeypatch):
    monkeypatch.setattr(kymatio_figures, "EXAMPLES", EXAMPLES[:2])
    kept = []
    kymatio_figures.run_examples(tmp_path, lambda rows: kept.append(len(rows)))
    assert kept == [1, 2]


def test_a_package_that_has_our_own_values_is_at_no_distance(monkeypatch):
    def calculator(M, N, J, L, device):
        S = Scattering2D(J, (M, N), L=L, boundary="periodic", average="global")

        def scattering_coef(x):
            values, meta = S(x[0]), S.meta()
            second = np.full((J, J, L, L), np.nan)
            of_second = meta["order"] == 2
            second[(*meta["j"][of_second].T, *meta["theta"][of_second].T)] = values[of_second]
            return {"S1": values[1 : 1 + J * L].reshape(1, J, L), "S2": second[None]}

        return SimpleNamespace(scattering_coef=scattering_coef)

    package = SimpleNamespace(Scattering2d=calculator)
    errors = kymatio_figures.of_coefficients(package, 32, 2)["errors"]
    assert errors['`average="global"`'] == {"S1": 0, "S2": 0}
    assert 0 < errors["means over the image"]["S1"] < 0.05


def test_the_factors_of_scatnet_stand_on_the_page():
    factors = kymatio_figures.scatnet_factors()
    assert factors == kymatio_figures.results.read("kymatio")["scatnet"]["factors"]
    page = (kymatio_figures.ROOT / kymatio_figures.PAGE).read_text(encoding="utf-8")
    assert f"c = {', '.join(map(str, factors.values()))} for L = {', '.join(factors)} |" in page


def test_the_page_has_what_was_found():
    ran = CliRunner().invoke(kymatio_figures.main, ["--check"])
    assert ran.exit_code == 0, ran.output


def test_what_was_found_is_as_near_as_the_page_says():
    """Of these examples, and with coefficients that are Cheng's to 1 %, covariances to 2 %."""
    found = kymatio_figures.results.read("kymatio")
    assert len(found["examples"]["rows"]) == len(EXAMPLES)
    for row, example in zip(found["examples"]["rows"], EXAMPLES, strict=True):
        assert row["command"] == ["python", *example.command("FOLDER", "npscatter")]
        assert all(one["said"] for one in row["runs"].values())
    for row in found["cheng"]["rows"]:
        for errors in row["errors"].values():
            assert max(errors.values()) < (0.02 if "C11" in errors else 0.01)
