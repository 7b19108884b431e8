"""What the commands share: failures told in one line, outputs, and options."""

from __future__ import annotations

import importlib
import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, BinaryIO

import click

from npscatter.atomic_write import atomic_write
from npscatter.errors import ArgumentError, ArgumentTypeError, install_extra
from npscatter.program.padding import BOUNDARIES

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FIGURES = (".png", ".pdf", ".svg")
_DISTRIBUTIONS = {"PIL": "Pillow", "matplotlib": "matplotlib", "tqdm": "tqdm"}


class Failure(click.ClickException):
    """Something the user can mend, told in one line."""

    def __init__(self, message: object, exit_code: int = 2):
        super().__init__(str(message))
        self.exit_code = exit_code


@contextmanager
def told_in_one_line() -> Iterator[None]:
    """Turn the library's errors about arguments into failures, and show its warnings as plainly."""
    with warnings.catch_warnings():
        warnings.simplefilter("always", UserWarning)
        warnings.showwarning = _tell
        try:
            yield
        except (ArgumentError, ArgumentTypeError) as error:
            raise Failure(error) from None


def _tell(message: Warning | str, *_: object) -> None:
    click.echo(f"Warning: {message}", err=True)


def extra(module: str) -> ModuleType:
    """Import a module that needs the extra ``cli``, or say what to install."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing not in _DISTRIBUTIONS:
            raise
        rule = f"this command needs {_DISTRIBUTIONS[missing]}, not installed"
        raise Failure(f"{rule}: {install_extra('cli')}") from None


def check_output(path: Path, *suffixes: str) -> None:
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
def output_file(path: Path) -> Iterator[BinaryIO]:
    """Open the output, written whole or not at all."""
    try:
        with atomic_write(path) as file:
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
scale_option = click.option(
    "--J",
    "J",
    type=click.IntRange(min=1),
    default=2,
    show_default=True,
    help="Log2 of the scale: each side of the output is the picture's divided by 2^J.",
)


def figure_option(**options) -> Callable:
    """Return the option of a figure to write."""
    return click.option(
        "-o",
        "--output",
        type=click.Path(path_type=Path),
        help="The figure to write: .png, .pdf or .svg.",
        **options,
    )


def boundary_option(default: str) -> Callable:
    """Return the option of the boundary, whose default a command says in words."""
    return click.option(
        "--boundary",
        type=click.Choice(BOUNDARIES),
        help=f"What lies beyond the edge.  [default: {default}]",
    )


def times(shape: tuple[int, ...]) -> str:
    """Return a shape in words, e.g. 32 x 32."""
    return " x ".join(map(str, shape))
