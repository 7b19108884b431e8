"""Every bound of a bank as a quantity to attack (`tools.attacks`), differentiable in Torch."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import torch
from kymatio import Scattering2D as KymatioScattering2D
from torch.nn import functional

from npscatter import FilterBank, Scattering2D
from npscatter.bank.cascade import FilterChain, levels
from npscatter.bounds import Bounds
from npscatter.program.plan import make_plan
from npscatter.torch import program as torch_program
from tools.attacks import Target

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


def norm(coefficients: torch.Tensor) -> torch.Tensor:
    """Return the norms of coefficients or images, of each along the first axis."""
    return torch.linalg.vector_norm(coefficients.flatten(1), dim=1)


def _expansion(V: Transforms, order: int | None, pairs: torch.Tensor) -> torch.Tensor:
    x, y = pairs.unbind(1)
    return norm(V.scattering(x, order) - V.scattering(y, order)) / norm(x - y)


def _energy(V: Transforms, order: int, images: torch.Tensor) -> torch.Tensor:
    found = norm(V.scattering(images, order)) / norm(images)
    return (2**V.plan.J * found) ** 2


def _moved(V: Transforms, c: tuple[int, int], order: int | None, x: torch.Tensor) -> torch.Tensor:
    shifted = torch.roll(x, c, (-2, -1))
    return norm(V.scattering(shifted, order) - V.scattering(x, order)) / norm(x)


def _apart(V: Transforms, teacher, order: int | None, images: torch.Tensor) -> torch.Tensor:
    difference = V.of_order(V.scattering(images) - teacher(images), order)
    return norm(difference) / norm(images)


def _deformed_expansion(V: Transforms, inputs: torch.Tensor) -> torch.Tensor:
    """Return ||V(x_tau) - V(x)|| / ||x_tau - x||; the first map is x, the others tau / 4 pixels."""
    x, field = inputs[:, 0], inputs[:, 1:]
    moved = warped(x, 4 * field / field.abs().amax((1, 2, 3), keepdim=True))
    difference = V.scattering(moved) - V.scattering(x)
    # Where nothing moves, nothing is bounded.
    return norm(difference) / norm(moved - x).clamp(min=1e-6)


def deformation_constant(V: Transforms, inputs: torch.Tensor) -> torch.Tensor:
    """Return `npscatter.bounds.deformation.deformation_ratio` of x and a smoothed tau."""
    x, field = inputs[:, 0], _smooth(inputs[:, 1:])
    difference = V.scattering(warped(x, field)) - V.scattering(x)
    J = V.plan.J
    size = field.norm(dim=1).amax((1, 2)) / 2**J + largest_gradient(field)
    return 2**J * norm(difference) / (size * norm(x))


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
