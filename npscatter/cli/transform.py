"""``npscatter transform``: image files in, one array of coefficients out."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import click
import numpy as np

import npscatter
from npscatter.bank import resolve
from npscatter.cli.options import (
    COMPUTING,
    backend_option,
    bank_option,
    boundary_option,
    check_output,
    extra,
    output_file,
    output_option,
    scale_option,
    times,
    told_in_one_line,
)
from npscatter.cli.terminal import Failure, echo, shown
from npscatter.errors import ArgumentError, ArgumentTypeError, BackendError, BankError

# Images are handed to the transform together until they have this many pixels.
BATCH_PIXELS = 2**20


@click.command(
    epilog="""\b
Examples:
  npscatter transform cat.png -o cat.npy
  npscatter transform photos/ -o features.npz --J 3 --size 256 256
  npscatter transform 'scans/**/*.tif' -o scans.npz --channel all --dtype float64"""
)
@click.argument("images", nargs=-1, required=True)
@output_option("The file to write: .npy or .npz.", required=True)
@scale_option
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
    "--channel",
    type=click.Choice(["grey", "red", "green", "blue", "all"]),
    default="grey",
    show_default=True,
    help="What of a colour picture is transformed; grey is its BT.601 luminance.",
)
@click.option(
    "--size",
    nargs=2,
    type=click.IntRange(min=1),
    metavar="H W",
    help="Resize every picture (antialiased bicubic). Without this, none is resampled.",
)
@click.option(
    "--dtype",
    type=click.Choice(["float32", "float64"]),
    default="float32",
    show_default=True,
    help="Precision of the transform and of the output.",
)
def transform(
    images: tuple[str, ...],
    output: Path,
    J: int,
    L: int | None,
    max_order: int,
    bank: str,
    boundary: str | None,
    backend: str,
    channel: str,
    size: tuple[int, int] | None,
    dtype: str,
) -> None:
    """Write the scattering coefficients of IMAGES.

    IMAGES are files, folders (the pictures in them, not in their subfolders) or glob patterns.
    8-bit samples are divided by 255, 16-bit samples by 65535; transparency is ignored.

    \b
    OUTPUT.npy holds one array (N, C, h, w), or (N, 3, C, h, w) with --channel all.
    OUTPUT.npz holds
      coefficients       the same array
      names              the N files
      order, j, theta, n what each of the C channels is (-1: no such wavelet)
      bank, bank_sha256, J, L, max_order, boundary, shape, channel, backend, version

    All pictures must have one size: that of --size, or else of the first that can be read. A
    picture that cannot be read or has another size is named and skipped, the others are kept.

    \b
    Exit status: 0 all pictures were transformed; 1 some were skipped;
    2 the command could not be carried out; 130 interrupted.
    """
    check_output(output, ".npy", ".npz")
    reader, tqdm = extra("npscatter.cli.images"), extra("tqdm").tqdm
    files, empty = reader.find_images(images)
    for argument in empty:
        echo(f"{argument}: no pictures here", err=True)
    if not files:
        raise Failure("there is no picture to transform")
    with told_in_one_line():
        filters, _ = resolve(bank, L)
    work = _Transform(
        lambda shape: npscatter.Scattering2D(
            *(J, shape, filters.L, max_order), backend=backend, bank=filters, boundary=boundary
        ),
        len(files),
        dtype,
    )
    try:
        # disable=None: no bar unless stderr is a terminal.
        with tqdm(files, unit=" pictures", file=sys.stderr, disable=None) as bar:
            for name in bar:
                try:
                    work.add(name, reader.read_image(name, channel, size))
                except (reader.ImageError, WrongSizeError) as error:
                    bar.write(shown(f"{name}: {error}; skipped"), file=sys.stderr)
        coefficients = work.finish()
        if not work.names:
            raise Failure(f"0 of {len(files)} pictures were transformed; nothing was written", 1)
        with output_file(output) as file:
            if output.suffix.lower() == ".npy":
                np.save(file, coefficients, allow_pickle=False)
            else:
                description = _describe(work.S, channel)
                np.savez(file, coefficients=coefficients, names=np.array(work.names), **description)
    except KeyboardInterrupt:
        raise Failure("interrupted; nothing was written", 130) from None
    except MemoryError as error:
        raise Failure(f"out of memory ({error}); transform fewer pictures at a time") from None
    echo(
        f"{len(work.names)} of {len(files)} pictures transformed: "
        f"{times(coefficients.shape)}, {coefficients.dtype}, in {output}",
        err=True,
    )
    if empty or len(work.names) < len(files):
        raise SystemExit(1)


class WrongSizeError(Exception):
    """A picture has another size than those before it."""


class _Transform:
    """Pictures of one size, transformed in batches into one array.

    Parameters
    ----------
    construct : callable
        From (H, W) to the `npscatter.Scattering2D`; the first picture decides.
    count : int
        The most pictures there can be.
    dtype : str
        Of the transform.
    """

    def __init__(self, construct: Callable, count: int, dtype: str):
        self.names: list[str] = []
        self.S: npscatter.Scattering2D | None = None
        self._construct, self._count, self._dtype = construct, count, dtype
        self._waiting: list[np.ndarray] = []
        self._done = 0

    def add(self, name: str, picture: np.ndarray) -> None:
        """Take one more picture, shape (..., H, W), or raise `WrongSizeError`."""
        shape = picture.shape[-2:]
        if self.S is None:
            self._begin(shape)
            # Pages that no picture ever reaches are never touched.
            size = (self._count, *picture.shape[:-2], *self.S.output_shape)
            self._output = np.empty(size, self._dtype)
        if shape != self.S.shape:
            raise WrongSizeError(
                f"its size is {times(shape)}, not {times(self.S.shape)} (see --size)"
            )
        self.names.append(name)
        self._waiting.append(picture.astype(self._dtype))
        if len(self._waiting) * picture.size >= BATCH_PIXELS:
            self._transform_waiting()

    def _begin(self, shape: tuple[int, int]) -> None:
        try:
            self.S = self._construct(shape)
        except (BankError, BackendError, ArgumentTypeError) as error:
            raise Failure(error) from None
        except ArgumentError as error:
            # This picture is too small; the next may do.
            raise WrongSizeError(error) from None

    def finish(self) -> np.ndarray | None:
        """Return the coefficients of all pictures taken, None without any."""
        if self.S is None:
            return None
        self._transform_waiting()
        return self._output[: self._done]

    def _transform_waiting(self) -> None:
        if self._waiting:
            until = self._done + len(self._waiting)
            with told_in_one_line(COMPUTING):
                self._output[self._done : until] = self.S(np.stack(self._waiting))
            self._done = until
            self._waiting.clear()


def _describe(S: npscatter.Scattering2D, channel: str) -> dict[str, np.ndarray]:
    return {
        **S.meta(),
        "bank": np.array(S.bank.name),
        "bank_sha256": np.array(S.bank.sha256),
        "J": np.array(S.J),
        "L": np.array(S.L),
        "max_order": np.array(S.max_order),
        "boundary": np.array(S.boundary),
        "shape": np.array(S.shape),
        "channel": np.array(channel),
        "backend": np.array(S.backend),
        "version": np.array(npscatter.__version__),
    }
