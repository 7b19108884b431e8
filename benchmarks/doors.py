"""How fast the library is where others call it: from Torch, backwards, in ONNX Runtime, for means.

``python -m benchmarks.doors`` writes benchmarks/results/doors.json; the tables are made from it by
``python -m tools.pages``. Of S. Cheng's package `scattering`, which has to be on PYTHONPATH,
it times the means it computes.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass

import click
import numpy as np
import torch
from kymatio import Scattering2D as KymatioScattering2D

from benchmarks import results, run, tables, timing
from benchmarks.peers import KYMATIO, Contestant, Transform, kymatio, of_arrays, scattering
from benchmarks.speed import contest
from benchmarks.verify import MismatchError
from benchmarks.workloads import Workload
from npscatter import Scattering2D
from npscatter import torch as door_of_torch
from npscatter.features import relative_errors
from tools.teacher import quick_filters

BANK, ROUNDS, FEWEST_SECONDS = "accurate", 51, 0.02
NUMPY, TORCH, REFLECTED = "npscatter", "npscatter.torch", "npscatter, reflected"
CHENG, FEW_ORIENTATIONS = "Cheng's scattering", 4


@dataclass(frozen=True)
class Comparison:
    """Contestants, of which the first is what the others are held against.

    `largest` is the relative L2 error, of any order, beyond which nothing is timed; `unlike` are
    contestants whose numbers are other ones.
    """

    workloads: tuple[Workload, ...]
    contestants: tuple[Contestant, ...]
    largest: float
    words: str
    unlike: tuple[str, ...] = ()


def ours(workload: Workload, threads: int | None) -> Scattering2D:
    """Return NumPy's class."""
    return scattering(workload, BANK, threads=threads)


def in_torch(workload: Workload, threads: int | None) -> torch.nn.Module:
    """Return Torch's module."""
    return door_of_torch.Scattering2D(workload.J, workload.shape, bank=BANK, threads=threads)


def from_tensors(workload: Workload, threads: int | None) -> Transform:
    """Return a call of Torch's module that makes an array of images a tensor, uncopied."""
    module = in_torch(workload, threads)
    return lambda images: module(torch.from_numpy(images))


def backwards(module: Callable[[torch.Tensor], torch.Tensor]) -> Transform:
    """Return the gradient, by the images, of half the coefficients' squares."""

    def gradient(images: np.ndarray) -> torch.Tensor:
        x = torch.from_numpy(images).requires_grad_()
        coefficients = module(x)
        coefficients.backward(coefficients.detach())
        return x.grad

    return gradient


def in_onnx_runtime(workload: Workload, threads: int | None) -> Transform:
    """Return a session of ONNX Runtime's on the CPU."""
    import onnxruntime

    from npscatter.onnx import make_model

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or results.usable_threads()
    model = make_model(ours(workload, threads)).SerializeToString()
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return lambda images: session.run(None, {"images": images})[0]


def means(boundary: str) -> Callable[[Workload, int | None], Transform]:
    """Return what makes a transform that computes means over the image."""

    def make(workload: Workload, threads: int | None) -> Transform:
        J, shape, L = workload.J, workload.shape, FEW_ORIENTATIONS
        options = {"average": "global", "boundary": boundary, "threads": threads}
        return Scattering2D(J, shape, L, bank=BANK, **options)

    return make


def means_of_kymatio(frontend: str) -> Callable[[Workload, int | None], Transform]:
    """Return what makes Kymatio's transform, of whose few samples the mean is taken."""

    def make(workload: Workload, threads: int | None) -> Transform:
        with quick_filters():
            J, shape, L = workload.J, workload.shape, FEW_ORIENTATIONS
            transform = KymatioScattering2D(J, shape, L=L, frontend=frontend)
        called = of_arrays(transform) if frontend == "torch" else transform
        return lambda images: called(images).mean((-2, -1))

    return make


def means_of_cheng(workload: Workload, threads: int | None) -> Transform:
    """Return the means of Cheng's package, in the order of channels."""
    try:
        calculator_of = importlib.import_module("scattering").Scattering2d
    except (ImportError, AttributeError):
        raise timing.UnavailableError("is not on PYTHONPATH") from None
    J, L = workload.J, FEW_ORIENTATIONS
    calculator = calculator_of(*workload.shape, J, L, device="cpu")
    j1, j2 = (index.ravel() for index in np.indices((J, J)))
    pairs = [(one, two) for one, two in zip(j1, j2, strict=True) if two > one]
    first, second = (list(index) for index in zip(*pairs, strict=True))

    def transform(images: np.ndarray) -> torch.Tensor:
        found = calculator.scattering_coef(images)
        # (N, pairs, L, L): in channels theta1 follows j1, and theta2 j2.
        S2 = found["S2"][:, first, second]
        channels = [found["S1"].flatten(1)]
        for one in range(J - 1):
            of_one = S2[:, [index for index, j in enumerate(first) if j == one]]
            channels.append(of_one.movedim(2, 1).flatten(1))
        return torch.cat([torch.from_numpy(images).mean((-2, -1))[:, None], *channels], 1)

    return transform


SMALL = Workload(32, 32, 100, 2)
COMPARISONS = {
    "torch": Comparison(
        (SMALL, Workload(224, 224, 8, 3)),
        (
            Contestant(NUMPY, "npscatter", ours, BANK),
            Contestant(TORCH, "npscatter", from_tensors, BANK),
        ),
        0.0,
        "A call of NumPy's class with an array, and of Torch's module with the same as a tensor "
        "that needs no gradient.",
    ),
    "gradient": Comparison(
        (SMALL,),
        (
            Contestant(KYMATIO[1], "torch", lambda work, _: backwards(kymatio(work, "torch"))),
            Contestant(TORCH, "npscatter", lambda *made: backwards(in_torch(*made)), BANK),
        ),
        0.02,
        "Forward and backward: the gradient of half the squared coefficients by the images.",
    ),
    "onnx": Comparison(
        (Workload(32, 32, 64, 2), Workload(64, 64, 32, 4), Workload(224, 224, 8, 3)),
        (
            Contestant("ONNX Runtime", "onnx", in_onnx_runtime),
            Contestant(NUMPY, "npscatter", ours, BANK),
        ),
        1e-5,
        "The exported model in ONNX Runtime, in the block size that suits it best.",
    ),
    "means": Comparison(
        (Workload(256, 256, 16, 7),),
        (
            Contestant(CHENG, "torch", means_of_cheng),
            *(
                Contestant(name, name.split()[1].lower(), means_of_kymatio(name.split()[1].lower()))
                for name in KYMATIO
            ),
            Contestant("npscatter, periodic", "npscatter", means("periodic"), BANK),
            Contestant(REFLECTED, "npscatter", means("kymatio"), BANK),
        ),
        0.02,
        "Means of all moduli over the image, order 2, L = 4. Cheng's package and the first of "
        "npscatter's take the image for periodic. Kymatio's are means of the four samples it has "
        "of each path, and as the last, of an image that goes on as its reflection: other numbers.",
        (*KYMATIO, REFLECTED),
    ),
}


def error_of(found: np.ndarray, wanted: np.ndarray, order: np.ndarray) -> float:
    """Return the largest relative L2 error of any order, or that of arrays without channels."""
    if found.shape[1:2] != order.shape:
        found, wanted, order = found[:, None], wanted[:, None], np.zeros(1, int)
    shape = (*found.shape[:2], -1, 1)
    return max(relative_errors(found.reshape(shape), wanted.reshape(shape), order).values())


def measure(name: str, workload: Workload, threads: int, rounds: int = ROUNDS) -> dict:
    """Check contestants against the first of them that can run and is like them, and time them."""
    torch.set_num_threads(threads)
    compared, known = COMPARISONS[name], []
    L = FEW_ORIENTATIONS if name == "means" else 8
    order = Scattering2D(workload.J, workload.shape, L, backend="numpy").meta()["order"]

    def check(contestant: str, blocks: list) -> None:
        found = np.concatenate([np.asarray(block, np.float64) for block in blocks])
        alike = contestant not in compared.unlike
        if alike and not known:
            known.append(found)
        for wanted in known:
            count = min(len(wanted), len(found))
            errors[contestant] = error_of(found[:count], wanted[:count], order)
        if alike and not errors[contestant] <= compared.largest:
            raise MismatchError(f"{name}, {workload.name}, {contestant}: {errors[contestant]}")

    errors: dict[str, float] = {}
    timed, _ = contest(workload, compared.contestants, threads, rounds, check, FEWEST_SECONDS)
    for contestant, error in errors.items():
        timed[contestant]["error"] = error
    about = {"comparison": name, "workload": workload.name, "batch": workload.batch, "L": L}
    return {**about, "threads": threads, "contestants": timed}


def section(name: str) -> str:
    """Return the table of a comparison."""
    result, compared = results.read("doors"), COMPARISONS[name]
    first, *_ = names = [one.name for one in compared.contestants]
    rows = []
    for row in result["rows"]:
        if row["comparison"] == name:
            times = {one: row["contestants"][one]["ms_per_image"] for one in names}
            cells = ["" if time is None else f"{1e3 / time:,.0f}" for time in times.values()]
            for place, time in enumerate(times.values()):
                if place and time and times[first]:
                    cells[place] += f" ({tables.number(times[first] / time)}x)"
            rows.append([f"{row['batch']} of {row['workload']}", str(row["threads"]), *cells])
    machine = result["environment"]
    versions = ", ".join(f"{package} {known}" for package, known in machine["versions"].items())
    return (
        f"{tables.table(['images', 'threads', *names], rows)}\n\n{compared.words} Images per "
        f"second (times as many as {first}); float32, bank `{BANK}`, medians of interleaved calls, "
        f"compared before they were timed, on {machine['cpu']}; {versions}. Written by "
        f"`{machine['command']}`; errors are in "
        "[doors.json](../benchmarks/results/doors.json)."
    )


@click.command(help=__doc__)
@click.argument("names", nargs=-1, type=click.Choice(list(COMPARISONS)))
def main(names: tuple[str, ...]) -> None:
    """Measure all comparisons, or some, and write them."""
    path = results.path_of("doors")
    rows = results.read(path)["rows"] if names and path.exists() else []
    rows = [row for row in rows if row["comparison"] not in names]
    for name in names or COMPARISONS:
        for workload in COMPARISONS[name].workloads:
            for threads in sorted({1, results.usable_threads()}):
                rows.append(measure(name, workload, threads))
                print(f"{name}, {workload.name}, {threads} threads", flush=True)
    packages = ("numpy", "numba", "torch", "kymatio", "onnx", "onnxruntime")
    environment = results.environment("python -m benchmarks.doors", packages)
    results.write(path, {"environment": environment, "rounds": ROUNDS, "rows": rows})


if __name__ == "__main__":
    run(main)
