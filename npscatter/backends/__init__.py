"""The backends: their names, what they need, and the protocol that each of them follows.

A backend is a module, imported when it is chosen, with what `Backend` lists. A new one is a module
and a row of `_MODULES`.
"""

from __future__ import annotations

import importlib
import os
import sys
import warnings
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Protocol

from npscatter.errors import (
    BackendError,
    BackendWarning,
    explain,
    install_extra,
    outside_package,
)

if TYPE_CHECKING:
    import numpy as np

    from npscatter.bank import FilterBank
    from npscatter.program.plan import Plan

_MODULES = {
    "numba": "npscatter.backends.cpu.executor",
    "numpy": "npscatter.backends.reference",
    "cuda": "npscatter.backends.gpu.executor",
}
# What "auto" looks for, best first.
_AUTOMATIC = ("numba", "numpy")
_USE_NUMPY = "pass backend='numpy'"
_REMEDIES = {
    "numba": f"install a numba that supports this NumPy, or {_USE_NUMPY}",
    "cuda": f"install NVIDIA's driver and {install_extra('cuda13')} (or [cuda12], as the driver "
    "allows), or pass backend='numba'",
}
# What other packages call their backends, and which door of ours has the same arrays.
_TORCH = "use npscatter.torch.Scattering2D, or pass frontend='torch'"
_CALLBACK = "pass NumPy arrays, in a callback: the documentation has recipes"
_DOORS = {
    "torch": _TORCH,
    "torch_skcuda": f"{_TORCH}, which takes tensors on a GPU",
    "sklearn": "use npscatter.sklearn.Scattering2D, or pass frontend='sklearn'",
    "jax": _CALLBACK,
    "tensorflow": _CALLBACK,
    "keras": _CALLBACK,
}
# Of Numba's environment variables those that could keep it from compiling or from having a thread:
# their names in its configuration, the least and the most they may be.
_SETTINGS = {
    "NUMBA_DISABLE_JIT": ("DISABLE_JIT", 0, 0),
    "NUMBA_NUM_THREADS": ("NUMBA_NUM_THREADS", 1, sys.maxsize),
}


class Backend(Protocol):
    """What a backend's module has.

    Attributes
    ----------
    OPTIONS : tuple of str
        The arguments of `npscatter.Scattering2D` that have a meaning for this backend alone.

    Examples
    --------
    >>> from npscatter.backends import load
    >>> load("numpy").OPTIONS, callable(load("numpy").run)
    (('memory',), True)
    """

    OPTIONS: tuple[str, ...]

    def run(
        self,
        plan: Plan,
        bank: FilterBank,
        images: Any,
        output: Any,
        stream: Any,
        options: Mapping[str, Any],
    ) -> None:
        """Run a plan's program.

        Parameters
        ----------
        plan : Plan
            Made for `bank`'s architecture.
        bank : FilterBank
            The weights.
        images : array, shape (..., H, W)
            Real, of the plan's `input_shape`, any strides; never written to.
        output : array, shape (..., output_shape)
            float32 or float64, which is also the precision of the computation; any strides, but
            that of one image's moduli, all in one row, is one element; filled.
        stream : object
            Where the work goes, for arrays on a GPU; None for NumPy's.
        options : mapping
            A value for each of `OPTIONS`.
        """

    def warm_up(
        self, plan: Plan, bank: FilterBank, images: np.dtype, options: Mapping[str, Any]
    ) -> None:
        """Compile, or load from a cache, what images of a dtype need."""


def resolve(backend: object) -> str:
    """Return the name of the backend a caller means, which can be used, or raise."""
    if isinstance(backend, str) and backend == "auto":
        return _automatic()
    if not isinstance(backend, str) or backend not in _MODULES:
        raise BackendError(explain("backend", backend, *_rule_and_remedy(backend)))
    if refusal := _refusal(backend):
        raise BackendError(explain("backend", backend, *refusal[:2])) from refusal[2]
    return backend


def _rule_and_remedy(backend: object) -> tuple[str, str]:
    """Return what to say of a backend that is none of ours: its name, or an object that has one."""
    names = f"'auto' or one of {tuple(_MODULES)}"
    if isinstance(backend, str):
        return f"cannot be called, must be {names}", _DOORS.get(backend, "pass backend='auto'")
    try:
        named = backend.name  # type: ignore[attr-defined]
        remedy = _DOORS.get(named)
    except Exception:  # objects of others may do anything
        named = remedy = None
    if not remedy:
        remedy = "pass backend='numpy'" if named == "numpy" else "pass backend='auto'"
    return f"is an object, which is not supported, must be the name {names}", remedy


@lru_cache(maxsize=1)
def _automatic() -> str:
    """Return the first backend that can be used; warn, once, if that is not the first one."""
    *better, last = _AUTOMATIC
    for name in better:
        refusal = _refusal(name)
        if not refusal:
            return name
        rule = f"is {last!r}, which is many times slower, for {name!r} {refusal[0]}"
        warning = BackendWarning(explain("backend", "auto", rule, refusal[1]))
        warnings.warn(warning, stacklevel=outside_package())
    return last


def _refusal(name: str) -> tuple[str, str, Exception | None] | None:
    """Return the rule a backend breaks that cannot be used, the remedy and the cause, or None."""
    try:
        refusal = _wrong_setting(name)
        if not refusal:
            load(name)
            refusal = _wrong_setting(name)  # as Numba has read it, perhaps from a file
    except Exception as error:  # what is broken raises anything
        rule = f"cannot be imported ({type(error).__name__}: {error})"
        return rule, _REMEDIES.get(name, "install NumPy again"), error
    return (*refusal, None) if refusal else None


def _wrong_setting(name: str) -> tuple[str, str] | None:
    """Return what Numba's settings forbid, and the remedy, or None.

    Before it is imported they stand in the environment: it would raise, or show tracebacks.
    """
    config = getattr(sys.modules.get("numba"), "config", None)
    for variable, (attribute, least, most) in _SETTINGS.items() if name == "numba" else ():
        value = getattr(config, attribute, os.environ.get(variable, least))
        try:
            right = least <= int(value) <= most
        except ValueError:
            right = False
        if not right:
            return f"does not work with {variable}={value}", f"unset it, or {_USE_NUMPY}"
    return None


@lru_cache
def load(name: str) -> Backend:
    """Return the module of a backend: the same one until the interpreter has ended."""
    if name == "numpy":
        return importlib.import_module(_MODULES[name])
    from npscatter.backends.jit_cache import alone  # which the others load anyway

    # A fork meanwhile would leave the child with half of a compiler.
    with alone():
        return importlib.import_module(_MODULES[name])
