"""Scattering with a small network on top, against networks on pixels, where labels are few."""

from __future__ import annotations

from dataclasses import asdict, replace
from functools import partial
from itertools import product

import numpy as np
from matplotlib.figure import Figure

from benchmarks.paper.experiment import Experiment, Settings, measured_on
from benchmarks.paper.networks import in_processes
from benchmarks.tables import table
from tools.intervals import crossed_interval
from tools.labelled import draw_training
from tools.small_cnn import CLASSES, LIMIT, Job, Recipe, load

SEED, HYBRID, PIXELS = 70, "hybrid", ("convolved", "rearranged")
NETWORKS = {
    HYBRID: ("scattering + CNN", "C0"),
    "convolved": ("CNN on pixels", "C3"),
    "rearranged": ("CNN on pixels, 4 x 4 as channels", "C1"),
}
# Labelled images -> draws of them, and steps of training; without and with --full.
PLANS = (
    {100: (3, 200), 500: (3, 300), 1000: (2, 400), 5000: (1, 800)},
    {100: (5, 300), 500: (5, 600), 1000: (4, 1000), 5000: (3, 2000), LIMIT: (1, 5000)},
)
# Recipes are chosen on training images that are held out, after training on as many others.
RATES, DECAYS = (0.03, 0.1), (5e-4, 5e-3)
HELD_OUT, TRIED_ON, TRIED_FOR = 2000, 1000, 500
# Percent, and what stands behind +-.
PUBLISHED = [
    {"of": "Gauthier et al. 2022", "kind": HYBRID, "network": "S + WRN"}
    | {"accuracy": {"100": (43.16, 0.78), "500": (61.66, 0.32), "1000": (68.16, 0.27)}},
    {"of": "Gauthier et al. 2022", "kind": "convolved", "network": "WRN"}
    | {"accuracy": {"100": (38.78, 0.72), "500": (62.97, 0.41), "1000": (71.37, 0.31)}},
    {"of": "Oyallon 2017", "kind": HYBRID, "network": "scattering + CNN, K = 512"}
    | {"accuracy": {"1000": (58.5, 1.2), "2000": (69.4, 0.5), "4000": (76.2, 0.4)}},
    {"of": "Oyallon 2017", "kind": "convolved", "network": "NiN"}
    | {"accuracy": {"1000": (54.8, 1.0), "2000": (65.1, 0.7), "4000": (71.2, 3.8)}},
]
PUBLISHED[2]["accuracy"]["8000"], PUBLISHED[3]["accuracy"]["8000"] = (81.8, 0.7), (79.0, 3.8)


def measure(settings: Settings) -> dict:
    """Choose recipes on training images, then train on every draw and judge the test images."""
    run, plan = partial(Job.run, path=settings.cifar10), PLANS[settings.full]
    labels = load(settings.cifar10, "train")[1].numpy()
    tested = np.arange(len(load(settings.cifar10, "test")[1]))[: settings.choose(2000, None)]
    chosen, trials = choose_recipes(labels, run)
    wanted = [
        (size, draw, name, replace(chosen[name], steps=steps))
        for size, (draws, steps) in reversed(plan.items())
        for draw, name in product(range(draws), NETWORKS)
    ]
    jobs = [
        Job(name, recipe, labelled(labels, size, draw), "test", tested, draw)
        for size, draw, name, recipe in wanted
    ]
    done = in_processes(run, [(job,) for job in jobs])
    found = {key[:3]: one for key, one in zip(wanted, done, strict=True)}
    rows = []
    for size, (draws, steps) in plan.items():
        of = {name: [found[size, draw, name] for draw in range(draws)] for name in NETWORKS}
        rows.append({"labelled": size, "draws": draws, "steps": steps, **compare(of)})
    return {
        "data": f"CIFAR-10 in colour: the first {LIMIT:,} images for training, {len(tested):,} "
        "test images",
        "protocol": protocol(),
        "networks": {
            name: {
                "parameters": found[rows[0]["labelled"], 0, name]["parameters"],
                "recipe": asdict(chosen[name]),
                "tried": trials[name],
            }
            for name in NETWORKS
        },
        "rows": rows,
        "published": PUBLISHED,
    }


def protocol() -> dict:
    """Return what the tables and the figure leave out."""
    return {
        "scattering": "J = 2, L = 8, bank accurate, by npscatter.torch.Scattering2D within the "
        "network, computed anew of every augmented picture; nothing of it learns",
        "draws": "as many images of every class, those of a smaller size part of the larger, "
        f"their order and augmentation the same for all networks; at {LIMIT:,} all images",
        "recipes": f"learning rate of {RATES} and weight decay of {DECAYS} by the accuracy on "
        f"{HELD_OUT:,} training images held out, after {TRIED_FOR} steps on {TRIED_ON} others; "
        "for each network, and before any test image was looked at",
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


def choose_recipes(labels: np.ndarray, run) -> tuple[dict[str, Recipe], dict[str, list[dict]]]:
    """Return the recipe of each network and all that were tried, on training images alone."""
    order = np.random.default_rng(SEED).permutation(len(labels))
    held_out, others = order[:HELD_OUT], order[HELD_OUT:]
    training = draw_training(labels, others, TRIED_ON // CLASSES, SEED)
    recipes = [Recipe(TRIED_FOR, *pair) for pair in product(RATES, DECAYS)]
    jobs = [
        (Job(name, recipe, training, "train", held_out, 0),)
        for name, recipe in product(NETWORKS, recipes)
    ]
    found = np.array([percent(one["right"]) for one in in_processes(run, jobs)])
    accuracies = dict(zip(NETWORKS, found.reshape(len(NETWORKS), -1), strict=True))
    best = {name: recipes[accuracy.argmax()] for name, accuracy in accuracies.items()}
    tried = {
        name: [
            {"learning_rate": recipe.learning_rate, "weight_decay": recipe.weight_decay}
            | {"held out": float(value)}
            for recipe, value in zip(recipes, accuracy, strict=True)
        ]
        for name, accuracy in accuracies.items()
    }
    return best, tried


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


def draw(result: dict) -> Figure:
    """Draw the accuracies, with the published ones, and the hybrid's leads."""
    figure = Figure(figsize=(11.5, 6))
    accuracy, lead = figure.subplots(1, 2, width_ratios=(3, 2))
    sizes = [row["labelled"] for row in result["rows"]]

    def curve(axes, values: list[dict], colour: str, label: str) -> None:
        means = np.array([value["mean"] for value in values])
        ends = np.abs(np.transpose([value["interval"] for value in values]) - means)
        axes.errorbar(sizes, means, ends, marker="o", color=colour, capsize=3, label=label)

    for name, (words, colour) in NETWORKS.items():
        curve(accuracy, [row["accuracy"][name] for row in result["rows"]], colour, words)
        if name in PIXELS:
            curve(lead, [row["lead"][name] for row in result["rows"]], colour, f"over {words}")
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
    rows, times = [], []
    for row in result["rows"]:
        size, of = f"{row['labelled']:,}", row["accuracy"]
        leads = [f"{spanned(row['lead'][name], '+')}: {standing(row['lead'][name])}"
                 for name in PIXELS]  # fmt: skip
        rows.append([size, str(row["draws"]), *(spanned(of[name]) for name in NETWORKS), *leads])
        spent = [of[HYBRID]["scattering"], *(of[name]["seconds"] for name in NETWORKS)]
        times.append([size, str(row["steps"]), *(f"{seconds:.0f}" for seconds in spent)])
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
    leads = [f"lead over {NETWORKS[name][0]}" for name in PIXELS]
    return (
        f"{table(['labelled', 'draws', *names, *leads], rows)}\n\n"
        "Accuracy on test images in percent, and the lead of scattering + CNN in points. "
        f"Intervals: {facts['intervals']}. Draws: {facts['draws']}. Networks: {recipes}; "
        f"{facts['recipes']}.\n\n"
        f"{table(['labelled', 'steps', 'scattering', *names], times)}\n\n"
        "CPU seconds of a training, the first what of the second was spent in scattering.\n\n"
        f"{table(['published', 'labelled', 'scattering', 'pixels'], printed)}\n\n"
        f"{measured_on(result)}"
    )


def spanned(value: dict, sign: str = "") -> str:
    """Return a mean and its interval for a cell."""
    low, high = value["interval"]
    return f"{value['mean']:{sign}.1f} ({low:{sign}.1f} to {high:{sign}.1f})"


def standing(lead: dict) -> str:
    """Return what the interval of a lead says."""
    low, high = lead["interval"]
    return "ahead" if low > 0 else "behind" if high < 0 else "not decided"


TITLE = "Question: does scattering help a small network on CIFAR-10 when labels are few?"
EXPERIMENT = Experiment("hybrid", TITLE, measure, draw, section, needs_cifar10=True)
