"""The program on a GPU: memory, streams, and batches in pieces.

Work is only put in order here (`npscatter.backends.gpu.launches` says what work): a pass over some
images is a launch or two that look through them, then one or two per octave, each on all of them,
and of means one that adds up what those have summed.
Arrays that live on the GPU are worked on where they are; NumPy's go there and back in pieces, by
way of pinned memory, so that copies, kernels and the host's own copying overlap.
"""

from __future__ import annotations

import contextlib
import threading
import warnings
from collections import OrderedDict
from collections.abc import Callable, Mapping
from functools import lru_cache

import numpy as np

from npscatter.backends.gpu.interop import PER_THREAD, handle_of, image_stacks
from npscatter.backends.gpu.kernel import make_kernel
from npscatter.backends.gpu.launches import RECORD, GpuLayout, choose, images_at_once
from npscatter.backends.gpu.magnitudes import make_magnitudes_kernel
from npscatter.backends.gpu.means import make_means_kernel
from npscatter.backends.gpu.target import (
    LAUNCH_BOUNDS,
    SIMULATED,
    address,
    allow_shared_memory,
    compiled,
    cuda,
    driver,
    limits,
    magnitudes_signature,
    means_signature,
    signature,
    viewed,
)
from npscatter.backends.gpu.tiling import ANY_GPU, Device, KernelSpec
from npscatter.bank import FilterBank
from npscatter.program.plan import Plan

# Workspace of one stream, unless the caller says otherwise; never more than a quarter of the GPU's.
WORKSPACE_BYTES = 2**30
# Images and coefficients that go to the GPU and back at a time.
PIECE_BYTES = 2**26
# Pieces under way: one is copied by the host while the GPU has another.
SLOTS = 2
# Streams whose workspaces are kept.
STREAMS = 8
# Arguments of `npscatter.Scattering2D` that have a meaning here.
OPTIONS = ("storage", "memory")

if not SIMULATED and not cuda.is_available():
    raise ImportError(" ".join((cuda.cuda_error() or "no GPU or no libNVVM was found").split()))


class GpuProgram:
    """A layout, compiled and with its tables on the current GPU."""

    def __init__(self, layout: GpuLayout, images: np.dtype):
        self.layout = layout
        kernels = [_kernel(launch.spec, images, _device()) for launch in layout.launches]
        self.kernels = [kernel for kernel, _ in kernels]
        # One for the images, and where they are cut one for the extremes of their stretches.
        looked_through = [images, np.dtype(layout.dtype)][: 1 + (layout.magnitudes.stretches > 1)]
        self.looks = [_look(layout.dtype, kind, _device()) for kind in looked_through]
        self.fits = all(
            launch.shared_bytes <= allowed
            for launch, (_, allowed) in zip(layout.launches, kernels, strict=True)
        )
        self.means = _means(layout.dtype, _device()) if layout.cells else None
        tables = layout.rows, layout.columns, layout.channels, layout.starts, layout.samples
        self.rows, self.columns, self.channels, self.starts, self.samples = (
            cuda.to_device(table) for table in tables
        )
        cuda.synchronize()  # whatever stream comes first finds them there

    def enqueue(self, images, output, memory, stream) -> None:
        """Put a pass over `images` (N, H, W) into `stream`; `output` is flat.

        `memory` holds the layout's bytes for each image: maps, records, extremes of stretches, sums
        of cells.
        """
        layout, count = self.layout, images.shape[0]
        stored = np.dtype("uint16" if layout.storage == "float16" else layout.storage)
        middle = count * layout.workspace * stored.itemsize
        workspace = memory[:middle].view(stored)
        numbers = memory[middle : count * layout.workspace_bytes].view(layout.dtype)
        looked = count * layout.magnitudes.numbers
        records = self.find_magnitudes(images, numbers[:looked], stream)
        aligned = layout.aligned and address(output) % 16 == 0
        written = numbers[looked:] if layout.cells else output
        for launch, kernel in zip(layout.launches, self.kernels, strict=True):
            size = launch.blocks(count), launch.threads, stream, launch.shared_bytes
            _configured(kernel, *size)(
                images, self.rows, self.columns, workspace, written, records, int(aligned),
                self.channels, self.starts, launch.geometry,
            )  # fmt: skip
        if layout.cells:
            threads = layout.adding
            size = count * layout.plan.n_coefficients, threads, stream, 8 * threads
            _configured(self.means, *size)(written, output, records, self.starts, self.samples)

    def find_magnitudes(self, images, numbers, stream):
        """Put the launches that find levels and shifts into `stream`; return the records.

        `numbers` is where these go, followed by the extremes of the stretches.
        """
        m, count = self.layout.magnitudes, images.shape[0]
        found = [numbers]
        if m.stretches > 1:
            found = [numbers[count * RECORD :], numbers[: count * RECORD]]
        for look, where in zip(self.looks, found, strict=True):
            size = count * m.stretches, m.threads, stream, m.shared_bytes(self.layout.dtype)
            _configured(look, *size)(images, where, m)
            if m.stretches > 1:
                images, m = where.reshape(count, m.stretches, 2), m.once_more()
        return found[-1]


class _Workspaces:
    """One workspace per stream: passes in a stream run one after the other, so they share it."""

    def __init__(self):
        self.by_stream: OrderedDict[tuple[int, int, int], object] = OrderedDict()
        # Held while a pass is enqueued, so that two threads' launches do not mix in a stream.
        self.lock = threading.RLock()

    def get(self, stream, size: int):
        """Return at least so many bytes for the passes of a stream."""
        # One handle stands for the default streams of all threads.
        handle = handle_of(stream)
        key = (_device(), handle, threading.get_ident() if handle == PER_THREAD else 0)
        memory = self.by_stream.pop(key, None)
        if memory is None or memory.size < size:
            memory = None  # freed before more is asked for
            memory = _allocated(size)
        self.by_stream[key] = memory
        while len(self.by_stream) > STREAMS:
            self.by_stream.popitem(last=False)
        return memory

    def free(self) -> None:
        """Forget them all."""
        with self.lock:
            self.by_stream.clear()


class _Slot:
    """A piece on its way: a stream, and memory on both sides, which later pieces use again."""

    def __init__(self):
        self.stream, self.pending = cuda.stream(), None
        self.pinned = self.device = None

    def hold(self, size: int) -> None:
        """See to it that there is memory for so many bytes."""
        if self.device is None or self.device.size < size:
            self.pinned = self.device = None
            self.pinned, self.device = _allocated(size, cuda.pinned_array), _allocated(size)

    def part(self, start: int, shape: tuple[int, ...], dtype: np.dtype) -> tuple:
        """Return an array in the memory of either side, `start` bytes into it."""
        stop = start + int(np.prod(shape)) * dtype.itemsize
        return tuple(side[start:stop].view(dtype).reshape(shape)
                     for side in (self.pinned, self.device))  # fmt: skip

    def start(self, program: GpuProgram, images, output, index, count: int, memory: int) -> None:
        """Finish the piece before, then set off with the `count` images at `index`.

        A failure leaves nothing pending.
        """
        self.finish()
        dtype = images.dtype.newbyteorder("=")
        shapes = (count, *images.shape[-2:]), (count, *program.layout.plan.output_shape)
        middle = -(-int(np.prod(shapes[0])) * dtype.itemsize // 256) * 256
        self.hold(middle + int(np.prod(shapes[1])) * output.itemsize)
        host_in, device_in = self.part(0, shapes[0], dtype)
        host_out, device_out = self.part(middle, shapes[1], output.dtype)
        host_in[...] = images[index]
        device_in.copy_to_device(host_in, stream=self.stream)
        _run(program, device_in, device_out.reshape(device_out.size), self.stream, memory)
        device_out.copy_to_host(host_out, stream=self.stream)
        self.pending = output, index, host_out

    def finish(self) -> None:
        """Wait for the piece under way, and hand its coefficients over."""
        if self.pending:
            output, index, coefficients = self.pending
            self.pending = None
            self.stream.synchronize()
            output[index] = coefficients

    def give_up(self) -> None:
        """Forget the piece under way, once nothing is copied any more."""
        self.pending = None
        with contextlib.suppress(Exception):
            self.stream.synchronize()


class _Slots:
    """The slots of every GPU; one call at a time has them."""

    def __init__(self):
        self.by_device: dict[int, list[_Slot]] = {}
        self.lock = threading.RLock()

    def of_device(self) -> list[_Slot]:
        """Return the current GPU's."""
        return self.by_device.setdefault(_device(), [_Slot() for _ in range(SLOTS)])

    def free(self) -> None:
        """Forget them all."""
        with self.lock:
            self.by_device.clear()


_WORKSPACES, _SLOTS = _Workspaces(), _Slots()


def free_memory() -> None:
    """Give back the memory, on the GPU and pinned, that is kept from call to call."""
    _WORKSPACES.free()
    _SLOTS.free()


def run(
    plan: Plan, bank: FilterBank, images, output, stream, options: Mapping[str, object]
) -> None:
    """Run the plan's program; see `npscatter.backends.Backend`.

    The option `storage` may be "float16", to store carried maps as such; `memory` is the bytes of
    workspace on the GPU at most, for each stream.
    """
    if isinstance(images, np.ndarray):
        execute(plan, bank, images, output, **options)
    else:
        execute_on_device(plan, bank, images, output, stream, **options)


def execute(
    plan: Plan,
    bank: FilterBank,
    images: np.ndarray,
    output: np.ndarray,
    storage: str | None = None,
    memory: int | None = None,
) -> None:
    """Run the plan's program on NumPy arrays, through streams of their own, and wait for it."""
    leading, count = images.shape[:-2], int(np.prod(images.shape[:-2]))
    views = _flat(images, 2), _flat(output, len(plan.output_shape))
    flat = all(view is not None for view in views)
    if flat:
        images, output = views
    per_image = int(np.prod(images.shape[-2:])) * images.itemsize
    per_image += int(np.prod(plan.output_shape)) * output.itemsize
    piece = max(1, min(-(-count // SLOTS), PIECE_BYTES // per_image))
    memory = workspace_limit(memory)
    native = images.dtype.newbyteorder("=")
    program = _prepared(plan, bank, output.dtype.name, storage, piece, memory, native)
    with _SLOTS.lock:
        slots = _SLOTS.of_device()
        try:
            for number, start in enumerate(range(0, count, piece)):
                stop = min(start + piece, count)
                part = slice(start, stop)
                if not flat:
                    part = np.unravel_index(np.arange(start, stop), leading)
                slot = slots[number % SLOTS]
                slot.start(program, images, output, part, stop - start, memory)
            for slot in slots:
                slot.finish()
        except BaseException:
            for slot in slots:
                slot.give_up()
            raise


def execute_on_device(
    plan: Plan,
    bank: FilterBank,
    images,
    output,
    stream,
    storage: str | None = None,
    memory: int | None = None,
) -> None:
    """Run the plan's program on arrays on the GPU, in a stream of Numba's, and do not wait for it.

    The output is C-contiguous; images may have any strides.
    """
    memory = workspace_limit(memory)
    per_image = int(np.prod(plan.output_shape))
    output, start = output.reshape(output.size), 0
    for stack in image_stacks(images):
        count, dtype = stack.shape[0], output.dtype.name
        program = _prepared(plan, bank, dtype, storage, count, memory, images.dtype)
        part = output[start * per_image : (start + count) * per_image]
        _run(program, stack, part, stream, memory)
        start += count


def warm_up(plan: Plan, bank: FilterBank, images: np.dtype, options: Mapping[str, object]) -> None:
    """Compile, or load from the cache, what images of a dtype need."""
    memory, dtype = workspace_limit(options["memory"]), np.result_type(images, np.float32).name
    for count in (1, 2**20):
        _prepared(plan, bank, dtype, options["storage"], count, memory, images)


def _flat(array: np.ndarray, trailing: int) -> np.ndarray | None:
    """Return an array with one leading axis, None if that took a copy."""
    flat = array.reshape(-1, *array.shape[array.ndim - trailing :])
    return flat if np.may_share_memory(flat, array) else None


def _run(program: GpuProgram, images, output, stream, memory: int) -> None:
    """Put passes over all of `images` (N, H, W) into a stream; `output` is flat."""
    layout, count = program.layout, images.shape[0]
    at_once = images_at_once(layout, count, memory)
    per_image = output.size // count
    with _WORKSPACES.lock:
        workspace = _WORKSPACES.get(stream, at_once * layout.workspace_bytes)
        for start in range(0, count, at_once):
            stop = min(start + at_once, count)
            part = output[start * per_image : stop * per_image]
            # Numba's slices are not NumPy's where strides are zero or negative.
            shape = (stop - start, *images.shape[1:])
            some = viewed(images, start * images.strides[0], shape, images.strides)
            program.enqueue(some, part, workspace, stream)


def workspace_limit(memory: int | None) -> int:
    """Return the bytes that carried maps may take per stream, of what the caller says of them."""
    return _workspace_bytes(_device()) if memory is None else memory


@lru_cache(maxsize=64)
def _workspace_bytes(device: int) -> int:
    if SIMULATED:
        return WORKSPACE_BYTES
    return min(WORKSPACE_BYTES, cuda.current_context().get_memory_info().total // 4)


def _allocated(size: int, allocate: Callable = cuda.device_array):
    """Return so many bytes, on the GPU unless pinned ones are asked for."""
    try:
        return allocate(size, np.uint8)
    except driver.CudaAPIError as error:
        raise MemoryError(
            f"{size} bytes for the GPU's work could not be had ({error}); free some, call "
            "npscatter.backends.gpu.executor.free_memory(), or construct with a smaller memory="
        ) from None


def _device() -> int:
    return 0 if SIMULATED else cuda.get_current_device().id


def _prepared(plan, bank, dtype, storage, count: int, memory: int, images: np.dtype) -> GpuProgram:
    """Return the program for `count` images at a time, ready to be launched."""
    for device in (_limits(_device()), ANY_GPU):
        layout = choose(plan, bank, dtype, storage, count, memory, device)
        program = _program(layout, images, _device())
        if program.fits:
            break
    return program


@lru_cache(maxsize=64)
def _program(layout: GpuLayout, images: np.dtype, device: int) -> GpuProgram:
    return GpuProgram(layout, images)


@lru_cache(maxsize=256)
def _kernel(spec: KernelSpec, images: np.dtype, device: int):
    """Return a kernel, and the shared memory that its blocks may have."""
    kernel = compiled(
        make_kernel(spec), signature(spec, images), launch_bounds=LAUNCH_BOUNDS[spec.dtype]
    )
    return kernel, allow_shared_memory(kernel, _limits(device).block_bytes)


@lru_cache(maxsize=64)
def _look(dtype: str, images: np.dtype, device: int):
    """Return the kernel that looks through images of a dtype."""
    return compiled(make_magnitudes_kernel(dtype), magnitudes_signature(dtype, images))


@lru_cache(maxsize=64)
def _means(dtype: str, device: int):
    """Return the kernel that adds up the sums of cells."""
    return compiled(make_means_kernel(), means_signature(dtype))


def _configured(kernel, blocks: int, threads: int, stream, shared_bytes: int):
    """Return a kernel that is ready to be called."""
    with warnings.catch_warnings():
        # Few blocks are all that a small image has.
        warnings.simplefilter("ignore")
        return kernel[blocks, threads, stream, shared_bytes]


@lru_cache(maxsize=64)
def _limits(device: int) -> Device:
    return limits()
