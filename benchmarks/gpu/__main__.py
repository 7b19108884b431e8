"""``python -m benchmarks.gpu``: verify, then measure, on an NVIDIA GPU."""

from __future__ import annotations

from pathlib import Path

import click

from benchmarks import gpu
from benchmarks.gpu.needs import missing
from benchmarks.results import RESULTS


@click.command(help=gpu.__doc__)
@click.option("--quick", is_flag=True, help="Fewer rounds, less verified, the first workload only.")
@click.option(
    "--output", type=click.Path(path_type=Path), default=RESULTS / "gpu.json", show_default=False
)
def main(quick: bool, output: Path) -> None:
    """Say what is missing and exit with 2, or run."""
    if words := missing():
        click.echo(words, err=True)
        raise SystemExit(2)
    # Needs all that was looked for.
    from benchmarks.gpu.measure import run

    command = "python -m benchmarks.gpu" + (" --quick" if quick else "")
    run(command, output, quick)


if __name__ == "__main__":
    main()
