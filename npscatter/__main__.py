"""The command ``npscatter``, also as ``python -m npscatter``."""

import importlib
import sys

from npscatter.errors import install_extra


def run(module: str, command: str, name: str) -> None:
    """Run a click command of a module under a name, or say what it needs."""
    try:
        commands = getattr(importlib.import_module(module), command)
    except ModuleNotFoundError as error:
        if error.name != "click":
            raise
        print(
            f"Error: the {name} command needs click, not installed: {install_extra('cli')}",
            file=sys.stderr,
        )
        raise SystemExit(2) from None
    commands(prog_name=name)


def main() -> None:
    """Run the command line."""
    run("npscatter.cli.group", "main", "npscatter")


if __name__ == "__main__":
    main()
