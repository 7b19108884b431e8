"""Handwritten digits on an emulated Cortex-M4: right ones, instructions, flash and memory.

``python -m benchmarks.digits`` runs cexport/examples/digits for each number of orientations and
writes benchmarks/results/digits.json. It needs gcc-arm-none-eabi, libnewlib-arm-none-eabi and
qemu-system-arm.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import click
from tqdm import tqdm

from benchmarks import results, run

EXAMPLE = Path(__file__).parents[1] / "cexport" / "examples" / "digits" / "digits.py"
ORIENTATIONS = (4, 8)


def measure(L: int) -> dict:
    """Return the example's report."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, str(EXAMPLE), "--L", str(L), "-o", folder]
        ran = subprocess.run(command, capture_output=True, text=True)
        if ran.returncode:
            raise click.ClickException(f"{EXAMPLE.name} --L {L}\n{ran.stdout}{ran.stderr}")
        return json.loads(Path(folder, "report.json").read_text())


@click.command(help=__doc__)
def main() -> None:
    """Run the example with every number of orientations."""
    packages = ("numpy", "scikit-learn", "mlxtend")
    result = {
        "environment": results.environment("python -m benchmarks.digits", packages),
        "compiler": results.version_of("arm-none-eabi-gcc"),
        "emulator": results.version_of("qemu-system-arm"),
        "rows": [measure(L) for L in tqdm(ORIENTATIONS, disable=None)],
    }
    print(f"wrote {results.write('digits', result).name}: {len(result['rows'])} rows")


if __name__ == "__main__":
    run(main)
