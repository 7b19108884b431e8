"""What commands print, and how they end: in one line and a status, whatever happens."""

import ast
import importlib
import io
import json
import os
import random
import re
import signal
import subprocess
import sys
import threading
import unicodedata
from pathlib import Path

import click
import numpy as np
import pytest
from banks import make_windowed_bank
from click.testing import CliRunner
from PIL import Image

import npscatter
from cexport.command import export_c
from npscatter.__main__ import main as start
from npscatter.bounds.bounds import LARGEST_J
from npscatter.cli import options, terminal
from npscatter.cli.group import main
from npscatter.cli.terminal import echo, echo_json, shown

ROOT = Path(npscatter.__file__).parent.parent
# Turns letters red, sets the window's title, begins a line, turns the direction, is no UTF-8.
NASTY = "a\x1b[31m\x1b]0;title\x07\nb\x9b2J\x7f\u202egnp\u2028\udcff"


@pytest.fixture
def folder(tmp_path, monkeypatch, ship_from):
    """Ship a toy bank, and go to a folder with a picture."""
    banks = tmp_path / "banks"
    banks.mkdir()
    for name in ("accurate", "accurate-L4"):
        make_windowed_bank(name, L=4, card={"family": "accurate"}).save(banks / name)
    ship_from(banks)
    here = tmp_path / "here"
    here.mkdir()
    Image.fromarray(np.eye(16, 24, dtype=np.uint8)).save(here / "a.png")
    monkeypatch.chdir(here)
    return here


@pytest.fixture
def run(monkeypatch):
    """Return the function that runs a command line as a process does, and returns how it ends."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}

    def run(*arguments, **streams):
        command, given = main, [*map(str, arguments)]
        if given[:1] == ["export-c"]:  # found by its entry point only where it is installed
            command, given = export_c, given[1:]
        names = ("stdout", "stderr")
        memory = {name: io.TextIOWrapper(io.BytesIO(), "utf-8") for name in names}
        with monkeypatch.context() as patched, pytest.raises(SystemExit) as end:
            patched.setattr(sys, "argv", ["npscatter", *given])
            for name in names:
                patched.setattr(sys, name, streams.get(name, memory[name]))
            terminal.run(command, "npscatter")
        printed = [memory[name].buffer.getvalue().decode() for name in names]
        return end.value.code, *printed

    yield run
    for number, handler in handlers.items():
        signal.signal(number, handler)


def assert_harmless(text):
    signs = set(text) - {"\n"}
    found = {sign for sign in signs if unicodedata.category(sign) in {"Cc", "Cf", "Cs", "Zl", "Zp"}}
    assert not found, repr(text)


def assert_one_line(text):
    assert_harmless(text)
    assert text.count("\n") == 1 and text.startswith("Error: ") and text.endswith("\n"), text


# What is shown


@pytest.mark.parametrize(
    "text, expected",
    [
        ("Ünïcode 図 — ok.png", "Ünïcode 図 — ok.png"),
        ("a\tb\r\nc", r"a\tb\r\nc"),
        ("\x1b[2J\x9b\x7f", r"\x1b[2J\x9b\x7f"),
        ("\u202eabc\u2066\u200f", r"\u202eabc\u2066\u200f"),
        ("\udcff", r"\udcff"),
        (Path("a\nb"), r"a\nb"),
    ],
)
def test_only_what_can_be_seen_is_shown_as_it_is(text, expected):
    assert shown(text) == expected


def test_no_character_at_all_does_anything_to_a_terminal():
    ranges = (range(0x3100), range(0xD7F0, 0x10000), range(0xE0000, 0xE0200))
    assert_harmless(shown("".join(chr(code) for codes in ranges for code in codes)))


def test_lines_are_echoed_one_by_one(capsys):
    echo("one", NASTY)
    echo("two", err=True)
    printed = capsys.readouterr()
    assert printed.out.count("\n") == 2 and printed.err == "two\n"
    assert_harmless(printed.out)


def test_json_stays_json(capsys):
    value = {NASTY: [NASTY, 1.5, None]}
    echo_json(value)
    printed = capsys.readouterr().out
    assert_harmless(printed)
    assert json.loads(printed) == value


@pytest.mark.parametrize(
    "arguments",
    [
        [NASTY],
        [f"--{NASTY}"],
        ["banks", NASTY],
        ["banks", f"--{NASTY}"],
        ["plot-bank", NASTY, "-o", "a.png"],
        ["plot-bank", f"{NASTY}.npz", "-o", "a.png"],
        ["plot-bank", "accurate", "-o", f"{NASTY}/a.png"],
        ["plot-bank", "accurate", "-o", NASTY],
        ["demo", "--J", NASTY],
        ["demo", "--backend", NASTY, "--no-figure"],
        ["bounds", NASTY],
        ["bounds", "accurate", "--boundary", NASTY],
        ["export-c", "--bank", NASTY],
        ["export-c", "--prefix", NASTY],
        ["export-c", "-o", f"{NASTY}/a.h"],
        ["transform", "a.png", "-o", f"a.{NASTY}"],
    ],
)
def test_errors_show_names_harmlessly_on_one_line(run, folder, arguments):
    status, out, err = run(*arguments)
    assert (status, out) == (2, "")
    assert_one_line(err)


def test_names_of_outputs_and_pictures_are_shown_harmlessly(run, folder):
    name = NASTY.replace("/", "")
    status, out, err = run("plot-bank", "accurate", "-o", f"{name}.png")
    assert status == 0 and out == shown(f"{name}.png") + "\n" and not err
    Path(f"{name}.txt").write_bytes(b"no picture")
    arguments = (f"{name}.txt", f"{name}.png", "a.png", "--size", "16", "16")
    status, out, err = run("transform", *arguments, "-o", f"{name}.npz", "--backend", "numpy")
    assert status in (0, 1) and Path(f"{name}.npz").exists()
    assert_harmless(out + err)


def test_tools_show_names_harmlessly_too(tmp_path, capsys):
    from tools.data import photographs_from

    (tmp_path / f"{NASTY}.png").write_bytes(b"no picture")
    Image.fromarray(np.eye(16, dtype=np.uint8)).save(tmp_path / "a.png")
    assert set(photographs_from(f"folder:{tmp_path}")) == {"a.png"}
    printed = capsys.readouterr().out
    assert printed.startswith("left out a\\x1b[31m") and printed.count("\n") == 1
    assert_harmless(printed)


# Standard output


PRINTING = [
    ["--version"],
    ["--help"],
    ["banks"],
    ["banks", "--json"],
    ["banks", "--help"],
    ["bounds", "accurate", "--json"],
    ["demo", "--no-figure", "--backend", "numpy", "--J", "1"],
    ["export-c", "--shape", "8", "8"],
    ["export-c", "--help"],
    ["plot-bank", "accurate", "-o", "b.png"],
    ["transform", "--help"],
]


@pytest.mark.parametrize("closed", [False, True], ids=["full", "closed"])
@pytest.mark.parametrize("arguments", PRINTING, ids=" ".join)
def test_a_full_or_closed_output_is_one_line_and_a_status(
    run, folder, monkeypatch, arguments, closed
):
    if not (closed or os.path.exists("/dev/full")):
        pytest.skip("no /dev/full")
    monkeypatch.setattr("npscatter.cli.bounds.Bounds.report", lambda *_: {})
    monkeypatch.setattr("npscatter.cli.figures.bank_figure", lambda *_: _Figure())
    status, _, err = run(*arguments, stdout=None if closed else open("/dev/full", "w"))
    assert status == 2
    assert_one_line(err)
    assert "standard output" in err


def test_errors_that_name_what_is_missing_are_told_as_they_are(capsys):
    assert terminal._told(FileNotFoundError("path='x': must hold y; pass z")) == 2
    assert capsys.readouterr().err == "Error: path='x': must hold y; pass z\n"


class _Figure:
    def savefig(self, file, **_):
        file.write(b"figure")


def test_without_a_standard_error_the_status_is_left(run, folder):
    assert run("banks", stderr=None)[0] == 0
    assert run("nothing", stderr=None)[0] == 2
    if os.path.exists("/dev/full"):
        assert run("nothing", stderr=open("/dev/full", "w"))[0] == 2


def shell(line):
    """Run a line of shell; python is this one."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    line = line.replace("python", f"'{sys.executable}'")
    done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, env=environment)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize(
    "line, status",
    [
        ("python -m npscatter --help >/dev/full", 2),
        ("python -m npscatter --version >&-", 2),
        ("python -m npscatter --version <&- 2>&-", 0),
        # Far more than a pipe holds.
        ("(python -m cexport --weights-only; echo $? >&2) | true", 141),
    ],
)
def test_processes_end_without_a_traceback(line, status):
    code, _, err = shell(line)
    assert code == (0 if "echo" in line else status)
    if "echo" in line:
        # A slow machine is also told what takes so long.
        *_, err, told = ("", *err.splitlines(keepends=True))
        assert int(told) == status
    if status:
        assert_one_line(err)


# Interrupted


@pytest.mark.parametrize(
    "arguments",
    [
        ["banks"],
        ["bounds", "accurate"],
        ["demo", "--no-figure"],
        ["plot-bank", "accurate", "-o", "b.png"],
        ["transform", "a.png", "-o", "b.npy"],
        ["export-c"],
    ],
    ids=" ".join,
)
def test_ctrl_c_is_status_130(run, folder, monkeypatch, arguments):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("npscatter.FilterBank.load", interrupted)
    monkeypatch.setattr("npscatter.cli.pipeline.job.resolve", interrupted)
    monkeypatch.setattr("cexport.command.generate", interrupted)
    status, out, err = run(*arguments)
    assert (status, out) == (130, "")
    assert_one_line(err.lstrip("\n"))  # click ends the line that has ^C on it
    assert "interrupted" in err
    assert [path.name for path in folder.iterdir()] == ["a.png"]


@pytest.mark.parametrize("module", ["npscatter.cli.group", "npscatter.cli.terminal"])
def test_ctrl_c_while_commands_are_imported_is_one_line(monkeypatch, capsys, module):
    import_module = importlib.import_module

    def interrupted(name, *more):
        if name == module:
            raise KeyboardInterrupt
        return import_module(name, *more)

    monkeypatch.setattr(importlib, "import_module", interrupted)
    with pytest.raises(SystemExit) as end:
        start()
    assert end.value.code == 130
    assert capsys.readouterr() == ("", "Error: interrupted\n")


# Absurd command lines


def test_a_name_that_begins_with_a_dash_is_told_how_to_be_written(run, folder):
    for line in (["transform", "-IMG 1.png", "-o", "a.npz"], ["transform", "--x.png", "-o", "a"]):
        status, _, err = run(*line)
        assert status == 2 and "a name that begins with a dash is written ./-name" in err
        assert_one_line(err)
    os.rename("a.png", "-a.png")
    assert run("transform", "./-a.png", "-o", "a.npz", "--backend", "numpy")[0] == 0
    assert "./-name" not in run("banks", "--nothing")[2]


def test_the_help_of_bounds_states_the_limit_of_j(run):
    assert f"at most {LARGEST_J}" in " ".join(run("bounds", "--help")[1].split())


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["--size", "100000000", "2"], "sides up to 1024"),
        (["--size", "1025", "32"], "sides up to 1024"),
        (["--J", "5"], "J up to 4"),
        (["--J", str(10**30)], "J up to 4"),
        (["--shift", str(10**30), "0"], "at most 1024 pixels"),
        (["--shift", "1", "0", "--shift", "0", "-1025"], "at most 1024 pixels"),
        (["--attempts", str(10**12)], "from 1 to 100000"),
    ],
)
def test_bounds_state_their_limits(run, folder, monkeypatch, arguments, words):
    monkeypatch.setattr("npscatter.bounds.bounds.extremes", pytest.fail)
    status, out, err = run("bounds", "accurate", *arguments)
    assert (status, out) == (2, "")
    assert_one_line(err)
    assert words in err


def test_no_command_line_ends_in_a_traceback(run, folder, monkeypatch):
    """Random words of every command's own, and values nobody expects."""
    monkeypatch.setattr("npscatter.cli.bounds.Bounds.report", lambda *_: {})
    monkeypatch.setattr("npscatter.cli.bounds.Growth.report", lambda *_: {})
    monkeypatch.setattr("npscatter.cli.figures.bank_figure", lambda *_: _Figure())
    generator = random.Random(0)
    commands = {name: main.commands[name] for name in ("banks", "bounds", "demo", "plot-bank")}
    commands["export-c"] = export_c
    numbers = ["0", "1", "2", "-1", "3.5", "nan", "1e9", str(2**31), str(2**63), str(10**40), "٣"]
    words = ["", " ", ".", "accurate", "numpy", "a.png", "b.h", "float", "q15", NASTY, "-", "--"]
    fine = {"bounds": ["--json"], "demo": ["--no-figure", "--backend", "numpy", "--J", "1"]}
    for _ in range(300):
        name = generator.choice([*commands])
        # Sizes of headers are the generator's own tests'.
        options = [
            option
            for parameter in commands[name].params
            for option in parameter.opts
            if option.startswith("-") and option not in ("--shape", "--help", "-h")
        ]
        line = [name, *fine.get(name, [])]
        for _ in range(generator.randint(0, 4)):
            line += generator.choices([generator.choice(options)], k=generator.randint(0, 1))
            line += generator.choices(numbers + words, k=generator.randint(0, 2))
        status, out, err = run(*line)
        assert status in (0, 1, 2), line
        assert_harmless(out + err)
        told = [text for text in err.splitlines() if not text.startswith("Warning: ")]
        assert len(told) == (status != 0), (line, err)


def test_nothing_at_all_asks_for_help(run):
    status, out, err = run()
    assert status in (0, 2) and "Usage: npscatter" in out + err


# Patience


def test_what_takes_long_is_said_and_what_does_not_is_not(run, folder, monkeypatch):
    said = threading.Event()
    monkeypatch.setattr(terminal, "echo", lambda *lines, err=False: said.set())
    monkeypatch.setattr(terminal, "PATIENCE", 0.01)
    with terminal.busy("working"):
        assert said.wait(60)
    said.clear()
    monkeypatch.setattr(terminal, "PATIENCE", 3600)
    with terminal.busy("working"):
        pass
    assert not said.is_set()
    assert not [each for each in threading.enumerate() if isinstance(each, threading.Timer)]


@pytest.mark.parametrize(
    "arguments, slow, word",
    [
        (["bounds", "accurate", "--json"], "npscatter.cli.bounds.Bounds.report", "bounding"),
        (["export-c"], "cexport.command.generate", "generating"),
        (
            ["demo", "--no-figure", "--backend", "numpy"],
            "npscatter.cli.demo.FilterBank.load",
            "computing",
        ),
    ],
)
def test_commands_say_what_they_do(run, folder, monkeypatch, arguments, slow, word):
    told, heard = [], threading.Event()

    def hear(*lines, err=False):
        told.append((lines, err))
        heard.set()

    def wait(*_, **__):
        assert heard.wait(60)
        raise click.ClickException("enough")

    monkeypatch.setattr(terminal, "PATIENCE", 0.01)
    monkeypatch.setattr(terminal, "echo", hear)
    monkeypatch.setattr(slow, wait)
    assert run(*arguments)[0] == 1
    ((line,), err), *_ = told
    assert word in line and err


@pytest.mark.parametrize("compiling, word", [(False, "computing"), (True, "compiling")])
def test_compiling_is_said_only_while_it_is_done(monkeypatch, compiling, word):
    told, heard = [], threading.Event()
    monkeypatch.setattr(terminal, "PATIENCE", 0.01)
    monkeypatch.setattr(terminal, "echo", lambda line, err: told.append(line) or heard.set())
    with options.told_in_one_line(options.computing):
        # What is done is asked for when it is said, not when it begins.
        monkeypatch.setattr("npscatter.backends.jit_cache.is_compiling", lambda: compiling)
        assert heard.wait(60)
    assert len(told) == 1 and told[0].startswith(word) and ("compil" in told[0]) == compiling


def test_a_process_that_may_start_no_thread_goes_on(monkeypatch):
    def refuse(_):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Timer, "start", refuse)
    with terminal.busy("working"):
        pass


# The commands beside the package


def modules_run():
    """Yield every module of tools, benchmarks and docs that is run as a command, and its tree."""
    for folder in ("tools", "benchmarks", "docs"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            last = tree.body[-1] if tree.body else None
            if isinstance(last, ast.If) and "__main__" in ast.unparse(last.test):
                yield path.relative_to(ROOT).as_posix(), tree


def test_every_command_is_one_of_click_and_runs_alike():
    found = dict(modules_run())
    assert {"tools/learn.py", "tools/make_demo.py", "benchmarks/speed.py"} <= set(found)
    for place, tree in found.items():
        assert ast.unparse(tree.body[-1].body) == "run(main)", place
        (command,) = (node for node in tree.body if getattr(node, "name", "") == "main")
        assert re.match(r"click\.(command|group)\(", ast.unparse(command.decorator_list[0])), place
        # Nothing is done as the module is imported, but for setting names.
        for node in tree.body[:-1]:
            assert not isinstance(node, ast.For | ast.While | ast.With), place
            assert not isinstance(node, ast.Expr) or isinstance(node.value, ast.Constant), place


@pytest.mark.parametrize(
    "module, missing, extra",
    [
        ("benchmarks.startup", "click", "bench"),
        ("benchmarks.q15", "tqdm", "bench"),
        ("tools.make_demo", "click", "train"),
        ("tools.teacher", "kymatio", "train"),
        ("tools.closed_form", "scipy", "train"),
    ],
)
def test_a_missing_package_is_told_in_one_line(tmp_path, module, missing, extra):
    """As Python starts, before the module is found."""
    site = f"import sys; sys.modules[{missing!r}] = None"
    (tmp_path / "sitecustomize.py").write_text(site, encoding="utf-8")
    path = os.pathsep.join([str(tmp_path), str(ROOT)])
    done = subprocess.run(
        [sys.executable, "-m", module, "--help"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": path},
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert_one_line(done.stderr)
    assert f"needs {missing}," in done.stderr and f"pip install -e '.[{extra}]'" in done.stderr


def test_make_demo_helps_and_writes_nothing(monkeypatch):
    from tools import make_demo

    monkeypatch.setattr(make_demo, "atomic_write", pytest.fail)
    result = CliRunner().invoke(make_demo.main, ["--help"])
    assert result.exit_code == 0 and "Usage: " in result.output
