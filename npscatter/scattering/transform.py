"""`Scattering2D` and `scatter`: checks of images, and the call."""

from __future__ import annotations

import copy
import importlib
import os
from collections.abc import Callable
from typing import Any

import numpy as np

from npscatter.arguments import (
    CHANNELS_FIRST,
    MOST_CHANNELS,
    boolean,
    check_device,
    dtype_of,
    image_array,
    image_dtype,
    looks_channels_last,
    on_gpu,
    output_array,
)
from npscatter.bank import FilterBank, resolve
from npscatter.errors import ArgumentError, BackendError, explain
from npscatter.program.outputs import GLOBAL, Outputs
from npscatter.program.padding import shape_before_padding
from npscatter.program.plan import Plan, make_plan
from npscatter.scattering.planned import PlannedTransform
from npscatter.scattering.settings import (
    Setting,
    checked_backend,
    checked_memory,
    checked_out_type,
    checked_storage,
    checked_threads,
    refuse_elsewhere,
    shows_the_object,
)

# The doors: modules whose own `Scattering2D` takes and returns what a framework has.
_FRONTENDS = {"torch": "npscatter.torch", "sklearn": "npscatter.sklearn"}


def _door(transform: type, frontend: object) -> Any:
    """Return the class that a frontend stands for; None for that of NumPy's arrays."""
    if isinstance(frontend, str) and frontend.lower() == "numpy":
        return None
    if not isinstance(frontend, str) or frontend.lower() not in _FRONTENDS:
        rule = f"is not valid: must be one of {('numpy', *_FRONTENDS)}"
        remedy = "pass one of them; the documentation has recipes for JAX and Keras"
        raise BackendError(explain("frontend", frontend, rule, remedy))
    module = _FRONTENDS[frontend.lower()]
    if transform is not Scattering2D:
        rule = f"is another class than {transform.__name__}, which derives from NumPy's"
        remedy = f"derive from {module}.Scattering2D"
        raise ArgumentError(explain("frontend", frontend, rule, remedy))
    return importlib.import_module(module).Scattering2D


class Scattering2D(PlannedTransform):
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
        Log2 of the scale: 1 up to log2 of the smaller side; at most 65,535 output channels.
    shape : tuple of int
        (H, W) of the images, any parity; up to 262,144 pixels a side. On a GPU, which computes
        images whole, fewer than 2^31 in all once padded.
    L : int or None, optional
        Number of orientations; a bank must have been learned for it. None for the bank's own.
    max_order : int, optional
        1 or 2.
    pre_pad : bool, optional
        The images already have Kymatio's padded size ``((H + 2^J) // 2^J + 1) 2^J`` (both axes);
        the output still has H // 2^J x W // 2^J samples.
    backend : str, optional
        "numba" (compiled, on all cores), "numpy" (plain, slow), "cuda" (on the current NVIDIA GPU),
        or "auto" ("numba", or "numpy" with a `BackendWarning` where that cannot be used).
    out_type : str, optional
        "array", or "list" for a list of dicts with the keys ``coef``, ``j``, ``n``, ``theta``.
    bank : str, path or FilterBank, optional
        A shipped bank's name, the path of an ``.npz`` file, or a bank.
    boundary : str, optional
        "kymatio", "symmetric", "constant", "zero", "periodic", or None for the bank's own; see
        `npscatter.program.plan.make_plan`.
    average : bool or str, optional
        True for coefficients as above. False for the moduli themselves, the image x at order 0,
        ``|x * psi|`` and ``||x * psi| * psi|``: a call returns a list of dicts as for
        ``out_type="list"``, whose maps have H // 2^j x W // 2^j samples, j being the last
        wavelet's scale. "global" for their means over the image: a call returns (..., C). Neither
        computes the low-pass, nor carries what no wavelet reads.
    oversampling : int, optional
        1 for twice the samples per side: H // 2^(J-1) x W // 2^(J-1).
    paths : array_like, optional
        What to compute of all channels: their numbers, increasing, or a mask such as
        ``meta()["order"] == 1`` of a transform of all. None for all.
    threads : int, optional
        How many threads the "numba" backend may use; None for the environment's
        ``NUMBA_NUM_THREADS``, which is all cores unless it is set.
    storage : str, optional
        What the "cuda" backend stores carried maps as: "float16" halves its memory traffic and
        workspace, at relative errors of about 2e-3 in S1 and S2, whatever the image's magnitude
        from 1e-35 on; None for the precision of the computation.
    memory : int, optional
        Bytes of workspace, 1 GiB by default. An image that needs more is computed in tiles, on a
        CPU, to the same bits (means to rounding), and read and written tile by tile: it may be a
        memory map, or an array of a Zarr store or an HDF5 file, and so may be larger than memory.
        Of a GPU, for each stream: batches are cut into pieces to fit, and the default is a quarter
        of its memory where that is less.
    frontend : str, optional
        "numpy"; "torch" or "sklearn" for an object of ``npscatter.torch.Scattering2D`` or
        ``npscatter.sklearn.Scattering2D``, which then take the other arguments.

    Attributes
    ----------
    J, shape, L, max_order, pre_pad, boundary, average, oversampling
        As given, or taken from the bank.
    paths : tuple of int or None
        Numbers of the channels that are computed, of all there are; None for all.
    backend, out_type, threads, storage, memory
        As given, but that `backend` is never "auto". These may be set later, and are checked then
        as here; the other attributes are read-only.
    bank : FilterBank
        The bank in use.
    plan : Plan
        The program it runs.
    n_coefficients : int
        C, the number of output channels.
    output_shape : tuple of int
        (C, H // 2^J, W // 2^J), what one image becomes, or (C,) for its means; for its moduli, the
        shape of every channel.

    Raises
    ------
    ArgumentError
        A `ValueError` and a `RuntimeError`: an argument's value is not usable.
    ArgumentTypeError
        A `TypeError`: an argument's type is not.
    BankError, BackendError
        No such bank, or no such backend.

    Notes
    -----
    Objects are equal if they compute the same in the same way: if all arguments are equal, however
    they were given. An object of a derived class equals itself alone. All pickle.

    Examples
    --------
    >>> import numpy as np
    >>> from npscatter import Scattering2D
    >>> S = Scattering2D(J=2, shape=(32, 32))
    >>> S(np.zeros((5, 32, 32), np.float32)).shape
    (5, 81, 8, 8)
    """

    def __init__(
        self,
        J: int,
        shape: tuple[int, int],
        L: int | None = 8,
        max_order: int = 2,
        pre_pad: bool = False,
        backend: str = "auto",
        out_type: str = "array",
        *,
        bank: str | os.PathLike | FilterBank = "accurate",
        boundary: str | None = None,
        average: bool | str = True,
        oversampling: int = 0,
        paths: Any = None,
        threads: int | None = None,
        storage: str | None = None,
        memory: int | None = None,
        frontend: str = "numpy",
    ):
        self._bank, boundary = resolve(bank, L, boundary)
        self._plan = make_plan(
            *(J, shape, self.bank.architecture),
            max_order=max_order,
            boundary=boundary,
            pre_pad=pre_pad,
            outputs=Outputs(average, oversampling, paths),
        )
        self.backend = backend
        self.threads = threads
        self.memory = memory
        self.storage = storage
        self.out_type = out_type

    def __new__(cls, *arguments: Any, frontend: str = "numpy", **named: Any) -> Any:
        door = _door(cls, frontend)
        return super().__new__(cls) if door is None else door(*arguments, **named)

    __new__.__wrapped__ = __init__  # type: ignore[attr-defined]  # whose signature is shown

    backend: Any = Setting(checked_backend, 'The backend in use, never "auto".')
    threads: Any = Setting(checked_threads, 'How many threads the "numba" backend may use.')
    memory: Any = Setting(checked_memory, "Bytes of workspace that may be used; None for 1 GiB.")
    storage: Any = Setting(checked_storage, 'What the "cuda" backend stores carried maps as.')
    out_type: Any = Setting(checked_out_type, 'What a call returns: "array" or "list".')

    def warmup(self, dtype: type | str = np.float32) -> None:
        """Do now what the first call would have to: compile, or load what was compiled before.

        Parameters
        ----------
        dtype : dtype, optional
            Of the images to come.

        Examples
        --------
        >>> from npscatter import Scattering2D
        >>> Scattering2D(J=2, shape=(32, 32)).warmup()
        """
        images = dtype_of("dtype", dtype)
        self._backend.warm_up(self.plan, self.bank, images, self._options)

    @shows_the_object
    def __call__(self, x: Any, out: Any = None, stream: object = None) -> np.ndarray | list[dict]:
        """Return the scattering coefficients of `x`.

        Parameters
        ----------
        x : array_like, shape (..., H, W)
            Real images; any leading shape, none and zero-length included; any memory layout;
            never written to. float32 and float64 are kept; bool, integers and float16 keep their
            values (no rescaling) in the dtype NumPy promotes them to with float32: float32 up to
            16 bits, float64 beyond. (``npscatter transform`` divides 8-bit samples by 255 and
            16-bit ones by 65535 before.) With the "cuda" backend also an array on the GPU, of any
            library that has the CUDA array interface or DLPack's (CuPy, Torch, Numba); it is not
            copied.
        out : ndarray, shape (..., output_shape), optional
            Where the coefficients go: of the dtype they have, any strides, no memory shared with
            `x`. For images on the GPU an array there, C-contiguous. Not for ``average=False``.
        stream : optional
            For images on the GPU: the CUDA stream to work on, one of Numba, Torch or CuPy, or the
            handle of one. By default Torch's current one, or that of the CUDA array interface,
            where it names one, or the default stream. The call returns before the work is done.

        Returns
        -------
        ndarray, shape (..., output_shape)
            `out` if it was given. float32 or float64; or, for ``out_type="list"`` and for
            ``average=False``, a list of C dicts whose ``coef`` are (..., h, w). For images on the
            GPU one of Numba's device arrays, which CuPy (``cupy.asarray``) and Torch
            (``torch.as_tensor(..., device="cuda")``) take without copying.

        Raises
        ------
        ArgumentError, ArgumentTypeError
            For a wrong shape or dtype.

        Notes
        -----
        NaN and infinity are not refused: every coefficient whose window holds one is NaN or
        infinite, the others are what they would be if it were a value between the image's others.

        Images may have any magnitude. Where the largest is below 5e-7 or above 9e12 in float32
        (7e-52 and 9e102 in float64), the image is scaled by a power of two and its coefficients are
        scaled back, so ``S(2**k * x)`` is ``2**k * S(x)`` to the last bit as long
        as both hold normal numbers only; coefficients that are denormal are rounded to such
        numbers. In the dark parts of one image moduli below 1e-19 vanish, or below 2e-32 of its
        largest magnitude if it is scaled.

        Wavelets are blind to constants, so where all values of an image are within a sixteenth of
        the least of their magnitudes, that value is taken off, exactly, and given back to S0:
        contrast on a high level is as precise as without the level, and a constant image
        has nothing but its average. Not so under ``boundary="zero"``, whose edges are part of the
        picture, nor with a bank that sees constants ("paper").
        """
        check_device(x, self.backend)
        if self.average is False and out is not None:
            rule = "has one array for maps of many sizes, which average=False makes"
            raise ArgumentError(explain("out", out, rule, "pass None"))
        if on_gpu(x):
            output = self._call_on_gpu(x, out, stream)
        else:
            refuse_elsewhere("stream", stream, self.backend)
            images = image_array(x)
            self.check_shape(images)
            output = output_array(out, images, *self._output_kind(images))
            if output.size:
                program_output = self._as_filled(output)
                self._backend.run(self.plan, self.bank, images, program_output, None, self._options)
        returned = output if out is None or self.out_type == "list" else out
        return self._as_asked(returned, _maps_on_gpu if on_gpu(x) else None)

    forward = __call__

    def scattering(self, input: Any, out: Any = None, stream: object = None) -> Any:
        """Return the scattering coefficients of images; Kymatio's name for a call.

        Parameters
        ----------
        input : array_like, shape (..., H, W)
            Real images.
        out, stream : optional
            See `__call__`.

        Returns
        -------
        ndarray, shape (..., output_shape), or list of dict
            See `__call__`.
        """
        return self(input, out, stream)

    def _call_on_gpu(self, x: object, out: object, stream: object) -> Any:
        """Return the coefficients of an array on the GPU."""
        interop = importlib.import_module("npscatter.backends.gpu.interop")
        borrowed = [interop.borrow("x", x, stream)]
        images, stream = borrowed[0].array, borrowed[0].stream
        image_dtype("x.dtype", images.dtype)
        self.check_shape(images)
        shape, dtype = self._output_kind(images)
        if out is None:
            output = interop.new_array(shape, dtype, stream)
        else:
            borrowed.append(interop.borrow_output(out, images, shape, dtype, stream))
            output = borrowed[1].array
        if output.size:
            program_output = self._as_filled(output)
            self._backend.run(self.plan, self.bank, images, program_output, stream, self._options)
            for one in borrowed:
                one.give_back()
        return output

    def check_shape(self, images: Any) -> None:
        """Raise an `ArgumentError` unless images have this object's shape.

        Parameters
        ----------
        images : array
            With the attribute ``shape``.
        """
        shape = tuple(images.shape)
        if len(shape) < 2 or shape[-2:] != self.plan.input_shape:
            H, W = self.plan.input_shape
            kind = "NumPy array" if isinstance(images, np.ndarray) else "array"
            kind = "Tensor" if hasattr(images, "requires_grad") else kind
            kind = f"Padded {kind.split()[-1].lower()}" if self.pre_pad else kind
            rule = f"{kind} must be of spatial size ({H}, {W}), whatever axes lead"
            if len(shape) < 2:
                rule = f"must have at least two dimensions, (..., {H}, {W})"
            remedy = self._remedy_for(shape)
            fits = shape[-3:-1] == (H, W) and shape[-1] <= MOST_CHANNELS
            if fits or looks_channels_last(shape):
                rule = f"must be (..., {H}, {W}) and looks like channels last"
                remedy = CHANNELS_FIRST + ("" if fits else ", and resize or crop the images")
            raise ArgumentError(explain("x.shape", shape, rule, remedy))

    def _remedy_for(self, shape: tuple[int, ...]) -> str:
        """Return what to do with images of a shape that is not this object's."""
        H, W = self.plan.input_shape
        if shape and shape[-1] == H * W:
            return f"pass x.reshape(-1, {H}, {W}), if every row is an image"
        if len(shape) < 2:
            return "pass images of two axes, or more"
        if self.pre_pad and shape[-2:] == self.shape:
            return "construct with pre_pad=False, which pads them, or pad the images"
        remedy = "pad the images" if self.pre_pad else "resize or crop the images"
        if min(shape[-2:]) >= 2**self.J:
            unpadded = "pre_pad=False and " if self.pre_pad else ""
            remedy = f"{remedy}, or construct for {unpadded}shape={shape[-2:]}"
        return remedy

    def __eq__(self, other: object) -> bool:
        if not type(self) is type(other) is Scattering2D:  # what others add may not compare
            return NotImplemented
        return vars(self) == vars(other)

    def __hash__(self) -> int:
        # Settings may change, and those that are made from the same may not move in a dict.
        return hash((type(self), self.plan, self.bank))

    def of_plan(self, plan: Plan) -> Scattering2D:
        """Return a transform of the same settings that runs another program of the bank.

        Parameters
        ----------
        plan : Plan
            For the bank's architecture.

        Returns
        -------
        Scattering2D
        """
        other = copy.copy(self)
        other._plan = plan
        return other

    def _output_kind(self, images: Any) -> tuple[tuple[int, ...], np.dtype]:
        """Return shape and dtype of what is made of `images`."""
        shape = (*images.shape[:-2], *self.plan.call_shape)
        return shape, np.result_type(images.dtype, np.float32)

    def _as_filled(self, output: Any) -> Any:
        """Return what is made of images as programs fill it: (..., C) as (..., C, 1, 1)."""
        if self.average != GLOBAL:
            return output
        return output.reshape(*output.shape, 1, 1) if on_gpu(output) else output[..., None, None]

    def _as_asked(self, output: Any, maps_of: Callable | None = None) -> Any:
        """Return what was made of images as a call returns it: an array, or a list of dicts.

        `maps_of` makes a list of maps of arrays that have no views by ``...``.
        """
        if self.out_type == "array" and self.average is not False:
            return output
        if maps_of is None:
            filled = self._as_filled(output)
            maps = [self.plan.maps_of(filled, channel) for channel in range(self.n_coefficients)]
        else:
            maps = maps_of(self.plan, output)
        return [
            {"coef": coefficients, "j": path.j, "n": path.n, "theta": path.theta}
            for coefficients, path in zip(maps, self.plan.paths, strict=True)
        ]


def _maps_on_gpu(plan: Plan, output: Any) -> list:
    return importlib.import_module("npscatter.backends.gpu.interop").channel_maps(plan, output)


def scatter(
    x: Any,
    J: int = 2,
    *,
    L: int | None = 8,
    max_order: int = 2,
    bank: str | os.PathLike | FilterBank = "accurate",
    backend: str = "auto",
    boundary: str | None = None,
    pre_pad: bool = False,
    out_type: str = "array",
    average: bool | str = True,
    oversampling: int = 0,
    paths: Any = None,
    threads: int | None = None,
    storage: str | None = None,
    memory: int | None = None,
    stream: object = None,
) -> np.ndarray | list[dict]:
    """Return the scattering coefficients of `x`: `Scattering2D` for the shape `x` has.

    Parameters
    ----------
    x : array_like, shape (..., H, W)
        Real images; see `Scattering2D.__call__`. Three axes and more are refused if the last has
        1 to 4 pixels and the one before four times as many or more: that looks like channels
        last. Use `Scattering2D` with ``shape=(H, W)`` for images that are so narrow.
    J, L, max_order, bank, backend, boundary, out_type, average, oversampling, paths
        As for `Scattering2D`.
    threads, storage, memory
        As for `Scattering2D`.
    stream : optional
        See `Scattering2D.__call__`.
    pre_pad : bool, optional
        `x` is padded already, by 2^J pixels on every side; H and W must be multiples of 2^J.

    Returns
    -------
    ndarray, shape (..., C, H // 2^J, W // 2^J), (..., C), or list of dict
        See `Scattering2D.__call__`.

    Raises
    ------
    ArgumentError, ArgumentTypeError, BankError, BackendError
        As for `Scattering2D`.

    Examples
    --------
    >>> import numpy as np
    >>> from npscatter import scatter
    >>> scatter(np.zeros((5, 28, 28), np.float32), J=3).shape
    (5, 217, 3, 3)
    """
    images = x if on_gpu(x) and hasattr(x, "shape") else image_array(x)
    if len(images.shape) < 2:
        raise ArgumentError(
            explain(
                *("x.shape", images.shape, "must be (..., H, W)"),
                "pass images of two axes, e.g. x.reshape(-1, H, W) of rows that are images",
            )
        )
    shape = tuple(images.shape[-2:])
    if 0 in shape:
        raise ArgumentError(
            explain("x.shape", images.shape, "both sides must be at least 1", "pass real images")
        )
    if looks_channels_last(tuple(images.shape)):
        rule = f"may be images of {shape[0]} x {shape[1]} pixels, or of {shape[1]} channels, last"
        remedy = f"{CHANNELS_FIRST}, or use Scattering2D(J, shape={shape}) if they are that narrow"
        raise ArgumentError(explain("x.shape", images.shape, rule, remedy))
    if boolean("pre_pad", pre_pad):
        shape = shape_before_padding(J, shape)
    S = Scattering2D(
        *(J, shape, L, max_order, pre_pad, backend, out_type),
        bank=bank,
        boundary=boundary,
        average=average,
        oversampling=oversampling,
        paths=paths,
        threads=threads,
        storage=storage,
        memory=memory,
    )
    return S(images, stream=stream)
