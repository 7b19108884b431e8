"""The command line."""

from npscatter.cli.main import main

__all__ = ["main"]
