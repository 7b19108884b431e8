"""How rows lie in this CPU's vectors: the kernels that read them, and how wide strips are.

What strips are is drawn in `npscatter.backends.cpu.strips`.
"""

from __future__ import annotations

import numpy as np

from npscatter.backends.cost import step_cost
from npscatter.backends.cpu.records import KERNEL, NO_SMOOTHING
from npscatter.backends.cpu.row_codegen import UNROLLED, RowKernel
from npscatter.backends.cpu.simd import vector_bytes
from npscatter.bank import FilterBank
from npscatter.program.plan import Plan
from npscatter.program.steps import WEIGHT_ARRAYS, Maps, Step


class KernelSet:
    """The kernels that a plan uses, numbered, and their weights.

    Attributes
    ----------
    kernels : tuple of RowKernel
        By their number.
    table : ndarray of KERNEL
        The same as records; the addresses of their code are still to be filled in.
    weights : ndarray
        Of all kernels, one after the other.
    """

    def __init__(self, plan: Plan, bank: FilterBank, dtype: str, folded: bool | None):
        self._numbers: dict[tuple, int] = {}
        for step in plan.steps:
            for key in self._keys(step):
                if key[0]:
                    self._numbers.setdefault(key, len(self._numbers))
        kernels, weights = [], []
        self.table = np.zeros(len(self._numbers), KERNEL)
        start = 0
        for (name, orientations, stride), record in zip(self._numbers, self.table, strict=True):
            summation, values = bank.summation(name, orientations, folded)
            kernel = RowKernel(summation, WEIGHT_ARRAYS[name].is_complex, stride, dtype)
            record["size"], record["stride"] = summation.size, stride
            record["outputs"], record["weights"] = kernel.outputs, start
            start += len(values)
            kernels.append(kernel)
            weights.append(values)
        self.kernels = tuple(kernels)
        self.weights = np.concatenate([*weights, []]).astype(dtype)

    @staticmethod
    def _keys(step: Step) -> tuple[tuple, tuple]:
        return (
            (step.wavelets, step.orientations, step.wavelet_stride),
            (step.smoothing, None, step.stride),
        )

    def numbers(self, step: Step) -> tuple[int, int]:
        """Return the numbers of a step's wavelets, -1 if it takes no modulus, and smoothing."""
        wavelets, smoothing = self._keys(step)
        return self._numbers.get(wavelets, -1), self._numbers.get(smoothing, NO_SMOOTHING)

    def wavelets(self, step: Step) -> RowKernel | None:
        """Return the kernel of a step's wavelets, if it has any."""
        number = self.numbers(step)[0]
        return self.kernels[number] if step.wavelets else None

    def smoothing(self, step: Step) -> RowKernel | None:
        """Return what a step smooths with, if it does."""
        number = self.numbers(step)[1]
        return self.kernels[number] if step.smoothing else None

    def reach(self, step: Step) -> int:
        """Return how far a step reads beyond the samples of its source that it stands on."""
        reader = self.wavelets(step) or self.smoothing(step)
        return reader.radius if reader else 0

    def work(self, step: Step) -> int:
        """Return the multiply-adds of a step, or, where it has none, the samples it takes."""
        kernels = (self.wavelets(step), self.smoothing(step))
        summations = [kernel.summation if kernel else None for kernel in kernels]
        samples = step.source.count * step.source.height * step.source.width
        return step_cost(step, *summations).multiply_adds or samples


# How much wider than need be strips may get, as a ratio or in columns, before rows are cut anew
# instead. Measured: that takes as long as some columns.
WIDER, COLUMNS_WIDER = 9 / 8, 4


class RowGeometry:
    """How rows lie in vectors, by the octave of their grid and how far they are read.

    The reach of a row is how many columns beyond its ends are read.

    Attributes
    ----------
    itemsize, lanes, strips : int
        Bytes of a sample, lanes of a vector, and strips of each image in it.
    margin : int
        Vectors in front of every row.
    slack : int
        Elements behind the last row of any memory, which vectors are read from in vain.
    ends : list of int
        How rows continue beyond their ends: per kind of row its width W, the columns s of a strip
        and its reach, then the elements of the row where columns W - 1, W - 2, ... and
        ``strips * s``, ``strips * s + 1``, ... (modulo W) of the first image are found.
    """

    def __init__(self, plan: Plan, kernels: KernelSet, itemsize: int, strips: int):
        self.itemsize, self.lanes, self.strips = itemsize, vector_bytes() // itemsize, strips
        self.margin = max([1, *(kernel.radius for kernel in kernels.kernels)])
        self.slack = (4 * self.margin + 8) * self.lanes
        self.ends: list[int] = []
        self._columns = columns_by_octave(plan.padded_shape[1], plan.J, strips)
        self._reaches = [1] * len(plan.buffers)
        for step in plan.steps:
            buffer = step.source.buffer
            self._reaches[buffer] = max(self._reaches[buffer], kernels.reach(step))

    def columns(self, maps: Maps) -> int:
        """Return the columns of a strip of maps in the workspace."""
        return self._columns[maps.octave]

    def modulus_columns(self, step: Step) -> int:
        """Return the columns of a strip of what a step smooths."""
        return self.columns(step.source) // step.wavelet_stride

    def written_columns(self, step: Step) -> int:
        """Return the columns of a strip of what a step writes or emits."""
        return self.modulus_columns(step) // step.stride

    def recuts(self, step: Step) -> bool:
        """Say whether a step cuts what it writes anew: into other strips, its target's."""
        return step.target is not None and self.written_columns(step) != self.columns(step.target)

    def passing_plane(self, step: Step) -> int:
        """Return the elements between rows that a step writes but does not keep."""
        return self.pitch(self.written_columns(step), self.margin)

    @property
    def widest(self) -> int:
        """The most columns of a strip."""
        return max(self._columns)

    @property
    def line(self) -> int:
        """Elements of a row, pixel by pixel, with a vector to spare."""
        return self.strips * self.widest + self.lanes

    def pitch(self, columns: int, reach: int) -> int:
        """Return the elements from one row to the next, of strips of so many columns."""
        # What is written behind a row's last column must not reach the next row.
        columns = max(columns + reach, up(columns, UNROLLED))
        # An odd number of vectors: rows that start at the same place of a page slow caches down.
        return (self.margin + columns | 1) * self.lanes

    def map_pitch(self, maps: Maps) -> int:
        """Return the pitch of maps in the workspace."""
        return self.pitch(self.columns(maps), self._reaches[maps.buffer])

    def add_ends(self, width: int, columns: int, reach: int) -> int:
        """Append how rows of a kind continue to `ends`, and return where that stands."""
        start = len(self.ends)
        beyond = [width - k for k in range(1, reach + 1)]
        beyond += [(self.strips * columns + k) for k in range(reach)]
        self.ends += width, columns, reach
        for x in beyond:
            strip, column = divmod(x % width, columns)
            self.ends.append(column * self.lanes + strip)
        return start

    def add_map_ends(self, maps: Maps) -> int:
        """Append how rows of maps in the workspace continue."""
        return self.add_ends(maps.width, self.columns(maps), self._reaches[maps.buffer])


def columns_by_octave(width: int, J: int, strips: int) -> list[int]:
    """Return the columns of a strip at octaves 0 to J - 1, of rows of `width` columns at octave 0.

    A step halves the strips it reads. Those of many octaves that halve one another are a multiple
    of a large power of two wide; where that is too wide, a row is cut anew between two octaves.
    """
    columns: list[int] = []
    while len(columns) < J:
        octave = len(columns)
        # Columns that can be halved as far as octave `stop`.
        starts = {
            stop: -(-width // (strips << stop)) << (stop - octave)
            for stop in range(octave + 1, J + 1)
        }
        least = starts[octave + 1]
        most = max(WIDER * least, least + COLUMNS_WIDER)
        stop = max(stop for stop, start in starts.items() if start <= most)
        columns += [starts[stop] >> k for k in range(stop - octave)]
    return columns


def up(value: int, step: int) -> int:
    """Return the next multiple of a step."""
    return -(-value // step) * step
