"""The exceptions npscatter raises, and its warnings.

Each is both the built-in a Python reader expects and, where Kymatio raises ``RuntimeError``,
a ``RuntimeError`` too, so except-clauses written for Kymatio keep working.
"""

from __future__ import annotations

import sys


class ArgumentError(ValueError, RuntimeError):
    """An argument has a value that the transform cannot use."""


class ArgumentTypeError(TypeError):
    """An argument has a type that the transform cannot use."""


class BankError(ArgumentError):
    """A filter bank, or the file that should hold one, is not usable."""


class BankWarning(UserWarning):
    """A filter bank is usable, but not at every scale."""


class BackendError(ArgumentError, ImportError):
    """A backend is unknown or not installed (Kymatio raises ``ImportError`` here)."""


class BackendWarning(UserWarning):
    """A backend works, but slower or less safely than it should."""


def explain(argument: str, value: object, rule: str, remedy: str) -> str:
    """Return the one sentence every npscatter error is made of.

    Parameters
    ----------
    argument, rule, remedy : str
        The argument's name, the rule it broke, and what to do instead.
    value : object
        What was received; shown with `repr`, shortened to 120 characters.
    """
    shown = repr(value)
    if len(shown) > 120:
        shown = shown[:117] + "..."
    return f"{argument}={shown}: {rule}; {remedy}"


def outside_package() -> int:
    """Return the `stacklevel` that lets a warning of the caller's point to who called npscatter."""
    frame, level = sys._getframe(1), 1
    package = __name__.partition(".")[0]
    while frame.f_back and frame.f_globals.get("__name__", "").partition(".")[0] == package:
        frame, level = frame.f_back, level + 1
    return level
