"""What reaches the terminal, and how a command ends: in one line and a status, whatever happens."""

from __future__ import annotations

import errno
import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, NoReturn, TextIO

import click

from npscatter.errors import INTERRUPTED, ArgumentError, ArgumentTypeError, printable

# As shells count: 128 and the signal's number.
BROKEN_PIPE = 141
# Seconds after which a command says what it is doing.
PATIENCE = 1.0


class Failure(click.ClickException):
    """Something the user can mend, told in one line."""

    def __init__(self, message: object, exit_code: int = 2):
        super().__init__(str(message))
        self.exit_code = exit_code

    def format_message(self) -> str:
        """Return the message as it is shown."""
        return shown(self.message)


def shown(text: object) -> str:
    """Return text as one line that a terminal only shows.

    Names of files and banks may hold anything. What is no letter, sign or blank comes out as
    Python would write it in a string: control characters, escapes, newlines, characters that turn
    the direction of writing, bytes that are no UTF-8.
    """
    return printable(str(text))


def echo(*lines: object, err: bool = False) -> None:
    """Print lines as they are `shown`, to standard output, or to standard error if it takes any."""
    try:
        click.echo("\n".join(map(shown, lines)), err=err)
    except OSError:
        if not err:
            raise
        abandon(sys.stderr)


def echo_json(value: object) -> None:
    """Print what JSON can hold."""
    # The one control character that JSON itself leaves as it is.
    echo(*json.dumps(value, indent=1).replace("\x7f", r"\u007f").splitlines())


@contextmanager
def busy(doing: str | Callable[[], str]) -> Iterator[None]:
    """Say on standard error what is being done, where that takes its time.

    A function is called for the words when they are needed.
    """

    def say() -> None:
        echo(doing() if callable(doing) else doing, err=True)

    timer = threading.Timer(PATIENCE, say)
    try:
        timer.start()
    except RuntimeError:  # no more threads: nothing is said
        yield
        return
    try:
        yield
    finally:
        timer.cancel()
        timer.join()


def run(command: click.Command, name: str | None = None) -> NoReturn:
    """Run a command of this process' own, and end the process.

    Parameters
    ----------
    command : click.Command
        Told of failures by exceptions; those meant for users end in one line.
    name : str, optional
        Of the program; click finds it out by itself.
    """
    _open_streams()
    for number in (signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGTERM)):
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, _end)
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _interrupt)
    stdout = sys.stdout
    try:
        status = command.main(prog_name=name, standalone_mode=False)
        sys.stdout.flush()
    except SystemExit:
        # Where nobody reads what is printed, click puts something else there and ends.
        if sys.stdout is stdout:
            raise
        status = _told(BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE)))
    except BaseException as error:
        status = _told(error)
    sys.exit(status if isinstance(status, int) else 0)


def _told(error: BaseException) -> int:
    """Tell an error in one line and return the status; raise what is none of the user's."""
    message, status = error, 2
    if isinstance(error, click.Abort | KeyboardInterrupt):
        message, status = "interrupted", INTERRUPTED
    elif type(error).__name__ == "NoArgsIsHelpError":  # which click has from 8.2 on
        error.show()
        return error.exit_code
    elif isinstance(error, click.ClickException):
        # What click lists below each other goes on one line.
        told = error.format_message()
        message = told if isinstance(error, Failure) else " ".join(told.split())
        status = error.exit_code
        if isinstance(error, click.UsageError) and error.ctx is not None:
            hint = f"{error.ctx.command_path} --help says more"
            if isinstance(error, click.NoSuchOption) and _takes_names(error.ctx.command):
                hint = f"a name that begins with a dash is written ./-name; {hint}"
            message = f"{message} ({hint})"
    elif isinstance(error, MemoryError):
        message = f"out of memory ({error})" if str(error) else "out of memory"
    elif isinstance(error, OSError) and error.errno is not None:
        # What has no name is open from the start.
        message = f"{error.filename or 'standard output'}: {error.strerror or error}"
        status = BROKEN_PIPE if isinstance(error, BrokenPipeError) else 2
        if error.filename is None:
            abandon(sys.stdout)
    elif isinstance(error, ModuleNotFoundError) or not isinstance(
        error, ArgumentError | ArgumentTypeError | ImportError | OSError
    ):
        raise error
    echo(f"Error: {message}", err=True)
    return status


def _takes_names(command: click.Command) -> bool:
    return any(isinstance(parameter, click.Argument) for parameter in command.params)


def _end(number: int, _: object) -> NoReturn:
    """End in an orderly way, leaving no file half written; a second signal is heeded at once."""
    signal.signal(number, signal.SIG_DFL)
    raise SystemExit(128 + number)


def _interrupt(number: int, _: object) -> NoReturn:
    """Do as `_end` at Ctrl-C."""
    signal.signal(number, signal.SIG_DFL)
    raise KeyboardInterrupt


def _open_streams() -> None:
    """Open the standard streams that are closed, and let those be printed to that cannot print all.

    Otherwise the next file to be opened would take such a stream's number. Writing to standard
    output that was closed is an error, as it is where the disk is full.
    """
    for name, flags in (("stdin", os.O_RDONLY), ("stdout", os.O_RDONLY), ("stderr", os.O_WRONLY)):
        if getattr(sys, name) is None:
            mode = "r" if name == "stdin" else "w"
            setattr(sys, name, open(os.open(os.devnull, flags), mode))
    for stream in (sys.stdout, sys.stderr):
        reconfigure: Any = getattr(stream, "reconfigure", None)
        if reconfigure:
            reconfigure(errors="backslashreplace")


def abandon(stream: TextIO) -> None:
    """Let what could not be written vanish, which Python would try again at the end."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
