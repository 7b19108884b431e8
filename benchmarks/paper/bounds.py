"""The bounds, attacked: whether any is violated, and how tight they are."""

from __future__ import annotations

from functools import partial

import numpy as np
import torch
from matplotlib.figure import Figure

from benchmarks.paper.experiment import BANKS, Experiment, Settings, measured_on
from benchmarks.paper.sources import centred, cifar_images
from benchmarks.tables import number, table
from npscatter import FilterBank
from npscatter.bounds import Bounds
from tools.attacks import Effort, Target, attack
from tools.bound_targets import Transforms, deformation_constant, norm, targets
from tools.teacher import teach

J, SIDE, SEED = 2, 16, 80


def attack_all(bank: FilterBank, effort: Effort, J: int = J, side: int = SIDE) -> dict[str, dict]:
    """Attack every bound of a bank."""
    return {target.name: attack(target, effort, SEED) for target in targets(bank, J, side)}


def measure(settings: Settings) -> dict:
    """Attack the bounds of every bank, and see what photographs make of them."""
    effort = settings.choose(Effort(10_000, 20, 60), Effort(20_000, 100, 300))
    photographs, words = cifar_images(settings, 200)
    banks = {}
    for name in BANKS:
        bank = FilterBank.load(name)
        banks[name] = {
            "bounds": attack_all(bank, effort),
            "photographs": _on_photographs(bank, centred(photographs).astype(np.float64)),
            "deformation": _deformations(bank, effort),
        }
        print(name, "attacked", flush=True)
    outcomes = [outcome for found in banks.values() for outcome in found["bounds"].values()]
    return {
        "data": f"attacks on {SIDE}x{SIDE} images: noise of many spectra, waves, impulses, edges "
        f"and constants, then gradients; photographs: {words}, mean zero",
        "J": J,
        "attempts per bound": effort.attempts,
        "attempts": sum(outcome["attempts"] for outcome in outcomes),
        "violations": sum(outcome["violations"] for outcome in outcomes),
        "deformation is": "2^J ||V(x_tau) - V(x)|| / ((2^-J max |tau| + max |grad tau|) ||x||)",
        "banks": banks,
    }


def _on_photographs(bank: FilterBank, images: np.ndarray) -> dict:
    """Return the largest share of any bound that photographs reach, and their mean energies."""
    bounds = Bounds(bank, J, shape=images.shape[-2:], boundary="kymatio")
    V = Transforms(bank, J, images.shape[-1], "kymatio")
    with torch.no_grad():
        coefficients = V.scattering(torch.from_numpy(images))
    difference = coefficients - torch.from_numpy(teach(images, J, bank.L))
    size = norm(torch.from_numpy(images))
    found = {"energy": {}, "distance from Kymatio": {}, "certificate": {}}
    for m in range(bounds.plan.max_order + 1):
        energies = 4**J * (norm(V.of_order(coefficients, m)) / size) ** 2
        found["energy"][f"S{m}"] = float(energies.mean())
        distances = norm(V.of_order(difference, m)) / size
        found["distance from Kymatio"][f"S{m}"] = float(distances.max())
        found["certificate"][f"S{m}"] = bounds.teacher_certificate(m)
    return found


def _deformations(bank: FilterBank, effort: Effort) -> dict:
    """Return the worst deformation by the tool's own search, and by gradients."""
    bounds = Bounds(bank, J, shape=(SIDE, SIDE), boundary="periodic")
    quantity = partial(deformation_constant, Transforms(bank, J, SIDE, "periodic"))
    climbed = attack(Target("deformation", 1e9, quantity, (3, SIDE, SIDE)), effort, SEED)
    return {
        "search": bounds.deformation(effort.random).supremum,
        "random": climbed["worst random"],
        "gradient": climbed["worst by gradient"],
    }


def _names(result: dict) -> list[str]:
    found = (name for bank in BANKS for name in result["banks"][bank]["bounds"])
    return list(dict.fromkeys(found))


def draw(result: dict) -> Figure:
    """Draw how much of every bound was reached."""
    names = _names(result)
    figure = Figure(figsize=(11, 0.27 * len(names) + 2))
    axes = figure.subplots()
    for bank, colour in zip(BANKS, ("C0", "C1", "C3"), strict=True):
        found = result["banks"][bank]["bounds"]
        rows = [names.index(name) for name in found]
        for kind, style in (("worst random", {"mfc": "none"}), ("worst by gradient", {})):
            shares = [
                one["bound"] / one[kind] if one["lower"] else one[kind] / one["bound"]
                for one in found.values()
            ]
            axes.plot(shares, rows, "o", color=colour, label=f"{bank}, {kind}", **style)
    axes.axvline(1, color="black", lw=1)
    axes.set_yticks(range(len(names)), names)
    axes.set(xscale="log", ylim=(len(names) - 0.5, -0.5))
    axes.set_xlabel("share of the bound that was reached (of lower bounds: bound / value)")
    figure.legend(loc="outside lower center", ncols=3)
    figure.suptitle(
        f"{result['attempts']:,} attempts at violating bounds, at least "
        f"{result['attempts per bound']:,} each: {result['violations']} violations "
        f"({result['setting']} setting, J = {result['J']}, {SIDE}x{SIDE} images)"
    )
    return figure


def section(result: dict) -> str:
    """Return the bounds and how much of them attacks reached."""
    banks, head, rows = result["banks"], ["bound"], []
    for bank in BANKS:
        head += [f"`{bank}`", "reached"]
    for name in _names(result):
        row = [name]
        for bank in BANKS:
            found = banks[bank]["bounds"].get(name)
            reached = f"{100 * found['tightness']:.0f} %" if found else ""
            row += [number(found["bound"]) if found else "", reached]
        rows.append(row)
    photographs, energies, deformations = [], [], []
    for bank, found in banks.items():
        seen = found["photographs"]
        for S in ("S1", "S2"):
            distance, certified = seen["distance from Kymatio"][S], seen["certificate"][S]
            photographs.append(f"`{bank}` {number(distance)} ({S}, certified {number(certified)})")
        shares = ", ".join(f"{S} {number(share)}" for S, share in seen["energy"].items())
        energies.append(f"`{bank}` {shares}")
        deformations.append(f"`{bank}` {number(max(found['deformation'].values()))}")
    return (
        f"{result['attempts']:,} attempts, {result['attempts per bound']:,} for every bound of "
        f"every bank: **{result['violations']} violations**.\n\n{table(head, rows)}\n\n"
        "Reached: the largest value found, of random inputs and by gradients, as a share of the "
        "bound (of lower bounds the bound as a share of the smallest value). On photographs of "
        f"mean zero, the largest ‖V(x) − S(x)‖ / ‖x‖: {'; '.join(photographs)}; mean energy "
        f"4^J ‖V(x)‖² / ‖x‖²: {'; '.join(energies)}. The worst deformation found, "
        f"{result['deformation is']}: {'; '.join(deformations)}. {measured_on(result)}"
    )


TITLE = "Further work of the paper: bounds, and attempts at violating them."
EXPERIMENT = Experiment("bounds", TITLE, measure, draw, section)
