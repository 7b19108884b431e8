"""What the commands share: failures told in one line, outputs, and options."""

from __future__ import annotations

import importlib
import io
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, BinaryIO

import click

from npscatter.atomic_write import atomic_write, is_read_only, is_sent, no_room, stat_or_none
from npscatter.backends import jit_cache
from npscatter.bank.bank_file import locate
from npscatter.cli.finding import identity, is_store
from npscatter.cli.terminal import Failure, busy, echo
from npscatter.errors import (
    ArgumentError,
    ArgumentTypeError,
    BankError,
    explain,
    install_extra,
)
from npscatter.program.padding import BOUNDARIES

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# What ``-o -`` means; the file of this name is ./-, whose path is made absolute.
STANDARD_OUTPUT = Path("-")
FIGURES = (".png", ".pdf", ".svg")
# What commands import by `extra`: the name it is installed by, and the extra that brings it.
_BROUGHT = {
    "PIL": ("Pillow", "cli"),
    "matplotlib": ("matplotlib", "cli"),
    "tqdm": ("tqdm", "cli"),
    "pyarrow": ("pyarrow", "parquet"),
    "zarr": ("zarr", "zarr"),
}


@contextmanager
def told_in_one_line(doing: str | Callable[[], str] = "") -> Iterator[None]:
    """Turn the library's errors about arguments into failures, and show its warnings as plainly.

    What is being done is said if it takes long; see `busy`.
    """
    with warnings.catch_warnings(), busy(doing) if doing else nullcontext():
        warnings.simplefilter("always", UserWarning)
        warnings.showwarning = _tell
        try:
            yield
        except (ArgumentError, ArgumentTypeError) as error:
            raise Failure(error) from None


def computing() -> str:
    """Return what a transform is doing at this moment, in words."""
    if jit_cache.is_compiling():
        return "compiling, for some seconds, as only the first call of its kind on a machine does"
    return "computing"


def _tell(message: Warning | str, *_: object) -> None:
    echo(f"Warning: {message}", err=True)


def extra(module: str) -> ModuleType:
    """Import a module that needs what an extra brings, or say what to install."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing not in _BROUGHT:
            raise
        distribution, name = _BROUGHT[missing]
        rule = f"this command needs {distribution}, not installed"
        raise Failure(f"{rule}: {install_extra(name)}") from None


def output_option(words: str, **settings: Any) -> Callable:
    """Return the options of a file to write: -o, with settings for click, and --force."""
    output = click.option("-o", "--output", type=_File(path_type=Path), help=words, **settings)
    force = click.option(
        "--force",
        is_flag=True,
        expose_value=False,
        callback=lambda context, _, given: context.meta.update({_FORCE: given}),
        help="Replace the file even if it is read-only.",
    )
    return lambda command: output(force(command))


_FORCE = "npscatter.force"


class Folder(click.Path):
    """A folder to write; what an empty word names is refused, not taken for the current one."""

    what = "folder"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """Return the path."""
        if not value:
            self.fail(f"'' names no {self.what}", param, ctx)
        return Path(super().convert(value, param, ctx))


class _File(Folder):
    what = "file"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        path = super().convert(value, param, ctx)
        return path.absolute() if path == STANDARD_OUTPUT and value != "-" else path


def forced() -> bool:
    """Return whether --force was given."""
    return click.get_current_context().meta.get(_FORCE, False)


def check_output(path: Path, *suffixes: str) -> None:
    """Refuse a path that cannot be written or has none of the suffixes, before any work.

    Where .zarr is among them, it stands for a folder, which may be there if it is a Zarr store.
    Standard output has no suffix.
    """
    if path == STANDARD_OUTPUT and not suffixes:
        return
    try:
        problem = _problem(path, suffixes)
    except OSError as error:
        problem = f"{str(path)!r}: {error.strerror}"
    if problem:
        raise Failure(f"-o: {problem}")


def check_apart(path: Path, reader: str, files: Iterable[str | Path]) -> None:
    """Refuse an output that would replace what an option or an argument reads, before any work."""
    if path != STANDARD_OUTPUT and identity(path) in map(identity, files):
        rule = f"would replace a file that {reader} reads"
        raise Failure(explain("-o", str(path), rule, "take another name"))


def bank_files(bank: str) -> list[Path]:
    """Return the files that a bank is read from; none of one that there is not, which is told."""
    try:
        return [file for file in locate(bank) if isinstance(file, Path)]
    except BankError:
        return []


def _problem(path: Path, suffixes: tuple[str, ...]) -> str | None:
    """Return what speaks against writing a file, None if nothing does."""
    status = stat_or_none(path)
    as_folder = ".zarr" in suffixes and path.suffix.lower() == ".zarr"
    if path.is_dir() and not as_folder:
        return f"{str(path)!r} is a folder"
    if as_folder and status is not None and not is_store(path):
        return f"{str(path)!r} is there already and no Zarr store, which alone is replaced"
    if suffixes and path.suffix.lower() not in suffixes:
        return f"{str(path)!r} must end in {' or '.join(suffixes)}"
    if status is not None and is_read_only(path, status) and not forced():
        return f"{str(path)!r} is read-only; --force replaces it"
    takes_its_name = status is None or as_folder or not is_sent(status)
    return no_room(path) if takes_its_name else None


@contextmanager
def output_file(path: Path) -> Iterator[BinaryIO]:
    """Open the output, written whole or not at all."""
    if path == STANDARD_OUTPUT:
        content = io.BytesIO()
        yield content
        click.echo(content.getvalue(), nl=False)
        return
    try:
        with atomic_write(path, forced()) as file:
            yield file
    except OSError as error:
        raise Failure(f"cannot write {path}: {error.strerror or error}") from None


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure in the format its suffix names."""
    with output_file(path) as file:
        figure.savefig(file, format=path.suffix[1:].lower(), dpi=150)


bank_option = click.option(
    "--bank",
    default="accurate",
    show_default=True,
    metavar="NAME|PATH",
    help="A shipped bank (see npscatter banks), or an .npz file with its card beside it.",
)
backend_option = click.option(
    "--backend",
    default="auto",
    show_default=True,
    help="numba (all cores), numpy (slow), cuda (an NVIDIA GPU); auto takes the first that works.",
)


def scale_option(limit: int | None = None) -> Callable:
    """Return the option of the scale, whose limit a command may have of its own."""
    most = f"; at most {limit}" if limit else ""
    return click.option(
        "--J",
        "J",
        type=click.IntRange(min=1),
        default=2,
        show_default=True,
        help=f"Log2 of the scale: each side of the output is the picture's divided by 2^J{most}.",
    )


def figure_option(**settings: Any) -> Callable:
    """Return the options of a figure to write."""
    return output_option("The figure to write: .png, .pdf or .svg.", **settings)


def boundary_option(default: str) -> Callable:
    """Return the option of the boundary, whose default a command says in words."""
    return click.option(
        "--boundary",
        type=click.Choice(BOUNDARIES),
        help=f"What lies beyond the edge.  [default: {default}]",
    )


class Side(click.ParamType):
    """A height or a width, at least `least`; an option of a size takes two of them."""

    name = "side"

    def __init__(self, least: int | None = None):
        self._range = click.INT if least is None else click.IntRange(min=least)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the number, or say how a size is given."""
        try:
            int(value)
        except ValueError:
            option = param.opts[0] if param else "the option"
            self.fail(f"{value!r} is no number of pixels: pass two, as {option} 32 32", param, ctx)
        return self._range.convert(value, param, ctx)


def transform_options(command: Callable) -> Callable:
    """Add the options that say which transform is exported."""
    for option in (
        boundary_option("the bank's"),
        click.option(
            "--max-order", type=int, default=2, show_default=True, help="Highest order, 1 or 2."
        ),
        click.option(
            "--shape",
            nargs=2,
            type=Side(),
            default=(32, 32),
            show_default=True,
            metavar="H W",
            help="Size of the images.",
        ),
        click.option("--L", "L", type=int, help="Number of orientations.  [default: the bank's]"),
    ):
        command = option(command)
    return command


def times(shape: tuple[int, ...]) -> str:
    """Return a shape in words, e.g. 32 x 32."""
    return " x ".join(map(str, shape))
