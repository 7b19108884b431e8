"""`Scattering2D` as a Torch module: decides who computes, and what flows back."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from contextlib import nullcontext
from functools import lru_cache
from itertools import count
from typing import Any
from weakref import WeakValueDictionary

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad

from npscatter.arguments import boolean
from npscatter.bank import FilterBank
from npscatter.errors import (
    ArgumentTypeError,
    BackendError,
    BackendWarning,
    explain,
    outside_package,
)
from npscatter.program.magnitude import level_gain
from npscatter.program.outputs import ALL
from npscatter.program.steps import WEIGHT_ARRAYS
from npscatter.scattering import Scattering2D
from npscatter.scattering.planned import refuse_read_only
from npscatter.scattering.settings import memory_bytes, storage_kind
from npscatter.torch import program
from npscatter.torch.magnitude import levels_and_shifts, scaled

# What is computed in: that of NumPy's class. Torch has two more kinds of floats.
_COMPUTED_IN = {
    **dict.fromkeys((torch.float64, torch.int32, torch.int64), torch.float64),
    **dict.fromkeys((torch.float32, torch.float16, torch.bfloat16, torch.bool), torch.float32),
    **dict.fromkeys((torch.uint8, torch.int8, torch.int16), torch.float32),
}
# Kymatio's names for what this class does anyway.
_AUTOMATIC = ("auto", "torch")
# Options for where tensors lie on a GPU, and their checks: kept for then, if the place decides.
_ON_GPU: dict[str, Callable[[Any], Any]] = {"storage": storage_kind, "memory": memory_bytes}
# What NumPy's class tells of filters: of those that learn as they are now.
_OF_FILTERS = ("filters", "psi", "phi", "_repr_html_")
# Filters of Kymatio's that a checkpoint may hold: those here stand in for them.
_KYMATIO = "tensor"


class ScatteringTorch2D(nn.Module):
    """The 2-D scattering transform of tensors, as a module; ``npscatter.torch.Scattering2D``.

    Where no gradient is wanted, the compiled program runs, on the tensor's own memory: on a CPU
    that of ``backend="numba"``, on an NVIDIA GPU that of ``backend="cuda"``. Where one is, it
    flows to images (and to filters, with ``learnable=True``), and is zero where a modulus is zero.

    Parameters
    ----------
    J, shape, L, max_order, pre_pad, out_type, bank, boundary, average, oversampling, paths
        As for `npscatter.Scattering2D`.
    backend : str, optional
        "auto" (or "torch", which is Kymatio's name) for what suits where the tensor lies; "numba",
        "numpy" or "cuda" for that one, wherever no gradient is wanted.
    threads, storage, memory
        As for `npscatter.Scattering2D`; each for the backend that knows it.
    learnable : bool, optional
        The filters are parameters ``psi_first``, ``carry_first``, ``low_first``, ``psi_next``,
        ``carry_next`` and ``low_next``, wavelets as (2, L, R, K, K): real and imaginary parts.

    Attributes
    ----------
    learnable : bool
        As given.
    bank : FilterBank
        The bank in use; of a learnable transform what its parameters are now.
    J, shape, L, max_order, pre_pad, boundary, plan, n_coefficients, output_shape, ...
        Those of `npscatter.Scattering2D`, and its methods, such as `meta`.

    Raises
    ------
    ArgumentError, ArgumentTypeError, BankError, BackendError
        As `npscatter.Scattering2D` does.

    Notes
    -----
    A transform that is not learnable has no state: `state_dict` is empty, as of ``nn.ReLU``, and
    ``.to()``, ``.cuda()`` and ``.double()`` change nothing, for the images alone say where and in
    which precision is computed. Filters of Kymatio's in a checkpoint are passed over.

    Gradients of batches on a CPU are compiled code, too; second derivatives, filters, GPUs, single
    images, and what ``torch.func``, ``torch.export`` and other tracers look through are computed in
    Torch operations (``npscatter.torch.program``). NaN and infinity reach further there than their
    windows may; gradients of images below 1e-25 lose precision to denormal numbers in float32.

    Examples
    --------
    >>> import torch
    >>> from npscatter.torch import Scattering2D
    >>> S = Scattering2D(J=2, shape=(32, 32))
    >>> x = torch.rand(5, 32, 32, requires_grad=True)
    >>> S(x).shape
    torch.Size([5, 81, 8, 8])
    >>> S(x).square().sum().backward()
    >>> x.grad.shape
    torch.Size([5, 32, 32])
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
        learnable: bool = False,
        bank: str | os.PathLike | FilterBank = "accurate",
        boundary: str | None = None,
        average: bool | str = True,
        oversampling: int = 0,
        paths: Any = None,
        threads: int | None = None,
        storage: str | None = None,
        memory: int | None = None,
    ):
        super().__init__()
        automatic = isinstance(backend, str) and backend in _AUTOMATIC
        given = {"storage": storage, "memory": memory}
        on_gpu: dict[str, Any] = {name: check(given[name]) for name, check in _ON_GPU.items()}
        self._transform = Scattering2D(
            *(J, shape, L, max_order, pre_pad, "auto" if automatic else backend, out_type),
            bank=bank,
            boundary=boundary,
            average=average,
            oversampling=oversampling,
            paths=paths,
            threads=threads,
            **({} if automatic else on_gpu),
        )
        self._automatic, self._gpu_options = automatic, on_gpu
        self._learnable = boolean("learnable", learnable)
        taps = program.weights_of(self._transform.bank, torch.float64)
        self._taps = taps
        if self.learnable:
            kind = torch.get_default_device(), torch.get_default_dtype()
            for name, values in taps.items():
                self.register_parameter(name, nn.Parameter(values.to(*kind)))
        self._changed()

    # What it shares with NumPy's class

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            transform = self.__dict__.get("_transform")
            if transform is None or name.startswith("__"):
                raise
            if name in _ON_GPU and self._automatic:
                return self._gpu_options[name]
            if name in _OF_FILTERS and self.learnable:
                transform = self._with_filters_now(transform)
            return getattr(transform, name)

    def __setattr__(self, name: str, value: Any) -> None:
        refuse_read_only(self, name, value)
        transform = self.__dict__.get("_transform")
        if hasattr(type(self), name) or transform is None or not hasattr(transform, name):
            super().__setattr__(name, value)
            return
        if name in _ON_GPU and self._automatic:
            self._gpu_options[name] = _ON_GPU[name](value)
        else:
            setattr(transform, name, value)
        self._changed()

    def __setstate__(self, state: dict) -> None:
        super().__setstate__(state)
        self._changed()

    def _changed(self) -> None:
        """Make what follows from the transform, after it was made or changed."""
        # Plain attributes, which a compiler of Torch's can look up.
        vars(self)["_on_gpu"] = None
        vars(self)["_input_shape"] = self._transform.plan.input_shape
        vars(self)["_gain"] = level_gain(self._transform.plan, self._transform.bank)
        # A cached property: asked now, for a compiler sees through none that locks.
        vars(self)["_starts"] = self._transform.plan.channel_starts
        if _TRANSFORMS.get(vars(self).get("_key", "")) is not self._transform:
            vars(self)["_key"] = _register(self._transform)

    @property
    def learnable(self) -> bool:
        """Whether the filters are parameters."""
        return self._learnable

    @property
    def bank(self) -> FilterBank:
        """The bank in use; of a learnable transform what its parameters are now."""
        given = self._transform.bank
        return given if not self.learnable else self._learned_bank()

    def _with_filters_now(self, transform: Scattering2D) -> Scattering2D:
        """Return a transform with the bank that the parameters are now."""
        return _with_bank(transform, self.bank, tuple(transform._options.items()))

    def _learned_bank(self) -> FilterBank:
        given, arrays = self._transform.bank, {}
        for name in given:
            taps = getattr(self, name).detach().cpu().double().numpy()
            arrays[name] = taps[0] + 1j * taps[1] if WEIGHT_ARRAYS[name].is_complex else taps
        design = given.architecture
        return FilterBank(
            f"{given.name}-learned",
            **arrays,
            psi_stride=design.psi_stride,
            next_from=design.next_from,
            boundary=given.boundary,
        )

    def extra_repr(self) -> str:
        """Return what `repr` shows of it."""
        inside = repr(self._transform).partition("(")[2][:-1]
        on_gpu = "".join(f", {k}={v!r}" for k, v in self._gpu_options.items() if v is not None)
        return f"{inside}{on_gpu * self._automatic}, learnable={self.learnable}"

    def _load_from_state_dict(self, state_dict: dict, prefix: str, *others: Any) -> None:
        for key in [key for key in state_dict if key.startswith(prefix + _KYMATIO)]:
            if key.removeprefix(prefix + _KYMATIO).isdecimal():
                del state_dict[key]
        super()._load_from_state_dict(state_dict, prefix, *others)

    # A call

    def scattering(self, input: Tensor) -> Tensor | list[dict]:
        """Return the coefficients of images; the same as calling the module.

        Parameters
        ----------
        input : Tensor, shape (..., H, W)
            Real images, on any device, of any strides. float64, int32 and int64 are computed in
            float64, everything else in float32, under autocast too.

        Returns
        -------
        Tensor, shape (..., output_shape), or list of dict
            On the images' device; see `npscatter.Scattering2D`.

        Raises
        ------
        ArgumentError, ArgumentTypeError
            For what is no tensor, a wrong shape or dtype.
        """
        return self(input)

    def forward(self, x: Tensor) -> Tensor | list[dict]:
        """Return the coefficients of images (..., H, W); see `scattering`."""
        self._check(x)
        return self._transform._as_asked(self._executor(x)(x))

    def _check(self, x: object) -> None:
        if not isinstance(x, Tensor):
            remedy = "pass torch.as_tensor(x), or use npscatter.Scattering2D for arrays"
            raise ArgumentTypeError(explain("x", x, "The input should be a torch.Tensor", remedy))
        if x.layout != torch.strided or x.is_nested:
            rule = "must be strided, and x no nested tensor"
            remedy = "pass x.to_dense(), or images of one size, as torch.stack gives them"
            raise ArgumentTypeError(explain("x.layout", x.layout, rule, remedy))
        if x.dtype not in _COMPUTED_IN:
            rule = "must be float32, float64, an integer type or bool"
            raise ArgumentTypeError(explain("x.dtype", x.dtype, rule, "pass e.g. x.float()"))
        if x.ndim < 2 or tuple(x.shape[-2:]) != self._input_shape:
            self._transform.check_shape(x)

    def _executor(self, x: Tensor) -> Callable[[Tensor], Tensor]:
        """Return what computes the coefficients of a tensor that was checked."""
        wants = torch.is_grad_enabled() and x.requires_grad
        filters_learn = self.learnable and any(p.requires_grad for p in self.parameters())
        if torch.compiler.is_compiling():
            # An executor is one opaque operation to a compiler; what is exported needs none.
            if torch.compiler.is_exporting() or wants or self.learnable:
                return self._in_torch
            return self._opaque
        if filters_learn or not _is_plain(x):
            return self._in_torch
        transform = self._transform_for(x)
        if transform is None:
            return self._in_torch
        if wants:
            return lambda x: self._with_gradient(x, transform)
        return lambda x: _executed(transform, x)

    def _transform_for(self, x: Tensor) -> Scattering2D | None:
        """Return the transform that an executor can run on a tensor, None for Torch operations."""
        transform: Scattering2D | None
        if x.device.type == "cpu":
            transform = self._transform
        elif x.device.type == "cuda":
            transform = self._gpu_transform()
        else:
            return None
        if transform is None or not self.learnable:
            return transform
        return self._with_filters_now(transform)

    def _gpu_transform(self) -> Scattering2D | None:
        if not self._automatic:
            return self._transform
        if self._on_gpu is None:
            given = self._transform
            try:
                options = self._gpu_options
                self.__dict__["_on_gpu"] = _remade(given, "cuda", given.bank, **options)
            except BackendError as error:
                self.__dict__["_on_gpu"] = False
                warnings.warn(
                    BackendWarning(f"{error}; until then tensors there take Torch operations"),
                    stacklevel=outside_package(),
                )
        return self._on_gpu or None

    def _with_gradient(self, x: Tensor, transform: Scattering2D) -> Tensor:
        """Return what an executor computes, and let gradients flow to the images."""
        if x.device.type != "cpu" or not _has_compiled_gradient(transform, x):
            return self._in_torch(x)
        return _Compiled.apply(x.to(_COMPUTED_IN[x.dtype]), transform, self._in_torch)

    def _opaque(self, x: Tensor) -> Tensor:
        return torch.ops.npscatter.scattering2d(x, self._key)

    def _in_torch(self, x: Tensor) -> Tensor:
        """Return the coefficients, computed in Torch operations."""
        plan, dtype, kind = self._transform.plan, _COMPUTED_IN[x.dtype], x.device.type
        casts = torch.amp.is_autocast_available(kind)
        with torch.autocast(kind, enabled=False) if casts else nullcontext():
            images = x.reshape(-1, *plan.input_shape).to(dtype)
            gain = None if self.learnable else self._gain
            with torch.no_grad():
                levels, shifts = levels_and_shifts(images, gain is not None)
            weights = self._weights(dtype, x.device)
            maps = program.run(plan, weights, scaled(images - levels, shifts))
            alike = (-1, *(1,) * (maps.ndim - 1))
            maps = scaled(maps, -shifts.reshape(alike))
            if gain is not None:
                first = self._starts[1] if maps.ndim == 2 else 1
                average = maps[:, :first] + gain * levels.reshape(alike)
                maps = torch.cat([average, maps[:, first:]], 1)
        return maps.reshape(*x.shape[:-2], *plan.call_shape)

    def _weights(self, dtype: torch.dtype, device: torch.device) -> dict[str, Tensor]:
        given = {name: getattr(self, name) for name in self._taps} if self.learnable else self._taps
        return {name: taps.to(device, dtype) for name, taps in given.items()}


def _is_plain(x: Tensor) -> bool:
    """Say whether a tensor is numbers in memory, which nothing but autograd looks through."""
    if type(x) not in (Tensor, nn.Parameter) or torch.jit.is_tracing():
        return False
    if torch._C._functorch.is_functorch_wrapped_tensor(x):
        return False
    return forward_ad.unpack_dual(x).tangent is None


def _executed(transform: Scattering2D, x: Tensor) -> Tensor:
    """Return the coefficients that an executor computes, on the tensors' own memory."""
    shape = (*x.shape[:-2], *transform.plan.call_shape)
    output = torch.empty(shape, dtype=_COMPUTED_IN[x.dtype], device=x.device)
    x = x.detach()
    if x.dtype == torch.bfloat16:  # which NumPy has not
        x = x.float()
    if not output.numel():
        return output
    if x.device.type == "cuda":
        with torch.cuda.device(x.device):
            transform._call_on_gpu(x, output, None)
    else:
        arrays = x.resolve_neg().numpy(), transform._as_filled(output.numpy())
        plan, bank = transform.plan, transform.bank
        transform._backend.run(plan, bank, *arrays, None, transform._options)
    return output


@lru_cache(maxsize=8)
def _with_bank(
    transform: Scattering2D, bank: FilterBank, options: tuple[tuple[str, Any], ...]
) -> Scattering2D:
    """Return the transform with another bank of the same architecture."""
    return _remade(transform, transform.backend, bank, **dict(options))


def _remade(
    transform: Scattering2D, backend: str, bank: FilterBank, **options: Any
) -> Scattering2D:
    """Return the transform on another backend, or with another bank."""
    outputs = transform.plan.outputs
    return Scattering2D(
        *(transform.J, transform.shape, bank.L, transform.max_order, transform.pre_pad),
        *(backend, transform.out_type),
        bank=bank,
        boundary=transform.boundary,
        average=outputs.average,
        oversampling=outputs.oversampling,
        paths=outputs.paths,
        **options,
    )


def _has_compiled_gradient(transform: Scattering2D, x: Tensor) -> bool:
    """Say whether the gradient of some images is compiled code."""
    if transform.backend != "numba" or transform.plan.outputs != ALL:
        return False
    from npscatter.backends.cpu import gradient

    images = x.numel() // max(1, x.shape[-1] * x.shape[-2])
    dtype = str(_COMPUTED_IN[x.dtype]).removeprefix("torch.")
    return gradient.is_worthwhile(transform.plan, transform.bank, dtype, images)


class _Compiled(torch.autograd.Function):
    """The compiled program, and its compiled gradient by the images."""

    @staticmethod
    def forward(
        context: Any, x: Tensor, transform: Scattering2D, in_torch: Callable[[Tensor], Tensor]
    ) -> Tensor:
        context.save_for_backward(x)
        context.transform, context.in_torch = transform, in_torch
        return _executed(transform, x)

    @staticmethod
    def backward(context: Any, slopes: Tensor) -> tuple[Tensor, None, None]:
        (x,) = context.saved_tensors
        if torch.is_grad_enabled():  # to be differentiated again
            (result,) = torch.autograd.grad(context.in_torch(x), x, slopes, create_graph=True)
        else:
            result = _gradient(context.transform, x, slopes)
        return result, None, None


def _gradient(transform: Scattering2D, x: Tensor, slopes: Tensor) -> Tensor:
    from npscatter.backends.cpu import gradient

    images = x.detach().reshape(-1, *x.shape[-2:])
    gain = level_gain(transform.plan, transform.bank)
    levels, shifts = levels_and_shifts(images, gain is not None)
    # Neither changes the gradient: the transform is homogeneous, and blind to levels but in S0.
    ordinary = scaled(images - levels, shifts).numpy()
    flat = slopes.detach().reshape(len(images), *slopes.shape[-3:]).resolve_neg().numpy()
    result = gradient.gradient(*(transform.plan, transform.bank, ordinary, flat, transform.threads))
    return torch.from_numpy(result).reshape(x.shape)


# For torch.compile: one operation, which is told of a transform by its key.
_NUMBERS = count()
_TRANSFORMS: WeakValueDictionary[str, Scattering2D] = WeakValueDictionary()


def _register(transform: Scattering2D) -> str:
    """Let the operation know of a transform, and return the key it is told."""
    key = f"{transform!r} number {next(_NUMBERS)}"
    _TRANSFORMS[key] = transform
    return key


@torch.library.custom_op("npscatter::scattering2d", mutates_args=())
def _scattering2d(x: Tensor, key: str) -> Tensor:
    return _executed(_TRANSFORMS[key], x)


@_scattering2d.register_fake
def _(x: Tensor, key: str) -> Tensor:
    shape = (*x.shape[:-2], *_TRANSFORMS[key].plan.call_shape)
    return x.new_empty(shape, dtype=_COMPUTED_IN[x.dtype])
