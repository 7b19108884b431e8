"""From a frozen bank and a plan to one C99 header.

The C text proper stands in the folder ``c``, where ``pfx_`` and ``PFX_`` are the prefix, and
``/*@condition@*/ .. /*@end*/`` keeps what is between for some headers only. Here its tables are
written.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from importlib.resources import files

import numpy as np

import npscatter
from cexport.configuration import NO_PIXEL, Configuration
from cexport.layout import LONGEST_RUN, Kernel, Layout, lay_out
from cexport.quantization import PIXEL_EXPONENT, Quantization
from cexport.simulation import float_coefficients, signal_to_noise, simulate
from npscatter.bank import FilterBank
from npscatter.folding import summation

_WIDTH = 100


def generate(
    bank: str | os.PathLike | FilterBank = "accurate",
    J: int = 2,
    shape: tuple[int, int] = (32, 32),
    max_order: int = 2,
    *,
    L: int | None = None,
    boundary: str | None = None,
    rounds: int = 1,
    dtype: str = "float",
    prefix: str = "nps",
    weights_only: bool = False,
) -> str:
    """Return a C99 header that computes the scattering transform of images of one shape.

    Parameters
    ----------
    bank : str, path or FilterBank
        A shipped bank's name, the path of an .npz file, or a bank.
    J : int
        Log2 of the scale.
    shape : tuple of int
        (H, W) of the image.
    max_order : int
        1 or 2.
    L : int, optional
        Number of orientations; the bank's by default.
    boundary : str, optional
        "kymatio", "zero" or "periodic"; the bank's by default.
    rounds : int
        Takes the orientations in so many rounds: less memory, somewhat more work; see
        `npscatter.plan.make_plan`.
    dtype : str
        "float": pixels and coefficients are floats. "q15": pixels are bytes, coefficients 16-bit
        numbers with a fixed exponent per channel, and only integers are computed with.
    prefix : str
        Every name in the header begins with it, in upper case for macros.

    Returns
    -------
    str
        The header, ASCII; the same for the same arguments and version.

    Raises
    ------
    ArgumentError, ArgumentTypeError, BankError
        For values no header can be made from.
    """
    made_for = Configuration(
        bank,
        J,
        shape,
        max_order,
        L=L,
        boundary=boundary,
        rounds=rounds,
        dtype=dtype,
        prefix=prefix,
    )
    return _Header(made_for).text()


class _Header:
    def __init__(self, made_for: Configuration):
        self.made_for = made_for
        self.bank, self.plan, self.dtype = made_for.bank, made_for.plan, made_for.dtype
        self.conditions = {self.dtype, self.plan.edge}
        self.quantization = None
        if self.dtype == "q15":
            self.quantization = Quantization(self.plan, self.bank)
        self.layout = lay_out(self.plan, self._summation)

    def _summation(self, key, outputs):
        if self.quantization:
            taps = self.quantization.taps(key, outputs)
        else:
            taps = self.bank.real_taps(key, outputs).astype(np.float32)
        return summation(taps.astype(np.float64), self.bank.symmetric)

    def text(self) -> str:
        parts = [
            self._head(),
            self._sizes(),
            _template("interface.h"),
            self._proof() if self.quantization else "",
            _template(f"{self.dtype}.h"),
            _template("types.h"),
            self._tables(),
            _template("routine.h"),
            _template("selftest.h").replace("/*@selftest-tables@*/\n", self._selftest()),
            _template("end.h"),
        ]
        return finished("\n".join(part for part in parts if part), self.made_for.prefix, self.conditions)

    def _head(self) -> str:
        plan, bank = self.plan, self.bank
        lines = [
            "Scattering coefficients of an image, after Mallat and Bruna: generated, do not edit.",
            "",
            *provenance(self.made_for),
            "",
            "    S0 = x * phi_J",
            "    S1 = |x * psi(j1, t1)| * phi_J",
            "    S2 = ||x * psi(j1, t1)| * psi(j2, t2)| * phi_J,   j2 > j1",
            "",
            f"Image {_times(plan.shape)}, J = {plan.J}, L = {bank.L}, order {plan.max_order}, "
            f"boundary {plan.boundary}; {plan.n_coefficients} channels of {_times(plan.output_shape)}.",
        ]
        return _comment(lines) + "\n"

    def _sizes(self) -> str:
        plan, layout = self.plan, self.layout
        sample_bytes = 2 if self.quantization else 4
        guard = "PFX_INCLUDED"
        values = {
            "PFX_Q15": int(self.dtype == "q15"),
            "PFX_J": plan.J,
            "PFX_L": self.bank.L,
            "PFX_MAX_ORDER": plan.max_order,
            "PFX_HEIGHT": plan.shape[0],
            "PFX_WIDTH": plan.shape[1],
            "PFX_CHANNELS": plan.n_coefficients,
            "PFX_OUT_HEIGHT": plan.output_shape[0],
            "PFX_OUT_WIDTH": plan.output_shape[1],
            "PFX_OUTPUT_SIZE": "(PFX_CHANNELS * PFX_OUT_HEIGHT * PFX_OUT_WIDTH)",
            **({"PFX_PIXEL_EXPONENT": PIXEL_EXPONENT} if self.quantization else {}),
            "PFX_SCRATCH_ALIGN": 4,
            "PFX_SCRATCH_BYTES": layout.scratch_bytes(sample_bytes),
        }
        text = [f"#ifndef {guard}", f"#define {guard}", "", "#include <stddef.h>", "#include <stdint.h>", ""]
        text += ["/* ---- Sizes " + "-" * 85 + " */", ""]
        text += [f"#define {name} {value}" for name, value in values.items()]
        text += [f'#define PFX_VERSION "{npscatter.__version__}"']
        text += [f'#define PFX_BANK "{self.bank.name}"', f'#define PFX_BANK_SHA256 "{self.bank.sha256}"']
        text += ["#define PFX_PROVENANCE \\", f'    "npscatter {npscatter.__version__}: {self.made_for.command}"', ""]
        return "\n".join(text)

    def _tables(self) -> str:
        plan, layout = self.plan, self.layout
        sizes = {
            "PFX_RUN": LONGEST_RUN,
            "PFX_LONGEST_ROW": layout.longest_row,
            "PFX_ROW_SUMS": layout.row,
            "PFX_SCRATCH_SUMS": layout.scratch_sums,
            "PFX_WORKSPACE_SAMPLES": plan.workspace_size,
            "PFX_MODULI_SAMPLES": layout.moduli,
            "PFX_PADDED": plan.offsets[plan.steps[0].target.buffer],
            "PFX_PADDED_HEIGHT": plan.padded_shape[0],
            "PFX_PADDED_WIDTH": plan.padded_shape[1],
            "PFX_STEPS": len(plan.steps) - 1,
        }
        text = ["/* ---- Tables " + "-" * 84 + " */", ""]
        text += [f"#define {name} {value}" for name, value in sizes.items()]
        if plan.edge == "zero":
            text += [f"#define PFX_NO_PIXEL {NO_PIXEL} /* a zero */"]
        text += ["", "/* Pixel (y, x) of the padded image is pixel (rows[y], columns[x]) of the image. */"]
        text += array("uint16_t", "pfx_rows", [i if i >= 0 else NO_PIXEL for i in plan.rows])
        text += array("uint16_t", "pfx_columns", [i if i >= 0 else NO_PIXEL for i in plan.columns])
        for kernel in layout.kernels.values():
            text += ["", *self._kernel(kernel)]
        text += ["", *self._steps()]
        text += ["", "/* What the channels are: j1, theta1, j2, theta2, -1 for no such wavelet. Wavelet theta", f" * has the angle ({self.bank.L // 2 - 1} - theta) pi / {self.bank.L}. */"]
        rows = []
        for path in plan.paths:
            numbers = [n for pair in zip(path.j, path.theta, strict=True) for n in pair]
            rows.append("{" + ", ".join(map(str, (numbers + [-1] * 4)[:4])) + "}")
        text += array("int8_t", "pfx_paths", rows, "[PFX_CHANNELS][4]")
        if self.quantization:
            text += ["", "/* Coefficient q of channel c stands for q / 2^exponents[c], in units of the pixels. */"]
            text += array("int8_t", "pfx_exponents", self.quantization.exponents, "[PFX_CHANNELS]")
        return "\n".join([*text, ""])

    def _kernel(self, kernel: Kernel) -> list[str]:
        S, prefix = kernel.summation, f"pfx_{kernel.name}"
        folded = sum(run.row_fold != 0 or run.column_fold != 0 for run in kernel.runs) > 0
        which = "" if kernel.orientations is None else f", orientations {', '.join(map(str, kernel.orientations))}"
        text = [
            f"/* {kernel.key}{which}: {S.size} x {S.size}, {S.maps} {'maps' if S.maps > 1 else 'map'} to {len(S.outputs)} outputs, "
            f"{S.multiply_adds} multiply-adds{' folded' if folded else ''}. */"
        ]
        lists: list[int] = []
        starts = {}
        for run in kernel.runs:
            if run.sums not in starts:
                starts[run.sums] = len(lists)
                lists += run.sums
        text += array("uint8_t", f"{prefix}_sum_list", lists)
        text += ["/* map, row, row fold, column, column fold, samples, sums, their list */"]
        rows = [
            f"{{{r.map}, {r.row}, {r.row_fold}, {r.column}, {r.column_fold}, {r.samples}, {len(r.sums)}, {starts[r.sums]}}}"
            for r in kernel.runs
        ]
        text += array("pfx_run", f"{prefix}_runs", rows)
        number = "{:d}".format if self.quantization else float_literal
        values = [number(int(w) if self.quantization else w) for w in kernel.weights]
        text += array("pfx_weight", f"{prefix}_weights", values)
        rows = [f"{{{a}, {b}, {sign}}}" for a, b, sign in S.outputs]
        text += array("pfx_output", f"{prefix}_outputs", rows)
        text += [
            f"static const pfx_kernel {prefix} = {{",
            f"    {prefix}_runs, {prefix}_sum_list, {prefix}_weights, {prefix}_outputs,",
            f"    {len(kernel.runs)}, {S.accumulators}, {len(S.outputs)}, {kernel.half}}};",
        ]
        return text

    def _steps(self) -> list[str]:
        plan, layout = self.plan, self.layout
        rows, channels, shifts = [], [], []
        for number, step in enumerate(plan.steps):
            if step.operation == "pad":
                continue
            wavelets, smoothing = layout.kernels_of(step)
            values = [
                f"&pfx_{wavelets.name}" if wavelets else "NULL",
                f"&pfx_{smoothing.name}",
                self._address(step.source),
                "PFX_OUTPUT" if step.target is None else self._address(step.target),
                step.groups,
                step.source.count // step.groups,
                *step.source.shape,
                step.wavelet_stride,
                step.stride,
                *step.first,
                *step.size,
                len(channels),
            ]
            if self.quantization:
                values.append(len(shifts))
                shifts += self._shifts(number)
            channels += step.channels
            rows.append("{" + ", ".join(map(str, values)) + "}")
        text = array("uint16_t", "pfx_channels", channels)
        if shifts:
            text += ["/* For every group of a step: of every modulus, then of every smoothed map. */"]
            text += array("uint8_t", "pfx_shifts", shifts)
        text += ["/* The program. */", *array("pfx_step", "pfx_steps", rows, "[PFX_STEPS]", per_line=1)]
        return text

    def _address(self, maps) -> int:
        return self.plan.offsets[maps.buffer] + maps.first * maps.height * maps.width

    def _shifts(self, number: int) -> list[int]:
        step, shifts = self.plan.steps[number], self.quantization.shifts[number]
        result = []
        for modulus, smoothing in zip(
            np.array_split(shifts.modulus, step.groups), np.array_split(shifts.smoothing, step.groups), strict=True
        ):
            result += [*modulus.astype(int), *smoothing.astype(int)]
        return result

    def _proof(self) -> str:
        return ""

    def _selftest(self) -> str:
        plan = self.plan
        y, x = np.indices(plan.shape, dtype=np.int64)
        image = ((x * x + 2 * y * y + 3 * x * y) // 16 + 61 * ((x // 5 + y // 7) % 3)) & 255
        size = plan.output_shape[0] * plan.output_shape[1]
        places = [0, size // 2, size - 1]
        if self.quantization:
            coefficients = simulate(self.quantization, image[None])[0].reshape(-1, size)
            data = np.concatenate([coefficients[step_channel] for step in plan.steps for step_channel in step.channels])
            text = [f"#define PFX_EXPECTED_HASH {fnv1a(data.astype('<i2').tobytes())}U"]
            number = str
        else:
            coefficients = float_coefficients(plan, self.bank, image[None])[0].reshape(-1, size)
            order = np.array([path.order for path in plan.paths])
            largest = [np.abs(coefficients[order == k]).max(initial=0) for k in range(3)]
            text = ["#define PFX_SELFTEST_TOLERANCE 2e-5", *array("float", "pfx_tolerances", [float_literal(2e-5 * largest[k]) for k in order], "[PFX_CHANNELS]")]
            number = float_literal
        rows = ["{" + ", ".join(number(v) for v in values) + "}" for values in coefficients[:, places]]
        text += array("pfx_coefficient", "pfx_expected", rows, "[PFX_CHANNELS][3]")
        return "\n".join([*text, "", ""])


def provenance(made_for: Configuration) -> list[str]:
    bank = made_for.bank
    return [
        f"npscatter {npscatter.__version__}",
        f"bank {bank.name}, sha256 {bank.sha256}",
        made_for.command,
        "SPDX-License-Identifier: BSD-3-Clause",
    ]


def finished(text: str, prefix: str, conditions: set[str]) -> str:
    """Return the text with only what the conditions keep, and with its prefix."""

    def kept(match: re.Match) -> str:
        return match[2] if match[1] in conditions else ""

    text = re.sub(r"^/\*@(\w+)\*/\n(.*?)^/\*@end\*/\n", kept, text, flags=re.S | re.M)
    text = re.sub(r"/\*@(\w+)\*/(.*?)/\*@end\*/", kept, text, flags=re.S)
    text = re.sub(r"\bpfx_", f"{prefix}_", text)
    return re.sub(r"\bPFX_", f"{prefix.upper()}_", text)


def array(kind: str, name: str, values: Iterable, size: str | None = None, per_line: int = 0) -> list[str]:
    """Return the lines that define an array of constants."""
    values = [str(value) for value in values]
    lines, line = [], "   "
    for number, value in enumerate(values):
        full = per_line and number % per_line == 0 and number
        if full or len(line) + len(value) + 2 > _WIDTH:
            lines.append(line)
            line = "   "
        line += f" {value},"
    lines.append(line)
    size = f"[{len(values)}]" if size is None else size
    return [f"static const {kind} {name}{size} = {{", *lines, "};"]


def float_literal(value: float) -> str:
    """Return a float constant that reads back to the same bits."""
    text = f"{np.float32(value):.9g}"
    return text + ("f" if "." in text or "e" in text else ".0f")


def fnv1a(data: bytes) -> int:
    """Return the 32-bit FNV-1a hash."""
    value = 2166136261
    for byte in data:
        value = (value ^ byte) * 16777619 % 2**32
    return value


def _template(name: str) -> str:
    return files("cexport").joinpath("c", name).read_text("ascii")


def _comment(lines: list[str]) -> str:
    return "/* " + "\n * ".join(lines).replace(" * \n", " *\n") + "\n */"


def _times(shape) -> str:
    return " x ".join(map(str, shape))
