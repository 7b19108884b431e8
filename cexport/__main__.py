"""``python -m cexport``."""

import sys


def main() -> None:
    """Run the command line, or say what it needs."""
    try:
        from cexport.command import export_c
    except ModuleNotFoundError as error:
        if error.name != "click":
            raise
        print(
            "Error: this command needs click, not installed: pip install 'npscatter[cli]'",
            file=sys.stderr,
        )
        raise SystemExit(2) from None
    export_c(prog_name="python -m cexport")


if __name__ == "__main__":
    main()
