"""Scattering with a small network on top, against networks on pixels, where labels are few."""

from __future__ import annotations

import hashlib
from dataclasses import asdict
from functools import partial
from itertools import product
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from benchmarks.paper.experiment import Experiment, Settings, measured_on
from benchmarks.tables import table
from npscatter.errors import ArgumentError, explain
from tools.intervals import crossed_interval
from tools.kept_runs import in_processes, kept
from tools.labelled import draw_training
from tools.small_cnn import CLASSES, LIMIT, Job, Recipe, load

SEED, HYBRID, PIXELS = 70, "hybrid", ("convolved", "rearranged")
NETWORKS = {
    HYBRID: ("scattering + CNN", "C0"),
    "convolved": ("CNN on pixels", "C3"),
    "rearranged": ("CNN on pixels, 4 x 4 as channels", "C1"),
}
# Labelled images, draws of them, steps of training; without and with --full, the longest first.
PLANS = (
    [(5000, 1, 800), (1000, 2, 400), (500, 3, 300), (100, 3, 200)],
    [
        (LIMIT, 1, 5000),
        (500, 1, 2400),
        (5000, 3, 2000),
        (1000, 4, 1000),
        (500, 5, 600),
        (100, 5, 300),
    ],
)
# Recipes are chosen on training images that are held out, after training on others.
RATES, DECAYS = (0.03, 0.1), (5e-4, 5e-3)
HELD_OUT, TRIED_ON, TRIED_FOR = 2000, 1000, 500
# Labelled images -> accuracy on test images in percent, and what is printed behind +-.
PUBLISHED = [
    {"of": of, "kind": kind, "network": network, "accuracy": accuracy}
    for of, kind, network, accuracy in (
        (
            *("Gauthier et al. 2022", HYBRID, "S + WRN"),
            {"100": (43.16, 0.78), "500": (61.66, 0.32), "1000": (68.16, 0.27)},
        ),
        (
            *("Gauthier et al. 2022", "convolved", "WRN"),
            {"100": (38.78, 0.72), "500": (62.97, 0.41), "1000": (71.37, 0.31)},
        ),
        (
            *("Oyallon 2017", HYBRID, "scattering + CNN"),
            {"1000": (58.5, 1.2), "2000": (69.4, 0.5), "4000": (76.2, 0.4), "8000": (81.8, 0.7)},
        ),
        (
            *("Oyallon 2017", "convolved", "NiN"),
            {"1000": (54.8, 1.0), "2000": (65.1, 0.7), "4000": (71.2, 3.8), "8000": (79.0, 3.8)},
        ),
    )
]


def measure(settings: Settings) -> dict:
    """Choose recipes on training images, then train on every draw and judge the test images."""
    plan = PLANS[settings.full]
    run = partial(run_kept, path=settings.cifar10, runs=settings.runs)
    labels = load(settings.cifar10, "train")[1].numpy()
    if len(labels) < LIMIT:
        rule = f"must hold {LIMIT:,} training images, not {len(labels):,}"
        raise ArgumentError(explain("cifar10", str(settings.cifar10), rule, "add data_batch_2"))
    tested = np.arange(len(load(settings.cifar10, "test")[1]))[: settings.choose(2000, None)]
    tried = try_recipes(labels, run)
    best = {name: max(of, key=lambda one: one["held out"]) for name, of in tried.items()}
    jobs = {}
    for size, draws, steps in plan:
        for number, name in product(range(draws), NETWORKS):
            recipe = Recipe(steps, best[name]["learning_rate"], best[name]["weight_decay"])
            chosen = labelled(labels, size, number)
            jobs[size, steps, name, number] = Job(name, recipe, chosen, "test", tested, number)
    done = in_processes(run, [(job,) for job in jobs.values()])
    found = dict(zip(jobs, done, strict=True))
    rows = []
    for size, draws, steps in sorted(plan, key=lambda row: (row[0], row[2])):
        of = {name: [found[size, steps, name, n] for n in range(draws)] for name in NETWORKS}
        rows.append({"labelled": size, "draws": draws, "steps": steps, **compare(of)})
    return {
        "data": f"CIFAR-10 in colour: the first {LIMIT:,} images for training, {len(tested):,} "
        "test images",
        "protocol": protocol(),
        "networks": {
            name: {"recipe": best[name], "tried": tried[name]}
            | {"parameters": found[plan[0][0], plan[0][2], name, 0]["parameters"]}
            for name in NETWORKS
        },
        "rows": rows,
        "published": PUBLISHED,
    }


def run_kept(job: Job, path: Path, runs: Path | None) -> dict:
    """Return what a job gives, or gave and is kept."""
    indices = [hashlib.sha256(part.tobytes()).hexdigest() for part in (job.training, job.tested)]
    what = [job.network, asdict(job.recipe), job.split, job.seed, str(path.resolve()), *indices]
    return kept(runs, what, partial(job.run, path))[0]


def protocol() -> dict:
    """Return what the tables and the figure leave out."""
    return {
        "scattering": "J = 2, L = 8, bank accurate, by npscatter.torch.Scattering2D within the "
        "network, computed anew of every augmented picture; nothing of it learns",
        "draws": "as many images of every class, those of a smaller size part of the larger, "
        f"their order and augmentation the same for all networks; at {LIMIT:,} all images",
        "recipes": f"learning rate of {RATES} and weight decay of {DECAYS} by the accuracy on "
        f"{HELD_OUT:,} training images held out, after {TRIED_FOR} steps on {TRIED_ON:,} others, "
        "for each network, before any test image was looked at",
        "intervals": "95 %, over draws and test images, of leads paired; of a single draw over "
        "test images alone",
        "seed": SEED,
    }


def labelled(labels: np.ndarray, size: int, draw: int) -> np.ndarray:
    """Return the indices of labelled images, as many of each class, or of all."""
    everything = np.arange(len(labels))
    if size == len(labels):
        return everything
    return draw_training(labels, everything, size // CLASSES, [SEED, draw])


def try_recipes(labels: np.ndarray, run) -> dict[str, list[dict]]:
    """Return what every recipe gives with each network, on training images alone."""
    order = np.random.default_rng(SEED).permutation(len(labels))
    held_out, others = order[:HELD_OUT], order[HELD_OUT:]
    training = draw_training(labels, others, TRIED_ON // CLASSES, SEED)
    pairs = list(product(NETWORKS, (Recipe(TRIED_FOR, *each) for each in product(RATES, DECAYS))))
    done = in_processes(run, [(Job(*pair, training, "train", held_out, 0),) for pair in pairs])
    tried = {name: [] for name in NETWORKS}
    for (name, recipe), one in zip(pairs, done, strict=True):
        tried[name].append(
            {"learning_rate": recipe.learning_rate, "weight_decay": recipe.weight_decay}
            | {"held out": percent(one["right"]), "training": percent(one["training"])}
        )
    return tried


def compare(found: dict[str, list[dict]]) -> dict:
    """Return the accuracies of networks over the same draws, and the hybrid's leads, in points."""
    right = {name: 100.0 * np.stack([one["right"] for one in of]) for name, of in found.items()}
    accuracy = {
        name: summary(right[name])
        | {"draws": [percent(one["right"]) for one in of]}
        | {"training": percent([one["training"] for one in of])}
        | {key: round(np.mean([one[key] for one in of]), 2) for key in ("seconds", "scattering")}
        for name, of in found.items()
    }
    return {
        "accuracy": accuracy,
        "lead": {name: summary(right[HYBRID] - right[name]) for name in PIXELS},
    }


def percent(values) -> float:
    """Return the mean in percent."""
    return round(100 * float(np.mean(values)), 2)


def summary(values: np.ndarray) -> dict:
    """Return the mean of a table (draws, test images) and its interval."""
    return {
        "mean": round(float(values.mean()), 2),
        "interval": [round(bound, 2) for bound in crossed_interval(values)],
    }


def shortest(result: dict) -> list[dict]:
    """Return for each size the row that was trained the shortest; longer ones are a check."""
    return list({row["labelled"]: row for row in result["rows"][::-1]}.values())[::-1]


def draw(result: dict) -> Figure:
    """Draw the accuracies, with the published ones, and the hybrid's leads."""
    figure = Figure(figsize=(11.5, 6))
    accuracy, lead = figure.subplots(1, 2, width_ratios=(3, 2))
    rows = shortest(result)
    sizes = [row["labelled"] for row in rows]

    # A little beside each other, so that no interval hides another.
    places = {name: 1.03 ** (number - 1) * np.array(sizes) for number, name in enumerate(NETWORKS)}

    def curve(axes, key: str, name: str, label: str) -> None:
        means = np.array([row[key][name]["mean"] for row in rows])
        ends = np.abs(np.transpose([row[key][name]["interval"] for row in rows]) - means)
        style = {"marker": "o", "capsize": 3, "color": NETWORKS[name][1], "label": label}
        axes.errorbar(places[name], means, ends, **style)

    for name, (words, _) in NETWORKS.items():
        curve(accuracy, "accuracy", name, words)
    for name in PIXELS:
        curve(lead, "lead", name, f"over {NETWORKS[name][0]}")
    for each in result["published"]:
        means, spans = zip(*each["accuracy"].values(), strict=True)
        marker = "s" if each["of"] == PUBLISHED[0]["of"] else "D"
        style = {"fmt": marker, "mfc": "white", "color": NETWORKS[each["kind"]][1]}
        label = f"{each['of']}: {each['network']}"
        accuracy.errorbar(list(map(int, each["accuracy"])), means, spans, label=label, **style)
    lead.axhline(0, color="0.4", lw=1, zorder=0)
    for axes, words in (
        (accuracy, "accuracy on test images, %"),
        (lead, "lead of scattering + CNN, points"),
    ):
        axes.set(xscale="log", xlabel="labelled images", ylabel=words)
        axes.set_xticks(sizes, [f"{size:,}" for size in sizes])
        axes.minorticks_off()
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.12), ncols=2 - (axes is lead))
    figure.suptitle(
        "CIFAR-10 from few labels: one small CNN on scattering coefficients, which do not learn, "
        f"and on pixels ({result['setting']} setting)\nLines: means and 95 % intervals. White "
        "markers: as published, of far larger networks, on draws from 50,000 images"
    )
    return figure


def section(result: dict) -> str:
    """Return the accuracies, who is ahead where, and what is published."""
    names, facts = [words for words, _ in NETWORKS.values()], result["protocol"]
    rows, stated = [], []
    for row in result["rows"]:
        of, leads = row["accuracy"], row["lead"]
        counts = [f"{row[key]:,}" for key in ("labelled", "steps", "draws")]
        rows.append([*counts, *(spanned(each) for each in (*of.values(), *leads.values()))])
        spent = [of[HYBRID]["scattering"], *(of[name]["seconds"] for name in NETWORKS)]
        rows[-1].append(", ".join(f"{seconds:.0f}" for seconds in spent))
    for name in PIXELS:
        sizes = {}
        for row in shortest(result):
            words = standing(row["lead"][name], row["draws"])
            sizes.setdefault(words, []).append(f"{row['labelled']:,}")
        standings = "; ".join(f"{words} at {', '.join(of)}" for words, of in sizes.items())
        stated.append(f"Scattering + CNN against {NETWORKS[name][0]}: {standings}.")
    published = {}
    for each in result["published"]:
        for size, (mean, span) in each["accuracy"].items():
            cells = published.setdefault((each["of"], int(size)), [])
            cells.append(f"{mean} ± {span} ({each['network']})")
    printed = [[of, f"{size:,}", *cells] for (of, size), cells in published.items()]
    recipes = "; ".join(
        "{} {parameters:,} numbers, rate {recipe[learning_rate]:g}, decay "
        "{recipe[weight_decay]:g}".format(words, **result["networks"][name])
        for name, (words, _) in NETWORKS.items()
    )
    head = ["labelled", "steps", "draws", *names]
    head += [*(f"lead over {NETWORKS[name][0]}" for name in PIXELS), "CPU seconds"]
    return (
        f"{table(head, rows)}\n\n{' '.join(stated)}\n\n"
        "Accuracy on test images in percent, and the lead of scattering + CNN in points. "
        f"Intervals: {facts['intervals']}. CPU seconds of a training: in scattering, and in all of "
        f"each network. Draws: {facts['draws']}. Networks: {recipes}; {facts['recipes']}.\n\n"
        f"{table(['published', 'labelled', 'scattering', 'pixels'], printed)}\n\n"
        f"{measured_on(result)}"
    )


def spanned(value: dict) -> str:
    """Return a mean and its interval for a cell."""
    return "{:.1f} ({:.1f} to {:.1f})".format(value["mean"], *value["interval"])


def standing(lead: dict, draws: int) -> str:
    """Return what the interval of a lead says; that of one draw knows nothing of others."""
    low, high = lead["interval"]
    found = "ahead" if low > 0 else "behind" if high < 0 else "not decided"
    return found if draws > 1 or found == "not decided" else f"{found} in the one draw there is"


TITLE = "Question: does scattering help a small network on CIFAR-10 when labels are few?"
EXPERIMENT = Experiment("hybrid", TITLE, measure, draw, section, needs_cifar10=True)
