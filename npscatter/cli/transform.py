"""``npscatter transform``: pictures in, one array of their coefficients out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import click

from npscatter.cli.options import (
    Side,
    backend_option,
    bank_option,
    boundary_option,
    extra,
    output_option,
    scale_option,
)
from npscatter.cli.terminal import Failure
from npscatter.errors import INTERRUPTED
from npscatter.features.summary import SUMMARIES

SECTIONS = {
    "Which pictures": "recursive strict labels".split(),
    "How they are read": "channel levels frame crop pad size".split(),
    "The transform": "J L max_order bank boundary backend dtype summary".split(),
    "How the work is done": "resume workers threads batch".split(),
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
    return click.option(name, nargs=2, type=Side(least=1), metavar="H W", help=words)


@click.command(
    cls=_Sectioned,
    epilog="""\b
Examples:
  npscatter transform cat.png -o cat.npy
  npscatter transform photos/ -o features.npz --recursive --J 3 --size 256 256
  npscatter transform scans/ -o scans.npz --range 0 4095 --crop 512 512 --pad 512 512
  npscatter transform 'shards/*.tar' -o train.zarr --size 224 224 --labels cls --resume
  npscatter transform photos/ -o means.parquet --size 256 256 --summary mean --labels folder
  find . -name '*.jpg' -print0 | npscatter transform - -o all.npz --size 128 128 --strict""",
)
@click.argument("images", nargs=-1, required=True)
@click.option("-r", "--recursive", is_flag=True, help="Take the subfolders of folders too.")
@click.option("--strict", is_flag=True, help="Where a picture would be skipped, write nothing.")
@click.option(
    "--labels",
    metavar="folder|cls|CSV",
    help="Write a label for each picture: its folder's name, the .cls member beside it in a tar "
    "file, or what a table says, with rows NAME,LABEL: names as they are in the output, or "
    "without folders.",
)
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
    "--dtype",
    type=click.Choice(["float32", "float64"]),
    default="float32",
    show_default=True,
    help="Precision of the transform and of the output.",
)
@click.option(
    "--summary",
    multiple=True,
    type=click.Choice(SUMMARIES),
    help="Write a summary instead of maps. Numbers over the picture: mean, std or mean_std; "
    "along the channels: isotropic, reduced, normalized, square, log (of 1e-6 at least). Several "
    "follow each other, as --summary mean --summary log.",
)
@click.option(
    "--resume/--restart",
    default=None,
    help="Go on where a run of the same command was interrupted, or drop what it had done.",
)
@click.option(
    "--workers",
    type=click.IntRange(min=0),
    metavar="N",
    help="Processes that read pictures; 0: none but this one.  [default: all cores, if there are "
    "many pictures]",
)
@click.option(
    "--threads",
    type=click.IntRange(min=1),
    metavar="N",
    help="Of the transform, with the backend numba.  [default: all cores]",
)
@click.option(
    "--batch",
    type=click.IntRange(min=1),
    metavar="N",
    help="Pictures that are transformed together; memory grows with it.  [default: a million "
    "pixels' worth]",
)
@output_option("What to write: .npy, .npz, .zarr or .parquet.", required=True)
@click.option("--no-clobber", is_flag=True, help="Never replace an output that exists.")
@click.option(
    "-q", "--quiet", is_flag=True, help="No progress, notes or summary; faults are still told."
)
def transform(**options: Any) -> None:
    """Write the scattering coefficients of IMAGES.

    \b
    IMAGES are
      files    PNG, JPEG, TIFF, BMP, GIF, WebP, PNM, JPEG 2000; AVIF if Pillow has it
      folders  the pictures in them, by suffix, sorted by name, not the hidden ones
      patterns, in quotes, such as 'scans/**/*.tif'
      lists    @FILE, or - for standard input: names of files and folders in UTF-8,
               one a line, or each ended by NUL, as find -print0 writes them
      shards   .tar, uncompressed, as WebDataset has them: the pictures in them
      stacks   arrays in .npy, in .npz (a.npz:NAME if it holds several), in Zarr
               stores (a.zarr, or a.zarr/NAME of a group): (N, H, W), (N, H, W, 3),
               (N, 3, H, W) or (H, W)
    Each file is taken once, however often and through whatever links it is named.

    8-bit samples are divided by 255 and 16-bit ones by 65535 (or see --range), which the Python
    functions do not do: npscatter.scatter(samples / 255) is what equals this. Pictures are turned
    as their EXIF orientation says; of several frames the first is read, or see --frame;
    transparency is ignored; colour of 16 bits, and grey of 16 bits with transparency, is read with
    8, which is told.

    All pictures must have one size. Where they do not, nothing is done, and the sizes are told:
    bring them to one with --crop, --pad, both, or --size. Without these, none is resampled.

    Pictures that cannot be read are named and skipped, files of formats that are not read (camera
    raw, HEIF, FITS, DICOM, SVG, ...) among them. Rows of an .npy file are known by their number,
    so it is written only if no file is skipped or named twice.

    \b
    OUTPUT holds one array (N, C, h, w), (N, 3, C, h, w) with --channel all, (N, C)
    with --summary mean; of any size, for no more than a few batches are in memory.
      .npy      the array; what is listed here is in OUTPUT.npy.json
      .npz      the array, coefficients, and what is listed here as arrays
      .zarr     the same in a Zarr store, in chunks; settings are attributes
      .parquet  a row for each picture; what is listed here is in the schema
    Beside it are
      names              the N files
      labels             with --labels
      skipped, skipped_because   what could not be read, and why
      channels           what each of the C channels is called, e.g. S2_j0_t3_j1_t5
      order, j, theta, n, frequency, bandwidth, angle    what each is, as
                         Scattering2D.meta() has it (-1, NaN: no such wavelet)
      bank, bank_sha256, J, L, max_order, boundary, shape, backend, version, versions
      samples            how stored numbers became those that were transformed
      channel, range, frame, crop, pad, size, summary, dtype, batch, labelled_by,
      images             as given; empty if not

    A run keeps what is done, every 5 seconds, in a folder .OUTPUT.partial beside the output. If it
    is interrupted, killed or out of disk, it goes on there when the same command is given with
    --resume, and writes the same bytes; until it is finished, OUTPUT is what it was before. What
    was done is not done again: pictures whose files changed since, but not their sizes, stay as
    they were. With nothing to go on with it begins anew, also where OUTPUT is complete. A second
    Ctrl-C ends at once.

    \b
    Exit status: 0 all pictures were transformed; 1 some were skipped, the others
    written; 2 nothing was written; 130 interrupted, nothing was written.
    """
    with _stopped_in_one_line():
        job = extra("npscatter.cli.pipeline.job")
        status = job.carry_out(job.Request(**options))
    if status:
        raise SystemExit(status)


@contextmanager
def _stopped_in_one_line() -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        raise Failure("interrupted; nothing was written", INTERRUPTED) from None
    except MemoryError as error:
        raise Failure(f"out of memory ({error}); transform fewer pictures at a time") from None
