"""Learn a filter bank from Kymatio, and freeze it.

\b
  python -m tools.learn train accurate --run runs/accurate
  python -m tools.learn freeze runs/accurate --name accurate -o npscatter/banks

The presets are the recipes of the shipped banks; every option overrides one entry of the preset.
"""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields, replace
from pathlib import Path

import click

from npscatter.bank.bank_file import LARGEST_KERNEL
from npscatter.cli.terminal import Failure, echo
from npscatter.errors import ArgumentError, explain
from npscatter.program.steps import WEIGHT_ARRAYS
from tools import run
from tools.design import Design
from tools.learning import Learner, Recipe
from tools.presets import PRESETS
from tools.run_folder import freeze, write_json
from tools.selecting import Selection, Selector

LEARNERS = {Selection: Selector, Recipe: Learner}


@click.group(help=__doc__)
def main() -> None:
    """Group the commands."""


@main.command()
@click.argument("preset", type=click.Choice(list(PRESETS)))
@click.option("--run", "folder", required=True, type=click.Path(path_type=Path), help="Run folder.")
@click.option("--resume", is_flag=True, help="Go on from the run folder's checkpoint.")
@click.option("--L", "orientations", type=click.IntRange(2), help="Orientations, even.")
@click.option("--R", "carriers", type=click.Choice(["1", "3", "4"]), help="Carried maps.")
@click.option(
    "--kernel",
    "kernels",
    multiple=True,
    metavar="[ARRAY=]K",
    help="Kernel size of one weight array (e.g. psi_next=5), or of all.",
)
@click.option("--budget", type=float, help="Multiply-adds a pixel at J = 2, at most.")
@click.option("--filters-until", type=float, help="Those down to which filter errors select.")
@click.option("--relax", type=float, help="What all aims are multiplied by.")
@click.option("--steps", type=click.IntRange(0), help="Steps of learning at the end, at most.")
@click.option(
    "--data",
    "source",
    help="photographs or folder:PATH; for gradients also random, cifar10:PATH (test split), "
    "cifar10-train:PATH, tiny-imagenet:PATH, and several with + between them.",
)
@click.option("--shape", nargs=2, type=click.IntRange(2), help="H W of the training images.")
@click.option("--count", type=click.IntRange(1), help="Number of training images.")
@click.option("--J", "scales", multiple=True, type=click.IntRange(1), help="Scales learned for.")
@click.option("--epochs", type=click.IntRange(0), help="Passes over the training images.")
@click.option("--batch", type=click.IntRange(1), help="Images of a gradient step.")
@click.option("--loss", type=click.Choice(["mse", "balanced"]), help="balanced: over orders.")
@click.option("--start", type=click.Choice(["closed-form", "random"]), help="First weights.")
@click.option("--polish", type=click.IntRange(0), help="Levenberg-Marquardt steps.")
@click.option("--learning-rate", type=float, help="Adam's.")
@click.option("--weight-decay", type=float, help="Added to the gradient, times the weights.")
@click.option("--schedule", type=click.Choice(["constant", "cosine"]), help="Of the rate.")
@click.option("--seed", type=click.IntRange(0), help="Of all that is drawn.")
@click.option("--threads", type=click.IntRange(1), help="All cores by default.")
def train(preset, folder, resume, orientations, carriers, kernels, threads, **options):
    """Learn by a preset's recipe, or go on learning.

    Checkpoint, log (log.jsonl) and command go to the run folder.
    """
    recipe = PRESETS[preset]
    design = recipe.design
    kernels = _per_array("--kernel", kernels)
    if orientations and orientations % 2:
        raise click.BadParameter(f"{orientations}: must be even", param_hint="--L")
    given = {key: value for key, value in options.items() if value not in (None, ())}
    if orientations and isinstance(recipe, Selection):
        given = _work_for(recipe, orientations) | given
        kernels = _kernels_for(design, orientations) | kernels
    if unknown := set(given) - {field.name for field in fields(recipe)}:
        name = unknown.pop().replace("_", "-")
        raise click.UsageError(f"--{name}: the recipe of {preset} has nothing of that name")
    try:
        L, R = orientations or design.L, int(carriers or design.R)
        design = replace(design, L=L, R=R, kernels=design.kernels | kernels)
        recipe = replace(recipe, design=design, **given)
        if not resume and any(folder.glob("checkpoint.*")):
            raise click.UsageError(
                f"--run {folder}: holds a checkpoint; pass --resume to go on, or another folder"
            )
        with reading(folder):
            learner = LEARNERS[type(recipe)](recipe, folder, resume, threads=threads)
            record = {"sessions": _record(folder)["sessions"] if resume else []}
        record |= {"preset": preset, "recipe": recipe.as_dict()}
        command = shlex.join(["python", "-m", "tools.learn", *sys.argv[1:]])
        record["sessions"].append({"command": command, **learner.environment()})
        # Before the checkpoint: a run killed in between begins anew.
        write_json(folder / "run.json", record)
        learner.save()
        learner.learn()
    except (ValueError, OSError) as error:
        raise Failure(error, 1) from None


def _work_for(recipe: Selection, L: int) -> dict[str, float]:
    """Return what a bank of another L may cost: as its second-order paths, L^2, and its taps."""
    share = (L / recipe.design.L) ** 2 * max(1, L / recipe.design.L)
    return {name: share * getattr(recipe, name) for name in ("budget", "filters_until")}


def _kernels_for(design: Design, L: int) -> dict[str, int]:
    """Return the wavelets' kernel sizes for more orientations: they are longer by as much."""
    sizes = {key: size for key, size in design.kernels.items() if WEIGHT_ARRAYS[key].is_complex}
    return {
        key: min(2 * int(size * L / design.L / 2) + 1, LARGEST_KERNEL)
        for key, size in sizes.items()
        if L > design.L
    }


def _record(folder: Path) -> dict:
    return json.loads((folder / "run.json").read_text())


@contextmanager
def reading(folder: Path) -> Iterator[None]:
    """Raise an `ArgumentError` that names the folder if what is read there makes no sense."""
    try:
        yield
    except ArgumentError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        rule = f"must hold a run of this version ({type(error).__name__}: {error})"
        remedy = "name another folder, or begin anew in a new one"
        raise ArgumentError(explain("run", str(folder), rule, remedy)) from None


def _per_array(option: str, texts: tuple[str, ...]) -> dict[str, int]:
    """Return the size per weight array that texts ARRAY=K, or K for all arrays, give."""
    sizes = {}
    for text in texts:
        key, _, size = text.rpartition("=")
        if (key and key not in WEIGHT_ARRAYS) or not size.isdecimal() or int(size) % 2 == 0:
            raise click.BadParameter(
                f"{text!r}: must be ARRAY=K or K, K odd, ARRAY one of {', '.join(WEIGHT_ARRAYS)}",
                param_hint=option,
            )
        sizes.update(dict.fromkeys([key] if key else WEIGHT_ARRAYS, int(size)))
    return sizes


@main.command("freeze")
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--name", required=True, help="What the bank is called.")
@click.option(
    "--family",
    help="What `bank=` and its L find it by, as accurate finds accurate-L4; default: its name.",
)
@click.option(
    "-o", "--output", required=True, type=click.Path(exists=True, file_okay=False, path_type=Path)
)
def freeze_run(folder: Path, name: str, family: str | None, output: Path) -> None:
    """Write a run's bank and its card."""
    try:
        with reading(folder):
            record = _record(folder)
            kind = type(PRESETS[record["preset"]])
            learner = LEARNERS[kind](kind.from_dict(record["recipe"]), folder, resume=True)
        bank = freeze(learner, name, family or name, record["sessions"])
        path = bank.save(output / name)
    except (ValueError, OSError) as error:
        raise Failure(error, 1) from None
    echo(f"{path}: {bank}")
    for images, errors in bank.card["errors"].items():
        percent = {order: f"{100 * error:.3g} %" for order, error in errors.items()}
        echo(f"{images} {percent}")


if __name__ == "__main__":
    run(main)
