"""The tables of the generated C, and its innermost loops, from a `cexport.layout.CLayout`."""

from __future__ import annotations

import numpy as np

from cexport.configuration import NO_PIXEL
from cexport.layout import CKernel, CLayout, TableLayout, Use
from cexport.quantization import Quantization
from cexport.text import angle_of_theta, array, braces, comment, float_literal, integer_literal
from cexport.unrolled import UnrolledKernel, UnrolledLayout, Writer
from npscatter.program.magnitude import ordinary_exponents
from npscatter.program.plan import Plan


def magnitude_sizes(gain: float | None) -> list[str]:
    """Return the numbers that c/magnitude.h decides by; see `npscatter.program.magnitude`.

    `gain` is the `npscatter.program.magnitude.level_gain`.
    """
    least, most = ordinary_exponents(np.float32)
    precision = np.finfo(np.float32)
    numbers = {
        "PFX_ORDINARY_LEAST": 2.0**least,
        "PFX_ORDINARY_END": 2.0 ** (most + 1),
        "PFX_MOST_SCALE": 2.0**-precision.minexp,
        "PFX_LARGEST": precision.max,
        **({} if gain is None else {"PFX_GAIN": gain}),
    }
    text = comment(
        "Between which sizes an image is ordinary; the most that one is scaled by; the largest "
        "number" + ("." if gain is None else "; and what the average makes of 1.")
    )
    return [*text, *(f"#define {name} {float_literal(value)}" for name, value in numbers.items())]


def kernel_tables(kernel: CKernel, integers: bool) -> list[str]:
    """Return the tables of one set of filters."""
    S, name = kernel.summation, f"pfx_{kernel.name}"
    some = f" of orientations {kernel.orientations}" if kernel.name != kernel.key else ""
    text = comment(
        f"{kernel.key}{some}: {S.maps} {'maps' if S.maps > 1 else 'map'} to {len(S.outputs)}, "
        f"{S.size} x {S.size}, {S.multiply_adds} multiply-adds in {S.accumulators} sums."
    )
    text += comment("map, row, fold, uses")
    lines = [
        braces((line.row.map, line.row.offset, line.row.fold, len(line.uses)))
        for line in kernel.lines
    ]
    text += array("pfx_line", f"{name}_lines", lines)
    uses = [use for line in kernel.lines for use in line.uses]
    rows = [braces((use.column, f"PFX_USE{_kind(use)}")) for use in uses]
    text += array("pfx_use", f"{name}_uses", rows)
    text += array("uint8_t", f"{name}_sums", [number for use in uses for number in use.sums])
    number = integer_literal if integers else float_literal
    numbers = [number(weight) for weight in kernel.weights]
    text += array("pfx_weight", f"{name}_weights", numbers)
    text += array("pfx_output", f"{name}_outputs", [braces(output) for output in S.outputs])
    return [
        *text,
        f"static const pfx_kernel {name} = {{",
        *(f"    {name}_{table}," for table in ("lines", "uses", "sums", "weights", "outputs")),
        f"    {len(kernel.lines)}, {S.accumulators}, {len(S.outputs)}, {kernel.half},",
        "};",
    ]


def unrolled_kernel(kernel: UnrolledKernel, layout: UnrolledLayout, integers: bool) -> list[str]:
    """Return the tables and the function of one set of filters that is written out."""
    S, name, order = kernel.summation, f"pfx_{kernel.name}", kernel.order
    number = integer_literal if integers else float_literal
    pitch, odd = layout.pitch(kernel), layout.odd(kernel)
    text = comment(f"{kernel.key}: {S.multiply_adds} multiply-adds in {S.accumulators} sums.")
    rows = [braces((row.map, row.offset, row.fold)) for row in order.rows]
    text += array("pfx_line", f"{name}_lines", rows)
    text += Writer(name, order, pitch, odd, number).text()
    text += array("pfx_output", f"{name}_outputs", [braces(output) for output in S.outputs])
    numbers = len(rows), pitch, odd, len(S.outputs), kernel.half, kernel.margin, int(order.paired)
    return [
        *text,
        f"static const pfx_kernel {name} = {{",
        *(f"    {name}_{part}," for part in ("lines", "sum", "weights", "outputs")),
        f"    {', '.join(map(str, numbers))},",
        "};",
    ]


def inner_loops(layout: TableLayout) -> list[str]:
    """Return the function that adds the products of a row's samples: a loop for every use."""
    strides: dict[tuple[int, int, int], set[int]] = {}
    for step in layout.plan.steps:
        for kernel, stride in zip(
            layout.kernels_of(step), (step.wavelet_stride, step.stride), strict=True
        ):
            for line in kernel.lines if kernel else ():
                for use in line.uses:
                    strides.setdefault(_kind(use), set()).add(stride)
    text = comment("The sums grow by the products of the next uses; returns what follows them.")
    text += [
        "static inline pfx_products pfx_add_products(pfx_products next, int32_t uses,",
        "                                            const pfx_folded *row, pfx_sum *sums,",
        "                                            int32_t n)",
        "{",
        "    for (; uses > 0; uses--) {",
    ]
    single = [fold for samples, _, fold in strides if samples == 1]
    if single:
        text.append("        const int32_t column = next.use->column;")
        text.append("        const pfx_sum *const PFX_RESTRICT right = pfx_at(row, column);")
    if any(single):
        text.append("        const pfx_sum *const PFX_RESTRICT left = pfx_at(row, -column);")
    text.append("        switch (next.use->how) {")
    for kind in sorted(strides):
        lines = _products(*kind, strides[kind])
        text += [f"        case PFX_USE{kind}: {{", *(f"            {line}" for line in lines)]
        text += ["            break;", "        }"]
    text += ["        default:", "            break;", "        }", "        next.use++;", "    }"]
    return [*text, "    return next;", "}"]


def _kind(use: Use) -> tuple[int, int, int]:
    return use.samples, len(use.sums), use.fold


def _products(samples: int, sums: int, fold: int, strides: set[int]) -> list[str]:
    """Return the statements that add the products of one kind of use."""
    weights = [f"w{s}{k}" for s in range(samples) for k in range(sums)]
    lines = [
        *(f"const pfx_sum {name} = next.weights[{i}];" for i, name in enumerate(weights)),
        *(f"pfx_sum *const PFX_RESTRICT sum{k} = sums + next.sums[{k}] * n;" for k in range(sums)),
    ]
    if samples == 1:
        lines += _loop([_sample("right[x]", "left[x]", fold)], sums)
    else:
        lines += _loops_of_rows(samples, sums, fold, strides)
    return [*lines, f"next.weights += {len(weights)};", f"next.sums += {sums};"]


def _loops_of_rows(samples: int, sums: int, fold: int, strides: set[int]) -> list[str]:
    """Return a loop for every stride: columns at fixed distances need fewer registers."""
    columns = range(int(fold < 0), samples + int(fold < 0))
    loops = {
        stride: _loop(
            [_sample(_at(c, stride), _at(-c, stride), fold if c else 0) for c in columns], sums
        )
        for stride in strides
    }
    lines = ["const pfx_sum *const PFX_RESTRICT even = row->even;"]
    if 2 in strides:
        lines.append("const pfx_sum *const PFX_RESTRICT odd = row->even + row->odd;")
    if len(strides) == 1:
        return [*lines, *loops.popitem()[1]]
    apart, together = ([f"    {line}" for line in loops[stride]] for stride in (2, 1))
    return [*lines, "if (row->shift == 0) {", *together, "} else {", *apart, "}"]


def _loop(samples: list[str], sums: int) -> list[str]:
    numbers = range(len(samples))
    products = [" + ".join(f"w{s}{k} * sample{s}" for s in numbers) for k in range(sums)]
    return [
        "PFX_INDEPENDENT",
        "for (int32_t x = 0; x < n; x++) {",
        *(f"    const pfx_sum sample{s} = {sample};" for s, sample in enumerate(samples)),
        *(f"    sum{k}[x] += {total};" for k, total in enumerate(products)),
        "}",
    ]


def _sample(right: str, left: str, fold: int) -> str:
    return right + {0: "", 1: f" + {left}", -1: f" - {left}"}[fold]


def _at(column: int, stride: int) -> str:
    """Return the number at a column from output x of a row; see ``pfx_folded`` in c/folded.h."""
    half = "odd" if stride == 2 and column % 2 else "even"
    index = column // stride
    return f"{half}[x {'-' if index < 0 else '+'} {abs(index)}]"


def padding_tables(plan: Plan) -> list[str]:
    """Return where the pixels of the padded image come from."""
    text = comment("Pixel (y, x) of the padded image is pixel (rows[y], columns[x]) of the image.")
    for name, places in (("pfx_rows", plan.rows), ("pfx_columns", plan.columns)):
        text += array("uint16_t", name, [place if place >= 0 else NO_PIXEL for place in places])
    return text


def program_tables(layout: CLayout, quantization: Quantization | None) -> list[str]:
    """Return the steps, and what they refer to by number."""
    plan = layout.plan
    rows: list[str] = []
    channels: list[int] = []
    shifts: list[int] = []
    address = plan.workspace.offset
    for number, step in enumerate(plan.steps):
        wavelets, smoothing = layout.kernels_of(step)
        values = [
            f"&pfx_{wavelets.name}" if wavelets else "NULL",
            f"&pfx_{smoothing.name}",
            address(step.source),
            "PFX_OUTPUT" if step.target is None else address(step.target),
            *(step.groups, step.maps_per_group, *step.source.shape),
            *step.modulus_shape,
            *(step.wavelet_stride, step.stride, *step.first, *step.size, len(channels)),
        ]
        if quantization:
            values.append(len(shifts))
            shifts += quantization.shifts[number].by_group(step.groups)
        channels += step.channels
        rows.append(braces(values))
    text = comment("The channels that the steps emit, in their order.")
    text += array("uint16_t", "pfx_channels", channels)
    if quantization:
        text += [
            "",
            *comment("For every group of a step: of every modulus, then of every smoothed map."),
        ]
        text += array("uint8_t", "pfx_shifts", shifts)
    text += ["", *comment("The program; the fields are those of pfx_step.")]
    return [*text, *array("pfx_step", "pfx_steps", rows, "[PFX_STEPS]", one_per_line=True)]


def path_table(plan: Plan, L: int) -> list[str]:
    """Return what the channels are."""
    text = comment(
        "What the channels are: j1, theta1, j2, theta2, with -1 for no such wavelet. "
        + angle_of_theta(L)
    )
    rows = []
    for path in plan.paths:
        numbers = [n for pair in zip(path.j, path.theta, strict=True) for n in pair]
        rows.append(braces((numbers + [-1] * 4)[:4]))
    return [*text, *array("int8_t", "pfx_paths", rows, "[PFX_CHANNELS][4]")]
