"""The exceptions npscatter raises, and its warnings.

Each is both the built-in a Python reader expects and, where Kymatio raises ``RuntimeError``,
a ``RuntimeError`` too, so except-clauses written for Kymatio keep working.
"""

from __future__ import annotations

import re
import reprlib
import sys
from pathlib import PurePath

# The exit status of what Ctrl-C ended, as shells count: 128 and the number of its signal.
INTERRUPTED = 130
# Characters of a value that an error shows, and of a path, of which every part may matter.
LONGEST_SHOWN, LONGEST_PATH_SHOWN = 120, 1024
# Shows so much of containers, and asks no long list for all of its elements.
_SHORT = reprlib.Repr()
_SHORT.maxlist = _SHORT.maxtuple = _SHORT.maxset = _SHORT.maxfrozenset = _SHORT.maxdeque = 12
_SHORT.maxarray = _SHORT.maxdict = 6
_SHORT.maxstring = _SHORT.maxlong = _SHORT.maxother = LONGEST_SHOWN


class ArgumentError(ValueError, RuntimeError):
    """An argument has a value that the transform cannot use.

    Examples
    --------
    >>> from npscatter import ArgumentError, Scattering2D
    >>> try:
    ...     Scattering2D(J=6, shape=(32, 32))
    ... except ArgumentError as error:
    ...     print(str(error).partition(";")[2])
    pass J between 1 and 5
    """


class ArgumentTypeError(TypeError):
    """An argument has a type that the transform cannot use.

    Examples
    --------
    >>> from npscatter import ArgumentTypeError, Scattering2D
    >>> try:
    ...     Scattering2D(J=2.0, shape=(32, 32))
    ... except ArgumentTypeError as error:
    ...     print(error)
    J=2.0: must be an integer; pass int(J), which is 2
    """


class BankError(ArgumentError):
    """A filter bank, or the file that should hold one, is not usable.

    Examples
    --------
    >>> from npscatter import BankError, FilterBank
    >>> try:
    ...     FilterBank.load("none.npz")
    ... except BankError as error:
    ...     print(str(error).partition(";")[2])
    a bank is an .npz file with its .json card beside it
    """


class BankWarning(UserWarning):
    """A filter bank is usable, but not at every scale.

    Examples
    --------
    >>> import warnings
    >>> from npscatter import BankWarning, FilterBank
    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("error", BankWarning)  # take none that is not sound
    ...     FilterBank.load("accurate").name
    'accurate'
    """


class BackendError(ArgumentError, ImportError):
    """A backend is unknown or not installed (Kymatio raises ``ImportError`` here).

    Examples
    --------
    >>> from npscatter import BackendError, Scattering2D
    >>> try:
    ...     Scattering2D(J=2, shape=(32, 32), backend="torch")
    ... except BackendError as error:
    ...     print(str(error).partition(";")[2])
    use npscatter.torch.Scattering2D, or pass frontend='torch'
    """


class BackendWarning(UserWarning):
    """A backend works, but slower or less safely than it should.

    Examples
    --------
    >>> import warnings
    >>> from npscatter import BackendWarning, Scattering2D
    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("error", BackendWarning)  # rather nothing than something slow
    ...     Scattering2D(J=2, shape=(32, 32), backend="numpy").backend
    'numpy'
    """


def explain(argument: str, value: object, rule: str, remedy: str) -> str:
    """Return the one sentence, on one line, that every npscatter error is made of.

    Parameters
    ----------
    argument, rule, remedy : str
        The argument's name, the rule it broke, and what to do instead.
    value : object
        What was received; see `shown`.
    """
    return one_line(f"{argument}={shown(value)}: {rule}; {remedy}")


def shown(value: object) -> str:
    """Return a value on one line of at most `LONGEST_SHOWN` characters, whatever its own repr does.

    Arrays are shown as what they are, not by their elements; paths up to `LONGEST_PATH_SHOWN`.
    """
    longest = LONGEST_SHOWN
    try:
        dtype, shape = getattr(value, "dtype", None), getattr(value, "shape", None)
        if dtype is not None and isinstance(shape, tuple) and shape:
            text = f"{type(value).__name__} of {dtype}, shape {tuple(shape)}"
        elif _is_path(value):
            text, longest = repr(value), LONGEST_PATH_SHOWN
        else:
            text = _SHORT.repr(value)
    except Exception:  # a repr may do anything; Python refuses that of ints beyond 4300 digits
        text = f"<an int of {value.bit_length()} bits>" if type(value) is int else "<no repr>"
    text = one_line(text)
    half = (longest - 3) // 2
    return text if len(text) <= longest else f"{text[:half]}...{text[-half:]}"


def _is_path(value: object) -> bool:
    """Say whether a value may be the path of something, in which lines do not end."""
    if isinstance(value, PurePath):
        return True
    return type(value) is str and "\n" not in value and ("/" in value or "\\" in value)


def one_line(text: str) -> str:
    """Return a text without line breaks, and with what does not print, or steers, spelt out."""
    return printable(re.sub(r"\s*[\r\n]\s*", " ", text))


def printable(text: str) -> str:
    """Return a text with what does not print, or steers, spelt out as in Python's strings."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def install_extra(name: str) -> str:
    """Return the remedy where something is missing that an extra of the package brings."""
    return (
        f"install npscatter with its extra [{name}], "
        f"as pip install '.[{name}]' in its source repository does"
    )


def lacking(door: str, package: str, error: ImportError) -> BackendError:
    """Return what is raised where a module of ours cannot import what it is for."""
    return BackendError(
        one_line(f"npscatter.{door} needs {package} ({error}): {install_extra(door)}")
    )


def outside_package() -> int:
    """Return the `stacklevel` that lets a warning of the caller's point to who called npscatter."""
    frame, level = sys._getframe(1), 1
    package = __name__.partition(".")[0]
    while frame.f_back and frame.f_globals.get("__name__", "").partition(".")[0] == package:
        frame, level = frame.f_back, level + 1
    return level
