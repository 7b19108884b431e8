"""The command line: ``npscatter demo``, ``transform``, ``banks``, ``plot-bank`` and ``bounds``."""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import BinaryIO

import click
import numpy as np

import npscatter
from npscatter.atomic_write import atomic_write
from npscatter.bank import FilterBank
from npscatter.bounds import Bounds
from npscatter.errors import ArgumentError, ArgumentTypeError, BackendError, BankError
from npscatter.metrics import relative_errors
from npscatter.program.padding import BOUNDARIES

INSTALL = "pip install 'npscatter[cli]'"
FIGURES = (".png", ".pdf", ".svg")
DEMO = Path(__file__).parent / "demo_data"
# The row of a card's errors that the table of banks shows.
MEASURED = "photographs 64x64 J=2"
# Pictures are handed to the transform together until they have this many pixels.
BATCH_PIXELS = 2**20
_DISTRIBUTIONS = {"PIL": "Pillow", "matplotlib": "matplotlib", "tqdm": "tqdm"}


class Failure(click.ClickException):
    """Something the user can mend, told in one line."""

    def __init__(self, message: object, exit_code: int = 2):
        super().__init__(str(message))
        self.exit_code = exit_code


@contextmanager
def _told_in_one_line() -> Iterator[None]:
    try:
        yield
    except (ArgumentError, ArgumentTypeError) as error:
        raise Failure(error) from None


def _extra(module: str) -> ModuleType:
    """Import a module that needs the extra ``cli``, or say what to install."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing not in _DISTRIBUTIONS:
            raise
        raise Failure(
            f"this command needs {_DISTRIBUTIONS[missing]}, not installed: {INSTALL}"
        ) from None


def _check_output(path: Path, *suffixes: str) -> None:
    """Refuse a path that cannot be written, before any work is done."""
    if path.suffix.lower() not in suffixes:
        problem = f"{str(path)!r} must end in {' or '.join(suffixes)}"
    elif not path.parent.is_dir():
        problem = f"there is no folder {str(path.parent)!r}"
    elif path.is_dir():
        problem = f"{str(path)!r} is a folder"
    elif not os.access(path.parent, os.W_OK):
        problem = f"the folder {str(path.parent)!r} cannot be written to"
    else:
        return
    raise click.BadParameter(problem, param_hint="'-o'")


@contextmanager
def _output_file(path: Path) -> Iterator[BinaryIO]:
    """Open the output, written whole or not at all."""
    try:
        with atomic_write(path) as file:
            yield file
    except OSError as error:
        raise Failure(f"cannot write {path}: {error.strerror or error}") from None


def _save_figure(figure, path: Path) -> None:
    with _output_file(path) as file:
        figure.savefig(file, format=path.suffix[1:].lower(), dpi=150)


_bank_option = click.option(
    "--bank",
    default="accurate",
    show_default=True,
    metavar="NAME|PATH",
    help="A shipped bank (see npscatter banks), or an .npz file with its card beside it.",
)
_backend_option = click.option(
    "--backend", default="auto", show_default=True, help="auto takes the fastest installed."
)
_scale_option = click.option(
    "--J",
    "J",
    type=click.IntRange(min=1),
    default=2,
    show_default=True,
    help="Log2 of the scale: each side of the output is the picture's divided by 2^J.",
)


def _figure_option(**options) -> Callable:
    return click.option(
        "-o",
        "--output",
        type=click.Path(path_type=Path),
        help="The figure to write: .png, .pdf or .svg.",
        **options,
    )


class _Commands(click.Group):
    """The commands below, and those of packages that name this group as an entry point."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(
            {*super().list_commands(ctx), *entry_points(group="npscatter.commands").names}
        )

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        command = super().get_command(ctx, cmd_name)
        if command is None:
            for added in entry_points(group="npscatter.commands", name=cmd_name):
                return added.load()
        return command


@click.group(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="""\b
Examples:
  npscatter demo
  npscatter transform photos/ -o features.npz
  npscatter plot-bank accurate -o filters.png
  npscatter COMMAND --help""",
)
@click.version_option(npscatter.__version__, prog_name="npscatter")
def main() -> None:
    """2-D wavelet scattering with small learned filters."""


@main.command(
    epilog="""\b
Examples:
  npscatter demo
  npscatter demo --bank paper -o paper.png
  npscatter demo --no-figure"""
)
@_bank_option
@_scale_option
@_backend_option
@_figure_option(default="npscatter-demo.png", show_default=True)
@click.option("--no-figure", is_flag=True, help="Print only; needs no matplotlib.")
def demo(bank: str, J: int, backend: str, output: Path, no_figure: bool) -> None:
    """Transform a shipped picture, check it against Kymatio, draw it.

    The check compares a crop of the picture with coefficients that Kymatio computed (J=2, L=8);
    Kymatio itself is not needed.
    """
    if not no_figure:
        _check_output(output, *FIGURES)
    pictures = _extra("npscatter.cli.images")
    plots = None if no_figure else _extra("npscatter.cli.figures")
    picture = pictures.read_image(DEMO / "camera.png").astype(np.float32)
    with np.load(DEMO / "camera-kymatio-J2-L8.npz") as stored:
        reference = {key: stored[key] for key in stored.files}
    with _told_in_one_line():
        filters = FilterBank.load(bank)
        S = npscatter.Scattering2D(J, picture.shape, filters.L, backend=backend, bank=filters)
        seconds = []
        for _ in range(2):
            start = time.perf_counter()
            coefficients = S(picture)
            seconds.append(time.perf_counter() - start)
    click.echo(f"npscatter     {npscatter.__version__}")
    click.echo(f"bank          {filters.name} (sha256 {filters.sha256[:16]})")
    click.echo(f"backend       {S.backend}")
    click.echo(f"transform     J={S.J}, L={S.L}, order {S.max_order}, boundary {S.boundary}")
    click.echo(f"picture       {_times(picture.shape)}, {picture.dtype}, in [0, 1]")
    click.echo(f"coefficients  {_times(coefficients.shape)}")
    click.echo(
        f"time          {1e3 * seconds[1]:.1f} ms, one call, not a benchmark "
        f"(the very first call: {1e3 * seconds[0]:.1f} ms)"
    )
    crop = None
    if (S.J, S.L) == (reference["J"], reference["L"]):
        crop = tuple(int(number) for number in reference["crop"])
        _print_errors(picture, crop, reference, S)
    else:
        click.echo("error         not checked: Kymatio's coefficients are stored for J=2, L=8 only")
    if plots is not None:
        figure = plots.demo_figure(picture, crop, filters, coefficients, S.meta())
        _save_figure(figure, output)
        click.echo(f"figure        {output}")


def _print_errors(
    picture: np.ndarray, crop: tuple[int, ...], reference: dict, S: npscatter.Scattering2D
) -> None:
    row, column, height, width = crop
    part = picture[row : row + height, column : column + width]
    ours = npscatter.scatter(part, S.J, L=S.L, bank=S.bank, backend=S.backend)
    order = S.meta()["order"]
    click.echo("error         relative L2 distance ||V - S|| / ||S|| to Kymatio's coefficients,")
    click.echo(
        f"              on the crop of rows {row} to {row + height - 1}, "
        f"columns {column} to {column + width - 1}, as a picture of its own:"
    )
    for name, error in relative_errors(ours, reference["coefficients"], order).items():
        click.echo(f"              {name}  {error:.2e}")
    click.echo(f"              stored from {', '.join(reference['versions'])}")


@main.command(
    epilog="""\b
Examples:
  npscatter transform cat.png -o cat.npy
  npscatter transform photos/ -o features.npz --J 3 --size 256 256
  npscatter transform 'scans/**/*.tif' -o scans.npz --channel all --dtype float64"""
)
@click.argument("images", nargs=-1, required=True)
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(path_type=Path),
    help="The file to write: .npy or .npz.",
)
@_scale_option
@click.option(
    "--L",
    "L",
    type=click.IntRange(min=2),
    help="Number of orientations.  [default: the bank's; 8 for accurate]",
)
@click.option(
    "--max-order", type=click.IntRange(1, 2), default=2, show_default=True, help="Highest order."
)
@_bank_option
@click.option(
    "--boundary",
    type=click.Choice(BOUNDARIES),
    help="What lies beyond the edge.  [default: the bank's; kymatio for accurate]",
)
@_backend_option
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
    _check_output(output, ".npy", ".npz")
    pictures, tqdm = _extra("npscatter.cli.images"), _extra("tqdm").tqdm
    files, empty = pictures.find_images(images)
    for argument in empty:
        click.echo(f"{argument}: no pictures here", err=True)
    if not files:
        raise Failure("there is no picture to transform")
    with _told_in_one_line():
        filters = FilterBank.load(bank)
    work = _Transform(
        lambda shape: npscatter.Scattering2D(
            J,
            shape,
            filters.L if L is None else L,
            max_order,
            backend=backend,
            bank=bank,
            boundary=boundary,
        ),
        len(files),
        dtype,
    )
    try:
        # disable=None: no bar unless stderr is a terminal.
        with tqdm(files, unit=" pictures", file=sys.stderr, disable=None) as bar:
            for name in bar:
                try:
                    work.add(name, pictures.read_image(name, channel, size))
                except (pictures.ImageError, WrongSizeError) as error:
                    bar.write(f"{name}: {error}; skipped", file=sys.stderr)
        coefficients = work.finish()
        if not work.names:
            raise Failure(f"0 of {len(files)} pictures were transformed; nothing was written", 1)
        with _output_file(output) as file:
            if output.suffix.lower() == ".npy":
                np.save(file, coefficients, allow_pickle=False)
            else:
                description = _describe(work.S, channel)
                np.savez(file, coefficients=coefficients, names=np.array(work.names), **description)
    except KeyboardInterrupt:
        raise Failure("interrupted; nothing was written", 130) from None
    except MemoryError as error:
        raise Failure(f"out of memory ({error}); transform fewer pictures at a time") from None
    click.echo(
        f"{len(work.names)} of {len(files)} pictures transformed: "
        f"{_times(coefficients.shape)}, {coefficients.dtype}, in {output}",
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
                f"its size is {_times(shape)}, not {_times(self.S.shape)} (see --size)"
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
            with _told_in_one_line():
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


@main.command(
    epilog="""\b
Examples:
  npscatter banks
  npscatter banks --json"""
)
@click.option("--json", "as_json", is_flag=True, help="Print the banks' cards instead.")
def banks(as_json: bool) -> None:
    """List the shipped banks.

    S0, S1, S2: the relative L2 error of each order against Kymatio on held-out photographs,
    64 x 64, J=2, as the bank's card has it.
    """
    with _told_in_one_line():
        shipped = [FilterBank.load(name) for name in npscatter.list_banks()]
    if as_json:
        cards = {bank.name: bank.describe() for bank in shipped}
        click.echo(json.dumps(cards, indent=1))
        return
    header = ("name", "L", "R", "psi", "carry", "low", "boundary", "symmetric", "S0", "S1", "S2")
    table = [header, *(_table_row(bank) for bank in shipped)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for row in table:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        click.echo("  ".join(cells).rstrip())
    click.echo(
        "\npsi, carry, low: kernel sizes, first octave / later octaves\n"
        f"S0, S1, S2: relative L2 error against Kymatio, {MEASURED}"
    )


def _table_row(bank: FilterBank) -> tuple[str, ...]:
    kernels = (
        f"{bank[f'{role}_first'].shape[-1]}/{bank[f'{role}_next'].shape[-1]}"
        for role in ("psi", "carry", "low")
    )
    errors = bank.card.get("errors", {}).get(MEASURED, {})
    measured = (
        f"{100 * errors[order]:.2g} %" if order in errors else "-" for order in ("S0", "S1", "S2")
    )
    symmetric = "yes" if bank.symmetric else "no"
    return (bank.name, str(bank.L), str(bank.R), *kernels, bank.boundary, symmetric, *measured)


@main.command(
    "plot-bank",
    epilog="""\b
Examples:
  npscatter plot-bank accurate -o filters.png
  npscatter plot-bank my/bank.npz -o filters.pdf --next""",
)
@click.argument("name")
@_figure_option(required=True)
@click.option(
    "--next", "show_next", is_flag=True, help="Show the filters of the later octaves too."
)
def plot_bank(name: str, output: Path, show_next: bool) -> None:
    """Draw the filters of bank NAME: a shipped name, or the path of an .npz file.

    Row 1 is the low-pass, row 2 the real and row 3 the imaginary parts of the wavelets, one
    column per orientation.
    """
    _check_output(output, *FIGURES)
    plots = _extra("npscatter.cli.figures")
    with _told_in_one_line():
        bank = FilterBank.load(name)
    _save_figure(plots.bank_figure(bank, show_next), output)
    click.echo(str(output))


@main.command(
    epilog="""\b
Examples:
  npscatter bounds accurate
  npscatter bounds paper --J 3 --shift 1 0 --shift 4 4
  npscatter bounds my/bank.npz --json"""
)
@click.argument("name")
@_scale_option
@click.option(
    "--size",
    nargs=2,
    type=click.IntRange(min=1),
    default=(32, 32),
    show_default=True,
    metavar="H W",
    help="Of the images, which padding and the distance from Kymatio depend on.",
)
@click.option(
    "--boundary",
    type=click.Choice(BOUNDARIES),
    help="What lies beyond the edge.  [default: the bank's]",
)
@click.option(
    "--shift",
    "displacements",
    nargs=2,
    type=int,
    multiple=True,
    default=((1, 0), (2, 2)),
    show_default=True,
    metavar="DY DX",
    help="Displacement in pixels; may be given several times.",
)
@click.option(
    "--attempts",
    type=click.IntRange(min=0),
    default=500,
    show_default=True,
    help="Deformations to try; 0 for none.",
)
@click.option("--json", "as_json", is_flag=True, help="Print all of it as JSON instead.")
def bounds(
    name: str,
    J: int,
    size: tuple[int, int],
    boundary: str | None,
    displacements: tuple[tuple[int, int], ...],
    attempts: int,
    as_json: bool,
) -> None:
    """Bound what the transform V with bank NAME can do to any image.

    Proven from the filters, except for the deformation, which is the worst that a search found.
    Takes seconds for J up to 2, minutes above.
    """
    with _told_in_one_line():
        found = Bounds(name, J, shape=size, boundary=boundary).report(list(displacements), attempts)
    if as_json:
        click.echo(json.dumps(found, indent=1))
    else:
        _print_bounds(found)


def _print_bounds(found: dict) -> None:
    scale = 2 ** found["J"]

    def listed(values: dict[str, float], factor: float = scale) -> str:
        return "  ".join(f"{name} {factor * value:.4g}" for name, value in values.items())

    def between(frame: dict) -> str:
        A, B = (f"{frame[bound]['certified']:.4g}" for bound in "AB")
        found_A, found_B = (f"{frame[bound]['found']:.4g}" for bound in "AB")
        return f"{A} to {B}  (found: {found_A} to {found_B})"

    click.echo(f"bank         {found['bank']} (sha256 {found['bank_sha256'][:16]})")
    click.echo(
        f"transform    V: J={found['J']}, order {found['max_order']}, boundary "
        f"{found['boundary']}, images of {_times(found['shape'])}"
    )
    padding = f"; C includes a factor {found['padding']:.4g} for the padding"
    click.echo(f"norms        Euclidean{padding if found['padding'] > 1 else ''}")
    click.echo("\nLittlewood-Paley sum of the filters that the image sees")
    click.echo(f"             {between(found['littlewood_paley'])}")
    click.echo("\nframe bounds of every level, filters with their strides")
    for name, frame in found["frames"].items():
        click.echo(f"  {name}\n             {between(frame)}")
    click.echo(
        f"\n2^J C of     ||V(x) - V(y)|| <= C ||x - y||\n             {listed(found['lipschitz'])}"
    )
    click.echo(
        f"\nlargest      4^J ||V(x)||^2 / ||x||^2\n             {listed(found['energies'], 1)}"
    )
    if shifts := found.get("shift, boundary periodic"):
        click.echo(
            "\n2^J C of     ||V(x shifted) - V(x)|| <= C ||x||, V of boundary periodic\n"
            f"             {listed(shifts)}"
        )
    if "teacher_certificate" in found:
        click.echo(
            "\n2^J C of     ||V(x) - S(x)|| <= C ||x||, S: Kymatio\n"
            f"             {listed(found['teacher_certificate'])}"
        )
    if "deformation" in found:
        click.echo(
            "\nlargest      2^J ||V(x deformed) - V(x)|| / ((2^-J max |tau| + max |grad tau|) "
            f"||x||) found\n             {found['deformation']:.4g}"
        )


def _times(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))
