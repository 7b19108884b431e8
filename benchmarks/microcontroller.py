"""What the generated C costs on Cortex-M: flash, memory and instructions.

``python -m benchmarks.microcontroller`` writes benchmarks/results/microcontroller.json. It needs
gcc-arm-none-eabi, libnewlib-arm-none-eabi and qemu-system-arm.

Instructions are counted by QEMU, over the example of cexport/examples/baremetal; they are not
cycles. Code for the M0 is counted on the M4 board, which executes it as it is: the M0 board has
only 16 KiB of memory.
"""

from __future__ import annotations

import json
import re
import subprocess
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

import click
from tqdm import tqdm

from benchmarks.results import RESULTS, environment, version_of
from cexport import generate

EXAMPLE = Path(__file__).parents[1] / "cexport" / "examples" / "baremetal"
# CPU: board that runs its code, optimisation. The M55's vectors are used from -O3 on.
CPUS = {
    "cortex-m0": ("mps2-an386", "-O2"),
    "cortex-m4": ("mps2-an386", "-O2"),
    "cortex-m7": ("mps2-an500", "-O2"),
    "cortex-m55": ("mps3-an547", "-O3"),
}


@dataclass(frozen=True)
class Case:
    """One header: the arguments of `cexport.generate`."""

    bank: str
    side: int
    J: int
    max_order: int
    dtype: str
    rounds: int

    def header(self) -> str:
        """Return the header."""
        return generate(
            self.bank,
            self.J,
            (self.side, self.side),
            self.max_order,
            dtype=self.dtype,
            rounds=self.rounds,
        )


CASES = (
    Case("accurate", 32, 2, 2, "q15", 1),
    Case("accurate", 32, 2, 2, "q15", 4),
    Case("accurate", 32, 2, 1, "q15", 4),
    Case("accurate-L4", 32, 2, 2, "q15", 2),
    Case("paper-tuned", 32, 2, 2, "q15", 4),
    Case("accurate", 64, 3, 2, "q15", 4),
    Case("accurate", 32, 2, 2, "float", 1),
    Case("accurate", 32, 2, 2, "float", 4),
    Case("paper-tuned", 32, 2, 2, "float", 4),
)


def make(*words: str) -> str:
    """Run make in the example's folder, and return what it prints."""
    ran = subprocess.run(["make", "-s", "-C", str(EXAMPLE), *words], capture_output=True, text=True)
    if ran.returncode:
        raise click.ClickException(f"make {' '.join(words)}\n{ran.stdout}{ran.stderr}")
    return ran.stdout


def run_on(board: str, cpu: str, optimisation: str, folder: Path) -> dict:
    """Run the header in `folder` on a board; return what it reports, as numbers."""
    where = (f"HEADER_DIR={folder}", f"BUILD={folder / cpu}")
    text = make("run", f"BOARD={board}", f"CPU={cpu}", f"OPT={optimisation}", *where)
    return {key: int(value, 0) for key, value in re.findall(r"^(\w+)=(\w*\d\w*)$", text, re.M)}


def flash_of(cpu: str, optimisation: str, folder: Path) -> int:
    """Return the bytes of code and constants of the header alone."""
    text = make(
        *("size", f"CPU={cpu}", f"OPT={optimisation}"),
        *(f"HEADER_DIR={folder}", f"BUILD={folder / cpu}"),
    )
    code, data = re.search(r"^\s*(\d+)\s+(\d+)\s", text, re.M).groups()
    return int(code) + int(data)


def measure(case: Case) -> dict:
    """Return the costs of one header on every processor."""
    text = case.header()
    row = {**asdict(case), "scratch_bytes": int(re.search(r"SCRATCH_BYTES (\d+)", text)[1])}
    hashes = set()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "nps.h").write_text(text)
        for cpu, (board, optimisation) in CPUS.items():
            report = run_on(board, cpu, optimisation, folder)
            hashes.add(report["hash"])
            row[cpu] = {
                "flash_bytes": flash_of(cpu, optimisation, folder),
                "stack_bytes": report["stack_bytes"],
                "instructions": report["instructions"],
            }
    row["same_bits_on_all"] = len(hashes) == 1
    return row


@click.command(help=__doc__)
def main() -> None:
    """Measure every case on every processor."""
    result = {
        "environment": environment("python -m benchmarks.microcontroller"),
        "compiler": version_of("arm-none-eabi-gcc"),
        "emulator": version_of("qemu-system-arm"),
        "optimisation": {cpu: optimisation for cpu, (_, optimisation) in CPUS.items()},
        "rows": [measure(case) for case in tqdm(CASES, disable=None)],
    }
    path = RESULTS / "microcontroller.json"
    path.write_text(json.dumps(result, indent=1) + "\n")
    print(f"wrote {path.name}: {len(result['rows'])} rows")


if __name__ == "__main__":
    main()
