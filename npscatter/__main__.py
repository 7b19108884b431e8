"""The command ``npscatter``, also as ``python -m npscatter``, and how every command begins."""

from __future__ import annotations

import importlib
import sys
from types import TracebackType
from typing import TYPE_CHECKING

from npscatter.errors import INTERRUPTED, install_extra

if TYPE_CHECKING:
    import click

# Where a module is missing here, something is broken.
OURS = ("npscatter", "cexport", "tools", "benchmarks")


def main() -> None:
    """Run the command line."""
    run_by_name("npscatter.cli.group", "main", "npscatter")


def run_by_name(module: str, command: str, name: str) -> None:
    """Run a click command of a module under a name, or say what it needs."""
    try:
        found = getattr(importlib.import_module(module), command)
        terminal = importlib.import_module("npscatter.cli.terminal")
    except KeyboardInterrupt:
        print("Error: interrupted", file=sys.stderr)
        raise SystemExit(INTERRUPTED) from None
    except ModuleNotFoundError as error:
        if error.name != "click":
            raise
        print(
            f"Error: the {name} command needs click, not installed: {install_extra('cli')}",
            file=sys.stderr,
        )
        raise SystemExit(2) from None
    terminal.run(found, name)


def run(command: click.Command, name: str | None = None) -> None:
    """Run a click command and end the process with its status; what fails is told in a line."""
    importlib.import_module("npscatter.cli.terminal").run(command, name)


def tell_what_is_missing(extra: str) -> None:
    """Have what is run by ``python -m`` say in one line which package of an extra it lacks.

    For the ``__init__`` of a package of commands, which comes before their imports.
    """

    def tell(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        missing = getattr(error, "name", None) if kind is ModuleNotFoundError else None
        if missing is None or missing.partition(".")[0] in OURS:
            sys.__excepthook__(kind, error, trace)
            return
        print(
            f"Error: this needs {missing.partition('.')[0]}, not installed: "
            f"pip install -e '.[{extra}]' in a copy of the sources",
            file=sys.stderr,
        )
        raise SystemExit(2)

    if sys.argv[0] == "-m":
        sys.excepthook = tell


if __name__ == "__main__":
    main()
