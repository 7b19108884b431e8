"""Processes that read pictures while others are transformed."""

from __future__ import annotations

import os
import signal
import threading
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from itertools import islice
from multiprocessing import get_context, parent_process, resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from queue import SimpleQueue
from typing import Any, TypeVar

from npscatter.cli.terminal import Failure

Task = TypeVar("Task")
Result = TypeVar("Result")


class Pool:
    """Some processes, or none, which start when there is something to do for them.

    Each has a connection of its own, and a thread here that waits for it: of one that is ended from
    outside the connection ends, at whatever moment. In queues that processes share, as those of
    `concurrent.futures`, half an answer of it would keep all waiting for ever.

    Parameters
    ----------
    workers : int
        How many; 0 to do all in this one.
    """

    def __init__(self, workers: int):
        self.workers = workers
        self._threads: ThreadPoolExecutor | None = None
        self._processes: list[SpawnProcess] = []
        self._idle: SimpleQueue[Connection] = SimpleQueue()

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes:
            process.terminate()
        if self._threads is not None:
            self._threads.shutdown(cancel_futures=True)
        for process in self._processes:
            process.join()
            self._idle.get().close()

    def map(
        self, work: Callable[[Task], Result], tasks: Iterable[Task], ahead: int
    ) -> Iterator[Result]:
        """Yield the results of tasks in their order, of which at most `ahead` wait to be taken."""
        if self.workers == 0:
            yield from map(work, tasks)
            return
        tasks, waiting = iter(tasks), deque[Future[Result]]()
        while True:
            for task in islice(tasks, max(1, ahead) - len(waiting)):
                waiting.append(self._submit(work, task))
            if not waiting:
                return
            yield waiting.popleft().result()

    def _submit(self, work: Callable[[Task], Result], task: Task) -> Future[Result]:
        if self._threads is None:
            try:
                # Processes inherit what is blocked when they start.
                with _interrupts_blocked():
                    self._start()
            except OSError as error:
                raise Failure(
                    f"a process that reads pictures cannot be started ({error.strerror or error}); "
                    "take fewer --workers, or 0"
                ) from None
            self._threads = ThreadPoolExecutor(self.workers)
        return self._threads.submit(self._answer, work, task)

    def _start(self) -> None:
        # Not forked: this process may have threads of Numba's, which would be half there.
        context = get_context("spawn")
        for _ in range(self.workers):
            ours, theirs = context.Pipe()
            process = context.Process(target=_serve, args=(theirs,), daemon=True)
            process.start()
            # It is closed once its process has ended.
            theirs.close()
            self._processes.append(process)
            self._idle.put(ours)

    def _answer(self, work: Callable[[Task], Result], task: Task) -> Result:
        """Have one of the processes do a task; there are as many threads as processes."""
        connection = self._idle.get()
        try:
            connection.send((work, task))
            done, result = connection.recv()
        except (EOFError, OSError):
            raise Failure(
                "a process that reads pictures was ended, as the system does where memory is "
                "short; take fewer --workers, or 0"
            ) from None
        finally:
            self._idle.put(connection)
        if not done:
            raise result
        return result


@contextmanager
def _interrupts_blocked() -> Iterator[None]:
    """Leave Ctrl-C, which reaches all processes of a terminal, to this one."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    # Which would unblock them when the first process starts.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _serve(connection: Connection) -> None:
    """Do task after task, in a process: it heeds no Ctrl-C, and ends when its parent was killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    with suppress(EOFError, OSError):
        while True:
            work, task = connection.recv()
            connection.send(_outcome(work, task))


def _outcome(work: Callable[[Task], Result], task: Task) -> tuple[bool, Any]:
    """Return whether a task was done, and what came of it: a result or an error."""
    try:
        return True, work(task)
    except Exception as error:
        if hasattr(error, "add_note"):  # from Python 3.11 on; the traceback itself stays here
            error.add_note(traceback.format_exc())
        return False, error


def _end_with_parent() -> None:
    if (parent := parent_process()) is not None:
        parent.join()
        os._exit(1)
