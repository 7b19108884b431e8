"""``python -m benchmarks.NAME --help`` helps, and neither measures nor writes."""

import importlib
from pathlib import Path

import pytest
from click.testing import CliRunner

import benchmarks
from benchmarks import results, tables
from npscatter.errors import ArgumentError

ROOT = Path(benchmarks.__file__).parent.parent
COMMANDS = sorted(
    path.relative_to(ROOT).with_suffix("").as_posix().replace("/", ".")
    for path in (*(ROOT / "benchmarks").rglob("*.py"), ROOT / "tools" / "pages.py")
    if 'if __name__ == "__main__":' in path.read_text(encoding="utf-8")
)


def test_there_are_commands():
    assert {"benchmarks.speed", "benchmarks.paper.__main__", "tools.pages"} <= set(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_help_neither_measures_nor_writes(monkeypatch, name):
    for module in (results, tables):
        monkeypatch.setattr(module, "atomic_write", pytest.fail)
    command = importlib.import_module(name).main
    result = CliRunner().invoke(command, ["--help"])
    assert result.exit_code == 0 and result.output.startswith("Usage: ")
    wrong = CliRunner().invoke(command, ["--no-such-option"])
    assert wrong.exit_code == 2 and "--no-such-option" in wrong.output


@pytest.mark.parametrize("name", ["q15", "accuracy"])
def test_a_bank_there_is_not_is_the_librarys_own_error(name):
    """Which ends the process in one line, as tests of the commands hold."""
    command = importlib.import_module(f"benchmarks.{name}").main
    result = CliRunner().invoke(command, ["--bank", "nothing"])
    assert isinstance(result.exception, ArgumentError)
    assert "no such bank" in str(result.exception)
