"""Measurements, each a command of its own: ``python -m benchmarks.NAME --help``."""

from npscatter.__main__ import run, tell_what_is_missing  # noqa: F401

tell_what_is_missing("bench")
