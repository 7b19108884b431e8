"""Selected banks: errors of coefficients, runs that resume, the command, and what is not frozen."""

import json
import re
import shlex
import shutil
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from npscatter import BankError, FilterBank, Scattering2D
from npscatter.program.steps import WEIGHT_ARRAYS
from tools import learn, run_folder
from tools.coefficient_fit import CoefficientFit
from tools.design import Design
from tools.filter_fit import Weighting
from tools.folded import FoldedBank
from tools.kinds import LEAST_S2
from tools.lessons import Aims, Subject, lesson
from tools.presets import PAPER, PRESETS
from tools.selecting import Selection, Selector
from tools.teacher import teach

KERNELS = dict.fromkeys(WEIGHT_ARRAYS, 3) | {"psi_first": 5}
AIMS = Aims(0.01, 0.02, 0.03, scale=0.05, coarsest=0.04)
SUBJECTS = (
    Subject(("white noise",), 2, 16, 2, 2, AIMS),
    Subject(("star field", "plane waves"), 2, 16, 2, 1, AIMS, each=True),
)
SMALL = Selection(
    Design(4, 3, KERNELS),
    budget=100,
    filters_until=125,
    relax=3.0,
    polish=3,
    steps=2,
    filter_round=0.1,
    coefficient_round=0.3,
    weighting=Weighting(points=32, octaves=3, sound=1.0),
    subjects=SUBJECTS,
)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Return an uninterrupted run."""
    selector = Selector(SMALL, tmp_path_factory.mktemp("whole"), threads=1)
    selector.learn()
    return selector


def test_every_subject_is_taught_kymatios_coefficients_by_its_aims():
    noise, others = (lesson(subject, 4, 0) for subject in SUBJECTS)
    np.testing.assert_array_equal(noise.wanted, teach(noise.images, 2, 4))
    assert len(others.images) == 4
    # Errors as large as the coefficients: every group counts 1 / aim^2.
    groups = [AIMS.S0, AIMS.S1, AIMS.S2, AIMS.coarsest, *[AIMS.scale] * 3]
    found = ((noise.scale * noise.wanted) ** 2).sum()
    assert found == pytest.approx(sum(1 / aim**2 for aim in groups))
    # Of each picture by itself, averaged.
    found = ((others.scale * others.wanted) ** 2).sum((1, 2, 3))
    groups = [AIMS.S0, AIMS.S1, AIMS.coarsest, *[AIMS.scale] * 2]
    np.testing.assert_allclose(found, sum(1 / aim**2 for aim in groups) / 4)
    relaxed = lesson(SUBJECTS[0].relaxed(2.0), 4, 0)
    np.testing.assert_allclose(relaxed.scale, noise.scale / 2)


def test_pictures_without_s2_count_it_by_their_s1():
    stripes = Subject(("stripes 1",), 2, 32, 3, 2, AIMS, each=True)
    taught = lesson(stripes, 4, 0)
    first = np.square(taught.wanted[:, 1:13]).sum((1, 2, 3))
    second = np.square(taught.wanted[:, 13:]).sum((1, 2, 3))
    assert (second < LEAST_S2 * first).all()
    whole = lesson(replace(stripes, aims=replace(AIMS, scale=0.0)), 4, 0).scale[:, 13:, 0, 0]
    wanted = 1 / (2 * LEAST_S2 * first * AIMS.S2**2)
    np.testing.assert_allclose(whole**2, np.broadcast_to(wanted[:, None], whole.shape))


def test_coefficient_fits_are_the_errors_of_another_executor():
    folded = FoldedBank(4, 3, KERNELS)
    folded = folded.only(range(0, len(folded.kept), 2))
    generator = np.random.default_rng(0)
    offset, T = folded.feasible()
    c = offset + T @ generator.normal(0, 0.3, len(folded.kept))
    lessons = [lesson(subject, 4, 0) for subject in SUBJECTS]
    fit = CoefficientFit(folded, lessons)

    def errors(c):
        bank, found = folded.bank("b", c), []
        for each in lessons:
            shape = each.images.shape[-2:]
            S = Scattering2D(each.J, shape, 4, each.max_order, bank=bank, backend="numpy")
            found.append((each.scale * (S(each.images) - each.wanted)).ravel())
        return np.concatenate(found)

    r, direction = errors(c), generator.normal(size=len(c))
    along = (errors(c + 1e-6 * direction) - errors(c - 1e-6 * direction)) / 2e-6
    value, gradient, matrix = fit.normal(c)
    assert fit.value(c) == pytest.approx(r @ r)
    assert value == pytest.approx(r @ r)
    assert set(fit.values(c)) == {each.name for each in lessons}
    # Jacobians are held in float32.
    assert gradient @ direction == pytest.approx(along @ r, rel=1e-3)
    assert direction @ matrix @ direction == pytest.approx(along @ along, rel=1e-3)


def test_a_run_selects_within_its_budget_and_learns(whole):
    log = whole.log
    assert [entry["stage"] for entry in log if entry["stage"] == "fit"] == ["fit"]
    assert {entry["stage"] for entry in log} == {"fit", "filters", "coefficients", "learn"}
    costs = [entry["multiply_adds"] for entry in log]
    assert costs == sorted(costs, reverse=True)
    assert costs[-1] <= SMALL.budget
    learned = [entry for entry in log if entry["stage"] == "learn"]
    assert all(entry["objective"] <= entry["before"] for entry in learned)
    assert whole.bank("b").symmetric
    # Every round left a bank.
    rounds = sorted((whole.folder / "rounds").glob("*.npz"))
    assert len(rounds) == len(log)
    assert FilterBank.load(rounds[-1]).sha256 == whole.bank("b").sha256


def test_resumed_run_equals_an_uninterrupted_one(whole, tmp_path):
    begun = Selector(SMALL, tmp_path, threads=1)
    while not any(entry["stage"] == "coefficients" for entry in begun.log):
        begun.learn(rounds=1)
    resumed = Selector(SMALL, tmp_path, resume=True, threads=1)
    assert resumed.stage == begun.stage
    resumed.learn()
    assert resumed.log == whole.log
    assert resumed.bank("a").sha256 == whole.bank("a").sha256
    lines = (tmp_path / "log.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == whole.log
    with pytest.raises(ValueError, match="another recipe"):
        Selector(replace(SMALL, seed=2), tmp_path, resume=True)


def test_a_budget_below_what_must_stay_is_told(whole, tmp_path):
    selector = Selector(replace(SMALL, budget=1.0, coefficient_round=1.0), threads=1)
    selector.kept, selector.coefficients = whole.kept, whole.coefficients
    selector.stage = "coefficients"
    with pytest.raises(ValueError, match=r"budget=1\.0.*cannot be left out"):
        selector.learn()


@pytest.mark.parametrize(
    "name", [name for name, recipe in PRESETS.items() if isinstance(recipe, Selection)]
)
def test_shipped_banks_were_selected_by_the_presets(name):
    learned = FilterBank.load(name).card["learned"]
    assert learned["recipe"] == PRESETS[name].as_dict()
    assert f"train {name} " in learned["sessions"][0]["command"]


def test_recipes_survive_json():
    for preset in (SMALL, PRESETS["accurate"], PRESETS["fast-L4"], PRESETS["paper"]):
        assert type(preset).from_dict(json.loads(json.dumps(preset.as_dict()))) == preset


def test_free_taps_and_senseless_sizes_are_refused():
    with pytest.raises(ValueError, match="tied"):
        replace(SMALL, design=PAPER)
    for name in ("budget", "filters_until", "relax"):
        for value in (-1, np.inf, np.nan):
            with pytest.raises(ValueError, match=f"{name}={value}"):
                replace(SMALL, **{name: value})


def test_a_bank_that_amplifies_is_not_frozen(whole):
    selector = Selector(SMALL, threads=1)
    selector.kept, selector.stage = whole.kept, "done"
    coefficients = whole.coefficients.copy()
    for number in whole.kept.of_array("carry_next"):
        label = whole.kept.kept[number].label
        if label[0] == label[1] == 1:
            coefficients[number] = 3.0
    selector.coefficients = coefficients
    with pytest.raises(BankError, match="octave"):
        run_folder.freeze(selector, "loud", "loud", [])


def test_command_line_selects_resumes_and_freezes(tmp_path, monkeypatch):
    monkeypatch.setitem(PRESETS, "accurate", SMALL)
    monkeypatch.setattr(run_folder, "DEEP", ())
    run = str(tmp_path / "run")

    def tell(*arguments):
        return CliRunner().invoke(learn.main, list(arguments))

    result = tell("train", "accurate", "--run", run, "--threads=1")
    assert result.exit_code == 0, result.output
    assert "multiply-adds a pixel" in result.output
    assert "--resume" in tell("train", "accurate", "--run", run).output
    assert (
        "another recipe" in tell("train", "accurate", "--run", run, "--resume", "--seed=5").output
    )
    result = tell("freeze", run, "--name", "tiny", "-o", str(tmp_path))
    assert result.exit_code == 0, result.output
    card = FilterBank.load(tmp_path / "tiny.npz").card
    assert Selection.from_dict(card["learned"]["recipe"]) == SMALL
    assert card["learned"]["log"][-1]["stage"] == "learn"
    assert card["learned"]["sessions"][0]["threads"] == 1


def test_the_command_for_other_orientations_is_one(tmp_path, monkeypatch):
    """What the error of an L that no bank was learned for says to type."""
    with pytest.raises(BankError) as raised:
        Scattering2D(2, (8, 8), L=12)
    train, freeze = (
        shlex.split(one) for one in re.search("`(.*)`", str(raised.value))[1].split("&&")
    )
    assert train[:3] == freeze[:3] == ["python", "-m", "tools.learn"]
    recipes = []

    class Learner:
        def __init__(self, recipe, folder, resume, threads):
            recipes.append(recipe)
            raise ValueError("far enough")

    monkeypatch.setattr(learn, "LEARNERS", dict.fromkeys(learn.LEARNERS, Learner))
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(learn.main, train[3:])
    assert "far enough" in result.output
    accurate = PRESETS["accurate"]
    longer = accurate.design.kernels | {"psi_first": 13, "psi_next": 11}
    assert recipes == [
        replace(
            accurate,
            design=replace(accurate.design, L=12, kernels=longer),
            budget=accurate.budget * 1.5**3,
            filters_until=accurate.filters_until * 1.5**3,
        )
    ]
    CliRunner().invoke(learn.main, [*train[3:], "--budget", "900", "--kernel", "psi_next=9"])
    kernels = longer | {"psi_next": 9}
    assert recipes[1].budget == 900 and recipes[1].design.kernels == kernels
    CliRunner().invoke(learn.main, ["train", "accurate", "--L", "4", "--run", "r"])
    assert recipes[2].design == replace(accurate.design, L=4)
    assert recipes[2].budget == accurate.budget / 4
    run = tmp_path / train[train.index("--run") + 1]
    run.mkdir(parents=True)
    parsed = learn.main.commands["freeze"].make_context("freeze", freeze[4:]).params
    assert parsed["folder"].resolve() == run and parsed["name"] == "accurate-L12"
    assert f"bank='{parsed['name']}.npz'" in str(raised.value)


@pytest.mark.parametrize(
    ("preset", "options", "words"),
    [
        ("paper", ["--budget=900"], "--budget"),
        ("accurate", ["--epochs=3"], "--epochs"),
        ("accurate", ["--budget=-3"], "budget=-3.0"),
        ("accurate", ["--L=5"], "must be even"),
        ("accurate", ["--kernel=psi=5"], "psi=5"),
        ("accurate", ["--kernel=4"], "K odd"),
        ("accurate", ["--kernel=1"], "kernel=1"),
        ("accurate", ["--seed=-1"], "--seed"),
        ("accurate", ["--data=nowhere"], "source='nowhere'"),
        ("accurate", ["--data=folder:nowhere"], "source='folder:nowhere'"),
        ("paper", ["--R=3"], "R=1"),
    ],
)
def test_options_that_cannot_be_are_told(tmp_path, preset, options, words):
    result = CliRunner().invoke(learn.main, ["train", preset, "--run", str(tmp_path), *options])
    assert result.exit_code in (1, 2)
    assert words in result.output
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("preset", ["accurate", "paper"])
@pytest.mark.parametrize("data", ["missing", "empty", "damaged", "small", "cifar10", "imagenet"])
def test_wrong_data_leave_no_run_behind(tmp_path, monkeypatch, preset, data):
    """The data is opened first: neither the start is fitted nor a checkpoint written."""
    monkeypatch.setattr("tools.learning._start", pytest.fail)
    folder, run = tmp_path / "data", tmp_path / "run"
    if data != "missing":
        folder.mkdir()
    if data in ("damaged", "cifar10", "imagenet"):
        (folder / "test_batch.bin").write_bytes(b"no pictures")
    if data == "small":
        Image.fromarray(np.zeros((8, 8), np.uint8)).save(folder / "a.png")
    kind = {"cifar10": "cifar10", "imagenet": "tiny-imagenet"}.get(data, "folder")
    result = CliRunner().invoke(
        learn.main, ["train", preset, f"--run={run}", f"--data={kind}:{folder}"]
    )
    assert result.exit_code == 1
    assert result.output.startswith("Error: ") and result.output.count("\n") == 1
    assert not run.exists()


def test_a_run_killed_before_its_first_checkpoint_begins_anew(tmp_path, monkeypatch):
    monkeypatch.setitem(PRESETS, "accurate", replace(SMALL, steps=0, budget=124))

    def train():
        return CliRunner().invoke(learn.main, ["train", "accurate", f"--run={tmp_path}"])

    with monkeypatch.context() as patched:
        patched.setattr(Selector, "save", lambda _: (_ for _ in ()).throw(KeyboardInterrupt))
        assert train().exit_code != 0
    assert [path.name for path in tmp_path.iterdir()] == ["run.json"]
    assert train().exit_code == 0
    assert len(json.loads((tmp_path / "run.json").read_text())["sessions"]) == 1


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        ("checkpoint.json", lambda state: {}, "KeyError: 'recipe'"),
        ("checkpoint.json", lambda state: [], "TypeError"),
        ("checkpoint.json", lambda state: state | {"stage": "bogus"}, "stage 'bogus'"),
        ("checkpoint.json", lambda state: state | {"coefficients": [1.0]}, "coefficients of"),
        ("checkpoint.json", lambda state: state | {"recipe": state["recipe"] | {"x": 1}}, "'x'"),
        ("run.json", lambda record: {}, "KeyError: 'preset'"),
        ("run.json", lambda record: record | {"preset": "gone"}, "'gone'"),
        ("run.json", None, "JSONDecodeError"),
    ],
)
def test_run_folders_that_make_no_sense_are_told(whole, tmp_path, name, change, words):
    shutil.copytree(whole.folder, tmp_path / "run")
    record = {"preset": "accurate", "recipe": SMALL.as_dict(), "sessions": []}
    run_folder.write_json(tmp_path / "run" / "run.json", record)
    path = tmp_path / "run" / name
    path.write_text(json.dumps(change(json.loads(path.read_text()))) if change else "{")
    given = ["freeze", str(tmp_path / "run"), "--name=x", "-o", str(tmp_path)]
    result = CliRunner().invoke(learn.main, given)
    assert result.exit_code == 1 and result.output.startswith("Error: run=")
    assert words in result.output and not list(tmp_path.glob("x.*"))


def test_own_photographs_are_read_from_a_folder(tmp_path):
    subject = Subject(("photographs",), 2, 16, 1, 1, AIMS)
    with pytest.raises((ValueError, OSError), match="missing"):
        lesson(subject, 4, 0, f"folder:{tmp_path / 'missing'}")
    with pytest.raises(ValueError, match="source='nowhere'"):
        lesson(subject, 4, 0, "nowhere")
