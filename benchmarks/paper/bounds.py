"""The bounds, attacked: whether any is violated, and how tight they are."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np
import torch
from kymatio import Scattering2D as KymatioScattering2D
from matplotlib.figure import Figure
from torch.nn import functional

from benchmarks.paper.attacks import Effort, Outcome, Quantity, attack
from benchmarks.paper.experiment import Experiment, Settings, centred, cifar_images
from npscatter import FilterBank, Scattering2D
from npscatter.bounds import Bounds
from npscatter.bounds.cascade import FilterChain, levels
from npscatter.program.plan import make_plan
from tools import torch_program
from tools.teacher import teach

BANKS = ("accurate", "paper-tuned", "paper")
J, SIDE, SEED = 2, 16, 80
SHIFTS = ((1, 0), (1, 1), (2, 2), (4, 0), (8, 8))

Attack = tuple[str, float, bool, Quantity, tuple[int, ...]]


class Transforms:
    """V and its parts in Torch, in float64, for images of one size.

    Parameters
    ----------
    bank : FilterBank
        The weights.
    J, side : int
        Scale, and side of the square images.
    boundary : str
        As for `npscatter.Scattering2D`.
    """

    def __init__(self, bank: FilterBank, J: int, side: int, boundary: str):
        self.bank = bank
        self.plan = make_plan(J, (side, side), bank.architecture, boundary=boundary)
        self.transform = Scattering2D(J, (side, side), bank.L, bank=bank, boundary=boundary)
        self.weights = torch_program.weights_of(bank, torch.float64)
        self.order = torch.tensor([path.order for path in self.plan.paths])

    def scattering(self, images: torch.Tensor, order: int | None = None) -> torch.Tensor:
        """Return the coefficients of one order, or of all: (N, C, h, w).

        By the library itself, or where gradients are wanted by its twin.
        """
        if torch.is_grad_enabled():
            coefficients = torch_program.run(self.plan, self.weights, images)
        else:
            coefficients = torch.from_numpy(self.transform(images.numpy()))
        return coefficients if order is None else coefficients[:, self.order == order]

    def filtered(self, maps: torch.Tensor, links: tuple, edge: str) -> torch.Tensor:
        """Return maps (N, I, H, W) through each of several filters: (N, samples of all)."""
        results = []
        for weights, stride in links:
            taps = torch.tensor(self.bank.real_taps(weights))
            margin = (taps.shape[-1] // 2,) * 4
            mode = {"wrap": "circular", "zero": "constant"}[edge]
            found = functional.conv2d(functional.pad(maps, margin, mode), taps, stride=stride)
            results.append(found.flatten(1))
        return torch.cat(results, 1)

    def undecimated(self, images: torch.Tensor, chain: FilterChain) -> torch.Tensor:
        """Return what a chain makes of periodic images without its strides: (N, samples)."""
        maps, grid = images[:, None], 1
        for weights, stride in chain.links:
            taps = torch.tensor(self.bank.real_taps(weights))
            # A wide kernel may go round a small image more than once.
            margin = grid * (taps.shape[-1] // 2)
            rows, columns = (
                torch.arange(-margin, side + margin) % side for side in maps.shape[-2:]
            )
            maps = functional.conv2d(maps[..., rows[:, None], columns], taps, dilation=grid)
            grid *= stride
        return maps.flatten(1)


def attacks(bank: FilterBank, J: int = J, side: int = SIDE) -> Iterator[Attack]:
    """Yield every bound of a bank: name, bound, whether a lower one, quantity, shape of an input.

    Parameters
    ----------
    bank : FilterBank
        Whose bounds.
    J, side : int
        Scale, and side of the images.
    """
    image = (side, side)
    own = Bounds(bank, J, shape=image)
    periodic = Transforms(bank, J, side, "periodic")
    yield from _linear(own, periodic, image)

    bounds = {
        boundary: Bounds(bank, J, shape=image, boundary=boundary)
        for boundary in dict.fromkeys((bank.boundary, "periodic"))
    }
    for boundary, bounding in bounds.items():
        transforms = Transforms(bank, J, side, boundary)
        for order in (None, *range(own.plan.max_order + 1)):
            name = f"Lipschitz, {_of(order)}, {boundary} boundary"
            constant = bounding.lipschitz(order)
            yield name, constant, False, partial(_expansion, transforms, order), (2, *image)
    for m, bound in bounds["periodic"].energies().items():
        yield f"energy of {m}", bound, False, partial(_energy, periodic, int(m[1])), image

    for c in SHIFTS:
        for order in (None, 1, 2) if c == SHIFTS[0] else (None,):
            bound = bounds["periodic"].shift(c, order)
            yield (
                f"shift {c}, {_of(order)}",
                bound,
                False,
                partial(_moved, periodic, c, order),
                image,
            )

    reflected = Bounds(bank, J, shape=image, boundary="kymatio")
    ours = Transforms(bank, J, side, "kymatio")
    teacher = _teacher(J, image, bank.L)
    for order in (None, *range(own.plan.max_order + 1)):
        eps = reflected.teacher_certificate(order)
        quantity = partial(_apart, ours, teacher, order)
        yield f"distance from Kymatio, {_of(order)}", eps, False, quantity, image
    constant = bounds["periodic"].lipschitz()
    quantity = partial(_deformed_expansion, periodic)
    yield "deformation, by Lipschitz", constant, False, quantity, (3, *image)


def _linear(own: Bounds, periodic: Transforms, image: tuple[int, int]) -> Iterator[Attack]:
    """Yield the bounds of the linear parts."""
    chains = [own.section.low, *(chain for chain, _ in own.section.moduli)]

    def paley(images: torch.Tensor) -> torch.Tensor:
        parts = [periodic.undecimated(images, chain) for chain in chains]
        return torch.cat(parts, 1).square().sum(1) / images.square().sum((1, 2))

    yield "Littlewood-Paley, B", own.littlewood_paley.B.certified, False, paley, image
    if own.littlewood_paley.A.certified > 0:
        yield "Littlewood-Paley, A", own.littlewood_paley.A.certified, True, paley, image
    for (_, links), (name, frame) in zip(levels(own.plan), own.frames.items(), strict=True):
        inputs = own.bank[links[0][0]].shape[1]

        def energy(maps: torch.Tensor, links=links) -> torch.Tensor:
            found = periodic.filtered(maps, links, own.plan.edge)
            return found.square().sum(1) / maps.square().sum((1, 2, 3))

        yield f"frame B, {name}", frame.B.certified, False, energy, (inputs, *image)
        if frame.A.certified > 0:
            yield f"frame A, {name}", frame.A.certified, True, energy, (inputs, *image)


def _of(order: int | None) -> str:
    return "all orders" if order is None else f"S{order}"


def _size(coefficients: torch.Tensor) -> torch.Tensor:
    return torch.linalg.vector_norm(coefficients.flatten(1), dim=1)


def _expansion(transforms: Transforms, order: int | None, pairs: torch.Tensor) -> torch.Tensor:
    x, y = pairs.unbind(1)
    difference = transforms.scattering(x, order) - transforms.scattering(y, order)
    return _size(difference) / _size(x - y)


def _energy(transforms: Transforms, order: int, images: torch.Tensor) -> torch.Tensor:
    found = _size(transforms.scattering(images, order)) / _size(images)
    return (2**transforms.plan.J * found) ** 2


def _moved(
    transforms: Transforms, c: tuple[int, int], order: int | None, images: torch.Tensor
) -> torch.Tensor:
    shifted = torch.roll(images, c, (-2, -1))
    difference = transforms.scattering(shifted, order) - transforms.scattering(images, order)
    return _size(difference) / _size(images)


def _apart(
    ours: Transforms, teacher: KymatioScattering2D, order: int | None, images: torch.Tensor
) -> torch.Tensor:
    difference = ours.scattering(images) - teacher(images)
    if order is not None:
        difference = difference[:, ours.order == order]
    return _size(difference) / _size(images)


def _deformed_expansion(transforms: Transforms, inputs: torch.Tensor) -> torch.Tensor:
    """Return ||V(x_tau) - V(x)|| / ||x_tau - x||; the first map is x, the others tau / 4 pixels."""
    x, field = inputs[:, 0], inputs[:, 1:]
    field = 4 * field / field.abs().amax((1, 2, 3), keepdim=True)
    moved = warped(x, field)
    difference = transforms.scattering(moved) - transforms.scattering(x)
    # Where nothing moves, nothing is bounded.
    return _size(difference) / _size(moved - x).clamp(min=1e-6)


def warped(images: torch.Tensor, field: torch.Tensor) -> torch.Tensor:
    """Return x(u - tau(u)) of periodic images (N, H, W), interpolated linearly.

    As `npscatter.bounds.deformed`, but differentiable; field: (N, 2, H, W), in pixels.
    """
    H, W = images.shape[-2:]
    rows, columns = torch.meshgrid(torch.arange(H), torch.arange(W), indexing="ij")
    place = torch.stack([rows, columns]) - field
    corner = place.detach().floor().long()
    y, x = (place - corner).unbind(1)
    flat, result = images.flatten(1), 0
    for i, row_weight in ((0, 1 - y), (1, y)):
        for k, column_weight in ((0, 1 - x), (1, x)):
            index = (corner[:, 0] + i) % H * W + (corner[:, 1] + k) % W
            result = result + row_weight * column_weight * flat.gather(1, index.flatten(1)).reshape(
                images.shape
            )
    return result


def _teacher(J: int, shape: tuple[int, int], L: int) -> KymatioScattering2D:
    return KymatioScattering2D(J, shape, L=L, frontend="torch").double()


def run_attacks(bank: FilterBank, effort: Effort, J: int = J, side: int = SIDE) -> dict:
    """Attack every bound of a bank; return the outcomes by name."""
    found: dict[str, Outcome] = {}
    for name, bound, lower, quantity, shape in attacks(bank, J, side):
        found[name] = attack(quantity, shape, bound, effort, SEED, lower)
    return {name: outcome.as_dict() for name, outcome in found.items()}


def measure(settings: Settings) -> dict:
    """Attack the bounds of every bank, and see what photographs make of them."""
    effort = settings.choose(Effort(10_000, 20, 60), Effort(20_000, 100, 300))
    photographs, words = cifar_images(settings, 200)
    banks = {}
    for name in BANKS:
        bank = FilterBank.load(name)
        banks[name] = {
            "bounds": run_attacks(bank, effort),
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
    shape = images.shape[-2:]
    bounds = Bounds(bank, J, shape=shape, boundary="kymatio")
    transforms = Transforms(bank, J, shape[0], "kymatio")
    x = torch.from_numpy(images)
    teacher = torch.from_numpy(teach(images, J, bank.L))
    size = _size(x)
    found = {"energy": {}, "distance from Kymatio": {}, "certificate": {}}
    with torch.no_grad():
        coefficients = transforms.scattering(x)
        for m in range(bounds.plan.max_order + 1):
            V, S = (each[:, transforms.order == m] for each in (coefficients, teacher))
            found["energy"][f"S{m}"] = float((4**J * (_size(V) / size) ** 2).mean())
            found["distance from Kymatio"][f"S{m}"] = float((_size(V - S) / size).max())
            found["certificate"][f"S{m}"] = bounds.teacher_certificate(m)
    return found


def _deformations(bank: FilterBank, effort: Effort) -> dict:
    """Return the worst deformation by the tool's own search, and by gradients."""
    bounds = Bounds(bank, J, shape=(SIDE, SIDE), boundary="periodic")
    transforms = Transforms(bank, J, SIDE, "periodic")
    climbed = attack(partial(_deformation_constant, transforms), (3, SIDE, SIDE), 1e9, effort, SEED)
    return {
        "search": bounds.deformation(effort.random).supremum,
        "random": climbed.random,
        "gradient": climbed.gradient,
    }


def _deformation_constant(transforms: Transforms, inputs: torch.Tensor) -> torch.Tensor:
    x, field = inputs[:, 0], _smooth(inputs[:, 1:])
    difference = transforms.scattering(warped(x, field)) - transforms.scattering(x)
    size = field.norm(dim=1).amax((1, 2)) / 2**J + _steepest(field)
    return 2**J * _size(difference) / (size * _size(x))


def _steepest(field: torch.Tensor) -> torch.Tensor:
    """Return the largest spectral norm of the Jacobian of periodic fields (N, 2, H, W)."""
    jacobian = torch.stack([field.roll(-1, axis) - field for axis in (2, 3)], 2)
    return torch.linalg.matrix_norm(jacobian.movedim((1, 2), (-2, -1)), 2).amax((1, 2))


def _smooth(fields: torch.Tensor) -> torch.Tensor:
    """Return fields of the lowest frequencies alone, of a slope of at most a half."""
    spectrum = torch.fft.rfft2(fields)
    kept = torch.zeros_like(spectrum)
    kept[..., :3, :3], kept[..., -2:, :3] = spectrum[..., :3, :3], spectrum[..., -2:, :3]
    smooth = torch.fft.irfft2(kept, s=fields.shape[-2:])
    return smooth / (2 * _steepest(smooth)[:, None, None, None].clamp(min=1e-9))


COLOURS = dict(zip(BANKS, ("C0", "C1", "C3"), strict=True))


def draw(result: dict) -> Figure:
    """Draw how much of every bound was reached."""
    names = list(result["banks"]["paper"]["bounds"])
    names += [
        name for found in result["banks"].values() for name in found["bounds"] if name not in names
    ]
    names = list(dict.fromkeys(names))
    figure = Figure(figsize=(11, 0.27 * len(names) + 2), layout="constrained")
    axes = figure.subplots()
    for bank, found in result["banks"].items():
        rows = [names.index(name) for name in found["bounds"]]
        for kind, style in (("worst random", {"mfc": "none"}), ("worst by gradient", {})):
            shares = [_share(outcome, kind) for outcome in found["bounds"].values()]
            axes.plot(shares, rows, "o", color=COLOURS[bank], label=f"{bank}, {kind}", **style)
    axes.axvline(1, color="black", lw=1)
    axes.set_yticks(range(len(names)), names, fontsize=8)
    axes.set(xscale="log", ylim=(len(names) - 0.5, -0.5))
    axes.set_xlabel("share of the bound that was reached (of lower bounds: bound / value)")
    axes.grid(alpha=0.3)
    figure.legend(loc="outside lower center", ncols=3, fontsize=9)
    figure.suptitle(
        f"{result['attempts']:,} attempts at violating bounds, at least "
        f"{result['attempts per bound']:,} each: {result['violations']} violations "
        f"({result['setting']} setting, J = {result['J']}, {SIDE}x{SIDE} images)",
        fontsize=11,
    )
    return figure


def _share(outcome: dict, kind: str) -> float | None:
    if outcome["lower"]:
        return outcome["bound"] / outcome[kind]
    return outcome[kind] / outcome["bound"]


EXPERIMENT = Experiment(
    "bounds", "Further work of the paper: bounds, and attempts at violating them.", measure, draw
)
