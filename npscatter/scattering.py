"""The public face of the transform: validate once, plan once, hand over to an executor."""

from __future__ import annotations

import importlib
import os
from types import ModuleType

import numpy as np

from npscatter.arguments import integer
from npscatter.bank import FilterBank, find_bank
from npscatter.errors import ArgumentError, ArgumentTypeError, BackendError, explain
from npscatter.program.padding import shape_before_padding
from npscatter.program.plan import Plan, make_plan

# Modules with `execute` and `warm_up`, imported when they are chosen.
_EXECUTORS = {
    "numba": "npscatter.cpu.executor",
    "numpy": "npscatter.reference",
    "cuda": "npscatter.gpu.executor",
}
# What "auto" looks for, best first.
_AUTOMATIC = ("numba", "numpy")
_REMEDIES = {
    "numba": "install a numba that supports this NumPy, or pass backend='numpy'",
    "cuda": "install NVIDIA's driver and npscatter[cuda13] (or [cuda12], as the driver allows), or "
    "pass backend='numba'",
}
# DLPack's devices whose memory a GPU's kernels can read: CUDA, and CUDA's managed memory.
_DLPACK_DEVICES = (2, 13)


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
        "numba" (compiled, on all cores), "numpy" (plain, slow), "cuda" (on the current NVIDIA GPU),
        or "auto" (the first of "numba" and "numpy" that can be imported).
    out_type : str, optional
        "array", or "list" for a list of dicts with the keys ``coef``, ``j``, ``n``, ``theta``.
    bank : str, path or FilterBank, optional
        A shipped bank's name, the path of an ``.npz`` file, or a bank.
    boundary : str, optional
        "kymatio", "zero", "periodic", or None for the bank's own; see
        `npscatter.program.plan.make_plan`.
    threads : int, optional
        How many threads the "numba" backend may use; None for the environment's
        ``NUMBA_NUM_THREADS``, which is all cores unless it is set.
    storage : str, optional
        What the "cuda" backend stores carried maps as: "float16" halves its memory traffic and
        workspace, at relative errors of about 2e-3 in S1 and S2 and for magnitudes from 6e-5 to
        65504; None for the precision of the computation.
    memory : int, optional
        Bytes that the "cuda" backend may use for carried maps, per stream; None for 1 GiB, or a
        quarter of the GPU's memory where that is less. Batches are cut into pieces to fit.

    Attributes
    ----------
    J, shape, L, max_order, pre_pad, out_type, boundary, threads, storage, memory
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
        storage: str | None = None,
        memory: int | None = None,
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
        self.threads = _positive("threads", threads, "pass None for all cores")
        self.memory = _positive("memory", memory, "pass None for 1 GiB")
        self.storage = storage
        if storage not in (None, "float16"):
            raise ArgumentError(
                explain("storage", storage, "must be 'float16' or None", "pass one of them")
            )
        for name in ("storage", "memory") if self.backend != "cuda" else ("threads",):
            self._refuse_elsewhere(name, getattr(self, name))
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
        options = self._options | ({"images": found} if self.backend == "cuda" else {})
        _executor(self.backend).warm_up(self.plan, self.bank, dtype, **options)

    @property
    def _options(self) -> dict[str, object]:
        """What the executor is told besides plan, bank and arrays."""
        if self.backend == "cuda":
            return {"storage": self.storage, "memory": self.memory}
        return {"threads": self.threads}

    def __call__(
        self, x: np.ndarray, out: np.ndarray | None = None, stream: object = None
    ) -> np.ndarray | list[dict]:
        """Return the scattering coefficients of `x`.

        Parameters
        ----------
        x : array_like, shape (..., H, W)
            Real images; any leading shape, none and zero-length included; any memory layout;
            never written to. float32 and float64 are kept; bool, integers and float16 keep their
            values (no rescaling) in the dtype NumPy promotes them to with float32: float32 up to
            16 bits, float64 beyond. With the "cuda" backend also an array on the GPU, of any
            library that has the CUDA array interface or DLPack's (CuPy, Torch, Numba); it is not
            copied.
        out : ndarray, shape (..., C, H // 2^J, W // 2^J), optional
            Where the coefficients go: of the dtype they have, any strides, no memory shared with
            `x`. For images on the GPU an array there, C-contiguous.
        stream : optional
            For images on the GPU: the CUDA stream to work on, one of Numba, Torch or CuPy, or the
            handle of one. By default Torch's current one, or that of the CUDA array interface,
            where it names one, or the default stream. The call returns before the work is done.

        Returns
        -------
        ndarray, shape (..., C, H // 2^J, W // 2^J)
            `out` if it was given. float32 or float64; or, for ``out_type="list"``, a list of C
            dicts whose ``coef`` have shape (..., H // 2^J, W // 2^J). For images on the GPU one of
            Numba's device arrays, which CuPy (``cupy.asarray``) and Torch (``torch.as_tensor(...,
            device="cuda")``) take without copying.

        Raises
        ------
        ArgumentError, ArgumentTypeError
            For a wrong shape or dtype.

        Notes
        -----
        NaN and infinity are not refused: every coefficient whose window holds one is NaN or
        infinite, the others are what they would be without it. The squares in the modulus
        overflow or vanish beyond magnitudes of about 1e18 and 1e-18 in float32. The "numba" backend
        takes denormal numbers for zero, and the "cuda" backend their square roots.
        """
        if _on_device(x):
            output = self._on_device(x, out, stream)
        else:
            self._refuse_elsewhere("stream", stream)
            images = _numbers(x)
            self._check_shape(images)
            output = self._output(images, out)
            if output.size:
                execute = _executor(self.backend).execute
                execute(self.plan, self.bank, images, output, **self._options)
        if self.out_type == "array":
            return output
        return [
            {"coef": output[..., channel, :, :], "j": path.j, "n": path.n, "theta": path.theta}
            for channel, path in enumerate(self.plan.paths)
        ]

    scattering = __call__

    def _on_device(self, x: object, out: object, stream: object):
        """Return the coefficients of an array on the GPU."""
        if self.backend != "cuda":
            raise ArgumentTypeError(
                explain(
                    "x",
                    type(x),
                    f"lies on a GPU, and the backend is {self.backend!r}",
                    "use backend='cuda', or copy the images to the host first",
                )
            )
        memory = importlib.import_module("npscatter.gpu.interop")
        borrowed = [memory.borrow("x", x, stream)]
        images, stream = borrowed[0].array, borrowed[0].stream
        _check_dtype("x.dtype", images.dtype)
        self._check_shape(images)
        shape, dtype = self._output_kind(images)
        if out is None:
            output = memory.new_array(shape, dtype, stream)
        elif _on_device(out):
            borrowed.append(memory.borrow("out", out, stream))
            output = borrowed[1].array
            remedy = "an array of that kind on the GPU"
            self._check_output(output, shape, dtype, remedy)
            rules = (
                (output.is_c_contiguous(), "must be C-contiguous"),
                (not memory.is_read_only(out), "must be writeable"),
                (not memory.overlap(images, output), "must not share memory with x"),
            )
            for holds, rule in rules:
                if not holds:
                    raise ArgumentError(explain("out", type(out), rule, f"pass {remedy}, or None"))
        else:
            raise ArgumentTypeError(
                explain("out", type(out), "must lie on the GPU, as x does", "pass None")
            )
        if output.size:
            execute = _executor("cuda").execute_on_device
            execute(self.plan, self.bank, images, output, stream, **self._options)
            for one in borrowed:
                one.give_back()
        return out if out is not None and self.out_type == "array" else output

    def _refuse_elsewhere(self, name: str, value: object) -> None:
        """Raise if an argument was given that has a meaning only elsewhere."""
        if value is not None:
            where = f"has no effect on backend={self.backend!r}"
            if name == "stream" and self.backend == "cuda":
                where = "has no effect on images that are not on the GPU"
            raise ArgumentError(explain(name, value, where, "pass None"))

    def _check_shape(self, images) -> None:
        shape = tuple(images.shape)
        if len(shape) < 2 or shape[-2:] != self.plan.input_shape:
            H, W = self.plan.input_shape
            padded = " (the padded size, as pre_pad=True)" if self.pre_pad else ""
            raise ArgumentError(
                explain(
                    "x.shape",
                    shape,
                    f"must be (..., {H}, {W}){padded}",
                    f"resize or crop the images, or construct for shape={shape[-2:]}",
                )
            )

    def _output_kind(self, images) -> tuple[tuple[int, ...], np.dtype]:
        """Return shape and dtype of the coefficients of `images`."""
        shape = (*images.shape[:-2], *self.output_shape)
        return shape, np.result_type(images.dtype, np.float32)

    def _output(self, images: np.ndarray, out: object) -> np.ndarray:
        shape, dtype = self._output_kind(images)
        if out is None:
            return np.empty(shape, dtype)
        if not isinstance(out, np.ndarray):
            raise ArgumentTypeError(
                explain("out", type(out), "must be a NumPy array", "pass one, or None")
            )
        remedy = f"np.empty({shape}, np.{dtype})"
        self._check_output(out, shape, dtype, remedy)
        remedy = f"pass {remedy}, or None"
        if not out.flags.writeable:
            raise ArgumentError(explain("out", "a read-only array", "must be writeable", remedy))
        if np.may_share_memory(images, out):
            raise ArgumentError(explain("out", "an array", "must not share memory with x", remedy))
        return out

    @staticmethod
    def _check_output(out, shape: tuple[int, ...], dtype: np.dtype, remedy: str) -> None:
        remedy = f"pass {remedy}, or None"
        if tuple(out.shape) != shape:
            raise ArgumentError(explain("out.shape", out.shape, f"must be {shape}", remedy))
        if out.dtype != dtype:
            raise ArgumentError(explain("out.dtype", out.dtype, f"must be {dtype}", remedy))

    def __repr__(self) -> str:
        return (
            f"Scattering2D(J={self.J}, shape={self.shape}, L={self.L}, "
            f"max_order={self.max_order}, pre_pad={self.pre_pad}, backend={self.backend!r}, "
            f"out_type={self.out_type!r}, bank={self.bank.name!r}, boundary={self.boundary!r}, "
            f"{', '.join(f'{name}={value!r}' for name, value in self._options.items())})"
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
    storage: str | None = None,
    memory: int | None = None,
    stream: object = None,
) -> np.ndarray | list[dict]:
    """Return the scattering coefficients of `x`: `Scattering2D` for the shape `x` has.

    Parameters
    ----------
    x : array_like, shape (..., H, W)
        Real images; see `Scattering2D.__call__`.
    J, L, max_order, bank, backend, boundary, out_type, threads, storage, memory
        As for `Scattering2D`.
    stream
        See `Scattering2D.__call__`.
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
    images = x if _on_device(x) and hasattr(x, "shape") else _numbers(x)
    if len(images.shape) < 2:
        raise ArgumentError(
            explain("x.shape", images.shape, "must be (..., H, W)", "pass images of two axes")
        )
    shape = tuple(images.shape[-2:])
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
        storage=storage,
        memory=memory,
    )
    return S(images, stream=stream)


def _on_device(array: object) -> bool:
    """Say whether an object holds an array in a GPU's memory."""
    if isinstance(array, np.ndarray):
        return False
    if hasattr(array, "__cuda_array_interface__") or hasattr(array, "__cuda_ndarray__"):
        return True
    return hasattr(array, "__dlpack_device__") and array.__dlpack_device__()[0] in _DLPACK_DEVICES


def _positive(name: str, value: object, remedy: str) -> int | None:
    """Return an argument as an int of at least 1, or None, or raise."""
    if value is None:
        return None
    number = integer(name, value)
    if number < 1:
        raise ArgumentError(explain(name, value, "must be at least 1", remedy))
    return number


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
    names = _AUTOMATIC if backend == "auto" else (backend,)
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
            failure, remedy = error, _REMEDIES.get(name, "install NumPy again")
        else:
            return name
    raise BackendError(
        explain("backend", backend, f"cannot be imported ({failure})", remedy)
    ) from failure


def _executor(backend: str) -> ModuleType:
    return importlib.import_module(_EXECUTORS[backend])
