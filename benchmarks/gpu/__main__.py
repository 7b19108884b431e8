"""``python -m benchmarks.gpu``: verify, then measure, on an NVIDIA GPU."""

from __future__ import annotations

import os
from pathlib import Path

import click

from benchmarks import gpu, run
from benchmarks.results import path_of

INSTALL = (
    'pip install -e ".[bench,cuda13]" (cuda12 with an older driver), with a Torch built with CUDA'
)


def missing() -> str:
    """Return what is missing and what to install, as the rest of a sentence; "" if nothing is."""
    if os.environ.get("NUMBA_ENABLE_CUDASIM") == "1":
        return "a GPU and not Numba's simulator: unset NUMBA_ENABLE_CUDASIM"
    try:
        import kymatio  # noqa: F401
        import skimage  # noqa: F401
        import torch

        from npscatter.backends.gpu.target import cuda
    except ImportError as error:
        return f"more than is installed ({_on_one_line(error)}): {INSTALL}"
    if not cuda.is_available():
        why = _on_one_line(cuda.cuda_error() or "its toolkit lacks libNVVM")
        return (
            f"a GPU that numba-cuda can use, and it finds none ({why}): install NVIDIA's driver, "
            "and see that a GPU is visible (CUDA_VISIBLE_DEVICES)"
        )
    if not torch.cuda.is_available():
        return f"a Torch that finds the GPU, and {torch.__version__} finds none: {INSTALL}"
    return ""


def _on_one_line(words: object) -> str:
    return " ".join(str(words).split()).removesuffix(".")


@click.command(help=gpu.__doc__)
@click.option("--quick", is_flag=True, help="Fewer rounds, the first workload only.")
@click.option(
    "--output", type=click.Path(path_type=Path), default=path_of("gpu"), show_default=False
)
def main(quick: bool, output: Path) -> None:
    """Say what is missing and exit with 2, or run."""
    command = "python -m benchmarks.gpu"
    if words := missing():
        click.echo(f"{command} needs {words}.", err=True)
        raise SystemExit(2)
    # Needs all that was looked for.
    from benchmarks.gpu.measure import run

    run(command + (" --quick" if quick else ""), output, quick)


if __name__ == "__main__":
    run(main)
