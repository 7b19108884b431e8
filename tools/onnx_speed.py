"""How fast ONNX Runtime runs what npscatter.onnx writes, beside the library, in one run.

``python -m tools.onnx_speed`` writes benchmarks/results/onnx.json and the table in docs/onnx.md;
with ``--page`` the table alone, from the file there is.
"""

from __future__ import annotations

import gc
from functools import partial
from statistics import median

import click
import numpy as np
from tqdm import tqdm

from benchmarks import results
from benchmarks.tables import number, table, update
from benchmarks.timing import interleaved
from npscatter import Scattering2D
from npscatter.features import relative_errors
from tools import run
from tools.measure import test_images

PAGE, COMMAND = "docs/onnx.md", "python -m tools.onnx_speed"
ROUNDS, FEWEST_SECONDS = 9, 0.05
LARGEST_ERROR = 1e-5
# Side, J, images.
WORKLOADS = ((32, 2, 64), (64, 4, 32), (224, 3, 8))
BANK = "accurate"


def measure(side: int, J: int, count: int, threads: int) -> dict:
    """Return the milliseconds per image of both: medians of interleaved calls, checked before."""
    import onnxruntime

    from npscatter.onnx import make_model

    images = np.resize(test_images("photographs", side), (count, side, side)).astype(np.float32)
    S = Scattering2D(J, (side, side), bank=BANK, threads=threads)
    exact = Scattering2D(J, (side, side), bank=BANK, backend="numpy")(images.astype(np.float64))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    model = make_model(S).SerializeToString()
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])

    def check(name: str, returned: object) -> None:
        [coefficients] = returned if isinstance(returned, list) else [returned]
        errors = relative_errors(coefficients.astype(np.float64), exact, S.meta()["order"])
        if max(errors.values()) > LARGEST_ERROR:
            raise click.ClickException(f"{name}: wrong by {errors}")

    calls = {
        "npscatter": partial(S, images),
        "ONNX Runtime": partial(session.run, None, {"images": images}),
    }
    taken = interleaved(calls, ROUNDS, check=check, at_least=FEWEST_SECONDS)
    gc.collect()
    times = {name: round(1e3 * median(each) / count, 5) for name, each in taken.items()}
    return {"side": side, "J": J, "images": count, "threads": threads, "ms_per_image": times}


def speed() -> str:
    """Return the table."""
    result = results.read("onnx")
    rows = []
    for row in result["rows"]:
        own, other = (row["ms_per_image"][name] for name in ("npscatter", "ONNX Runtime"))
        what = f"{row['images']} of {row['side']}x{row['side']}, J = {row['J']}"
        rows.append([what, str(row["threads"]), number(own), number(other), number(other / own)])
    machine = result["environment"]
    versions = ", ".join(f"{name} {machine['versions'][name]}" for name in ("onnxruntime", "numba"))
    head = ["images", "threads", "npscatter, ms", "ONNX Runtime, ms", "times as long"]
    return (
        f"{table(head, rows)}\n\nPer image, float32, bank `{BANK}`, batches in memory, medians of "
        f"{ROUNDS} interleaved rounds, on {machine['cpu']}; npscatter {machine['npscatter']}, "
        f"{versions}. Written by `{machine['command']}`."
    )


@click.command(help=__doc__)
@click.option("--page", is_flag=True, help="Measure nothing; write the table.")
@click.option("--check", is_flag=True, help="Measure nothing; say whether the table is up to date.")
def main(page: bool, check: bool) -> None:
    """Measure both, or write what was measured."""
    if not page and not check:
        cores = results.usable_threads()
        cases = [(*work, threads) for work in WORKLOADS for threads in sorted({1, cores})]
        rows = [measure(*case) for case in tqdm(cases)]
        packages = ("numpy", "numba", "onnx", "onnxruntime")
        environment = results.environment(COMMAND, packages)
        results.write("onnx", {"environment": environment, "rows": rows})
    update(PAGE, {"speed": speed}, check, f"{COMMAND} --page")


if __name__ == "__main__":
    run(main)
