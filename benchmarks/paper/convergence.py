"""Figures 3 and 4: the loss against the epoch, of networks and of kernel sizes."""

from __future__ import annotations

from dataclasses import replace

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from benchmarks.paper.experiment import Experiment, Settings, cifar_source
from benchmarks.paper.networks import (
    J,
    L,
    RegularCNN,
    linear_fit,
    load,
    references,
    train,
)
from npscatter.program.steps import WEIGHT_ARRAYS
from tools.learn import ACCURATE, PAPER, PRESETS
from tools.learning import Recipe
from tools.parameters import Design

SIZES = (3, 5, 7, 9, 11)
FLOOR_FIT = (
    "Linear fit: the loss of the same design on the same images with the kernels that come "
    "nearest to Kymatio's filters by least squares in the Fourier domain, weighted by the spectrum "
    "of natural images (1/|w|^2): array by array, then the `polish` steps of the recipe for all "
    "together. Never trained on the loss; no lower bound: training may go below."
)
FLOOR_PAPER = (
    "Linear fit for one carried map: least squares in the Fourier domain, array by array, of the "
    "design without what spoils the paper's: wavelets at stride 1, Kymatio's border, a low-pass of "
    "its own beside the carried one. What kernels of this size can do before wavelets are strided. "
    "No lower bound: training may go below."
)
FLOOR_RELU = (
    "Lower bound: the mean square of the negative coefficients, which no network that ends in ReLU "
    "and pooling can give, whatever its weights."
)
WHY_NETWORKS = (
    "The paper prints curves without numbers. With images of mean zero nearly all of the squared "
    "error is S0's, so on its axis a network that has S0 right lies near zero whatever its S1 and "
    "S2. A regular CNN that ends in ReLU and pooling cannot give S0 where it is negative, which "
    "alone keeps it from zero; with a linear end that obstacle is gone. The same loss hardly feels "
    "S1 and S2, which are learned late, while the decay pulls at every weight, against them."
)
WHY_KERNELS = (
    "The paper prints curves without numbers. By its recipe, what holds its design back at these "
    "losses is the start, the decay, strided wavelets and zeros beyond the border, not only the "
    "size of the kernels; how far kernels of a size can go shows in the floors and in the accurate "
    "design."
)


def paper_recipe(settings: Settings, count: int) -> Recipe:
    """Return the recipe printed: random start, Adam, 30 epochs, at J = 2 alone.

    Take a count of whole batches: the loss of an epoch weighs all its steps alike. Fewer images
    come in smaller batches, so that there are thousands of steps all the same.
    """
    source, batch = cifar_source(settings).source, settings.choose(10, 50)
    return replace(PRESETS["paper"], source=source, scales=(J,), count=count, batch=batch)


def own_recipe(recipe: Recipe, design: Design, polish: int, epochs: int) -> Recipe:
    """Return the accurate bank's start, rate, schedule and decay with a recipe's images and loss.

    Parameters
    ----------
    recipe : Recipe
        Whose images, batch, loss and seed stay.
    design : Design
        Of the accurate kind.
    polish : int
        Levenberg-Marquardt steps after the closed form.
    epochs : int
        0 for the linear fit alone.
    """
    own = PRESETS["accurate"]
    return replace(
        recipe,
        design=design,
        start=own.start,
        polish=polish,
        epochs=epochs,
        learning_rate=own.learning_rate,
        weight_decay=own.weight_decay,
        schedule=own.schedule,
    )


def one_map(K: int) -> Design:
    """Return the design whose linear fit stands for the paper's: R = 1, wavelets at stride 1."""
    return Design(L, 1, dict.fromkeys(WEIGHT_ARRAYS, K))


def measure_networks(settings: Settings) -> dict:
    """Figure 3: the paper's network, a regular CNN and the accurate design."""
    count, random_epochs, own_epochs, polish = settings.choose(
        (600, 15, 6, 3), (10_000, 30, 30, 20)
    )
    recipe = paper_recipe(settings, count)
    images = load(settings, recipe, settings.choose(200, 1000))
    known = references(images)
    own = own_recipe(recipe, ACCURATE, polish, own_epochs)
    accurate = train(own, images)
    fit = linear_fit(own_recipe(recipe, one_map(7), 0, 0), images)
    relu = known["nothing below zero"]
    floors = {
        "paper": {"text": FLOOR_PAPER, **fit},
        "relu": {"text": FLOOR_RELU, "share": relu, "loss": relu * images.mean_square},
        "accurate": {"text": FLOOR_FIT, **accurate["start"]},
    }
    random = replace(recipe, design=ACCURATE, epochs=random_epochs)
    networks = {
        "paper": train(recipe, images),
        "paper, no decay": train(replace(recipe, weight_decay=0.0), images),
        "regular": train(recipe, images, RegularCNN()),
        "regular, linear end": train(recipe, images, RegularCNN(linear_end=True)),
        "accurate, random start": train(random, images),
        "accurate": accurate,
    }
    for name, network in networks.items():
        network["floor"] = _FLOOR_OF[name]
    return {
        **images.facts,
        "printed": {
            "complex modulus CNN": "the loss converges to zero within 30 epochs",
            "regular CNN": "does not converge to zero with the same hyperparameters",
        },
        "mean_square": images.mean_square,
        "references": known,
        "floors": floors,
        "networks": networks,
        "seen": _networks_seen(networks, known),
        "why": WHY_NETWORKS,
    }


_FLOOR_OF = {
    "paper": "paper",
    "paper, no decay": "paper",
    "regular": "relu",
    "regular, linear end": None,
    "accurate, random start": "accurate",
    "accurate": "accurate",
}


def _networks_seen(networks: dict, known: dict) -> str:
    paper, free = networks["paper"], networks["paper, no decay"]
    regular, linear = networks["regular"], networks["regular, linear end"]
    accurate, random = networks["accurate"], networks["accurate, random start"]
    hidden, bound = known["S0 exact, all else zero"], known["nothing below zero"]
    return (
        f"Shares of the coefficients' mean square at the end: the paper's network "
        f"{_share(paper)}, without weight decay {_share(free)}; the regular CNN {_share(regular)} "
        f"(bound: {bound:.2g}), given a linear end {_share(linear)}; the accurate design by the "
        f"paper's recipe {_share(random)}, from its own start {_share(accurate)}. S1 and S2 "
        f"together hold {hidden:.2g}, which a loss near zero can hide. Held out, the errors of "
        f"S0, S1, S2 are {_percent(paper)} for the paper's network, {_percent(free)} without "
        f"weight decay, {_percent(linear)} for the regular CNN with a linear end, "
        f"{_percent(random)} for the accurate design by the paper's recipe and "
        f"{_percent(accurate)} from its own start. The gains of S1 and S2 are {_gains(paper)} with "
        f"weight decay and {_gains(free)} without."
    )


def measure_kernels(settings: Settings) -> dict:
    """Figure 4: both designs with kernels of five sizes."""
    count, own_epochs, polish = settings.choose((400, 5, 2), (10_000, 30, 20))
    recipe = paper_recipe(settings, count)
    images = load(settings, recipe, settings.choose(200, 1000))
    rows = {"paper": {}, "accurate": {}}
    for K in SIZES:
        kernels = dict.fromkeys(WEIGHT_ARRAYS, K)
        row = train(replace(recipe, design=replace(PAPER, kernels=kernels)), images)
        fit = linear_fit(own_recipe(recipe, one_map(K), 0, 0), images)
        rows["paper"][str(K)] = {**row, "floor": {"text": FLOOR_PAPER, **fit}}
        # The radii of the shipped design belong to its own sizes.
        design = replace(ACCURATE, kernels=kernels, radius={})
        row = train(own_recipe(recipe, design, polish, own_epochs), images)
        rows["accurate"][str(K)] = {**row, "floor": {"text": FLOOR_FIT, **row["start"]}}
    return {
        **images.facts,
        "printed": {
            "3": "above 7",
            "5": "above 7",
            "7": "the lowest, converged to zero: the best choice",
        },
        "mean_square": images.mean_square,
        "references": references(images),
        "kernels": rows,
        "seen": _kernels_seen(rows),
        "why": WHY_KERNELS,
    }


def _kernels_seen(rows: dict) -> str:
    def listed(design: str) -> str:
        return ", ".join(f"{K}: {_share(row)}" for K, row in rows[design].items())

    return (
        f"Loss at the end, as a share of the coefficients' mean square, by kernel size. The "
        f"paper's design: {listed('paper')}. The accurate design: {listed('accurate')}."
    )


_STYLES = {
    "paper": ("complex modulus CNN (the paper's)", "tab:red", "-"),
    "paper, no decay": ("the same without weight decay", "tab:red", "--"),
    "regular": ("regular CNN (ends in ReLU, pooling)", "tab:blue", "-"),
    "regular, linear end": ("regular CNN + linear 1×1 end", "tab:blue", "--"),
    "accurate, random start": ("accurate design, the paper's recipe", "tab:green", "--"),
    "accurate": ("accurate design, its own start and rate", "tab:green", "-"),
}
_SIZE_COLOURS = {
    "3": "tab:blue",
    "5": "tab:green",
    "7": "tab:pink",
    "9": "tab:orange",
    "11": "black",
}
_FLOOR_LINES = {
    "paper": ("floor: linear fit, one carried map, wavelets unstrided", "tab:red"),
    "relu": ("floor: bound, nothing below zero", "tab:blue"),
    "accurate": ("floor: linear fit of the accurate design", "tab:green"),
}


def draw_networks(result: dict) -> Figure:
    """Draw figure 3: the loss as printed, and its share on a log axis with the floors."""
    figure = Figure(figsize=(12, 6.8), layout="constrained")
    plain, log = figure.subplots(1, 2)
    for name, network in result["networks"].items():
        label, colour, dashes = _STYLES[name]
        for axis, values in ((plain, network["loss"]), (log, network["share"])):
            text = f"{label}: {network['parameters']:,} numbers"
            axis.plot(values, dashes, color=colour, label=text)
    for name, (label, colour) in _FLOOR_LINES.items():
        log.axhline(result["floors"][name]["share"], color=colour, ls=":", lw=1.3, label=label)
    known = result["references"]
    for name, dashes in (("best constant per channel", "-."), ("S0 exact, all else zero", ":")):
        log.axhline(known[name], color="grey", ls=dashes, lw=1.3, label=name)
    plain.set(ylabel="mean squared error", title="As the paper draws it")
    plain.set_ylim(0, 1.25 * result["mean_square"])
    log.set(yscale="log", ylabel="loss / mean square of the coefficients")
    log.set_title("The same losses on a log axis; 1 is predicting zero")
    for axis in (plain, log):
        _finish(axis)
    handles, labels = log.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, fontsize=9)
    figure.suptitle(_caption("Figure 3: loss against epoch", result))
    return figure


def draw_kernels(result: dict) -> Figure:
    """Draw figure 4: one panel per design, a curve and a floor per kernel size."""
    figure = Figure(figsize=(12, 6), layout="constrained")
    titles = {
        "paper": "The paper's design, random start, its recipe",
        "accurate": "The accurate design, all kernels K×K, own start and rate",
    }
    for axis, design in zip(figure.subplots(1, 2), titles, strict=True):
        for K, row in result["kernels"][design].items():
            axis.plot(row["share"], color=_SIZE_COLOURS[K], label=f"{K}×{K}")
            axis.axhline(row["floor"]["share"], color=_SIZE_COLOURS[K], ls=":", lw=1.3)
        axis.plot([], [], ":", color="grey", label="floor: " + _FLOOR_NAMES[design])
        axis.set(yscale="log", title=titles[design])
        axis.set_ylabel("loss / mean square of the coefficients")
        _finish(axis)
        # Below the panel: curves and floors leave no corner free.
        axis.legend(loc="upper center", bbox_to_anchor=(0.5, -0.12), ncols=3, fontsize=9)
    figure.suptitle(_caption("Figure 4: loss against epoch by kernel size", result))
    return figure


_FLOOR_NAMES = {
    "paper": "linear fit, one carried map, wavelets unstrided",
    "accurate": "linear fit (its start)",
}


def _finish(axis: Axes) -> None:
    axis.set_xlabel("epoch (0: before learning)")
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    axis.grid(alpha=0.3)


def _caption(title: str, result: dict) -> str:
    return (
        f"{title} (J={result['J']}, L={result['L']}; {result['setting']} setting)\n"
        f"{result['images']} images: {result['data']}"
    )


def _share(network: dict) -> str:
    return f"{network['share'][-1]:.2g}"


def _gains(network: dict) -> str:
    gain = network["held_out"]["gain"]
    return f"{gain['S1']:.2g} and {gain['S2']:.2g}"


def _percent(network: dict) -> str:
    return ", ".join(f"{100 * error:.2g} %" for error in network["held_out"]["errors"].values())


FIGURE_3 = Experiment(
    "fig3",
    "Figure 3: the loss of the paper's network, a regular CNN and the accurate design.",
    measure_networks,
    draw_networks,
)
FIGURE_4 = Experiment("fig4", "Figure 4: the loss by kernel size.", measure_kernels, draw_kernels)
EXPERIMENTS = (FIGURE_3, FIGURE_4)
