"""The public face of the transform: validate once, plan once, hand over to an executor."""

from __future__ import annotations

import importlib
import os
from types import ModuleType

import numpy as np

from npscatter.bank import FilterBank, find_bank
from npscatter.errors import ArgumentError, ArgumentTypeError, BackendError, explain
from npscatter.plan import Plan, integer, make_plan, shape_before_padding

# Best first: what "auto" looks for. Each is a module with `execute` and `warm_up`, imported when
# it is chosen.
_EXECUTORS = {"numba": "npscatter.numba_executor", "numpy": "npscatter.numpy_executor"}


class Scattering2D:
    """The 2-D scattering transform, in Kymatio's conventions.

    With phi_J the low-pass and psi the Morlet wavelets at scales j < J and L orientations::

        S0 = x * phi_J
        S1[j1, t1] = |x * psi[j1, t1]| * phi_J
        S2[j1, t1, j2, t2] = ||x * psi[j1, t1]| * psi[j2, t2]| * phi_J,    j2 > j1

    computed as a cascade of small spatial filters (the bank) that was learned to give Kymatio's
    coefficients.

    Parameters
    ----------
    J : int
        Log2 of the scale: 1 up to log2 of the smaller side.
    shape : tuple of int
        (H, W) of the images, any parity.
    L : int, optional
        Number of orientations; a bank must have been learned for it.
    max_order : int, optional
        1 or 2.
    pre_pad : bool, optional
        The images already have Kymatio's padded size ``((H + 2^J) // 2^J + 1) 2^J`` (both axes);
        the output still has H // 2^J x W // 2^J samples.
    backend : str, optional
        "numba" (compiled, on all cores), "numpy" (plain, slow), or "auto" (the first that can be
        imported).
    out_type : str, optional
        "array", or "list" for a list of dicts with the keys ``coef``, ``j``, ``n``, ``theta``.
    bank : str, path or FilterBank, optional
        A shipped bank's name, the path of an ``.npz`` file, or a bank.
    boundary : str, optional
        "kymatio", "zero", "periodic", or None for the bank's own; see `npscatter.plan.make_plan`.
    threads : int, optional
        How many threads the "numba" backend may use; None for the environment's
        ``NUMBA_NUM_THREADS``, which is all cores unless it is set.

    Attributes
    ----------
    J, shape, L, max_order, pre_pad, out_type, boundary, threads
        As given, or taken from the bank.
    backend : str
        The backend in use, never "auto".
    bank : FilterBank
        The bank in use.
    plan : Plan
        The program it runs.
    n_coefficients : int
        C, the number of output channels.
    output_shape : tuple of int
        (C, H // 2^J, W // 2^J), what one image becomes.

    Raises
    ------
    ArgumentError
        A `ValueError` and a `RuntimeError`: an argument's value is not usable.
    ArgumentTypeError
        A `TypeError`: an argument's type is not.
    BankError, BackendError
        No such bank, or no such backend.

    Examples
    --------
    >>> S = Scattering2D(J=2, shape=(32, 32))
    >>> S(np.zeros((5, 32, 32), np.float32)).shape
    (5, 81, 8, 8)
    """

    def __init__(
        self,
        J: int,
        shape: tuple[int, int],
        L: int = 8,
        max_order: int = 2,
        pre_pad: bool = False,
        backend: str = "auto",
        out_type: str = "array",
        *,
        bank: str | os.PathLike | FilterBank = "accurate",
        boundary: str | None = None,
        threads: int | None = None,
    ):
        self.bank = find_bank(bank, L)
        self.plan: Plan = make_plan(
            J,
            shape,
            self.bank.architecture,
            max_order=max_order,
            boundary=self.bank.boundary if boundary is None else boundary,
            pre_pad=pre_pad,
        )
        self.pre_pad = pre_pad
        self.backend = _backend(backend)
        self.out_type = out_type
        self.threads = None if threads is None else integer("threads", threads)
        if self.threads is not None and self.threads < 1:
            raise ArgumentError(
                explain("threads", threads, "must be at least 1", "pass None for all cores")
            )
        if not isinstance(out_type, str) or out_type not in ("array", "list"):
            raise ArgumentError(
                explain("out_type", out_type, "must be 'array' or 'list'", "pass one of them")
            )

    @property
    def J(self) -> int:
        """Log2 of the scale."""
        return self.plan.J

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of the images, before padding."""
        return self.plan.shape

    @property
    def L(self) -> int:
        """Number of orientations."""
        return self.bank.L

    @property
    def max_order(self) -> int:
        """Highest order computed."""
        return self.plan.max_order

    @property
    def n_coefficients(self) -> int:
        """Number of output channels: 1 + L J at order 1, and L^2 J (J-1) / 2 more at order 2."""
        return self.plan.n_coefficients

    @property
    def output_shape(self) -> tuple[int, int, int]:
        """Shape (C, H // 2^J, W // 2^J) of one image's coefficients."""
        return (self.n_coefficients, *self.plan.output_shape)

    @property
    def boundary(self) -> str:
        """The boundary in use."""
        return self.plan.boundary

    def meta(self) -> dict[str, np.ndarray]:
        """Return what each output channel is.

        Returns
        -------
        dict of ndarray of int
            ``order`` (C,), and ``j``, ``theta``, ``n`` (C, 2): scale, orientation and wavelet
            number ``n = j L + theta`` of the first and the second wavelet, -1 where there is none.
        """
        paths = self.plan.paths

        def column(name: str) -> np.ndarray:
            values = (getattr(path, name) for path in paths)
            return np.array([(*value, -1, -1)[:2] for value in values])

        return {
            "order": np.array([path.order for path in paths]),
            "j": column("j"),
            "theta": column("theta"),
            "n": column("n"),
        }

    def warmup(self, dtype: type | str = np.float32) -> None:
        """Do now what the first call would have to: compile, or load what was compiled before.

        Parameters
        ----------
        dtype : dtype, optional
            Of the images to come.
        """
        found = np.dtype(dtype)
        _check_dtype("dtype", found)
        dtype = np.result_type(found, np.float32).name
        _executor(self.backend).warm_up(self.plan, self.bank, dtype, self.threads)

    def __call__(self, x: np.ndarray, out: np.ndarray | None = None) -> np.ndarray | list[dict]:
        """Return the scattering coefficients of `x`.

        Parameters
        ----------
        x : array_like, shape (..., H, W)
            Real images; any leading shape, none and zero-length included; any memory layout;
            never written to. float32 and float64 are kept; bool, integers and float16 keep their
            values (no rescaling) in the dtype NumPy promotes them to with float32: float32 up to
            16 bits, float64 beyond.
        out : ndarray, shape (..., C, H // 2^J, W // 2^J), optional
            Where the coefficients go: of the dtype they have, any strides, no memory shared with
            `x`.

        Returns
        -------
        ndarray, shape (..., C, H // 2^J, W // 2^J)
            `out` if it was given. float32 or float64; or, for ``out_type="list"``, a list of C
            dicts whose ``coef`` have shape (..., H // 2^J, W // 2^J).

        Raises
        ------
        ArgumentError, ArgumentTypeError
            For a wrong shape or dtype.

        Notes
        -----
        NaN and infinity are not refused: every coefficient whose window holds one is NaN or
        infinite, the others are what they would be without it. The squares in the modulus
        overflow or vanish beyond magnitudes of about 1e18 and 1e-18 in float32. The "numba" backend
        takes denormal numbers for zero.
        """
        images = self._images(x)
        output = self._output(images, out)
        if output.size:
            execute = _executor(self.backend).execute
            execute(self.plan, self.bank, images, output, self.threads)
        if self.out_type == "array":
            return output
        return [
            {"coef": output[..., channel, :, :], "j": path.j, "n": path.n, "theta": path.theta}
            for channel, path in enumerate(self.plan.paths)
        ]

    scattering = __call__

    def _images(self, x: object) -> np.ndarray:
        images = _numbers(x)
        if images.ndim < 2 or images.shape[-2:] != self.plan.input_shape:
            H, W = self.plan.input_shape
            padded = " (the padded size, as pre_pad=True)" if self.pre_pad else ""
            raise ArgumentError(
                explain(
                    "x.shape",
                    images.shape,
                    f"must be (..., {H}, {W}){padded}",
                    f"resize or crop the images, or construct for shape={images.shape[-2:]}",
                )
            )
        return images

    def _output(self, images: np.ndarray, out: object) -> np.ndarray:
        shape = (*images.shape[:-2], *self.output_shape)
        dtype = np.result_type(images.dtype, np.float32)
        if out is None:
            return np.empty(shape, dtype)
        if not isinstance(out, np.ndarray):
            raise ArgumentTypeError(
                explain("out", type(out), "must be a NumPy array", "pass one, or None")
            )
        remedy = f"pass np.empty({shape}, np.{dtype}), or None"
        if out.shape != shape:
            raise ArgumentError(explain("out.shape", out.shape, f"must be {shape}", remedy))
        if out.dtype != dtype:
            raise ArgumentError(explain("out.dtype", out.dtype, f"must be {dtype}", remedy))
        if not out.flags.writeable:
            raise ArgumentError(explain("out", "a read-only array", "must be writeable", remedy))
        if np.may_share_memory(images, out):
            raise ArgumentError(explain("out", "an array", "must not share memory with x", remedy))
        return out

    def __repr__(self) -> str:
        return (
            f"Scattering2D(J={self.J}, shape={self.shape}, L={self.L}, "
            f"max_order={self.max_order}, pre_pad={self.pre_pad}, backend={self.backend!r}, "
            f"out_type={self.out_type!r}, bank={self.bank.name!r}, boundary={self.boundary!r}, "
            f"threads={self.threads})"
        )


def scatter(
    x: np.ndarray,
    J: int = 2,
    *,
    L: int = 8,
    max_order: int = 2,
    bank: str | os.PathLike | FilterBank = "accurate",
    backend: str = "auto",
    boundary: str | None = None,
    pre_pad: bool = False,
    out_type: str = "array",
    threads: int | None = None,
) -> np.ndarray | list[dict]:
    """Return the scattering coefficients of `x`: `Scattering2D` for the shape `x` has.

    Parameters
    ----------
    x : array_like, shape (..., H, W)
        Real images; see `Scattering2D.__call__`.
    J, L, max_order, bank, backend, boundary, out_type, threads
        As for `Scattering2D`.
    pre_pad : bool, optional
        `x` is padded already, by 2^J pixels on every side; H and W must be multiples of 2^J.

    Returns
    -------
    ndarray, shape (..., C, H // 2^J, W // 2^J), or list of dict
        See `Scattering2D.__call__`.

    Raises
    ------
    ArgumentError, ArgumentTypeError, BankError, BackendError
        As for `Scattering2D`.
    """
    images = _numbers(x)
    if images.ndim < 2:
        raise ArgumentError(
            explain("x.shape", images.shape, "must be (..., H, W)", "pass images of two axes")
        )
    shape = images.shape[-2:]
    if 0 in shape:
        raise ArgumentError(
            explain("x.shape", images.shape, "both sides must be at least 1", "pass real images")
        )
    if pre_pad:
        shape = shape_before_padding(J, shape)
    S = Scattering2D(
        J,
        shape,
        L,
        max_order,
        pre_pad,
        backend,
        out_type,
        bank=bank,
        boundary=boundary,
        threads=threads,
    )
    return S(images)


def _numbers(x: object) -> np.ndarray:
    """Return images as an array of numbers, uncopied where they are one, or raise."""
    try:
        images = np.asarray(x)
    except (TypeError, ValueError) as error:
        raise ArgumentTypeError(
            explain("x", x, f"is no array of numbers ({error})", "pass an array (..., H, W)")
        ) from None
    _check_dtype("x.dtype", images.dtype)
    return images


def _check_dtype(argument: str, dtype: np.dtype) -> None:
    if dtype.kind not in "biuf" or dtype.itemsize > 8:
        raise ArgumentTypeError(
            explain(
                argument,
                dtype,
                "must be float32, float64, an integer type or bool",
                "convert the images, e.g. x.astype(np.float32)",
            )
        )


def _backend(backend: object) -> str:
    names = tuple(_EXECUTORS) if backend == "auto" else (backend,)
    if not all(isinstance(name, str) and name in _EXECUTORS for name in names):
        raise BackendError(
            explain(
                "backend",
                backend,
                f"must be 'auto' or one of {tuple(_EXECUTORS)}",
                "pass backend='auto'",
            )
        )
    for name in names:
        try:
            _executor(name)
        except (ImportError, OSError) as error:  # llvmlite raises the latter without its LLVM
            failure = error
        else:
            return name
    raise BackendError(
        explain(
            "backend",
            backend,
            f"cannot be imported ({failure})",
            "install a numba that supports this NumPy, or pass backend='numpy'",
        )
    ) from failure


def _executor(backend: str) -> ModuleType:
    return importlib.import_module(_EXECUTORS[backend])
