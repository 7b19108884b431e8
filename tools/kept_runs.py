"""Runs that experiments share: learned once, side by side, kept, and gone on with."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import torch
from torch import nn

from tools.learning import Learner, Recipe
from tools.run_folder import write_json


def learned(
    recipe: Recipe,
    runs: Path | None = None,
    network: nn.Module | None = None,
    kind: type[Learner] = Learner,
) -> tuple[Learner, float]:
    """Learn to the end, and return the learner and the seconds of an epoch, with its teaching.

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
    made = kind(recipe, folder, resume, network)
    before, start = made.epoch, time.monotonic()
    if made.epoch < recipe.epochs:
        made.learn()
    times = {"seconds": time.monotonic() - start, "epochs": made.epoch - before}
    if folder:
        file = folder / "seconds.json"
        if times["epochs"]:
            write_json(file, times)
        times = json.loads(file.read_text())
    return made, times["seconds"] / max(times["epochs"], 1)


def _folder_name(recipe: Recipe, network: nn.Module | None, kind: type[Learner]) -> str:
    what = [recipe.as_dict(), str(network), kind.__name__]
    return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:16]


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
