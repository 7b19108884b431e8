"""The program on the CPU's vector units: chooses a layout and shares the work among threads.

Threads are Python's own: compiled code works without the interpreter's lock, so they run side by
side. Numba's parallel loops were not used: their OpenMP layer does not survive a fork, their own
layer aborts when two Python threads call at once, and neither lets Ctrl-C through. `_thread`
starts them without waiting until they run, which `threading` does.
"""

from __future__ import annotations

import _thread
import math
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import pairwise
from operator import itemgetter
from typing import Any, Protocol

import numba
import numpy as np
from numba.core.dispatcher import Dispatcher

from npscatter.backends.cpu.interpreter import DONE, WAITING, make_worker
from npscatter.backends.cpu.layout import CpuLayout, lay_out
from npscatter.backends.cpu.records import CALL_FIELDS, JOB, PART, address
from npscatter.backends.cpu.row_codegen import compiled_row
from npscatter.backends.cpu.simd import vector_bytes
from npscatter.backends.jit_cache import alone
from npscatter.backends.tiled import run_within
from npscatter.bank import FilterBank
from npscatter.program.plan import Plan

# Arguments of `npscatter.Scattering2D` that have a meaning here.
OPTIONS = ("threads", "memory")


@dataclass(frozen=True)
class Limits:
    """How finely work is cut, and what memory it may take.

    Attributes
    ----------
    memory : int
        Bytes one thread may use for its images side by side, or for one image up to 512 x 512.
    work_per_turn : float
        Multiply-adds (some tens of milliseconds) after which compiled code comes back to Python,
        to heed Ctrl-C.
    work_per_thread : float
        Multiply-adds that are worth another thread.
    work_per_part : float
        Multiply-adds of a step that are worth a part of their own.
    work_per_step : float
        Multiply-adds in the time that it takes threads to wait for each other after a step.
    rows_per_part : int
        Rows of output that are worth a part of their own: rows around them are computed twice.
    """

    memory: int = 16 * 2**20
    work_per_turn: float = 1e9
    work_per_thread: float = 5e6
    work_per_part: float = 5e5
    work_per_step: float = 1e6
    rows_per_part: int = 24


DEFAULT = Limits()
# Of programs too large for these: they take about as long as one round, and half the memory.
LARGE_ROUNDS = 4
# By their characters: NumPy imports something to tell a name, which fails once Python shuts down.
_NAMES = {"f": "float32", "d": "float64"}


def run(
    plan: Plan,
    bank: FilterBank,
    images: np.ndarray,
    output: np.ndarray,
    stream: None,
    options: Mapping[str, int | None],
) -> None:
    """Run the plan's program; see `npscatter.backends.Backend`.

    The option `threads` says how many may work; None stands for ``NUMBA_NUM_THREADS``, by default
    all cores. An image that needs more than `memory` bytes is taken in tiles.
    """
    of_tiles = KeptWorkspaces(most=sys.maxsize)

    def whole(part: Plan, images: np.ndarray, output: np.ndarray) -> None:
        workspaces = _WORKSPACES if part is plan else of_tiles
        execute(part, bank, images, output, options["threads"], workspaces=workspaces)

    bytes_of = partial(image_bytes, dtype=output.dtype)
    run_within(options["memory"], plan, bank, images, output, whole, bytes_of)


def image_bytes(plan: Plan, dtype: np.dtype) -> int:
    """Return the bytes one image needs at least, on its own."""
    height, width = plan.input_shape
    maps = plan.workspace.size
    if dtype.itemsize * maps > DEFAULT.memory:
        maps = plan.in_rounds(LARGE_ROUNDS).workspace.size
    # Rows have margins.
    return int(dtype.itemsize * (1.05 * maps + height * width))


def execute(
    plan: Plan,
    bank: FilterBank,
    images: np.ndarray,
    output: np.ndarray,
    threads: int | None,
    limits: Limits = DEFAULT,
    workspaces: KeptWorkspaces | None = None,
) -> None:
    """Run the plan's program, within limits; other parameters as for `run`."""
    threads = threads or all_threads()
    count, extra = math.prod(images.shape[:-2]), _conversion_bytes(images, output)
    layout = choose(plan, bank, _NAMES[output.dtype.char], count, threads, extra, limits)
    run_layout(layout, images, output, threads, limits, workspaces)


def run_layout(
    layout: CpuLayout,
    images: np.ndarray,
    output: np.ndarray,
    threads: int,
    limits: Limits = DEFAULT,
    workspaces: KeptWorkspaces | None = None,
) -> None:
    """Run a program that is laid out in memory; other parameters as for `execute`."""
    targets = _addresses(output, len(layout.plan.output_shape))
    extra = _conversion_bytes(images, output)
    settings = threads, limits, workspaces or _WORKSPACES
    if not extra:
        _Call(layout, images, _addresses(images, 2), output, targets, *settings).run()
        return
    # Converted some at a time, in one place, so that no second batch ever exists.
    leading, images_per_vector = images.shape[:-2], layout.images_per_vector
    vectors = min(2**20, limits.memory - layout.memory) // (extra * images_per_vector)
    block = threads * images_per_vector * max(1, vectors)
    converted = np.empty((min(block, len(targets)), *images.shape[-2:]), output.dtype)
    for start in range(0, len(targets), block):
        some = np.arange(start, min(start + block, len(targets)))
        part = converted[: len(some)]
        part[...] = images[np.unravel_index(some, leading)] if leading else images
        _Call(layout, part, _addresses(part, 2), output, targets[some], *settings).run()


def all_threads() -> int:
    return numba.config.NUMBA_NUM_THREADS  # type: ignore[attr-defined]


def _conversion_bytes(images: np.ndarray, output: np.ndarray) -> int:
    """Return what an image takes while it is converted: some of the batch, the same in floats."""
    if images.dtype == output.dtype:
        return 0
    return images.shape[-2] * images.shape[-1] * (images.itemsize + output.itemsize)


@lru_cache(maxsize=256)
def choose(
    plan: Plan,
    bank: FilterBank,
    dtype: str,
    images: int,
    threads: int,
    extra: int = 0,
    limits: Limits = DEFAULT,
) -> CpuLayout:
    """Return the layout for so many images, each of which takes `extra` bytes besides.

    As many images share a vector as fill it best and leave all threads something to do;
    orientations are taken in rounds if the maps would need too much memory otherwise.
    """
    lanes = vector_bytes() // np.dtype(dtype).itemsize
    scored: list[tuple[float, CpuLayout]] = []
    for images_per_vector in (1 << k for k in range(lanes.bit_length())):
        vectors = -(-images // images_per_vector)
        for candidate in plan.by_memory():
            layout = lay_out(candidate, bank, dtype, images_per_vector)
            if layout.memory + images_per_vector * extra <= limits.memory:
                break
        else:
            if images_per_vector > 1:
                break
            # Over budget either way.
            layout = lay_out(plan.in_rounds(LARGE_ROUNDS), bank, dtype, images_per_vector)
        busy, useful = 1.0, useful_threads(layout, images, threads, limits)
        if images_per_vector > 1:
            if vectors < useful:
                break
            busy = images / (images_per_vector * useful * -(-vectors // useful))
        scored.append((_score(layout, busy), layout))
    return max(scored, key=itemgetter(0))[1]


def useful_threads(layout: CpuLayout, images: int, threads: int, limits: Limits) -> int:
    """Return how many of the threads so many images are worth."""
    return max(1, min(threads, int(layout.work * images / limits.work_per_thread)))


def _score(layout: CpuLayout, busy: float) -> float:
    """Return how fast a layout is that keeps such a share of the threads busy."""
    # Measured: what a row costs besides its columns, and a strip besides, whose margins are
    # computed twice; what rounds do, and leaving the caches.
    columns = float(layout.strip_columns)
    besides = 12 if layout.strips > 1 else 4
    score = layout.filled * busy * columns / (columns + besides)
    score *= 1 - 0.05 * np.log2(layout.plan.rounds)
    return score * (1 - 0.03 * max(0.0, np.log2(layout.memory / 2**21)))


def warm_up(
    plan: Plan, bank: FilterBank, images: np.dtype, options: Mapping[str, int | None]
) -> None:
    """Compile, or load from the cache, what single images and batches of a dtype need."""
    dtype = np.result_type(images, np.float32).name
    threads = options["threads"] or all_threads()
    nothing = np.empty((0, *plan.input_shape), dtype)
    output = np.empty((0, *plan.output_shape), dtype)
    for count in (1, 64 * threads):
        run_layout(choose(plan, bank, dtype, count, threads), nothing, output, 1)


def cut_steps(layout: CpuLayout, threads: int, limits: Limits = DEFAULT) -> np.ndarray:
    """Cut one image's program into PARTs that threads can work on side by side."""
    parts: list[tuple[int, ...]] = []
    for number, record in enumerate(layout.steps):
        needs, work = len(parts), int(record["work"])
        height, groups = int(record["height"]), int(record["groups"])
        # No part so long that Ctrl-C would wait for it.
        count = max(1, min(2 * threads, int(work / limits.work_per_part)))
        count = max(count, int(work / limits.work_per_turn))
        if groups >= count:
            cuts = [(start, stop - start, 0, height) for start, stop in _blocks(groups, count)]
        else:
            together = int(record["rows_together"])
            bands = max(1, min(-(-count // groups), height // limits.rows_per_part))
            bounds = [
                (start * together, min(stop * together, height))
                for start, stop in _blocks(-(-height // together), bands)
                if start < stop
            ]
            cuts = [(group, 1, *band) for group in range(groups) for band in bounds]
        parts += [(number, *cut, needs) for cut in cuts]
    return np.array(parts, PART)


def _blocks(length: int, count: int) -> list[tuple[int, int]]:
    """Return the bounds of the blocks of a range that is cut into so many, about equal."""
    bounds = [length * k // count for k in range(count + 1)]
    return list(pairwise(bounds))


@lru_cache(maxsize=256)
def is_worth_sharing(layout: CpuLayout, threads: int, limits: Limits = DEFAULT) -> bool:
    """Say whether threads that share one image, step by step, are done sooner than one alone."""
    work = layout.steps["work"]
    parts = np.bincount(cut_steps(layout, threads, limits)["step"])
    return bool((work / np.minimum(parts, threads) + limits.work_per_step).sum() < work.sum())


class _LaidOut(Protocol):
    """A layout."""

    @property
    def memory(self) -> int:
        """Bytes one thread needs."""


class KeptMemory:
    """Memory that calls leave to the next one of the same layout: fresh pages take their time."""

    def __init__(self, most: int = DEFAULT.memory) -> None:
        self.most = most
        self._kept: list[tuple[_LaidOut, tuple]] = []

    def serves(self, owner: _LaidOut, memory: tuple, layout: _LaidOut) -> bool:
        """Say whether a layout can use what another one has left."""
        return owner is layout

    def take(self, layout: _LaidOut, make: Callable[[], tuple]) -> tuple:
        """Return what was kept for a layout, or else what `make` returns."""
        try:
            kept = self._kept.pop()
        except IndexError:
            return make()
        if self.serves(*kept, layout):
            return kept[1]
        del kept  # before there is more
        return make()

    def keep(self, layout: _LaidOut, memory: tuple) -> None:
        """Keep memory, as much as all threads need of images that are not too large."""
        if len(self._kept) < all_threads() and layout.memory <= self.most:
            self._kept.append((layout, memory))


class KeptWorkspaces(KeptMemory):
    """The same for every layout it is large enough for: none reads what it has not written."""

    def serves(self, owner: _LaidOut, memory: tuple, layout: Any) -> bool:
        """Say whether a layout can use what another one has left."""
        (workspace,) = memory
        return workspace.size >= layout.workspace_size and workspace.dtype == layout.dtype


_WORKSPACES, _WORKERS = KeptWorkspaces(), KeptMemory()


class _Call:
    """One call: its tasks, and the threads that share them."""

    def __init__(
        self,
        layout: CpuLayout,
        images: np.ndarray,
        sources: np.ndarray,
        output: np.ndarray,
        targets: np.ndarray,
        threads: int,
        limits: Limits,
        workspaces: KeptWorkspaces,
    ):
        self.layout, self.workspaces = layout, workspaces
        count, work = len(targets), layout.work * layout.images_per_vector
        few = threads > 1 and count < 4 * threads and work > 4 * limits.work_per_thread
        split = layout.images_per_vector == 1 and (few or work > limits.work_per_turn)
        # What is not worth sharing has many short steps, and takes not long whole.
        split = split and (threads == 1 or is_worth_sharing(layout, threads, limits))
        self.parts = cut_steps(layout, threads, limits) if split else layout.whole_steps
        tasks = count * len(self.parts) if split else -(-count // layout.images_per_vector)
        self.threads = max(1, min(tasks, useful_threads(layout, count, threads, limits)))
        self.tasks_per_turn = max(1, int(limits.work_per_turn * tasks / (1 + layout.work * count)))
        self.split = split
        # Three counters, and the images' magnitudes: level and shift.
        self.state = np.zeros(3 + 2 * count, np.int64)
        # Compiled code has their addresses: they must live as long as any thread works.
        self.arrays = images, sources, output, targets, self.state
        state = address(self.state)
        job = layout.job.view(np.int64).copy()  # plain numbers: records are slow to copy and fill
        job[CALL_FIELDS] = (
            *(count, split, tasks, address(sources), address(targets)),
            *(state, state + 8, state + 16, state + 24),
            *(*images.strides[-2:], *_output_strides(output, layout)),
        )
        self.job = job.view(JOB)
        self.failures: list[BaseException] = []
        self.helpers: list[_thread.LockType] = []  # locked by those that work
        self.is_over = False

    def run(self) -> None:
        """Work off all tasks, or raise what any thread raised; no thread works any more then."""
        self.work, self.kernel_table = _compiled(self.layout)
        self.workspace = None
        if self.split:
            self.workspace = self.workspaces.take(self.layout, self._new_workspace)
        try:
            if self.threads > 1:
                self._start_helpers()
            self._work()
            self._finish()
        except BaseException as failure:
            raise self._stopped(failure)  # noqa: B904  (mostly the same)
        if self.failures:
            raise self.failures[0]
        if self.workspace:
            self.workspaces.keep(self.layout, self.workspace)

    def _new_workspace(self) -> tuple[np.ndarray]:
        return (self.layout.new_workspace(),)

    def _start_helpers(self) -> None:
        """Start as many threads as can be had; tasks wait for none in particular."""
        # While the interpreter ends, those that are started never run.
        if not sys.is_finalizing():
            for _ in range(1, self.threads):
                try:
                    _thread.start_new_thread(self._help, ())
                except RuntimeError:
                    break

    def _finish(self) -> None:
        """Wait until no helper works any more; those that start later find nothing to do."""
        self.is_over = True
        for busy in self.helpers:
            with busy:
                pass

    def _stop(self) -> None:
        self.state[2] = 1

    def _stopped(self, failure: BaseException) -> BaseException:
        """Stop all threads, wait for them, and return the last thing that was raised meanwhile.

        That is a further Ctrl-C, if anything.
        """
        while True:
            try:
                self._stop()
                self._finish()
                return failure
            except BaseException as further:
                failure = further

    def _help(self) -> None:
        busy = _thread.allocate_lock()
        with busy:
            self.helpers.append(busy)
            if self.is_over:
                return
            try:
                self._work()
            except BaseException as failure:
                self.failures.append(failure)
                self._stop()

    def _work(self) -> None:
        """Take tasks until there are none left."""
        workspace = self.workspace or self.workspaces.take(self.layout, self._new_workspace)
        memory = _WORKERS.take(self.layout, self.layout.new_worker)
        worker = memory[0]
        worker["task"], worker["workspace"] = -1, address(workspace[0])
        arguments = (
            *(self.job, worker, self.layout.steps, self.kernel_table, self.parts),
            self.tasks_per_turn,
        )
        answer = WAITING
        while answer != DONE:
            answer = self.work(*arguments)
            if answer == WAITING:
                time.sleep(0)
        _WORKERS.keep(self.layout, memory)
        if not self.workspace:
            self.workspaces.keep(self.layout, workspace)


@lru_cache(maxsize=256)
def _compiled(layout: CpuLayout) -> tuple[Dispatcher, np.ndarray]:
    """Return the function workers run, and the kernel table with the addresses of their code.

    Whatever a call needs is compiled here, before it has threads that would wait for a compiler
    which its main thread was interrupted in.
    """
    with alone():
        table = layout.kernel_table.copy()
        table["code"] = [compiled_row(kernel).address for kernel in layout.kernels]
        return _worker(layout.dtype), table


@lru_cache
def _worker(dtype: str) -> Dispatcher:
    return make_worker(dtype)


def _output_strides(output: np.ndarray, layout: CpuLayout) -> tuple[int, ...]:
    """Return the bytes from channel to channel, row to row and column to column.

    Moduli lie one after the other; steps know how long their rows are.
    """
    if len(layout.plan.output_shape) == 1:
        return output.itemsize, 0, output.itemsize
    return output.strides[-3:]


def _addresses(array: np.ndarray, inner: int) -> np.ndarray:
    """Return where each of the arrays of the last `inner` axes starts."""
    addresses = np.array(address(array), np.int64)
    for size, stride in zip(array.shape[:-inner], array.strides[:-inner], strict=True):
        addresses = addresses[..., None] + stride * np.arange(size)
    return addresses.ravel()
