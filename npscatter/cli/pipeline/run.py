"""The work itself: pictures are read, transformed and written at once, batch after batch."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from time import perf_counter

import numpy as np

from npscatter.cli.images import Reading
from npscatter.cli.options import times
from npscatter.cli.pipeline.journal import Done, Journal
from npscatter.cli.pipeline.outputs import Output
from npscatter.cli.pipeline.pool import Pool
from npscatter.cli.pipeline.sources import Part, PictureSource, parts_of
from npscatter.cli.samples import ImageError
from npscatter.cli.skips import Skips

# Pictures are handed to the transform together until they have this many pixels.
BATCH_PIXELS = 2**20
# So many are read together at most: a process' answer should be worth its way.
READ_TOGETHER = 64
# Bytes of pictures, as they are before they are resized, that may wait to be transformed.
READ_AHEAD = 2**29
# Batches of coefficients that may wait to be written.
WRITE_BEHIND = 2


@dataclass(frozen=True)
class Task:
    """What becomes of every picture.

    Attributes
    ----------
    how : Reading
        How it is read.
    shape : tuple of int
        The (H, W) it has then.
    dtype : str
        Of its numbers.
    transform : callable
        Makes rows of pictures (n, ..., H, W).
    batch : int
        How many are transformed together.
    """

    how: Reading
    shape: tuple[int, int]
    dtype: str
    transform: Callable[[np.ndarray], np.ndarray]
    batch: int

    @property
    def planes(self) -> tuple[int, ...]:
        """The axes of a picture before the last two."""
        return (3,) if self.how.channel == "all" else ()


@dataclass
class Tally:
    """Seconds in which something was done: by all reading processes together, and by this one."""

    reading: float = 0.0
    transforming: float = 0.0
    writing: float = 0.0
    total: float = 0.0
    pictures: int = 0

    def told(self, workers: int) -> str:
        """Return the line that says what took how long."""
        processes = f" in {workers} process{'es' * (workers > 1)}" if workers else ""
        return (
            f"{self.pictures / self.total:,.0f} pictures a second for {self.total:.1f} s: reading "
            f"took {self.reading:.1f} s{processes}, transforming {self.transforming:.1f} s, "
            f"writing {self.writing:.1f} s"
        )


@dataclass
class Read:
    """Pictures that a process has read."""

    count: int
    pictures: np.ndarray
    wrong: dict[int, ImageError]
    seconds: float


def read(part: Part, how: Reading, shape: tuple[int, int], empty: np.ndarray) -> Read:
    """Read some pictures; `empty` is an array of none of them."""
    start, good, wrong, count = perf_counter(), [], {}, 0
    for picture in part.pictures(how):
        if not isinstance(picture, ImageError) and picture.shape[-2:] != shape:
            # Written anew meanwhile, or turned by what a PNG says after its pixels.
            told = times(picture.shape[-2:])
            picture = ImageError("not of the size its header says", told)
        if isinstance(picture, ImageError):
            wrong[count] = picture
        else:
            good.append(picture.astype(empty.dtype))
        count += 1
    pictures = np.stack(good) if good else empty
    return Read(count, pictures, wrong, perf_counter() - start)


class Run:
    """A run over pictures in their order, from where an earlier one was interrupted.

    Parameters
    ----------
    task : Task
        What becomes of them.
    names : sequence of str
        Of all pictures.
    output, journal : Output, Journal
        Both open.
    done : Done
        What was done already.
    skips : Skips
        Is told of pictures that cannot be read.
    """

    def __init__(
        self,
        task: Task,
        names: Sequence[str],
        output: Output,
        journal: Journal,
        done: Done,
        skips: Skips,
    ):
        self.tally = Tally()
        self._task, self._names, self._skips, self._done = task, names, skips, done
        self._waiting: list[np.ndarray] = []
        self._writer = _Writer(output, journal, done, self.tally)

    def work(
        self,
        sources: list[PictureSource],
        pool: Pool,
        largest: int,
        advance: Callable[[int], object],
    ) -> None:
        """Do what is left.

        Parameters
        ----------
        sources : list of PictureSource
            Of all pictures.
        pool : Pool
            Reads them.
        largest : int
            Pixels of the largest, before it is resized.
        advance : callable
            Called with the number of pictures that were taken.
        """
        task, start = self._task, perf_counter()
        row = math.prod((*task.planes, *task.shape)) * np.dtype(task.dtype).itemsize
        together = min(task.batch, READ_TOGETHER, max(1, BATCH_PIXELS // math.prod(task.shape)))
        part = row * max(source.at_once(together) for source in sources)
        decoding = 8 * math.prod(task.planes) * largest
        ahead = min(2 * pool.workers + 1, READ_AHEAD // max(part, decoding))
        empty = np.empty((0, *task.planes, *task.shape), task.dtype)
        reading = partial(read, how=task.how, shape=task.shape, empty=empty)
        parts = (part for _, _, part in parts_of(sources, together, self._done.pictures))
        with self._writer.writing():
            for one in pool.map(reading, parts, ahead):
                self.tally.reading += one.seconds
                self._take(one)
                self.tally.pictures += one.count
                advance(one.count)
            self._transform_waiting()
        self.tally.total += perf_counter() - start

    def _take(self, read: Read) -> None:
        """Take what was read, in pieces that end where a batch does."""
        good = np.array([index not in read.wrong for index in range(read.count)])
        taken = used = 0
        while taken < read.count:
            until = min(
                read.count, taken + self._task.batch - self._done.pictures % self._task.batch
            )
            for index in range(taken, until):
                if index in read.wrong:
                    self._skip(self._done.pictures + index - taken, read.wrong[index])
            rows = int(good[taken:until].sum())
            self._waiting.append(read.pictures[used : used + rows])
            self._done.pictures += until - taken
            taken, used = until, used + rows
            if self._done.pictures % self._task.batch == 0:
                self._transform_waiting()

    def _skip(self, number: int, error: ImageError) -> None:
        self._done.skipped.append((number, error.brief))
        self._skips.skip(self._names[number], error)

    def _transform_waiting(self) -> None:
        batch = np.concatenate(self._waiting) if self._waiting else np.empty(0)
        self._waiting.clear()
        if len(batch):
            start = perf_counter()
            rows = self._task.transform(batch)
            self.tally.transforming += perf_counter() - start
            self._writer.write(rows)


class _Writer:
    """A thread that writes rows while the next ones are computed."""

    def __init__(self, output: Output, journal: Journal, done: Done, tally: Tally):
        self._output, self._journal, self._done, self._tally = output, journal, done, tally
        self._thread = ThreadPoolExecutor(1)
        self._waiting: deque[Future[None]] = deque()
        # Of the last rows that were written: pictures, rows, and how many were skipped by then.
        self._written = (0, 0, 0)
        self._failed = False

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Write what is handed over until the end; what was written is recorded in any case."""
        try:
            yield
            while self._waiting:
                self._waiting.popleft().result()
        finally:
            self._thread.shutdown()
            # Of a disk that is full, what fitted on it.
            if self._journal.began:
                with suppress(OSError):
                    self._record()

    def write(self, rows: np.ndarray) -> None:
        """Hand over rows: of the pictures that were taken since the last ones."""
        if len(self._waiting) >= WRITE_BEHIND:
            self._waiting.popleft().result()
        start = self._done.rows
        self._done.rows += len(rows)
        after = self._done.pictures, self._done.rows, len(self._done.skipped)
        self._waiting.append(self._thread.submit(self._write, start, rows, after))

    def _write(self, start: int, rows: np.ndarray, after: tuple[int, int, int]) -> None:
        if self._failed:  # rows behind a gap would count as written
            return
        began = perf_counter()
        try:
            self._output.write(start, rows)
        except BaseException:
            self._failed = True
            raise
        self._written = after
        if self._journal.due:
            self._record()
        self._tally.writing += perf_counter() - began

    def _record(self) -> None:
        pictures, rows, skipped = self._written
        if rows:
            self._output.sync()
            self._journal.record(Done(pictures, rows, self._done.skipped[:skipped]))
