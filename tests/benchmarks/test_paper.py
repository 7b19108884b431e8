"""The frame of the paper's experiments: settings, files, the command, the committed results."""

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from matplotlib.figure import Figure
from PIL import Image

from benchmarks import results, tables
from benchmarks.paper import sources
from benchmarks.paper.__main__ import EXPERIMENTS, main
from benchmarks.paper.experiment import Experiment, Settings
from npscatter.errors import ArgumentError

ASKED = {"fig3", "fig4", "fig5", "fig6", "readings", "fig7", "table1", "table2", "serve", "bounds"}
ASKED |= {"hybrid", "sets", "floor"}
USES_PUBLISHED_SETS = ASKED - {"fig5", "serve"}


def test_every_figure_and_table_has_an_experiment_and_a_result():
    assert set(EXPERIMENTS) == ASKED
    for name, made in EXPERIMENTS.items():
        result = made.load()
        assert result["setting"] in ("reduced", "full")
        assert result["environment"]["command"].startswith(f"python -m benchmarks.paper {name}")
        assert result["environment"]["commit"] and result["data"]
        with Image.open(results.path_of(f"paper/{name}", ".png")) as picture:
            assert min(picture.size) > 500


@pytest.mark.parametrize("name", sorted(USES_PUBLISHED_SETS))
def test_results_without_the_published_sets_say_so(name):
    result = EXPERIMENTS[name].load()
    published = "PATH" in result["environment"]["command"]
    assert published or "stand-in" in result["data"]


def test_no_attempt_at_a_bound_succeeded():
    result = EXPERIMENTS["bounds"].load()
    assert result["violations"] == 0 and result["attempts per bound"] >= 10_000
    outcomes = [found for bank in result["banks"].values() for found in bank["bounds"].values()]
    assert len(outcomes) > 75
    assert all(found["attempts"] >= 10_000 and not found["violations"] for found in outcomes)
    assert result["attempts"] == sum(found["attempts"] for found in outcomes)


def test_running_writes_the_result_and_draws_it(tmp_path, monkeypatch):
    seen = []

    def measure(settings):
        seen.append(settings)
        return {"data": "none", "value": settings.choose(1, 2)}

    made = Experiment("trial", "A trial", measure, lambda result: Figure())
    monkeypatch.setitem(EXPERIMENTS, "fig3", made)
    runner = CliRunner()
    there = ["--results", str(tmp_path / "paper")]
    assert runner.invoke(main, ["fig3", "--full", *there]).exit_code == 0
    result = json.loads((tmp_path / "paper" / "trial.json").read_text())
    assert (result["value"], result["setting"]) == (2, "full")
    assert result["environment"]["command"] == "python -m benchmarks.paper trial --full"
    assert seen == [Settings(full=True, runs=Path("runs/paper"), results=tmp_path / "paper")]
    (tmp_path / "paper" / "trial.png").unlink()
    assert runner.invoke(main, ["fig3", "--redraw", *there]).exit_code == 0
    assert (tmp_path / "paper" / "trial.png").exists() and len(seen) == 1


def test_a_failed_measurement_keeps_the_result_there_is(tmp_path):
    made = Experiment("trial", "A trial", lambda _: {"value": float("nan")}, lambda _: Figure())
    path = results.write(tmp_path / "trial", {"value": 1})
    before = path.read_bytes()
    with pytest.raises(ValueError, match="JSON"):
        made.run(Settings(results=tmp_path))
    assert path.read_bytes() == before


def test_what_cannot_be_written_is_not_measured(tmp_path, monkeypatch):
    measured = []
    made = Experiment("trial", "A trial", measured.append, lambda _: Figure())
    (tmp_path / "trial.png").write_bytes(b"old")
    monkeypatch.setattr(results.os, "access", lambda path, _: path.suffix != ".png")
    with pytest.raises(ArgumentError, match=r"trial\.png.*measurement would be lost.*writable"):
        made.run(Settings(results=tmp_path))
    assert not measured


def test_the_page_says_what_the_results_say(tmp_path, monkeypatch):
    runner = CliRunner()
    assert runner.invoke(main, ["page", "--check"]).exit_code == 0
    page = tmp_path / "benchmarks" / "PAPER.md"
    page.parent.mkdir()
    text = (tables.ROOT / "benchmarks" / "PAPER.md").read_text()
    page.write_text(text.replace("**0 violations**", "**1 violation**"))
    monkeypatch.setattr(tables, "ROOT", tmp_path)
    stale = runner.invoke(main, ["page", "--check"])
    assert stale.exit_code == 1 and "python -m benchmarks.paper page" in stale.output
    assert runner.invoke(main, ["page"]).exit_code == 0
    assert page.read_text() == text


def test_the_command_names_what_there_is():
    listed = CliRunner().invoke(main, ["--help"]).output
    assert all(name in listed for name in ASKED)
    refused = CliRunner().invoke(main, ["fig9"])
    assert refused.exit_code == 2 and "fig3" in refused.output
    refused = CliRunner().invoke(main, ["fig3", "--cifar10", "/nowhere"])
    assert refused.exit_code == 2 and "/nowhere" in refused.output


def test_published_files_take_the_stand_ins_place(tmp_path):
    folder = tmp_path / "cifar-10-batches-bin"
    folder.mkdir()
    records = np.random.default_rng(0).integers(0, 256, (5, 3073), np.uint8)
    records[:, 0] = 3
    (folder / "test_batch.bin").write_bytes(records.tobytes())
    images, words = sources.cifar_images(Settings(cifar10=tmp_path), 3)
    green = records[:3, 1025:2049].reshape(3, 32, 32) / 255
    np.testing.assert_allclose(images, green, atol=1e-6)
    (folder / "test_batch.bin").rename(tmp_path / "kept")
    (folder / "test_batch.bin").mkdir()
    with pytest.raises(FileNotFoundError, match="must hold test_batch"):
        sources.cifar_images(Settings(cifar10=tmp_path), 3)
    assert "CIFAR-10 test set" in words and "stand-in" not in words
    assert sources.cifar10(Settings(cifar10=tmp_path)).source == f"cifar10:{tmp_path}"
    absent = sources.cifar10(Settings()).words, sources.tiny_imagenet(Settings()).words
    assert absent[0].startswith("stand-in for CIFAR-10 (pass --cifar10): 32x32 crops")
    assert absent[1].startswith("stand-in for Tiny ImageNet, which was not at hand: 64x64 crops")
