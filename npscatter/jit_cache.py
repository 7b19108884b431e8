"""Compiled code on disk: what decides that it is still right, and doing without a disk."""

from __future__ import annotations

import gc
import hashlib
import importlib.util
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from typing import TypeVar

Compiled = TypeVar("Compiled")


@lru_cache(maxsize=8)
def source_digest(modules: tuple[str, ...]) -> str:
    """Return a hash of the source files that decide what is compiled.

    Numba's cache on disk looks at the file of the compiled function alone; this becomes part of
    what is compiled, so that no cache outlives the other files.

    Parameters
    ----------
    modules : tuple of str
        Full names of modules.
    """
    digest = hashlib.sha256()
    for name in modules:
        spec = importlib.util.find_spec(name)
        if spec is None or spec.loader is None:
            raise ModuleNotFoundError(f"no module named {name!r}", name=name)
        # The loader finds it in an archive too. A frozen application has none, and Numba's cache
        # looks at the application itself.
        source = getattr(spec.loader, "get_source", lambda _: None)(name)
        digest.update((source or "").encode())
    return digest.hexdigest()


_ON_TRIAL = ContextVar("on_trial", default=False)


@contextmanager
def trial_banks() -> Iterator[None]:
    """Keep kernels of banks off the disk, for nobody will run these banks again."""
    token = _ON_TRIAL.set(True)
    try:
        yield
    finally:
        _ON_TRIAL.reset(token)


def cached(compile_with: Callable[[bool], Compiled], of_a_bank: bool = False) -> Compiled:
    """Return ``compile_with(True)``, or without a cache on disk where there is no place for one.

    What is compiled for one bank's kernels is not kept either where `trial_banks` are run.
    """
    with uncollected():
        if of_a_bank and _ON_TRIAL.get():
            return compile_with(False)
        try:
            return compile_with(True)
        except (RuntimeError, OSError):
            return compile_with(False)


@contextmanager
def uncollected() -> Iterator[None]:
    """Put garbage collection off: compiling makes many objects, and looking at them takes long."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()
