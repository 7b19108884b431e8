"""Learning filters: ``python -m tools.learn --help``."""

from npscatter.__main__ import run, tell_what_is_missing

__all__ = ["run"]
tell_what_is_missing("train")
