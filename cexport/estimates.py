"""What headers cost on a processor, from what they count times what each count costs there.

The costs stand in estimates.json, which ``python -m tools.estimates fit`` of the source repository
learns from measurements.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from cexport.counts import PARTS, Counts


@dataclass(frozen=True)
class Costs:
    """What the counts of headers of one dtype and target cost on one processor.

    Attributes
    ----------
    instructions : dict of str to float
        By what is done; see `Counts.work`.
    code_bytes : dict of str to float
        By what code is made of; see `Counts.code`.
    stack_bytes : dict of str to float
        By what decides it; see `Counts.stack`.
    errors : dict of str to float
        Of "instructions", "flash" and "stack", the largest relative error on headers left out of
        learning.
    """

    instructions: dict[str, float]
    code_bytes: dict[str, float]
    stack_bytes: dict[str, float]
    errors: dict[str, float]

    def instructions_of(self, counts: Counts) -> dict[str, float]:
        """Return the instructions for one image, by part."""
        return {part: _product(counts.work[part], self.instructions) for part in PARTS}

    def flash_of(self, counts: Counts) -> dict[str, float]:
        """Return the bytes of code and constants, by part."""
        return {
            part: counts.tables[part] + _product(counts.code[part], self.code_bytes)
            for part in PARTS
        }

    def stack_of(self, counts: Counts) -> float:
        """Return the bytes of stack."""
        return _product(counts.stack, self.stack_bytes)


def _product(counts: Counter[str], costs: dict[str, float]) -> float:
    return sum(count * costs[name] for name, count in (+counts).items())


@cache
def learned() -> dict[str, Any]:
    """Return estimates.json: the costs, and of which compiler they were learned."""
    return json.loads((files("cexport") / "estimates.json").read_text("utf-8"))


def costs_of(processor: str, dtype: str, target: str) -> Costs:
    """Return what counts cost."""
    return Costs(**learned()["costs"][dtype][target][processor])
