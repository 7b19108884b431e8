"""Processes that read pictures while others are transformed."""

from __future__ import annotations

import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from itertools import islice
from multiprocessing import get_context, parent_process
from typing import TypeVar

from npscatter.cli.terminal import Failure

Task = TypeVar("Task")
Result = TypeVar("Result")


class Pool:
    """Some processes, or none, which start when there is something to do for them.

    Parameters
    ----------
    workers : int
        How many; 0 to do all in this one.
    """

    def __init__(self, workers: int):
        self.workers = workers
        self._processes: ProcessPoolExecutor | None = None

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *_: object) -> None:
        if self._processes is not None:
            self._processes.shutdown(wait=False, cancel_futures=True)

    def map(
        self, work: Callable[[Task], Result], tasks: Iterable[Task], ahead: int
    ) -> Iterator[Result]:
        """Yield the results of tasks in their order, of which at most `ahead` wait to be taken."""
        if self.workers == 0:
            yield from map(work, tasks)
            return
        tasks, waiting = iter(tasks), deque[Future[Result]]()
        try:
            while True:
                for task in islice(tasks, max(1, ahead) - len(waiting)):
                    waiting.append(self._submit(work, task))
                if not waiting:
                    return
                yield waiting.popleft().result()
        except BrokenProcessPool:
            raise Failure(
                "a process that reads pictures was ended, as the system does where memory is "
                "short; take fewer --workers, or 0"
            ) from None

    def _submit(self, work: Callable[[Task], Result], task: Task) -> Future[Result]:
        if self._processes is None:
            # Not forked: this process may have threads of Numba's, which would be half there.
            context = get_context("spawn")
            self._processes = ProcessPoolExecutor(self.workers, context, _initialize)
        # A process that is started for the task inherits what is blocked.
        with _interrupts_blocked():
            return self._processes.submit(work, task)


@contextmanager
def _interrupts_blocked() -> Iterator[None]:
    """Leave Ctrl-C, which reaches all processes of a terminal, to this one."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _initialize() -> None:
    """Prepare a process: it heeds no Ctrl-C, and ends when the one that started it was killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    if (parent := parent_process()) is not None:
        parent.join()
        os._exit(1)
