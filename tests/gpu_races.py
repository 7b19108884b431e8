"""Looks for races in the kernels: two threads, one element, a write, and no barrier between.

An element that is written twice with no barrier between counts too, even if by one thread: nobody
can have read the first value.

``python tests/gpu_races.py FILE JOBS`` runs jobs in a process of its own, in numba-cuda's
simulator, and writes what was found as JSON.

Here a block's threads run one after the other, each from its first instruction to its last, and
what they read and write is recorded, with the number of barriers that the thread has passed. Where
kernels read and write does not depend on what they read, so the order and the values do not matter.
What a thread does by way of the emitted LLVM IR is recorded by that IR itself: before every load
and every store it stores the address.
"""

import json
import os
import sys
from pathlib import Path
from unittest import mock

import numpy as np
from gpu_cases import CASES, Case
from llvmlite import ir

from npscatter.backends.gpu import kernel, launches, magnitudes, simulator
from npscatter.backends.gpu.launches import GpuLayout, Launch, choose
from npscatter.backends.gpu.tiling import Device

LONG = ir.IntType(64)
# Where the IR that is running stores addresses; 0 where an access was not made.
ADDRESSES = np.zeros(1 << 16, np.int64)


def size_of(kind):
    """Return the bytes of an LLVM type."""
    if isinstance(kind, ir.VectorType):
        return kind.count * size_of(kind.element)
    widths = {ir.FloatType: 4, ir.DoubleType: 8}
    return widths[type(kind)] if type(kind) in widths else kind.width // 8


class TracingBuilder(ir.IRBuilder):
    """Emits, before every load and store, a store of the address to `ADDRESSES`."""

    def __init__(self, block):
        super().__init__(block)
        self.sizes, self.writes = [], []

    def load(self, pointer, *others, **options):
        """Emit a load."""
        self.note(pointer, False)
        return super().load(pointer, *others, **options)

    def store(self, value, pointer, *others, **options):
        """Emit a store."""
        self.note(pointer, True)
        return super().store(value, pointer, *others, **options)

    def note(self, pointer, writes):
        """Emit the store of an address, in a slot of its own."""
        slot = ADDRESSES.ctypes.data + 8 * len(self.sizes)
        assert len(self.sizes) < len(ADDRESSES)
        address = self.ptrtoint(pointer, LONG)
        super().store(address, ir.Constant(LONG, slot).inttoptr(LONG.as_pointer()))
        self.sizes.append(size_of(pointer.type.pointee))
        self.writes.append(writes)


class SharedMemory:
    """The shared memory of a block, or the output, as a thread's Python code sees it."""

    def __init__(self, values, note):
        self.values, self.note = values, note
        self.dtype, self.ctypes = values.dtype, values.ctypes

    def __getitem__(self, index):
        self.note(int(index), False)
        return self.values[index]

    def __setitem__(self, index, value):
        self.note(int(index), True)
        self.values[index] = value


class Between:
    """What was touched between two barriers: by whom first, by several, by a write, by two."""

    def __init__(self, elements):
        self.first = np.full(elements, -1, np.int32)
        self.several, self.written, self.twice = np.zeros((3, elements), bool)

    def note(self, elements, thread, writes):
        """Record accesses to elements, an index or an array of them."""
        first = self.first[elements]
        self.several[elements] |= (first >= 0) & (first != thread)
        self.first[elements] = np.where(first < 0, thread, first)
        if writes:
            self.twice[elements] |= self.written[elements]
            self.written[elements] = True

    def conflicts(self):
        """Return how many elements are in conflict."""
        return int(np.count_nonzero(self.several & self.written | self.twice))


class Barriers:
    """Stands for numba's `cuda` in a kernel: which thread runs, and its barriers.

    Parameters
    ----------
    shared_bytes : int
        Shared memory of a block.
    threads : int
        Of a block.
    removed : int
        Line of a barrier that is none.
    """

    def __init__(self, shared_bytes, threads, removed):
        self.shared = self
        self.shared_bytes, self.removed = shared_bytes, removed
        self.blockDim = mock.Mock(x=threads)
        self.threadIdx, self.blockIdx = mock.Mock(), mock.Mock()
        self.values, self.between = None, []
        self.passed = []  # lines of the barriers that a thread has passed
        self.memory_reads, self.memory_writes = [], []

    def start_block(self, block):
        """Begin with a block."""
        self.blockIdx.x, self.values, self.between = block, None, []

    def start_thread(self, thread):
        """Begin with a thread of it."""
        self.threadIdx.x, self.passed, self.epoch = thread, [], 0

    def array(self, shape, dtype, alignment):
        """Return the shared memory."""
        assert shape == 0
        dtype = np.dtype(str(dtype))
        if self.values is None:
            self.values = np.zeros(self.shared_bytes // dtype.itemsize, dtype)
        return SharedMemory(self.values, self.note)

    def syncthreads(self):
        """Pass a barrier."""
        line = sys._getframe(1).f_lineno
        self.passed.append(line)
        self.epoch += line != self.removed

    def note(self, elements, writes):
        """Record that the thread that runs reads or writes elements of shared memory."""
        while len(self.between) <= self.epoch:
            self.between.append(Between(len(self.values)))
        self.between[self.epoch].note(elements, self.threadIdx.x, writes)

    def traced(self, function, *arguments):
        """Call emitted code and record what it reads and writes."""
        sizes, writes = np.array(function.builder.sizes), np.array(function.builder.writes)
        addresses = ADDRESSES[: len(sizes)]
        addresses[:] = 0
        function(*arguments)
        start, itemsize = self.values.ctypes.data, self.values.itemsize
        is_shared = (addresses >= start) & (addresses < start + self.values.nbytes)
        for write in (False, True):
            chosen = is_shared & (writes == write)
            elements = (addresses[chosen] - start) // itemsize
            counts = sizes[chosen] // itemsize
            if len(elements):
                elements = np.concatenate([elements[counts > k] + k for k in range(counts.max())])
                assert elements.max() < len(self.values), "beyond shared memory"
                self.note(elements, write)
            elsewhere = ~is_shared & (writes == write) & (addresses != 0)
            to = self.memory_writes if write else self.memory_reads
            for address, size in zip(addresses[elsewhere], sizes[elsewhere], strict=True):
                to.append(np.arange(address, address + size, 2))

    def moduli(self, name, shared, window, out):
        """Stand for the intrinsic."""
        function = simulator.moduli_function(name, TracingBuilder)
        self.traced(function, self.values, *window, *out)

    def smooth(self, name, shared, window, target, out, scaling):
        """Stand for the intrinsic."""
        is_scaled = scaling is not None
        function = simulator.smooth_function(name, target.dtype.name, is_scaled, TracingBuilder)
        self.traced(function, self.values, *window, target, *out, *(scaling or ()))

    def copy(self, maps, source, index, source_plane, shared, place, plane):
        """Stand for the intrinsic."""
        dtypes = source.dtype.name, self.values.dtype.name
        function = simulator.copy_function(maps, *dtypes, TracingBuilder)
        self.traced(function, source, index, source_plane, self.values, place, plane)


def conflicts_of_block(barriers):
    """Return the conflicts of the block that ran last."""
    for epoch, between in enumerate(barriers.between):
        if between.conflicts():
            where = f"block {barriers.blockIdx.x}, after {epoch} barriers"
            yield f"{where}: {between.conflicts()} elements"


def conflicts_in_memory(barriers):
    """Return the conflicts of a launch outside shared memory, which no barrier would resolve."""
    written = np.concatenate([np.zeros(0, np.int64), *barriers.memory_writes])
    read = np.concatenate([np.zeros(0, np.int64), *barriers.memory_reads])
    if len(np.unique(written)) < len(written):
        yield "memory is written twice"
    if len(np.intersect1d(written, read)):
        yield "memory is read and written"


def layout_of(case: Case) -> GpuLayout:
    """Return the layout of a case."""
    S, images = case.scattering("numpy"), case.images()
    options = case.options
    with case.forced():
        return choose(
            S.plan,
            S.bank,
            np.result_type(images.dtype, np.float32).name,
            options.get("storage"),
            max(1, int(np.prod(case.leading))),
            options.get("memory", 2**30),
            Device(block_bytes=case.block_bytes),
        )


def run(layout: GpuLayout, launch: Launch, images: int, blocks: int, removed: int) -> dict:
    """Run blocks of a launch; return the conflicts, and the lines of the barriers."""
    dtype = np.dtype(layout.dtype)
    stored = np.dtype("uint16" if layout.storage == "float16" else layout.storage)
    shape = layout.plan.output_shape
    barriers = Barriers(launch.shared_bytes, launch.threads, removed)
    output = np.zeros(images * (layout.cells or int(np.prod(shape))), dtype)

    def note(element, writes):
        where = output.ctypes.data + element * dtype.itemsize
        barriers.memory_writes.append(np.arange(where, where + dtype.itemsize, 2))

    arguments = (
        np.zeros((images, *layout.plan.input_shape), dtype), layout.rows, layout.columns,
        np.zeros(images * layout.workspace, stored), SharedMemory(output, note),
        np.zeros(images * launches.RECORD, dtype), int(layout.aligned), layout.channels,
        layout.starts, launch.geometry,
    )  # fmt: skip
    changed = {name: getattr(barriers, name) for name in ("moduli", "smooth", "copy")}
    count = launch.blocks(images)
    chosen = sorted({round(k * (count - 1) / max(1, blocks - 1)) for k in range(blocks)})
    conflicts, lines = [], set()
    with mock.patch.multiple(kernel, cuda=barriers, **changed):
        function = kernel.make_kernel(launch.spec)
        for block in chosen:
            barriers.start_block(block)
            passed = set()
            for thread in range(launch.threads):
                barriers.start_thread(thread)
                function(*arguments)
                passed.add(tuple(barriers.passed))
            if len(passed) > 1:
                conflicts.append(f"block {block}: threads pass different barriers")
            lines.update(*passed)
            conflicts += conflicts_of_block(barriers)
    conflicts += conflicts_in_memory(barriers)
    return {"conflicts": conflicts, "barriers": sorted(lines), "blocks": len(chosen)}


def narrowed(launch: Launch, tile: str) -> Launch:
    """Return the launch with a ring of one of its tiles a row too short."""
    g = launch.geometry
    ring = getattr(g, tile)
    g = g._replace(**{tile: ring._replace(ring=ring.ring - 1)})
    return Launch(launch.spec, g, launch.threads, launch.shared_bytes)


def look_through(threads: int, removed: int = 0) -> list[dict]:
    """Return what is found in the launches that look through images in stretches, and once more."""
    m = launches.Magnitudes(stretches=3, stretch=40, has_level=1, least=-21, most=42, gain=1.0)
    images = np.random.default_rng(0).random((2, 9, 12), np.float32)
    extremes, records = np.zeros((2, 3, 2), np.float32), np.zeros(2 * launches.RECORD, np.float32)
    found = []
    for arguments in ((images, extremes.reshape(-1), m), (extremes, records, m.once_more())):
        barriers = Barriers(8 * threads, threads, removed)
        conflicts, lines = [], set()
        with mock.patch.object(magnitudes, "cuda", barriers):
            function = magnitudes.make_magnitudes_kernel("float32")
            for block in range(2 * arguments[2].stretches):
                barriers.start_block(block)
                for thread in range(threads):
                    barriers.start_thread(thread)
                    function(*arguments)
                    lines.update(barriers.passed)
                conflicts += conflicts_of_block(barriers)
        found.append({"conflicts": conflicts, "barriers": sorted(lines)})
    return found


def look(case: str, blocks: int = 10**6, removed: int = 0, short: str = "") -> list[dict]:
    """Return what is found in every launch of a case.

    Parameters
    ----------
    case : str
        Of `gpu_cases.CASES`.
    blocks : int
        How many blocks of a launch are looked at, if there are more.
    removed : int
        Line of the kernel's barrier that is left out.
    short : str
        "source_tile" or "moduli_tile", to have its ring a row too short.
    """
    layout, images = layout_of(CASES[case]), max(1, int(np.prod(CASES[case].leading)))
    looked_at = layout.launches
    if short:
        looked_at = [narrowed(one, short) for one in looked_at if getattr(one.geometry, short).ring]
    return [run(layout, launch, images, blocks, removed) for launch in looked_at]


def main(path, jobs):
    """Look for races in several ways, and write what was found."""
    found = {
        name: look(**job) if "case" in job else look_through(**job) for name, job in jobs.items()
    }
    Path(path).write_text(json.dumps(found))


if __name__ == "__main__":
    assert os.environ.get("NUMBA_ENABLE_CUDASIM") == "1", "for the simulator"
    main(sys.argv[1], json.loads(sys.argv[2]))
