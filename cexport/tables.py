"""The tables of the generated C, and its innermost loops, from a `cexport.layout.CLayout`."""

from __future__ import annotations

from cexport.configuration import NO_PIXEL
from cexport.layout import CKernel, CLayout, Line
from cexport.quantization import Quantization
from cexport.text import angle_of_theta, array, braces, comment, float_literal, integer_literal
from npscatter.program.plan import Plan


def line_name(line: Line) -> str:
    """Return the name of a line of samples, e.g. pfx_even_0_3."""
    kind = {0: "plain", 1: "even", -1: "odd"}[line.fold]
    ends = (line.first, line.first + line.count - 1)
    return f"pfx_{kind}_" + "_".join(f"m{-end}" if end < 0 else str(end) for end in ends)


def kernel_tables(kernel: CKernel, integers: bool) -> list[str]:
    """Return the tables of one set of filters."""
    S, name = kernel.summation, f"pfx_{kernel.name}"
    some = f" of orientations {kernel.orientations}" if kernel.name != kernel.key else ""
    text = comment(
        f"{kernel.key}{some}: {S.maps} {'maps' if S.maps > 1 else 'map'} to {len(S.outputs)}, "
        f"{S.size} x {S.size}, {S.multiply_adds} multiply-adds in {S.accumulators} sums."
    )
    lists: list[int] = []
    starts: dict[tuple[int, ...], int] = {}
    for run in kernel.runs:
        if run.sums not in starts:
            starts[run.sums] = len(lists)
            lists += run.sums
    text += array("uint8_t", f"{name}_sum_list", lists)
    text += comment("map, row, row fold, line, samples, sums, first in the list")
    rows = [
        braces(
            (
                *(run.map, run.row, run.row_fold, line_name(run.line).upper(), run.line.count),
                *(len(run.sums), starts[run.sums]),
            )
        )
        for run in kernel.runs
    ]
    text += array("pfx_run", f"{name}_runs", rows)
    number = integer_literal if integers else float_literal
    numbers = [number(weight) for weight in kernel.weights]
    text += array("pfx_weight", f"{name}_weights", numbers)
    text += array("pfx_output", f"{name}_outputs", [braces(output) for output in S.outputs])
    return [
        *text,
        f"static const pfx_kernel {name} = {{",
        *(f"    {name}_{table}," for table in ("runs", "sum_list", "weights", "outputs")),
        f"    {len(kernel.runs)}, {S.accumulators}, {len(S.outputs)}, {kernel.half},",
        "};",
    ]


def line_enumeration(lines: list[Line]) -> list[str]:
    """Return the enumeration of lines."""
    names = [f"    {line_name(line).upper()} = {number}," for number, line in enumerate(lines)]
    names[-1] = names[-1].rstrip(",")
    return [
        *comment(
            "Lines: the samples at columns a to b (m for minus), for even and odd ones their sums "
            "with, or differences from, those at columns -a to -b. The sample at 0 stays alone."
        ),
        "enum pfx_line {",
        *names,
        "};",
    ]


def inner_loops(layout: CLayout) -> list[str]:
    """Return the enumeration of lines and the two functions that add their products."""
    used: dict[Line, set[int]] = {}
    for step in layout.plan.steps:
        for kernel, stride in zip(
            layout.kernels_of(step), (step.wavelet_stride, step.stride), strict=True
        ):
            for run in kernel.runs if kernel else ():
                used.setdefault(run.line, set()).add(stride)
    lines = sorted(used)
    text = line_enumeration(lines)
    for stride in (1, 2):
        text += ["", *_add_line(stride, [line for line in lines if stride in used[line]])]
    return text


def _add_line(stride: int, lines: list[Line]) -> list[str]:
    """Return the function that adds the products of any of some lines."""
    rows: tuple[str, ...]
    if stride == 1:
        name, rows = "pfx_add_line", ("row",)
        where = "row[x + c] is the sample at column c"
    else:
        name, rows = "pfx_add_strided_line", ("even", "odd")
        where = "even[x + i] is the sample at column 2 i, odd[x + i] the next"
    text = comment(
        "first[x], and second[x] unless second is NULL, grow by the products of a line with as "
        f"many weights each; for output x {where}."
    )
    samples = ", ".join(f"const pfx_sum *PFX_RESTRICT {row}" for row in rows)
    text += [
        f"static inline void {name}(",
        "    int32_t line, pfx_sum *PFX_RESTRICT first, pfx_sum *PFX_RESTRICT second,",
        f"    {samples},",
        "    const pfx_weight *PFX_RESTRICT weights, int32_t n)",
        "{",
    ]
    if not lines:
        names = ("line", "first", "second", *rows, "weights", "n")
        return [*text, *(f"    (void){unused}; /* no such step */" for unused in names), "}"]
    text += ["    switch (line) {"]
    for line in lines:
        text += [f"    case {line_name(line).upper()}:", "        if (second != NULL) {"]
        text += _loop(line, stride, both=True)
        text += ["        } else {"]
        text += _loop(line, stride, both=False)
        text += ["        }", "        break;"]
    return [*text, "    default:", "        break;", "    }", "}"]


def _loop(line: Line, stride: int, both: bool) -> list[str]:
    count = range(line.count)
    weights = [f"const pfx_sum u{i} = weights[{i}];" for i in count]
    if both:
        weights += [f"const pfx_sum v{i} = weights[{line.count + i}];" for i in count]
    body = [f"const pfx_sum s{i} = {_sample(line, line.first + i, stride)};" for i in count]
    for target, letter in (("first", "u"), ("second", "v"))[: 1 + both]:
        body.append(f"{target}[x] += {' + '.join(f'{letter}{i} * s{i}' for i in count)};")
    return [
        *(f"            {part}" for part in weights),
        "            for (int32_t x = 0; x < n; x++) {",
        *(f"                {part}" for part in body),
        "            }",
    ]


def _sample(line: Line, column: int, stride: int) -> str:
    def at(column: int) -> str:
        row, index = ("row", column)
        if stride == 2:
            row, index = ("even", "odd")[column % 2], column // 2
        sign = f" {'+' if index > 0 else '-'} {abs(index)}" if index else ""
        return f"{row}[x{sign}]"

    if line.fold == 0 or column == 0:
        return at(column)
    return f"{at(column)} {'+' if line.fold > 0 else '-'} {at(-column)}"


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
