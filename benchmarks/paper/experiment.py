"""What every experiment shares: its settings, its images, its result file, figure and section."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

from matplotlib.figure import Figure

from benchmarks import results
from benchmarks.tables import percent
from npscatter.errors import ArgumentError, explain

RESULTS = results.RESULTS / "paper"
BANKS = ("accurate", "paper-tuned", "paper")


@dataclass(frozen=True)
class Settings:
    """What a reader chooses on the command line: `full` or what fits an hour, and his own files.

    What is learned is kept in `runs`, so that no network is learned twice; results are written to
    `results`.
    """

    full: bool = False
    cifar10: Path | None = None
    tiny_imagenet: Path | None = None
    fashion_mnist: Path | None = None
    runs: Path | None = None
    results: Path = RESULTS

    @property
    def options(self) -> str:
        """The options that choose it, without the reader's own paths."""
        given = {
            "--full": self.full,
            "--cifar10 PATH": self.cifar10,
            "--tiny-imagenet PATH": self.tiny_imagenet,
            "--fashion-mnist PATH": self.fashion_mnist,
        }
        return " ".join(option for option, value in given.items() if value)

    def choose(self, reduced, full):
        """Return one of two values."""
        return full if self.full else reduced


@dataclass(frozen=True)
class Experiment:
    """One figure, table or question of the paper.

    Its `name` is that of its files, its `title` one line for ``--help``. `measure` makes a result
    that JSON can hold, `draw` a figure of it, and `section` what benchmarks/PAPER.md says of it.
    Nothing stands in for CIFAR-10 where an experiment needs its labels.
    """

    name: str
    title: str
    measure: Callable[[Settings], dict]
    draw: Callable[[dict], Figure]
    section: Callable[[dict], str] | None = None
    needs_cifar10: bool = False

    def can_run(self, settings: Settings) -> bool:
        """Say whether what it needs is at hand."""
        return settings.cifar10 is not None or not self.needs_cifar10

    def run(self, settings: Settings) -> None:
        """Measure, write the result, draw it."""
        if not self.can_run(settings):
            rule = f"{self.name} needs CIFAR-10, for what stands in elsewhere has no labels"
            raise ArgumentError(explain("cifar10", None, rule, "pass --cifar10 PATH"))
        file = settings.results / self.name
        results.check_writable(file)
        command = f"python -m benchmarks.paper {self.name} {settings.options}".strip()
        # Before the measurement, which takes long: the commit is that of the code that runs.
        environment, start = results.environment(command), time.monotonic()
        measured = self.measure(settings)
        head = {
            "environment": environment,
            "setting": settings.choose("reduced", "full"),
            "seconds": round(time.monotonic() - start),
        }
        results.write(file, head | measured)
        self.redraw(settings.results)

    def redraw(self, folder: Path = RESULTS) -> None:
        """Draw the result there is."""
        results.write_figure(folder / self.name, lambda: self.draw(self.load(folder)))

    def load(self, folder: Path = RESULTS) -> dict:
        """Return the result there is."""
        return results.read(folder / self.name)


def measured_on(result: dict) -> str:
    """Return what a result was measured on, for the page."""
    environment = result["environment"]
    return (
        f"Data: {result['data']}. Setting: {result['setting']}. Written by "
        f"`{environment['command']}` on {environment['cpu']}, {environment['threads']} cores."
    )


def percents(errors: dict[str, float]) -> str:
    """Return the errors of all orders in percent, for one cell of a table."""
    return ", ".join(map(percent, errors.values()))


def span(values: Collection[float]) -> str:
    """Return the smallest and the largest."""
    return f"{min(values):.2g} to {max(values):.2g}"
