"""What the generated C costs on Cortex-M: flash, memory and instructions.

``python -m benchmarks.microcontroller`` writes benchmarks/results/microcontroller.json. It needs
gcc-arm-none-eabi, libnewlib-arm-none-eabi and qemu-system-arm.

Instructions are counted by QEMU, over the example of cexport/examples/baremetal; they are not
cycles. Code for the M0 is counted on the M4 board, which executes it as it is: the M0 board has
only 16 KiB of memory.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import click
from tqdm import tqdm

from benchmarks import results, run
from cexport import generate

EXAMPLE = Path(__file__).parents[1] / "cexport" / "examples" / "baremetal"
# CPU: board that runs its code, optimisation. The M55's vectors are used from -O3 on.
CPUS = {
    "cortex-m0": ("mps2-an386", "-O2"),
    "cortex-m4": ("mps2-an386", "-O2"),
    "cortex-m7": ("mps2-an500", "-O2"),
    "cortex-m55": ("mps3-an547", "-O3"),
}
# Whose instructions on several numbers at once the sums of Q15 headers use.
WITH_EXTENSIONS = ("cortex-m4", "cortex-m7", "cortex-m55")
# Of the headers, as the results name them and `cexport.generate` takes them.
ARGUMENTS = ("bank", "side", "J", "max_order", "dtype", "rounds", "target")
CASES = (
    ("accurate", 32, 2, 2, "q15", 1, "speed"),
    ("accurate", 32, 2, 2, "q15", 4, "speed"),
    ("accurate", 32, 2, 2, "q15", 4, "size"),
    ("accurate", 32, 2, 1, "q15", 4, "speed"),
    ("fast", 32, 2, 2, "q15", 4, "speed"),
    ("fast", 32, 2, 2, "q15", 4, "size"),
    ("accurate-L4", 32, 2, 2, "q15", 2, "speed"),
    ("fast-L4", 32, 2, 2, "q15", 2, "speed"),
    ("paper-tuned", 32, 2, 2, "q15", 4, "speed"),
    ("accurate", 64, 3, 2, "q15", 4, "speed"),
    ("accurate", 32, 2, 2, "float", 1, "speed"),
    ("accurate", 32, 2, 2, "float", 4, "speed"),
    ("accurate", 32, 2, 2, "float", 4, "size"),
    ("paper-tuned", 32, 2, 2, "float", 4, "speed"),
)


def make(*words: str) -> str:
    """Run make in the example's folder, and return what it prints."""
    ran = subprocess.run(["make", "-s", "-C", str(EXAMPLE), *words], capture_output=True, text=True)
    if ran.returncode:
        raise click.ClickException(f"make {' '.join(words)}\n{ran.stdout}{ran.stderr}")
    return ran.stdout


def header_of(**case: Any) -> str:
    """Return the header of a case, whose names are `ARGUMENTS` or further ones of `generate`."""
    options = {name: value for name, value in case.items() if name != "side"}
    return generate(shape=(case["side"], case["side"]), **options)


def count(header: str, cpu: str) -> dict[str, int]:
    """Return what a header costs on a processor, and the hash of the coefficients."""
    board, optimisation = CPUS[cpu]
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "nps.h").write_text(header)
        words = [f"CPU={cpu}", f"OPT={optimisation}", f"HEADER_DIR={folder}"]
        words.append(f"BUILD={folder}/{cpu}")
        lines = re.findall(r"^(\w+)=(\w*\d\w*)$", make("run", f"BOARD={board}", *words), re.M)
        report = {key: int(value, 0) for key, value in lines}
        # Code and constants of the header alone.
        sizes = re.search(r"^\s*(\d+)\s+(\d+)\s", make("size", *words), re.M)
    return {**report, "flash_bytes": sum(map(int, sizes.groups()))}


def measure(header: str, **case: Any) -> dict:
    """Return the costs of a case's header on every processor."""
    costs = {cpu: count(header, cpu) for cpu in CPUS}
    told = ("flash_bytes", "stack_bytes", "instructions")
    return {
        **case,
        "scratch_bytes": int(re.search(r"SCRATCH_BYTES (\d+)", header)[1]),
        **{cpu: {name: cost[name] for name in told} for cpu, cost in costs.items()},
        "same_bits_on_all": len({cost["hash"] for cost in costs.values()}) == 1,
    }


def measure_with_plain(**case: Any) -> dict:
    """Return the costs of a case, and its instructions where C is plain that need not be."""
    header = header_of(**case)
    row = measure(header, **case)
    if case["dtype"] == "q15" and case["target"] == "speed":
        for cpu in WITH_EXTENSIONS:
            plain = count(f"#define NPS_PLAIN\n{header}", cpu)
            row[cpu]["plain_instructions"] = plain["instructions"]
    return row


@click.command(help=__doc__)
def main() -> None:
    """Measure every case on every processor."""
    cases = [dict(zip(ARGUMENTS, values, strict=True)) for values in CASES]
    result = {
        "environment": results.environment("python -m benchmarks.microcontroller"),
        "compiler": results.version_of("arm-none-eabi-gcc"),
        "emulator": results.version_of("qemu-system-arm"),
        "optimisation": {cpu: optimisation for cpu, (_, optimisation) in CPUS.items()},
        "rows": [measure_with_plain(**case) for case in tqdm(cases, disable=None)],
    }
    print(f"wrote {results.write('microcontroller', result).name}: {len(CASES)} rows")


if __name__ == "__main__":
    run(main)
