"""Figures 3 and 4: the loss against the epoch, of networks and of kernel sizes."""

from __future__ import annotations

from dataclasses import replace

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from benchmarks.paper.experiment import Experiment, Settings, measured_on, percents
from benchmarks.paper.networks import J, L, RegularCNN, linear_fit, load, references, train_all
from benchmarks.paper.sources import cifar10
from benchmarks.tables import number, table
from npscatter.program.steps import WEIGHT_ARRAYS
from tools.design import Design
from tools.learning import Recipe
from tools.presets import ACCURATE, PAPER, PRESETS

SIZES = (3, 5, 7, 9, 11)
# From its closed form the accurate design needs fewer epochs than are printed.
OWN_EPOCHS = 6
OWN = {
    "start": "closed-form",
    "learning_rate": 1e-4,
    "weight_decay": 0.0,
    "schedule": "cosine",
}


# How networks are called and drawn, and which floor their losses are held against.
NETWORKS = {
    "paper": ("complex modulus CNN, the paper's recipe", "tab:red", "-", "paper"),
    "paper, no decay": ("the same without weight decay", "tab:red", "--", "paper"),
    "regular": ("regular CNN: convolution, ReLU, pooling", "tab:blue", "-", "relu"),
    "regular, linear end": ("regular CNN with a linear last layer", "tab:blue", "--", None),
    "accurate, random start": (
        "accurate design, the paper's recipe",
        "tab:green",
        "--",
        "accurate",
    ),
    "accurate": ("accurate design, its own start and rate", "tab:green", "-", "accurate"),
}


# What losses are held against, and its colour. A linear fit is the loss of the kernels that come
# nearest to Kymatio's filters by least squares in the Fourier domain, weighted by the spectrum of
# natural images (1/|w|^2), array by array and then polished; never trained on the loss, which may
# go below. The one of the paper's design is of what does not spoil it: wavelets at stride 1,
# Kymatio's border, a low-pass of its own beside the carried one. Of a network that ends in ReLU and
# pooling, the mean square of the negative coefficients is a bound, whatever its weights.
FLOORS = {
    "paper": ("linear fit, one carried map, wavelets at every pixel", "tab:red"),
    "relu": ("bound: nothing below zero", "tab:blue"),
    "accurate": ("linear fit of the accurate design", "tab:green"),
}


def paper_recipe(settings: Settings, count: int) -> Recipe:
    """Return the recipe printed: random start, Adam, 30 epochs, at J = 2 alone.

    Take a count of whole batches: the loss of an epoch weighs all its steps alike. Fewer images
    come in smaller batches, so that there are thousands of steps all the same.
    """
    source, batch = cifar10(settings).source, settings.choose(10, 50)
    return replace(PRESETS["paper"], source=source, scales=(J,), count=count, batch=batch)


def own_recipe(recipe: Recipe, design: Design, polish: int, epochs: int) -> Recipe:
    """Return a start, rate, schedule and decay that suit a good start, with a recipe's images.

    `polish` is the number of Levenberg-Marquardt steps after the closed form.
    """
    return replace(recipe, design=design, polish=polish, epochs=epochs, **OWN)


def one_map_recipe(recipe: Recipe, K: int) -> Recipe:
    """Return the linear fit that stands for the paper's design: R = 1, wavelets at stride 1."""
    return own_recipe(recipe, Design(L, 1, dict.fromkeys(WEIGHT_ARRAYS, K)), 0, 0)


def measure_networks(settings: Settings) -> dict:
    """Figure 3: the paper's network, a regular CNN and the accurate design."""
    count, random_epochs, own_epochs, polish = settings.choose(
        (600, 15, 6, 3), (10_000, 30, OWN_EPOCHS, 20)
    )
    recipe = paper_recipe(settings, count)
    images = load(settings, recipe, settings.choose(200, 1000))
    known = references(images)
    jobs = {
        "accurate, random start": (replace(recipe, design=ACCURATE, epochs=random_epochs), None),
        "paper": (recipe, None),
        "paper, no decay": (replace(recipe, weight_decay=0.0), None),
        "regular": (recipe, RegularCNN()),
        "regular, linear end": (recipe, RegularCNN(linear_end=True)),
        "accurate": (own_recipe(recipe, ACCURATE, polish, own_epochs), None),
    }
    trained = train_all(jobs, images, settings.runs)
    relu = known["nothing below zero"]
    floors = {
        "paper": linear_fit(one_map_recipe(recipe, 7), images),
        "relu": {"share": relu, "loss": relu * images.mean_square},
        "accurate": trained["accurate"]["start"],
    }
    networks = {name: trained[name] | {"floor": floor} for name, (*_, floor) in NETWORKS.items()}
    return {
        **images.facts,
        "mean_square": images.mean_square,
        "references": known,
        "floors": floors,
        "networks": networks,
    }


def measure_kernels(settings: Settings) -> dict:
    """Figure 4: both designs with kernels of five sizes."""
    count, own_epochs, polish = settings.choose((400, 5, 2), (10_000, OWN_EPOCHS, 20))
    recipe = paper_recipe(settings, count)
    images = load(settings, recipe, settings.choose(200, 1000))
    jobs = {}
    for K in SIZES:
        kernels = dict.fromkeys(WEIGHT_ARRAYS, K)
        jobs["paper", K] = replace(recipe, design=replace(PAPER, kernels=kernels)), None
        design = replace(ACCURATE, kernels=kernels)
        jobs["accurate", K] = own_recipe(recipe, design, polish, own_epochs), None
    trained = train_all(jobs, images, settings.runs)
    rows = {"paper": {}, "accurate": {}}
    for (design, K), row in trained.items():
        one_map = design == "paper"
        floor = linear_fit(one_map_recipe(recipe, K), images) if one_map else row["start"]
        rows[design][str(K)] = row | {"floor": floor}
    return {
        **images.facts,
        "mean_square": images.mean_square,
        "references": references(images),
        "kernels": rows,
    }


def draw_networks(result: dict) -> Figure:
    """Draw figure 3: the loss as printed, and its share on a log axis with the floors."""
    figure = Figure(figsize=(12, 6.8))
    plain, log = figure.subplots(1, 2)
    for name, network in result["networks"].items():
        words, colour, dashes, _ = NETWORKS[name]
        text = f"{words}: {network['parameters']:,} numbers"
        for axes, values in ((plain, network["loss"]), (log, network["share"])):
            axes.plot(values, dashes, color=colour, label=text)
    for name, (words, colour) in FLOORS.items():
        log.axhline(result["floors"][name]["share"], color=colour, ls=":", label=words)
    for name, dashes in (("best constant per channel", "-."), ("S0 exact, all else zero", ":")):
        log.axhline(result["references"][name], color="grey", ls=dashes, label=name)
    plain.set(ylabel="mean squared error", title="As the paper draws it")
    plain.set_ylim(0, 1.25 * result["mean_square"])
    log.set_title("The same losses on a log axis; 1 is predicting zero")
    _label_shares(log)
    _label_epochs(plain)
    figure.legend(*log.get_legend_handles_labels(), loc="outside lower center", ncols=3)
    figure.suptitle(_caption("Figure 3: loss against epoch", result))
    return figure


def draw_kernels(result: dict) -> Figure:
    """Draw figure 4: one panel per design, a curve and a floor per kernel size."""
    figure = Figure(figsize=(12, 6))
    titles = {
        "paper": "The paper's design, random start, its recipe",
        "accurate": "The accurate design, all kernels K×K, own start and rate",
    }
    for axes, (design, title) in zip(figure.subplots(1, 2), titles.items(), strict=True):
        for i, (K, row) in enumerate(result["kernels"][design].items()):
            axes.plot(row["share"], color=f"C{i}", label=f"{K}×{K}")
            axes.axhline(row["floor"]["share"], color=f"C{i}", ls=":")
        axes.plot([], [], ":", color="grey", label=FLOORS[design][0])
        axes.set_title(title)
        _label_shares(axes)
        # Below the panel: curves and floors leave no corner free.
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.12), ncols=3)
    figure.suptitle(_caption("Figure 4: loss against epoch by kernel size", result))
    return figure


def _label_epochs(axes: Axes) -> None:
    axes.set_xlabel("epoch (0: before learning)")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def _label_shares(axes: Axes) -> None:
    axes.set(yscale="log", ylabel="loss / mean square of the coefficients")
    _label_epochs(axes)


def _caption(title: str, result: dict) -> str:
    return (
        f"{title} (J={result['J']}, L={result['L']}; {result['setting']} setting)\n"
        f"{result['images']} images: {result['data']}"
    )


def networks_section(result: dict) -> str:
    """Return the losses of the networks."""
    rows = []
    for name, (words, *_) in NETWORKS.items():
        found = result["networks"][name]
        floor = result["floors"].get(found["floor"], {}).get("share")
        shown = map(number, (found["loss"][-1], found["share"][-1], floor))
        errors = percents(found["held_out"]["errors"])
        rows.append([words, f"{found['parameters']:,}", *shown, errors])
    head = ["network", "free numbers", "loss", "share", "fit or bound", "S0, S1, S2 held out, %"]
    return (
        f"{table(head, rows)}\n\n"
        "Loss: mean squared error after the last epoch. Share: the loss over the mean square "
        "of the coefficients. Fit or bound: for the regular CNN a bound; for the others the "
        "share that a linear fit gives without any training on the loss, for the paper's network "
        "one with wavelets at every pixel. S1 and S2 together "
        f"hold {result['references']['S0 exact, all else zero']:.2g} of the mean square. "
        f"{result['images']} images. {measured_on(result)}"
    )


def kernels_section(result: dict) -> str:
    """Return the losses by kernel size."""
    rows, kernels = [], result["kernels"]
    for K in kernels["paper"]:
        row = [f"{K} x {K}"]
        for found in (kernels["paper"][K], kernels["accurate"][K]):
            row += [number(found["share"][-1]), number(found["floor"]["share"])]
            row.append(percents(found["held_out"]["errors"]))
        rows.append(row)
    head = ["kernels"]
    for words in ("the paper's", "accurate"):
        head += [f"{words}: share", "linear fit", "S0, S1, S2 held out, %"]
    return f"{table(head, rows)}\n\n{result['images']} images. {measured_on(result)}"


EXPERIMENTS = (
    Experiment(
        "fig3",
        "Figure 3: the loss of the paper's network, a regular CNN and the accurate design.",
        measure_networks,
        draw_networks,
        networks_section,
    ),
    Experiment(
        "fig4", "Figure 4: the loss by kernel size.", measure_kernels, draw_kernels, kernels_section
    ),
)
