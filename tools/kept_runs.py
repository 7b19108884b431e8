"""Runs that experiments share: learned once, side by side, kept, and gone on with."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import pickle
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import nn

from npscatter.atomic_write import atomic_write
from npscatter.errors import ArgumentError, explain
from tools.learning import Learner, Recipe
from tools.run_folder import write_json

T = TypeVar("T")


def kept(runs: Path | None, what: list, compute: Callable[[], T]) -> tuple[T, float]:
    """Return what is computed, or was and is kept, and the seconds that it took then.

    Parameters
    ----------
    runs : Path, optional
        Folder of what is kept; nothing is without it.
    what : list
        All that the value depends on, as JSON can hold it, but for the code.
    compute : callable
        Computes it; a value that can be pickled.

    Raises
    ------
    ArgumentError
        If the file is damaged.
    """
    file = runs / f"{_digest(what)}.pickle" if runs else None
    if file and file.exists():
        return _whole(file, lambda: pickle.loads(file.read_bytes()))
    start = time.monotonic()
    value = compute()
    found = value, round(time.monotonic() - start, 1)
    if file:
        file.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(file) as opened:
            opened.write(pickle.dumps(found))
    return found


def learned(
    recipe: Recipe,
    runs: Path | None = None,
    network: nn.Module | None = None,
    kind: type[Learner] = Learner,
) -> tuple[Learner, float | None]:
    """Learn to the end, and return the learner and the seconds of an epoch, with its teaching.

    They are those of the last part of what was gone on with, and None if that was stopped after
    learning and before it said.

    Parameters
    ----------
    recipe : Recipe
    runs : Path, optional
        Folder of run folders. What was learned there by the same recipe, whoever asked for it, is
        not learned again; what was begun is gone on with.
    network, kind
        As `tools.learning.Learner` takes the network, and the class.
    """
    folder = runs / _folder_name(recipe, network, kind) if runs else None
    resume = bool(folder) and (folder / "checkpoint.pt").exists()
    made = _whole(folder, lambda: kind(recipe, folder, resume, network))
    if resume:
        print(f"{folder}: goes on after epoch {made.epoch} of {recipe.epochs}", flush=True)
    before, start = made.epoch, time.monotonic()
    if made.epoch < recipe.epochs:
        made.learn()
    times = {"seconds": time.monotonic() - start, "epochs": made.epoch - before}
    if folder:
        file = folder / "seconds.json"
        if times["epochs"]:
            write_json(file, times)
        elif file.exists():
            times = _whole(folder, lambda: json.loads(file.read_text()))
        elif recipe.epochs:
            return made, None
    return made, round(times["seconds"] / max(times["epochs"], 1), 2)


def _folder_name(recipe: Recipe, network: nn.Module | None, kind: type[Learner]) -> str:
    return _digest([recipe.as_dict(), str(network), kind.__name__])


def _digest(what: list) -> str:
    return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:16]


def _whole(place: Path | None, read: Callable[[], T]) -> T:
    """Return what is read, or say that it is damaged."""
    try:
        return read()
    except (EOFError, ValueError, RuntimeError, pickle.UnpicklingError) as error:
        if place is None or isinstance(error, ArgumentError):
            raise
        rule = f"what was kept there must be whole ({type(error).__name__}: {error})"
        raise ArgumentError(explain("runs", str(place), rule, "remove it")) from error


def in_processes(function: Callable, jobs: Iterable[tuple]) -> list[Any]:
    """Return the function of every job's arguments, computed in processes of one thread each.

    Convolutions this small gain little from threads, and what is learned does not depend on the
    number of cores.
    """
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(multiprocessing.cpu_count(), spawn, initializer=_one_thread) as pool:
        return list(pool.map(function, *zip(*jobs, strict=True)))


def _one_thread() -> None:
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    # A tenth of the time, and nothing here reads what it has not written.
    torch.utils.deterministic.fill_uninitialized_memory = False
