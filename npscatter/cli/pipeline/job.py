"""What ``npscatter transform`` does, from the pictures' names to the last line. Needs Pillow."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property, partial
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

import npscatter
from npscatter import features
from npscatter.bank import FilterBank, resolve
from npscatter.cli.finding import Found, is_shard, is_stack, stack_and_member
from npscatter.cli.images import Reading, picture_suffixes
from npscatter.cli.options import (
    bank_files,
    check_apart,
    check_output,
    computing,
    forced,
    times,
    told_in_one_line,
)
from npscatter.cli.pipeline.journal import Done, Journal
from npscatter.cli.pipeline.labels import labels_of
from npscatter.cli.pipeline.outputs import SUFFIXES, Contents, Layout, output_for
from npscatter.cli.pipeline.pool import Pool
from npscatter.cli.pipeline.run import BATCH_PIXELS, Run, Tally, Task
from npscatter.cli.pipeline.sources import Files, PictureSource, grouped, is_container, open_source
from npscatter.cli.pipeline.survey import Survey, survey
from npscatter.cli.samples import ImageError
from npscatter.cli.skips import Capped, Skips
from npscatter.cli.terminal import PATIENCE, Failure, abandon, shown
from npscatter.errors import explain
from npscatter.features.summary import summarized

# What the last bits of the numbers may depend on.
_MADE_WITH = ("numpy", "numba", "pillow")
# Fewer pictures, and fewer pixels in them, are read before processes for it have started.
FEW, FEW_PIXELS = 256, 2**26


@dataclass(frozen=True)
class Request:
    """What was asked for: the options of the command, under their names."""

    images: tuple[str, ...]
    recursive: bool
    strict: bool
    labels: str | None
    channel: str
    levels: tuple[float, float] | None
    frame: int
    crop: tuple[int, int] | None
    pad: tuple[int, int] | None
    size: tuple[int, int] | None
    J: int
    L: int | None
    max_order: int
    bank: str
    boundary: str | None
    backend: str
    dtype: str
    summary: tuple[str, ...]
    output: Path
    no_clobber: bool
    resume: bool | None
    workers: int | None
    threads: int | None
    batch: int | None
    quiet: bool

    def check_output(self) -> None:
        """Refuse an output that cannot be written, or would replace what says how it is made."""
        check_output(self.output, *SUFFIXES)
        lists = [argument[1:] for argument in self.images if argument.startswith("@")]
        check_apart(self.output, "IMAGES", lists)
        check_apart(self.output, "--bank", bank_files(self.bank))
        check_apart(self.output, "--labels", [self.labels] if self.labels else [])
        if self.no_clobber and os.path.lexists(self.output):
            remedy = "take another name, or leave --no-clobber out"
            raise Failure(explain("-o", str(self.output), "exists already", remedy))


def carry_out(request: Request) -> int:
    """Do what was asked for, and return the exit status."""
    request.check_output()
    output_for(request.output)  # which may need what is not installed
    with told_in_one_line():
        how = Reading(
            *(request.channel, request.frame, request.levels),
            *(request.crop, request.pad, request.size),
        )
        filters, _ = resolve(request.bank, request.L)
        found = _find(request)
    _check_apart(request.output, found)
    with Pool(request.workers or 0) as pool:
        return Job(request, how, filters, pool).carry_out(found)


def say(line: str) -> None:
    """Print a line above the progress bar, if there is one."""
    try:
        tqdm.write(shown(line), file=sys.stderr)
    except OSError:
        abandon(sys.stderr)


def cores() -> int:
    """Return how many cores this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on every system
        return os.cpu_count() or 1


# What is left out


def _find(request: Request) -> Found:
    """Return the files that arguments name, and refuse those that name nothing, if they must not.

    One picture named twice must not be where rows are counted.
    """
    found = Found(picture_suffixes(), request.recursive)
    for argument in request.images:
        found.add(argument)
    lines = Capped(say)
    for name, why in found.empty:
        lines.tell(name, why, why)
    lines.tell_rest()
    if not found.files:
        raise Failure("there is no picture to transform")
    if request.strict and found.empty:
        name, why = found.empty[0]
        raise Failure(f"--strict: {name}: {why}; nothing was written")
    if found.repeated:
        count, example = len(found.repeated), found.repeated[0]
        rule = f"names for files that were named before: {count:,}, such as {example!r}"
        if _counts_rows(request.output):
            remedy = "name each file once, or write .npz, which names its rows"
            output = str(request.output)
            raise Failure(explain("-o", output, f"{rule}, and each is taken once", remedy))
        if not request.quiet:
            say(f"{rule}; each file is taken once")
    return found


def _check_apart(output: Path, found: Found) -> None:
    """Refuse an output that would replace what is to be transformed."""
    if not output.exists():
        return
    target = Path(os.path.realpath(output))
    for name in filter(is_stack, found.files):
        path = Path(os.path.realpath(stack_and_member(name)[0]))
        if target in (path, *path.parents):
            rule = f"would replace {name}, which is to be transformed"
            raise Failure(explain("-o", str(output), rule, "take another name"))
    if found.has(output):
        rule = "would replace a file that is to be transformed"
        raise Failure(explain("-o", str(output), rule, "take another name"))


def _counts_rows(output: Path) -> bool:
    """Say whether rows are known by their numbers alone."""
    return output.suffix.lower() == ".npy"


def _why_none_may_be_skipped(request: Request) -> str | None:
    if request.strict:
        return "--strict lets none be skipped"
    if _counts_rows(request.output):
        return (
            f"{str(request.output)!r} has rows without names: write .npz, .zarr or .parquet, which "
            "name them, or leave those files out"
        )
    return None


class Job:
    """One run of the command.

    Parameters
    ----------
    request : Request
        What was asked for.
    how : Reading
        How pictures are read.
    filters : FilterBank
        The bank.
    pool : Pool
        What reads them.
    """

    def __init__(self, request: Request, how: Reading, filters: FilterBank, pool: Pool):
        self.request, self.how, self.filters, self.pool = request, how, filters, pool
        self.skips = Skips(_why_none_may_be_skipped(request), say)

    def carry_out(self, found: Found) -> int:
        """Transform what was found, and return the exit status."""
        sources, pictures = self._look(self._opened(found.files))
        shape, request = pictures.one_shape(), self.request
        if not request.quiet:
            for line in pictures.remarks():
                say(line)
        names = [name for source in sources for name in source.names]
        labels = labels_of(request.labels, sources, names)
        with told_in_one_line():
            recipe = Recipe(request, self.how, self.filters, shape)
        self._hire(pictures.pixels > FEW_PIXELS)
        tally = self._transform(recipe, sources, names, labels, pictures)
        if not request.quiet:
            rows = self.skips.total - self.skips.count
            say(
                f"{rows} of {self.skips.total} pictures transformed: "
                f"{times((rows, *recipe.layout.shape))}, {recipe.layout.dtype}, in {request.output}"
            )
            if tally.total >= PATIENCE:
                say(tally.told(self.pool.workers))
        return 1 if self.skips.count or found.empty else 0

    def _opened(self, names: list[str]) -> list[PictureSource]:
        """Return where pictures are, with all that shards and stacks hold."""
        groups = list(grouped(names))
        shards = [name for name, *_ in groups if is_shard(name)]
        opening = partial(_open, suffixes=picture_suffixes(), how=self.how)
        opened = self.pool.map(opening, shards, len(shards))
        sources: list[PictureSource] = []
        with self._progress(len(shards), "reading tar files", " files") as bar:
            for group in groups:
                if not is_container(group[0]):
                    sources.append(Files(group))
                    continue
                source, wrong = next(opened) if is_shard(group[0]) else opening(group[0])
                sources += [source] if source else []
                if wrong:
                    self.skips.total += 1
                    self.skips.skip(group[0], wrong)
                bar.update(is_shard(group[0]))
        self.skips.total += sum(map(len, sources))
        self._hire(self.skips.total > FEW)
        return sources

    def _hire(self, worthwhile: bool) -> None:
        """Have processes read, where that was left to us and there is enough for them to do."""
        if worthwhile and self.request.workers is None:
            self.pool.workers = cores()

    def _look(self, sources: list[PictureSource]) -> tuple[list[PictureSource], Survey]:
        """Return what is left when all headers were read, and what they say."""
        with self._progress(sum(map(len, sources)), "reading sizes") as bar:
            sources, pictures = survey(sources, self.how, self.pool, self.skips, bar.update)
        self.skips.settle()
        return sources, pictures

    def _transform(
        self,
        recipe: Recipe,
        sources: list[PictureSource],
        names: list[str],
        labels: list[str] | None,
        pictures: Survey,
    ) -> Tally:
        """Do the work, or what an interrupted run has left of it."""
        request, layout = self.request, recipe.layout
        journal = Journal(request.output)
        names_and_sizes = pictures.digest.hexdigest()[:16]
        same = recipe.settings | {
            "pictures": pictures.count,
            "names and sizes of the pictures": names_and_sizes,
        }
        with _kept_if_interrupted(request.output, journal), ExitStack() as stack:
            done = journal.open(same, request.resume)
            output = output_for(request.output)(request.output, journal.folder, layout, forced())
            stack.callback(output.close)
            if not output.open(done.rows):
                done = journal.begin(same)
            for number, why in done.skipped:
                self.skips.named.append((names[number], why))
            if done.pictures and not request.quiet:
                say(f"--resume: {done.pictures:,} of {len(names):,} pictures were done before")
            run = Run(recipe.task, names, output, journal, done, self.skips)
            with self._progress(len(names), "transforming", done=done.pictures) as bar:
                run.work(sources, self.pool, pictures.largest, bar.update)
            self.skips.settle()
            request.check_output()
            output.finish(recipe.contents(names, labels, done, self.skips))
            journal.finished = True
        return run.tally

    def _progress(self, total: int, doing: str, unit: str = " pictures", done: int = 0) -> tqdm:
        # None: no bar unless standard error is a terminal.
        quiet = True if self.request.quiet or not total else None
        return tqdm(
            total=total, desc=doing, unit=unit, initial=done, file=sys.stderr, disable=quiet
        )


@contextmanager
def _kept_if_interrupted(output: Path, journal: Journal) -> Iterator[None]:
    """Keep what was done if there is an error, and say so."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        if error.filename is not None and os.fsdecode(error.filename) != str(output):
            reason = f"{os.fsdecode(error.filename)}: {reason}"
        raise Failure(f"cannot write {output}: {reason}") from None
    finally:
        if pictures := journal.close():
            say(f"{pictures:,} pictures are kept in {journal.folder}; --resume goes on")


def _open(
    name: str, suffixes: frozenset[str], how: Reading
) -> tuple[PictureSource | None, ImageError | None]:
    try:
        source, why = open_source(name, suffixes, how)
    except ImageError as error:
        return None, error
    return source, why


class Recipe:
    """What becomes of every picture, and what is said of it in the output.

    Parameters
    ----------
    request, how, filters
        As in `Job`.
    shape : tuple of int
        The (H, W) of all pictures.

    Attributes
    ----------
    task : Task
        For the run.
    layout : Layout
        For the output.
    settings : dict
        All that the numbers depend on, but the pictures.
    """

    def __init__(self, request: Request, how: Reading, filters: FilterBank, shape: tuple[int, int]):
        self._request, self._how = request, how
        self._S = npscatter.Scattering2D(
            *(request.J, shape, filters.L, request.max_order),
            backend=request.backend,
            bank=filters,
            boundary=request.boundary,
            threads=request.threads,
        )
        # Where there is a progress bar, it tells.
        self._doing = "" if request.quiet or sys.stderr.isatty() else computing
        pixels = shape[0] * shape[1]
        batch = request.batch or max(1, BATCH_PIXELS // pixels)
        self.task = Task(how, shape, request.dtype, self, batch)
        none = np.empty((0, *self.task.planes, *self._S.output_shape), request.dtype)
        rows, meta, axis = self._summarized(none)
        columns = {key: column for key, column in meta.items() if key != "name"}
        self._columns = {"channels": np.array(features.names(meta)), **columns}
        axes = ("colour",) * len(self.task.planes) + ("channel", "y", "x")[:-axis]
        self.layout = Layout(rows.shape[1:], rows.dtype, axes)

    def __call__(self, pictures: np.ndarray) -> np.ndarray:
        """Return the rows of pictures (n, ..., H, W)."""
        # That it takes long is said once.
        with told_in_one_line(self._doing):
            coefficients = self._S(pictures)
            self._doing = ""
            return self._summarized(coefficients)[0]

    def _summarized(self, maps: np.ndarray) -> tuple[np.ndarray, features.Meta, int]:
        rows, meta, axis = summarized(maps, self._S.meta(), self._request.summary)
        return np.asarray(rows), meta, axis

    @cached_property
    def settings(self) -> dict[str, Any]:
        """All that the numbers depend on, but the pictures."""
        S, how, request = self._S, self._how, self._request
        samples = "divided by 255 (8 bits) or 65535 (16 bits)"
        if how.levels:
            samples = f"{how.levels[0]!r} to 0, {how.levels[1]!r} to 1, linearly"
        return {
            "bank": S.bank.name,
            "bank_sha256": S.bank.sha256,
            "J": S.J,
            "L": S.L,
            "max_order": S.max_order,
            "boundary": S.boundary,
            "shape": S.shape,
            "backend": S.backend,
            "version": npscatter.__version__,
            "versions": ", ".join(f"{name} {metadata.version(name)}" for name in _MADE_WITH),
            "samples": samples,
            "channel": how.channel,
            "frame": how.frame,
            "range": how.levels or (),
            "crop": how.crop or (),
            "pad": how.pad or (),
            "size": how.size or (),
            "summary": request.summary,
            "dtype": request.dtype,
            "batch": self.task.batch,
            "labelled_by": request.labels or "",
            "images": request.images,
        }

    def contents(
        self, names: list[str], labels: list[str] | None, done: Done, skips: Skips
    ) -> Contents:
        """Return what an output says of its rows."""
        gone = {number for number, _ in done.skipped}

        def kept(all_of_them: list[str]) -> list[str]:
            return [one for number, one in enumerate(all_of_them) if number not in gone]

        labels = None if labels is None else kept(labels)
        return Contents(kept(names), labels, skips.named, self._columns, self.settings)
