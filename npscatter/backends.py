"""The backends: their names, what they need, and the protocol that each of them follows.

A backend is a module, imported when it is chosen, with what `Backend` lists. A new one is a module
and a row of `_MODULES`.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

from npscatter.errors import BackendError, explain, install_extra

if TYPE_CHECKING:
    import numpy as np

    from npscatter.bank import FilterBank
    from npscatter.program.plan import Plan

_MODULES = {
    "numba": "npscatter.cpu.executor",
    "numpy": "npscatter.reference",
    "cuda": "npscatter.gpu.executor",
}
# What "auto" looks for, best first.
_AUTOMATIC = ("numba", "numpy")
_REMEDIES = {
    "numba": "install a numba that supports this NumPy, or pass backend='numpy'",
    "cuda": f"install NVIDIA's driver and {install_extra('cuda13')} (or [cuda12], as the driver "
    "allows), or pass backend='numba'",
}


class Backend(Protocol):
    """What a backend's module has.

    Attributes
    ----------
    OPTIONS : tuple of str
        The arguments of `npscatter.Scattering2D` that have a meaning for this backend alone.
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
        output : array, shape (..., C, H // 2^J, W // 2^J)
            float32 or float64, which is also the precision of the computation; any strides; filled.
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
    """Return the name of the backend a caller means, which can be imported, or raise."""
    names = _AUTOMATIC if isinstance(backend, str) and backend == "auto" else (backend,)
    failure: BaseException | None = None
    for name in names:
        if not isinstance(name, str) or name not in _MODULES:
            rule = f"must be 'auto' or one of {tuple(_MODULES)}"
            raise BackendError(explain("backend", backend, rule, "pass backend='auto'"))
        try:
            load(name)
        except (ImportError, OSError) as error:  # llvmlite raises the latter without its LLVM
            failure, remedy = error, _REMEDIES.get(name, "install NumPy again")
        else:
            return name
    raise BackendError(
        explain("backend", backend, f"cannot be imported ({failure})", remedy)
    ) from failure


def load(name: str) -> Backend:
    """Return the module of a backend."""
    return importlib.import_module(_MODULES[name])
