"""The bounds, attacked: whether any is violated, and how tight they are."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np
import torch
from kymatio import Scattering2D as KymatioScattering2D
from matplotlib.figure import Figure
from torch.nn import functional

from benchmarks.paper.experiment import BANKS, Experiment, Settings, measured_on
from benchmarks.paper.sources import centred, cifar_images
from benchmarks.tables import number, table
from npscatter import FilterBank, Scattering2D
from npscatter.bank.cascade import FilterChain, levels
from npscatter.bounds import Bounds
from npscatter.program.plan import make_plan
from npscatter.torch import program as torch_program
from tools.attacks import Effort, Target, attack
from tools.teacher import teach

J, SIDE, SEED = 2, 16, 80
SHIFTS = ((1, 0), (1, 1), (2, 2), (4, 0), (8, 8))


class Transforms:
    """V and its parts in Torch, in float64, for square images of one size."""

    def __init__(self, bank: FilterBank, J: int, side: int, boundary: str):
        self.bank = bank
        self.plan = make_plan(J, (side, side), bank.architecture, boundary=boundary)
        self.transform = Scattering2D(J, (side, side), bank.L, bank=bank, boundary=boundary)
        self.weights = torch_program.weights_of(bank, torch.float64)
        self.order = torch.tensor([path.order for path in self.plan.paths])

    def scattering(self, images: torch.Tensor, order: int | None = None) -> torch.Tensor:
        """Return coefficients (N, C, h, w) by the library, or in Torch if gradients are wanted."""
        if torch.is_grad_enabled():
            coefficients = torch_program.run(self.plan, self.weights, images)
        else:
            coefficients = torch.from_numpy(self.transform(images.numpy()))
        return self.of_order(coefficients, order)

    def of_order(self, coefficients: torch.Tensor, order: int | None) -> torch.Tensor:
        """Return the coefficients of one order, or of all."""
        return coefficients if order is None else coefficients[:, self.order == order]

    def filtered(self, maps: torch.Tensor, links: tuple, edge: str) -> torch.Tensor:
        """Return maps (N, I, H, W) through each of several filters: (N, samples of all)."""
        results = []
        for weights, stride in links:
            taps = torch.tensor(self.bank.real_taps(weights))
            mode = {"wrap": "circular", "zero": "constant"}[edge]
            padded = functional.pad(maps, (taps.shape[-1] // 2,) * 4, mode)
            results.append(functional.conv2d(padded, taps, stride=stride).flatten(1))
        return torch.cat(results, 1)

    def undecimated(self, images: torch.Tensor, chain: FilterChain) -> torch.Tensor:
        """Return what a chain makes of periodic images without its strides: (N, samples)."""
        maps, grid = images[:, None], 1
        for weights, stride in chain.links:
            taps = torch.tensor(self.bank.real_taps(weights))
            # A wide kernel may go round a small image more than once.
            margin = grid * (taps.shape[-1] // 2)
            rows, columns = (torch.arange(-margin, n + margin) % n for n in maps.shape[-2:])
            maps = functional.conv2d(maps[..., rows[:, None], columns], taps, dilation=grid)
            grid *= stride
        return maps.flatten(1)


def targets(bank: FilterBank, J: int, side: int) -> Iterator[Target]:
    """Yield every bound of a bank at a scale, for square images."""
    image = (side, side)
    own = Bounds(bank, J, shape=image)
    V = Transforms(bank, J, side, "periodic")
    yield from _linear_targets(own, V, image)

    orders = (None, *range(own.plan.max_order + 1))
    bounds = {
        boundary: Bounds(bank, J, shape=image, boundary=boundary)
        for boundary in dict.fromkeys((bank.boundary, "periodic"))
    }
    for boundary, bounding in bounds.items():
        transforms = Transforms(bank, J, side, boundary)
        for order in orders:
            name = f"Lipschitz, {_of(order)}, {boundary} boundary"
            quantity = partial(_expansion, transforms, order)
            yield Target(name, bounding.lipschitz(order), quantity, (2, *image))
    periodic = bounds["periodic"]
    for m, bound in periodic.energies().items():
        yield Target(f"energy of {m}", bound, partial(_energy, V, int(m[1])), image)
    for c in SHIFTS:
        for order in (None, 1, 2) if c == SHIFTS[0] else (None,):
            quantity = partial(_moved, V, c, order)
            yield Target(f"shift {c}, {_of(order)}", periodic.shift(c, order), quantity, image)

    reflected = Bounds(bank, J, shape=image, boundary="kymatio")
    ours = Transforms(bank, J, side, "kymatio")
    teacher = KymatioScattering2D(J, image, L=bank.L, frontend="torch").double()
    for order in orders:
        name, bound = f"distance from Kymatio, {_of(order)}", reflected.teacher_certificate(order)
        yield Target(name, bound, partial(_apart, ours, teacher, order), image)
    quantity = partial(_deformed_expansion, V)
    yield Target("deformation, by Lipschitz", periodic.lipschitz(), quantity, (3, *image))


def _linear_targets(own: Bounds, V: Transforms, image: tuple[int, int]) -> Iterator[Target]:
    """Yield the bounds of the linear parts."""
    chains = [own.stage.low, *(chain for chain, _ in own.stage.moduli)]

    def paley(images: torch.Tensor) -> torch.Tensor:
        parts = [V.undecimated(images, chain) for chain in chains]
        return torch.cat(parts, 1).square().sum(1) / images.square().sum((1, 2))

    B, A = own.littlewood_paley.B.certified, own.littlewood_paley.A.certified
    yield Target("Littlewood-Paley, B", B, paley, image)
    if A > 0:
        yield Target("Littlewood-Paley, A", A, paley, image, lower=True)
    for (_, links), (name, frame) in zip(levels(own.plan), own.frames.items(), strict=True):
        inputs = own.bank[links[0][0]].shape[1]

        def energy(maps: torch.Tensor, links=links) -> torch.Tensor:
            found = V.filtered(maps, links, own.plan.edge)
            return found.square().sum(1) / maps.square().sum((1, 2, 3))

        yield Target(f"frame B, {name}", frame.B.certified, energy, (inputs, *image))
        if frame.A.certified > 0:
            yield Target(f"frame A, {name}", frame.A.certified, energy, (inputs, *image), True)


def _of(order: int | None) -> str:
    return "all orders" if order is None else f"S{order}"


def _size(coefficients: torch.Tensor) -> torch.Tensor:
    return torch.linalg.vector_norm(coefficients.flatten(1), dim=1)


def _expansion(V: Transforms, order: int | None, pairs: torch.Tensor) -> torch.Tensor:
    x, y = pairs.unbind(1)
    return _size(V.scattering(x, order) - V.scattering(y, order)) / _size(x - y)


def _energy(V: Transforms, order: int, images: torch.Tensor) -> torch.Tensor:
    found = _size(V.scattering(images, order)) / _size(images)
    return (2**V.plan.J * found) ** 2


def _moved(V: Transforms, c: tuple[int, int], order: int | None, x: torch.Tensor) -> torch.Tensor:
    shifted = torch.roll(x, c, (-2, -1))
    return _size(V.scattering(shifted, order) - V.scattering(x, order)) / _size(x)


def _apart(V: Transforms, teacher, order: int | None, images: torch.Tensor) -> torch.Tensor:
    difference = V.of_order(V.scattering(images) - teacher(images), order)
    return _size(difference) / _size(images)


def _deformed_expansion(V: Transforms, inputs: torch.Tensor) -> torch.Tensor:
    """Return ||V(x_tau) - V(x)|| / ||x_tau - x||; the first map is x, the others tau / 4 pixels."""
    x, field = inputs[:, 0], inputs[:, 1:]
    moved = warped(x, 4 * field / field.abs().amax((1, 2, 3), keepdim=True))
    difference = V.scattering(moved) - V.scattering(x)
    # Where nothing moves, nothing is bounded.
    return _size(difference) / _size(moved - x).clamp(min=1e-6)


def _deformation_constant(V: Transforms, inputs: torch.Tensor) -> torch.Tensor:
    """Return `npscatter.bounds.deformation.deformation_ratio` of x and a smoothed tau."""
    x, field = inputs[:, 0], _smooth(inputs[:, 1:])
    difference = V.scattering(warped(x, field)) - V.scattering(x)
    size = field.norm(dim=1).amax((1, 2)) / 2**J + largest_gradient(field)
    return 2**J * _size(difference) / (size * _size(x))


# Differentiable versions of what is in npscatter.bounds.deformation.


def warped(images: torch.Tensor, field: torch.Tensor) -> torch.Tensor:
    """Return `deformed` periodic images (N, H, W) by fields (N, 2, H, W)."""
    H, W = images.shape[-2:]
    rows, columns = torch.meshgrid(torch.arange(H), torch.arange(W), indexing="ij")
    place = torch.stack([rows, columns]) - field
    corner = place.detach().floor().long()
    y, x = (place - corner).unbind(1)
    flat, result = images.flatten(1), 0
    for i, row_weight in ((0, 1 - y), (1, y)):
        for k, column_weight in ((0, 1 - x), (1, x)):
            index = (corner[:, 0] + i) % H * W + (corner[:, 1] + k) % W
            found = flat.gather(1, index.flatten(1)).reshape(images.shape)
            result = result + row_weight * column_weight * found
    return result


def largest_gradient(field: torch.Tensor) -> torch.Tensor:
    """Return `largest_gradient` of periodic fields (N, 2, H, W)."""
    jacobian = torch.stack([field.roll(-1, axis) - field for axis in (2, 3)], 2)
    return torch.linalg.matrix_norm(jacobian.movedim((1, 2), (-2, -1)), 2).amax((1, 2))


def _smooth(fields: torch.Tensor) -> torch.Tensor:
    """Return fields of the lowest frequencies alone, of a gradient of at most a half."""
    spectrum = torch.fft.rfft2(fields)
    kept = torch.zeros_like(spectrum)
    kept[..., :3, :3], kept[..., -2:, :3] = spectrum[..., :3, :3], spectrum[..., -2:, :3]
    smooth = torch.fft.irfft2(kept, s=fields.shape[-2:])
    return smooth / (2 * largest_gradient(smooth)[:, None, None, None].clamp(min=1e-9))


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
    size = _size(torch.from_numpy(images))
    found = {"energy": {}, "distance from Kymatio": {}, "certificate": {}}
    for m in range(bounds.plan.max_order + 1):
        energies = 4**J * (_size(V.of_order(coefficients, m)) / size) ** 2
        found["energy"][f"S{m}"] = float(energies.mean())
        distances = _size(V.of_order(difference, m)) / size
        found["distance from Kymatio"][f"S{m}"] = float(distances.max())
        found["certificate"][f"S{m}"] = bounds.teacher_certificate(m)
    return found


def _deformations(bank: FilterBank, effort: Effort) -> dict:
    """Return the worst deformation by the tool's own search, and by gradients."""
    bounds = Bounds(bank, J, shape=(SIDE, SIDE), boundary="periodic")
    quantity = partial(_deformation_constant, Transforms(bank, J, SIDE, "periodic"))
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
