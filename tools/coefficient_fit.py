"""How far a bank's coefficients are from Kymatio's, and how that changes with its taps.

The transform is run by the compiled executor in float64, once for every element of a
`tools.folded.FoldedBank`: differences tell the derivatives to six digits, and what Adam gets by
thousands of gradients, Gauss-Newton gets in a few steps.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from npscatter.backends.cpu.executor import choose, run_layout
from npscatter.backends.cpu.layout import CpuLayout
from npscatter.program.plan import Plan, make_plan
from tools.folded import FoldedBank
from tools.lessons import Lesson

DIFFERENCE = 1e-6
# What is held of a Jacobian at a time.
BYTES = 2**29


class CoefficientFit:
    """The weighted squared errors of a `FoldedBank` on lessons, as a function of its coefficients.

    Parameters
    ----------
    bank : FoldedBank
        Whose elements are all used by the compiled kernels.
    lessons : list of Lesson
    threads : int
    """

    def __init__(self, bank: FoldedBank, lessons: list[Lesson], threads: int = 1):
        self.bank, self.lessons, self.threads = bank, lessons, threads
        # Distinct coefficients: every weight of a kernel is one of them, up to a sign.
        self._probe = 1 + np.random.default_rng(0).permutation(len(bank.kept)) / len(bank.kept)
        self._frozen = bank.bank("probe", self._probe)
        self._layouts: dict[tuple, tuple[CpuLayout, np.ndarray, np.ndarray]] = {}

    def value(self, c: np.ndarray) -> float:
        """Return the sum of the squared residuals."""
        return sum(self.values(c).values())

    def values(self, c: np.ndarray) -> dict[str, float]:
        """Return the sum of the squared residuals of every lesson."""
        found = {}
        for lesson in self.lessons:
            plan = self._plan(lesson)
            total = 0.0
            for part in self._parts(lesson):
                total += float((self._residual(lesson, plan, part, c) ** 2).sum())
            found[lesson.name] = found.get(lesson.name, 0.0) + total
        return found

    def normal(self, c: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        """Return the sum of squared residuals, half its gradient, and the Gauss-Newton matrix."""
        E = len(c)
        total, gradient, matrix = 0.0, np.zeros(E), np.zeros((E, E))
        for lesson in self.lessons:
            plan = self._plan(lesson)
            for part in self._parts(lesson):
                residual = self._residual(lesson, plan, part, c).ravel()
                jacobian = np.empty((E, residual.size), np.float32)
                for number in range(E):
                    moved = c.copy()
                    moved[number] += DIFFERENCE
                    there = self._residual(lesson, plan, part, moved).ravel()
                    jacobian[number] = (there - residual) / DIFFERENCE
                total += float(residual @ residual)
                gradient += jacobian @ residual.astype(np.float32)
                matrix += jacobian @ jacobian.T
        return total, gradient, matrix

    def _plan(self, lesson: Lesson) -> Plan:
        options = self.bank.options
        return make_plan(
            lesson.J,
            lesson.images.shape[-2:],
            self._frozen.architecture,
            lesson.max_order,
            boundary=options.get("boundary", "kymatio"),
        )

    def _parts(self, lesson: Lesson) -> list[slice]:
        each = lesson.wanted[0].size * 8 * len(self.bank.kept)
        count = max(1, BYTES // each // 8 * 8 or BYTES // each)
        return [slice(k, k + count) for k in range(0, len(lesson.images), count)]

    def _residual(self, lesson: Lesson, plan: Plan, part: slice, c: np.ndarray) -> np.ndarray:
        images, wanted = lesson.images[part], lesson.wanted[part]
        layout, index, sign = self._layout(plan, len(images))
        layout.tables["weights"][:] = sign * c[index]
        output = np.empty(wanted.shape)
        run_layout(layout, images, output, self.threads)
        output -= wanted
        output *= lesson.scale[part] if len(lesson.scale) > 1 else lesson.scale
        return output

    def _layout(self, plan: Plan, images: int) -> tuple[CpuLayout, np.ndarray, np.ndarray]:
        """Return a layout, and of which coefficient each of its weights is, and its sign."""
        key = plan, images
        if key not in self._layouts:
            layout = choose(plan, self._frozen, "float64", images, self.threads)
            weights = layout.tables["weights"]
            order = np.argsort(self._probe)
            nearest = np.searchsorted(self._probe[order], np.abs(weights) - 0.25 / len(order))
            index = order[np.minimum(nearest, len(order) - 1)]
            if not np.allclose(self._probe[index], np.abs(weights)):
                raise AssertionError("a weight of a kernel is no element's coefficient")
            # A layout of its own: others may use the cached one.
            job = layout.job.copy()
            job["weights"] = (own := weights.copy()).ctypes.data
            layout = replace(layout, tables={**layout.tables, "weights": own}, job=job)
            self._layouts[key] = layout, index, np.sign(weights)
        return self._layouts[key]
