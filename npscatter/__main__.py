"""The command ``npscatter``, also as ``python -m npscatter``."""

import sys


def main() -> None:
    """Run the command line, or say what it needs."""
    try:
        from npscatter.cli import main as commands
    except ModuleNotFoundError as error:
        if error.name != "click":
            raise
        print(
            "Error: the npscatter command needs click, not installed: pip install 'npscatter[cli]'",
            file=sys.stderr,
        )
        raise SystemExit(2) from None
    commands(prog_name="npscatter")


if __name__ == "__main__":
    main()
