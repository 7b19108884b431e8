"""What a run leaves: its record, its log, and the bank with its card."""

from __future__ import annotations

import json
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol

import npscatter
from npscatter.atomic_write import atomic_write
from npscatter.bounds import growth
from npscatter.errors import ArgumentError, explain
from tools import data
from tools.measure import bank_errors, photograph_errors

# Scale and side of the photographs that cards tell of beside those of `photograph_errors`.
DEEP = ((6, 256), (8, 256))


class Learning(Protocol):
    """A run that can be resumed: `tools.learning.Learner`, or `tools.selecting.Selector`."""

    recipe: Any
    log: list[dict]

    def left(self) -> str:
        """Say what is left to do, nothing if it is done."""

    def bank(self, name: str) -> npscatter.FilterBank:
        """Return the bank as it stands."""


def environment(threads: int, *packages: str) -> dict:
    """Return what rounding depends on: the number of threads and the versions."""
    versions = {"npscatter": npscatter.__version__, "python": platform.python_version()}
    packages = ("numpy", "scipy", "kymatio", *packages)
    return {"threads": threads, "versions": versions | {name: version(name) for name in packages}}


def write_json(path: Path, values: dict) -> None:
    """Write a file of JSON, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as file:
        file.write(f"{json.dumps(values, indent=1)}\n".encode())


def write_log(folder: Path, log: list[dict]) -> None:
    """Write the log, a line for each epoch or round."""
    with atomic_write(folder / "log.jsonl") as file:
        file.writelines(f"{json.dumps(entry)}\n".encode() for entry in log)


def freeze(learning: Learning, name: str, family: str, sessions: list) -> npscatter.FilterBank:
    """Return the learned bank with its card.

    Parameters
    ----------
    learning : Learning
        After learning.
    name, family : str
        The bank's name, and the name that stands for it at its L.
    sessions : list of dict
        What was typed, each time learning was begun or resumed, with its `environment`.

    Raises
    ------
    ArgumentError
        If something is left to learn.
    npscatter.BankError
        If the bank amplifies from octave to octave; see `npscatter.bounds.growth.check`.
    """
    if left := learning.left():
        rule = "a bank is frozen when it has been learned"
        raise ArgumentError(explain("run", left, rule, "finish the run with --resume"))
    bank = learning.bank(name)
    growth.check(bank)
    log = learning.log
    packaged = "photographs" in learning.recipe.source.split("+")
    deep = {f"photographs {side}x{side} J={J}": bank_errors(bank, J, side) for J, side in DEEP}
    return bank.with_card(
        {
            "family": family,
            "learned": {
                "sessions": sessions,
                "recipe": learning.recipe.as_dict(),
                "photographs": list(data.LEARNING_PHOTOGRAPHS) if packaged else [],
                "log": log,
            },
            "errors": photograph_errors(bank) | deep,
        }
    )
