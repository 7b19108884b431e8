"""The tables that Python fills in and compiled code reads: records of int64s; and its memory.

A worker (a thread) takes one task of a call after the other. A task is one part of one image's
program where `split`, else the whole program of as many images as share a vector.

Offsets, pitches and planes are in elements, addresses and strides in bytes.
"""

from __future__ import annotations

import numpy as np

from npscatter.backends.cpu.simd import vector_bytes


def int64s(*names: str) -> np.dtype:
    """Return the dtype of a record of int64s of such names."""
    return np.dtype([(name, np.int64) for name in names])


def address(array: np.ndarray) -> int:
    """Return where an array starts: `array.ctypes` would import something, which may be too late.

    Objects that Python deletes as it shuts down may still call.
    """
    return array.__array_interface__["data"][0]


def aligned_zeros(elements: int, dtype: str) -> np.ndarray:
    """Return zeros that start at the boundary of a vector."""
    size = elements * np.dtype(dtype).itemsize
    memory = np.zeros(size + vector_bytes(), np.uint8)
    start = -address(memory) % vector_bytes()
    return memory[start : start + size].view(dtype)


# What stands for the kernel of steps that have none: they fill the padded image, or find the levels
# and shifts of images, or add up means, or only emit what they take.
PADDING, MAGNITUDES, MEANS, NO_SMOOTHING = -1, -2, -3, -4
# What a step emits: nothing; what it smooths; its moduli; their sums, which become means.
NOTHING, SMOOTHED, MODULI, SUMS = range(4)

# One step of the program. Before those of the plan come MAGNITUDES and PADDING, after them, where
# they are asked for, MEANS.
STEP = int64s(
    "wavelets",  # number of their kernel; -1: no modulus is taken
    "smoothing",  # number of its kernel, or one of what stands for it
    "emits",  # NOTHING, SMOOTHED, MODULI or SUMS
    "groups",
    "orientations",
    "source",  # offset of the first map
    "maps",  # of one group of the source
    "source_height",
    "source_pitch",  # from row to row
    "source_plane",  # from map to map
    "modulus_height",
    "modulus_columns",  # of one strip
    "modulus_pitch",
    "modulus_plane",  # from one orientation's to the next
    "modulus_ends",  # where the table of row ends tells of such rows
    "target",  # offset of the first map
    "target_pitch",
    "target_plane",
    "target_ends",
    "recut_plane",  # from one row that is cut anew to the next map's; 0: strips stay as they are
    "height",  # rows to compute; of the moduli, where nothing is smoothed
    "rows_together",  # of which no part has but some: what is summed does not depend on parts
    "columns",  # to compute, of one strip
    "first_row",  # on the target's full grid
    "emitted_columns",  # of one strip of what is emitted
    "window_row",  # what of it is kept: the first row, of moduli; for others `first_row` says it
    "window_height",
    "window_column",
    "window_width",
    "row_stride",  # of moduli in the output, in bytes
    "channels",  # where its channels start in the table of channels
    "work",  # multiply-adds
)

# One weight array, as steps use it.
KERNEL = int64s(
    "code",  # address of the function that computes a row
    "size",
    "stride",
    "outputs",  # maps it writes
    "weights",  # offset of the first one in the table of weights
)

# A part of one image's program: some rows of some groups of one step.
PART = int64s(
    "step",  # number
    "group",  # the first one
    "groups",  # how many
    "start",  # the first row
    "stop",  # the row after the last
    "needs",  # how many parts of the same image must be finished before
)

# One call: what is the same for all its steps and workers.
JOB = int64s(
    "images",  # how many
    "images_per_vector",
    "strips_per_vector",  # of each image
    "lanes",  # images_per_vector * strips_per_vector
    "itemsize",
    "wrap",  # 1: maps are their own period; 0: zeros lie beyond them
    "margin",  # vectors in front of every row
    "width",  # of a padded image
    "image_height",  # of an image as it comes
    "image_width",
    "has_level",  # 1: images may have a level
    "least_exponent",  # of the magnitudes that are left as they are
    "greatest_exponent",
    "run",  # of its columns, the first of those that are neighbours in the image, too
    "run_columns",  # how many; 0: rows are laid out as lines first
    "line_bytes",  # from one line of `WORKER.lines` to the next
    "weights",  # address of the table of weights
    "channels",  # address of the steps' channels; of moduli, of where they start in the output
    "means",  # address of a table: of every channel the first block that is summed, the one after
    # the last, and how many samples
    "block_sums",  # offset in the workspace of the blocks' sums, float64s
    "blocks",  # of a channel, at most
    "channel_count",
    "row_ends",  # address of the table `npscatter.backends.cpu.geometry.RowGeometry` describes
    "image_rows",  # address of the plan's rows: where padded rows come from
    "image_columns",  # the same for columns
    "gain",  # address of what S0 makes of the constant 1, a float64
    "inputs",  # address of a table of the images' addresses
    "outputs",  # address of a table of their coefficients' addresses
    "magnitudes",  # address of a table of the images' levels and shifts
    "image_row_stride",
    "image_column_stride",
    "channel_stride",  # of the output, as the two after it
    "output_row_stride",
    "output_column_stride",
    "split",  # 1: tasks are parts of an image's program
    "tasks",  # how many
    "next_task",  # address of the number of the next task, as the two after it
    "finished_tasks",  # how many
    "stop",  # other than 0: every worker shall stop
)

# The numbers of those fields that only a call knows, in the order it fills them in.
CALL_FIELDS = [
    (JOB.names or ()).index(name)
    for name in (
        *("images", "split", "tasks", "inputs", "outputs", "next_task", "finished_tasks", "stop"),
        *("magnitudes", "image_row_stride", "image_column_stride"),
        *("channel_stride", "output_row_stride", "output_column_stride"),
    )
]

# One worker of a call: memory of its own. All but `task` and `rescales` are addresses.
WORKER = int64s(
    "task",  # the one in hand, -1 for none
    "rescales",  # 1: some image of the task has a level or a shift
    "workspace",  # of the maps, which workers share where tasks are parts of an image's program
    "zero_row",  # column 0 of a row of zeros
    "row_scratch",  # what the functions that compute rows keep for themselves
    "moduli",  # the last rows of every modulus
    "passing_rows",  # what is emitted or cut anew
    "lines",  # a row of every image, pixel by pixel
    "square",  # as many vectors as a vector has lanes
    "sums",  # of the columns of a block of rows, float64s, orientation by orientation
    "scalings",  # vectors by which the task's images and coefficients are rescaled
    "images",  # table: where each image of the task is read
    "coefficients",  # table: where each image's coefficients are written
    "lane_addresses",  # table: where each lane's strip starts, in `lines` or in the coefficients
    "lane_bounds",  # table: the first column of each lane that is kept, and the one after the last
    "row_offsets",  # table: where in `moduli` each row of two windows is; -1: outside
    "window_rows",  # table: the address of every row of a window, map by map
)
