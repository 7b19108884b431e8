"""Make the paper's figures and tables again, and the questions it leaves open.

\b
  python -m benchmarks.paper table1 --results tried
  python -m benchmarks.paper all
  python -m benchmarks.paper all --full --cifar10 cifar-10-binary.tar.gz
  python -m benchmarks.paper page

Each experiment writes a JSON file and a PNG to benchmarks/results/paper, over those that are
there, or to --results DIR, and `page` writes what the published ones say into benchmarks/PAPER.md.
Without the published data sets a stand-in made from photographs takes their place, and every
caption says so.
"""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path

import click
import torch

from benchmarks import run, tables
from benchmarks.paper import (
    bounds,
    classification,
    convergence,
    filter_groups,
    floor,
    hybrid,
    known_sets,
    readings,
    speed,
    stability,
)
from benchmarks.paper.experiment import RESULTS, Experiment, Settings

EXPERIMENTS: dict[str, Experiment] = {
    experiment.name: experiment
    for experiment in (
        *convergence.EXPERIMENTS,
        *filter_groups.EXPERIMENTS,
        readings.EXPERIMENT,
        stability.EXPERIMENT,
        speed.EXPERIMENT,
        classification.EXPERIMENT,
        bounds.EXPERIMENT,
        hybrid.EXPERIMENT,
        known_sets.EXPERIMENT,
        floor.EXPERIMENT,
    )
}
_path = click.Path(exists=True, path_type=Path)


def sections() -> dict[str, str]:
    """Return every section of the page, made from the results there are."""
    results = {name: experiment.load() for name, experiment in EXPERIMENTS.items()}
    texts = {
        name: experiment.section(results[name])
        for name, experiment in EXPERIMENTS.items()
        if experiment.section
    }
    groups = filter_groups.section([results[f"fig{n}"] for n in (5, 6, 7)])
    return {"times": times(results), "groups": groups, **texts}


def times(results: dict[str, dict]) -> str:
    """Return what each experiment is, at which setting it stands on the page, and its minutes."""
    rows = []
    for name, experiment in EXPERIMENTS.items():
        found = results[name]
        minutes = f"{found['seconds'] / 60:.0f}" if "seconds" in found else "not kept"
        rows.append([f"`{name}`", experiment.title.rstrip("."), found["setting"], minutes])
    head = ["name", "what it makes", "setting of the result below", "minutes it took"]
    return tables.table(head, rows)


@click.command(help=__doc__)
@click.argument(
    "names",
    nargs=-1,
    required=True,
    type=click.Choice([*EXPERIMENTS, "all", "page"]),
    metavar="NAME...",
)
@click.option("--full", is_flag=True, help="The paper's numbers of images and epochs: many hours.")
@click.option("--cifar10", type=_path, help="CIFAR-10 as published: folder or archive.")
@click.option("--tiny-imagenet", type=_path, help="Tiny ImageNet as published: folder or archive.")
@click.option(
    "--fashion-mnist",
    type=_path,
    help="Fashion-MNIST as published; by default Debian's dataset-fashion-mnist.",
)
@click.option(
    "--runs",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("runs/paper"),
    show_default=True,
    help="Where networks and classifications are kept: a run goes on where it stopped.",
)
@click.option(
    "--results",
    type=click.Path(file_okay=False, path_type=Path),
    default=RESULTS,
    help="Where to write.  [default: benchmarks/results/paper, over the published results]",
)
@click.option("--redraw", is_flag=True, help="Measure nothing; draw the results there are.")
@click.option("--check", is_flag=True, help="Of the page: write nothing, fail if it is stale.")
def main(names: tuple[str, ...], redraw: bool, check: bool, **options) -> None:
    """Run experiments one after the other, then write the page if it is named."""
    torch.use_deterministic_algorithms(True)
    settings = Settings(**options)
    if check and "page" not in names:
        raise click.UsageError("--check is of the page: name it")
    for name in EXPERIMENTS if "all" in names else [name for name in names if name != "page"]:
        start = time.monotonic()
        if redraw:
            EXPERIMENTS[name].redraw(settings.results)
        elif "all" in names and not EXPERIMENTS[name].can_run(settings):
            click.echo(f"{name} passed over: it needs --cifar10 PATH")
            continue
        else:
            EXPERIMENTS[name].run(settings)
        click.echo(f"{name} after {time.monotonic() - start:.0f} s")
    if "page" in names:
        made = {name: partial(str, text) for name, text in sections().items()}
        tables.update("benchmarks/PAPER.md", made, check, "python -m benchmarks.paper page")


main.epilog = "\b\n" + "\n".join(
    f"{name:10s} {experiment.title}" for name, experiment in EXPERIMENTS.items()
)

if __name__ == "__main__":
    run(main)
