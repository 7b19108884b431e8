"""``npscatter transform``: image files in, one array of coefficients out."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import click
import numpy as np

import npscatter
from npscatter.bank import resolve
from npscatter.cli.finding import Found
from npscatter.cli.options import (
    backend_option,
    bank_option,
    boundary_option,
    check_output,
    computing,
    extra,
    output_file,
    output_option,
    scale_option,
    times,
    told_in_one_line,
)
from npscatter.cli.skips import NAMED, Capped, Skips
from npscatter.cli.terminal import Failure, shown
from npscatter.errors import INTERRUPTED, explain

if TYPE_CHECKING:
    from npscatter.cli.images import Header, Reading

# Images are handed to the transform together until they have this many pixels.
BATCH_PIXELS = 2**20
# Proportions that differ by less are those of the rounded sides.
DISTORTION = 0.01

SECTIONS = {
    "Which pictures": "recursive strict".split(),
    "How they are read": "channel levels frame crop pad size".split(),
    "The transform": "J L max_order bank boundary backend threads dtype".split(),
    "Output": "output force no_clobber quiet".split(),
}


class _Sectioned(click.Command):
    """A command whose help has its options under headings."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        options = [param for param in self.get_params(ctx) if isinstance(param, click.Option)]
        shown = {option.name: option.get_help_record(ctx) for option in options}
        for title, names in SECTIONS.items():
            rows = [shown.pop(name) for name in names]
            # The last section has what is not named here.
            rows += shown.values() if title == "Output" else ()
            with formatter.section(title):
                formatter.write_dl(rows)


def _sides(name: str, words: str) -> Callable:
    """Return an option that takes a height and a width."""
    return click.option(name, nargs=2, type=click.IntRange(min=1), metavar="H W", help=words)


@click.command(
    cls=_Sectioned,
    epilog="""\b
Examples:
  npscatter transform cat.png -o cat.npy
  npscatter transform photos/ -o features.npz --recursive --J 3 --size 256 256
  npscatter transform scans/ -o scans.npz --range 0 4095 --crop 512 512 --pad 512 512
  find . -name '*.jpg' -print0 | npscatter transform - -o all.npz --size 128 128 --strict""",
)
@click.argument("images", nargs=-1, required=True)
@click.option("-r", "--recursive", is_flag=True, help="Take the subfolders of folders too.")
@click.option("--strict", is_flag=True, help="Where a picture would be skipped, write nothing.")
@click.option(
    "--channel",
    type=click.Choice(["grey", "red", "green", "blue", "all"]),
    default="grey",
    show_default=True,
    help="What of a colour picture is transformed; grey is its BT.601 luminance.",
)
@click.option(
    "--range",
    "levels",
    nargs=2,
    type=float,
    metavar="LOW HIGH",
    help="The stored numbers that become 0 and 1, e.g. 0 4095 for 12 bits in 16; those beyond "
    "are not clipped. Floats and 32 bits need it; JPEG 2000 and AVIF cannot have it.  "
    "[default: 0 255 or 0 65535, by the type]",
)
@click.option(
    "--frame",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Which picture of a file that holds several: pages of TIFF, frames of GIF.",
)
@_sides("--crop", "Cut longer sides to this, about the centre.")
@_sides("--pad", "Then fill shorter sides up to this, about the centre, with the mirrored picture.")
@_sides(
    "--size",
    "Then resize to exactly this (antialiased bicubic): proportions change where they differ, and "
    "small pictures are enlarged. Large JPEGs are decoded at a reduced scale first.",
)
@scale_option()
@click.option(
    "--L",
    "L",
    type=click.IntRange(min=2),
    help="Number of orientations.  [default: the bank's; 8 for accurate]",
)
@click.option(
    "--max-order", type=click.IntRange(1, 2), default=2, show_default=True, help="Highest order."
)
@bank_option
@boundary_option("the bank's; kymatio for accurate")
@backend_option
@click.option(
    "--threads", type=click.IntRange(min=1), help="Of the backend numba.  [default: all cores]"
)
@click.option(
    "--dtype",
    type=click.Choice(["float32", "float64"]),
    default="float32",
    show_default=True,
    help="Precision of the transform and of the output.",
)
@output_option("The file to write: .npy or .npz.", required=True)
@click.option("--no-clobber", is_flag=True, help="Never replace an output that exists.")
@click.option(
    "-q", "--quiet", is_flag=True, help="No progress, notes or summary; faults are still told."
)
def transform(
    images: tuple[str, ...],
    recursive: bool,
    strict: bool,
    channel: str,
    levels: tuple[float, float] | None,
    frame: int,
    crop: tuple[int, int] | None,
    pad: tuple[int, int] | None,
    size: tuple[int, int] | None,
    J: int,
    L: int | None,
    max_order: int,
    bank: str,
    boundary: str | None,
    backend: str,
    threads: int | None,
    dtype: str,
    output: Path,
    no_clobber: bool,
    quiet: bool,
) -> None:
    """Write the scattering coefficients of IMAGES.

    \b
    IMAGES are
      files    PNG, JPEG, TIFF, BMP, GIF, WebP, PNM, JPEG 2000; AVIF if Pillow has it
      folders  the pictures in them, by suffix, sorted by name, not the hidden ones
      patterns, in quotes, such as 'scans/**/*.tif'
      lists    @FILE, or - for standard input: names of files and folders in UTF-8,
               one a line, or each ended by NUL, as find -print0 writes them
    Each file is taken once, however often and through whatever links it is named.

    8-bit samples are divided by 255 and 16-bit ones by 65535 (or see --range), which the Python
    functions do not do: npscatter.scatter(samples / 255) is what equals this. Pictures are turned
    as their EXIF orientation says; of several frames the first is read, or see --frame;
    transparency is ignored; colour of 16 bits, and grey of 16 bits with transparency, is read with
    8, which is told.

    All pictures must have one size. Where they do not, nothing is done, and the sizes are told:
    bring them to one with --crop, --pad, both, or --size. Without these, none is resampled.

    Pictures that cannot be read are named and skipped, files of formats that are not read (camera
    raw, HEIF, FITS, DICOM, SVG, ...) among them. The rows of an .npy file have no names, so it is
    written only if no file is skipped or named twice.

    \b
    OUTPUT.npy holds one array (N, C, h, w), or (N, 3, C, h, w) with --channel all.
    OUTPUT.npz holds
      coefficients       the same array
      names              the N files
      order, j, theta, n what each of the C channels is (-1: no such wavelet)
      bank, bank_sha256, J, L, max_order, boundary, shape, backend, version
      samples            how stored numbers became those that were transformed
      channel, range, frame, crop, pad, size   as given; empty if not

    \b
    Exit status: 0 all pictures were transformed; 1 some were skipped, the others
    written; 2 nothing was written; 130 interrupted, nothing was written.
    """
    with _stopped_in_one_line():
        _check(output, no_clobber)
        reader = extra("npscatter.cli.images")
        progress = partial(
            extra("tqdm").tqdm,
            unit=" pictures",
            file=sys.stderr,
            disable=quiet or None,  # None: no bar unless stderr is a terminal
        )
        with told_in_one_line():
            how = reader.Reading(channel, frame, levels, crop, pad, size)
            filters, _ = resolve(bank, L)
            found = _find(images, reader.picture_suffixes(), recursive)
        _check_found(found, strict, output, quiet)
        skips = Skips(len(found.files), _why_none_may_be_skipped(strict, output), _say)
        headers = {}
        for name in progress(found.files, desc="reading sizes"):
            with skips.caught(name, reader.ImageError):
                headers[name] = reader.read_header(name, how)
        skips.settle()
        sizes = {name: header.shape for name, header in headers.items()}
        shape = _one_shape(sizes, how)
        if not quiet:
            _tell_reading(headers, how)
            _tell_resizing(sizes, how)
        with told_in_one_line():
            S = npscatter.Scattering2D(
                *(J, shape, filters.L, max_order),
                backend=backend,
                bank=filters,
                boundary=boundary,
                threads=threads,
            )
        work = _Batches(S, len(sizes), dtype, channel, "" if quiet else computing)
        for name in progress(sizes, desc="transforming"):
            with skips.caught(name, reader.ImageError):
                work.add(name, _read(reader, name, how, shape))
        coefficients = work.finish()
        skips.settle()
        _check(output, no_clobber)
        _write(output, coefficients, work.names, _describe(S, how))
    if not quiet:
        _say(
            f"{len(work.names)} of {len(found.files)} pictures transformed: "
            f"{times(coefficients.shape)}, {coefficients.dtype}, in {output}"
        )
    if skips.count or found.empty:
        raise SystemExit(1)


@contextmanager
def _stopped_in_one_line() -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        raise Failure("interrupted; nothing was written", INTERRUPTED) from None
    except MemoryError as error:
        raise Failure(f"out of memory ({error}); transform fewer pictures at a time") from None


def _say(line: str) -> None:
    """Print a line above the progress bar, if there is one."""
    extra("tqdm").tqdm.write(shown(line), file=sys.stderr)


def _check(output: Path, no_clobber: bool) -> None:
    check_output(output, ".npy", ".npz")
    if no_clobber and os.path.lexists(output):
        remedy = "take another name, or leave --no-clobber out"
        raise Failure(explain("-o", str(output), "exists already", remedy))


# What is left out


def _why_none_may_be_skipped(strict: bool, output: Path) -> str | None:
    if strict:
        return "--strict lets none be skipped"
    if output.suffix.lower() == ".npy":
        return (
            f"{str(output)!r} has rows without names: write .npz, which names them, or leave those "
            "files out"
        )
    return None


def _find(images: tuple[str, ...], suffixes: Iterable[str], recursive: bool) -> Found:
    """Return the files that arguments name, and say which arguments name none."""
    found = Found(suffixes, recursive)
    for argument in images:
        found.add(argument)
    lines = Capped(_say)
    for name, why in found.empty:
        lines.tell(name, why, why)
    lines.tell_rest()
    return found


def _check_found(found: Found, strict: bool, output: Path, quiet: bool) -> None:
    """Refuse arguments that name nothing, or nothing as `strict`, or one picture twice as .npy."""
    if not found.files:
        raise Failure("there is no picture to transform")
    if strict and found.empty:
        name, why = found.empty[0]
        raise Failure(f"--strict: {name}: {why}; nothing was written")
    if not found.repeated:
        return
    count, example = len(found.repeated), found.repeated[0]
    rule = f"names for files that were named before: {count:,}, such as {example!r}"
    if output.suffix.lower() == ".npy":
        remedy = "name each file once, or write .npz, which names its rows"
        raise Failure(explain("-o", str(output), f"{rule}, and each is taken once", remedy))
    if not quiet:
        _say(f"{rule}; each file is taken once")


# Sizes


def _one_shape(sizes: dict[str, tuple[int, int]], how: Reading) -> tuple[int, int]:
    """Return the one (H, W) that pictures are brought to, or refuse those of several sizes."""
    if how.crop and not how.pad:
        _refuse(sizes, how, "--crop", how.crop, "smaller; add --pad")
    if how.pad and not how.crop:
        _refuse(sizes, how, "--pad", how.pad, "larger; add --crop")
    if how.size:
        return how.size
    shapes = {name: how.framed(shape) for name, shape in sizes.items()}
    counts = Counter(shapes.values()).most_common()
    if len(counts) > 1:
        first = {shape: name for name, shape in reversed(shapes.items())}
        told = [f"{count:,} of {times(shape)} ({first[shape]})" for shape, count in counts[:NAMED]]
        if len(counts) > NAMED:
            told.append(f"... and {len(counts) - NAMED:,} sizes more")
        raise Failure(
            f"the pictures have {len(counts):,} sizes, height x width, and must have one: "
            f"{', '.join(told)}; bring them to one with --crop H W --pad H W, or with --size H W"
        )
    return counts[0][0]


def _refuse(
    sizes: dict[str, tuple[int, int]], how: Reading, option: str, sides: tuple[int, int], words: str
) -> None:
    """Refuse pictures that one option alone does not bring to its sides."""
    wrong = [(name, shape) for name, shape in sizes.items() if how.framed(shape) != sides]
    if wrong:
        name, shape = wrong[0]
        height, width = sides
        raise Failure(
            f"{option} {height} {width}: {len(wrong):,} of {len(sizes):,} pictures, such as {name} "
            f"({times(shape)}), are {words} {height} {width}, or take --size alone"
        )


def _tell_resizing(sizes: dict[str, tuple[int, int]], how: Reading) -> None:
    """Say how many pictures --size changes in more than their scale."""
    if how.size is None:
        return
    height, width = how.size
    shapes = [how.framed(shape) for shape in sizes.values()]
    enlarged = sum(h < height or w < width for h, w in shapes)
    distorted = sum(abs(h * width / (w * height) - 1) > DISTORTION for h, w in shapes)
    if enlarged:
        _say(f"--size enlarges {enlarged:,} of {len(shapes):,} pictures")
    if distorted:
        _say(f"--size changes the proportions of {distorted:,} of {len(shapes):,} pictures")


def _tell_reading(headers: dict[str, Header], how: Reading) -> None:
    """Say of how many pictures less is read than they hold, and what --range means for how many."""

    def tell(rule: str, names: list[str]) -> None:
        if names:
            _say(f"{rule}: {len(names):,} of {len(headers):,} pictures, such as {names[0]}")

    kinds = Counter(header.kind for header in headers.values()).most_common()
    if how.levels and len(kinds) > 1:
        low, high = how.levels
        told = ", ".join(f"{count:,} of {kind}" for kind, count in kinds)
        told = told.replace(" of", " pictures of" if kinds[0][1] > 1 else " picture of", 1)
        _say(f"--range {low:.10g} {high:.10g} is applied to {told}")
    tell(
        "colour of 16 bits, or grey of 16 with transparency, is read with 8",
        [name for name, header in headers.items() if header.reduced],
    )
    if how.frame == 0:
        tell(
            "of several frames the first is read, or see --frame",
            [name for name, header in headers.items() if header.frames],
        )


# The work


def _read(reader: ModuleType, name: str, how: Reading, shape: tuple[int, int]) -> np.ndarray:
    picture = reader.read_image(name, how)
    if picture.shape[-2:] != shape:
        # Written anew meanwhile, or turned by what a PNG says after its pixels.
        raise reader.ImageError("not of the size its header says", times(picture.shape[-2:]))
    return picture


class _Batches:
    """Pictures of one size, transformed in batches into one array.

    Parameters
    ----------
    S : Scattering2D
        The transform.
    count : int
        The most pictures there can be.
    dtype : str
        Of the transform.
    channel : str
        As in `npscatter.cli.images.Reading`.
    doing : str or callable
        What is said if a batch takes long; see `npscatter.cli.terminal.busy`.
    """

    def __init__(
        self,
        S: npscatter.Scattering2D,
        count: int,
        dtype: str,
        channel: str,
        doing: str | Callable[[], str],
    ):
        self.names: list[str] = []
        self._S, self._dtype, self._doing = S, dtype, doing
        self._waiting: list[np.ndarray] = []
        self._done = 0
        # Pages that no picture ever reaches are never touched.
        planes = (3,) if channel == "all" else ()
        self._output = np.empty((count, *planes, *S.output_shape), dtype)

    def add(self, name: str, picture: np.ndarray) -> None:
        """Take one more picture, shape (..., H, W)."""
        self.names.append(name)
        self._waiting.append(picture.astype(self._dtype))
        if len(self._waiting) * picture.size >= BATCH_PIXELS:
            self._transform_waiting()

    def finish(self) -> np.ndarray:
        """Return the coefficients of all pictures taken."""
        self._transform_waiting()
        return self._output[: self._done]

    def _transform_waiting(self) -> None:
        if self._waiting:
            until = self._done + len(self._waiting)
            with told_in_one_line(self._doing):
                self._output[self._done : until] = self._S(np.stack(self._waiting))
            self._done = until
            self._waiting.clear()


def _write(
    output: Path, coefficients: np.ndarray, names: list[str], description: dict[str, np.ndarray]
) -> None:
    with output_file(output) as file:
        if output.suffix.lower() == ".npy":
            np.save(file, coefficients, allow_pickle=False)
        else:
            np.savez(file, coefficients=coefficients, names=np.array(names), **description)


def _describe(S: npscatter.Scattering2D, how: Reading) -> dict[str, np.ndarray]:
    samples = "divided by 255 (8 bits) or 65535 (16 bits)"
    if how.levels:
        samples = f"{how.levels[0]!r} to 0, {how.levels[1]!r} to 1, linearly"
    return {
        **S.meta(),
        "bank": np.array(S.bank.name),
        "bank_sha256": np.array(S.bank.sha256),
        "J": np.array(S.J),
        "L": np.array(S.L),
        "max_order": np.array(S.max_order),
        "boundary": np.array(S.boundary),
        "shape": np.array(S.shape),
        "backend": np.array(S.backend),
        "version": np.array(npscatter.__version__),
        "samples": np.array(samples),
        "channel": np.array(how.channel),
        "frame": np.array(how.frame),
        "range": np.array(how.levels or (), float),
        "crop": np.array(how.crop or (), int),
        "pad": np.array(how.pad or (), int),
        "size": np.array(how.size or (), int),
    }
