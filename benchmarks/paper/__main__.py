"""Make the paper's figures and tables again, and the questions it leaves open.

\b
  python -m benchmarks.paper table1
  python -m benchmarks.paper all
  python -m benchmarks.paper all --full --cifar10 cifar-10-binary.tar.gz

Each writes a JSON file, and where there is something to see a PNG, to benchmarks/results/paper.
Without the published data sets a stand-in made from photographs takes their place, and every
caption says so.
"""

from __future__ import annotations

import time
from pathlib import Path

import click
import torch

from benchmarks.paper import bounds, classification, convergence, filter_groups, speed, stability
from benchmarks.paper.experiment import Experiment, Settings

EXPERIMENTS: dict[str, Experiment] = {
    experiment.name: experiment
    for experiment in (
        *convergence.EXPERIMENTS,
        *filter_groups.EXPERIMENTS,
        stability.EXPERIMENT,
        speed.EXPERIMENT,
        classification.EXPERIMENT,
        bounds.EXPERIMENT,
    )
}
_path = click.Path(exists=True, path_type=Path)


@click.command(help=__doc__)
@click.argument(
    "names", nargs=-1, required=True, type=click.Choice([*EXPERIMENTS, "all"]), metavar="NAME..."
)
@click.option("--full", is_flag=True, help="The paper's numbers of images and epochs: many hours.")
@click.option("--cifar10", type=_path, help="CIFAR-10 as published: folder or archive.")
@click.option("--tiny-imagenet", type=_path, help="Tiny ImageNet as published: folder or archive.")
@click.option("--redraw", is_flag=True, help="Measure nothing; draw the results there are.")
def main(names: tuple[str, ...], redraw: bool, **options) -> None:
    """Run experiments one after the other."""
    torch.use_deterministic_algorithms(True)
    settings = Settings(**options)
    chosen = list(EXPERIMENTS) if "all" in names else names
    for name in chosen:
        start = time.monotonic()
        experiment = EXPERIMENTS[name]
        if redraw:
            experiment.redraw()
        else:
            experiment.run(settings)
        click.echo(f"{name}: {experiment.path} after {time.monotonic() - start:.0f} s")


main.epilog = "\b\n" + "\n".join(
    f"{name:10s} {experiment.title}" for name, experiment in EXPERIMENTS.items()
)

if __name__ == "__main__":
    main()
