"""What a frozen bank's transform can do to an image at most: bounds, proven from its filters.

The program is a cascade of linear sections (`npscatter.sections`) and moduli, and | |a| - |b| | <=
|a - b|: so constants of the linear sections, which the alias matrix gives exactly
(`npscatter.alias`), carry over to the whole transform V. Norms are Euclidean, over all samples of
images, maps and coefficients. Coefficients are 4^-J times as many samples as the image, of which a
constant image leaves one order, equal to the image: so the constants are of the size of 2^-J.

Images x, y below are padded ones, as `npscatter.plan` pads them; for the images themselves multiply
by `Bounds.padding`. Cropping makes nothing larger. Zeros beyond the edge are maps on an infinite
grid, restricted; wrapped maps have some of its frequencies.
"""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from math import pi, sqrt

import numpy as np

from npscatter.alias import Extreme, Filters, extremes, on_grid
from npscatter.bank import FilterBank
from npscatter.errors import ArgumentError, explain
from npscatter.morlet import coarsened, grid_frequencies, low_pass, morlet
from npscatter.plan import integer, make_plan
from npscatter.scattering import Scattering2D
from npscatter.sections import Chain, Section, levels, sections, transfer

# The alias matrices have 16^J entries.
LARGEST_J = 4
# Kymatio normalises its Gaussians with 3.1415 for pi.
_TEACHER_GAIN = pi / 3.1415


@dataclass(frozen=True)
class FrameBounds:
    """The best constants of A ||x||^2 <= Q(x) <= B ||x||^2.

    Attributes
    ----------
    A, B : Extreme
        Found on a grid of frequencies, and certified for all.
    """

    A: Extreme
    B: Extreme


@dataclass(frozen=True)
class Deformation:
    """The worst deformation a search found.

    Attributes
    ----------
    supremum : float
        2^J ||V(x_tau) - V(x)|| / ((2^-J max |tau| + max |grad tau|) ||x||).
    image : ndarray of float64, shape (H, W)
        x.
    field : ndarray of float64, shape (2, H, W)
        tau, in pixels.
    attempts : int
        Pairs (x, tau) that were tried.
    """

    supremum: float
    image: np.ndarray
    field: np.ndarray
    attempts: int


class Bounds:
    """Bounds of the transform V that one bank computes.

    Parameters
    ----------
    bank : str, path or FilterBank
        As for `npscatter.Scattering2D`.
    J : int
        Log2 of the scale, 1 to 4.
    max_order : int
        1 or 2.
    shape : tuple of int
        (H, W) of the images; only `padding`, `teacher_certificate` and `deformation` depend on it.
    boundary : str, optional
        None for the bank's own.

    Raises
    ------
    ArgumentError, ArgumentTypeError, BankError
        For values there is no such transform for.
    """

    def __init__(
        self,
        bank: str | os.PathLike | FilterBank = "accurate",
        J: int = 2,
        max_order: int = 2,
        shape: tuple[int, int] = (32, 32),
        boundary: str | None = None,
    ):
        self.bank = bank if isinstance(bank, FilterBank) else FilterBank.load(bank)
        if integer("J", J) > LARGEST_J:
            raise ArgumentError(
                explain(
                    "J",
                    J,
                    f"bounds are for J up to {LARGEST_J}: the alias matrix has 16^J entries",
                    f"pass J={LARGEST_J} or less",
                )
            )
        self.boundary = self.bank.boundary if boundary is None else boundary
        self.plan = make_plan(J, shape, self.bank.architecture, max_order, self.boundary)
        self.section = sections(self.plan)

    @cached_property
    def padding(self) -> float:
        """Largest factor by which padding enlarges an image's norm.

        The padded image P x repeats pixels near the edge; P'P is diagonal and holds how often, so
        ||P||^2 is the largest of them. 1 unless the boundary is "kymatio".
        """
        most = 1
        for indices in (self.plan.rows, self.plan.columns):
            most *= max(Counter(index for index in indices if index >= 0).values())
        return sqrt(most)

    @cached_property
    def littlewood_paley(self) -> FrameBounds:
        """Extremes of the Littlewood-Paley sum of the image's filters, over all frequencies.

        |phi^(w)|^2 + 1/2 sum_(j, theta) (|psi^_(j, theta)(w)|^2 + |psi^_(j, theta)(-w)|^2): A and B
        of ||x * phi||^2 + sum ||x * psi||^2 without decimation, for real x (J. Bruna and S. Mallat,
        Invariant scattering convolution networks, 2013, section 2.2). The filters are those the
        image sees through the cascade.
        """
        chains = [self.section.low, *(chain for chain, _ in self.section.moduli)]
        return self._frame([_filters(self.bank, chain, stride=1) for chain in chains])

    @cached_property
    def frames(self) -> dict[str, FrameBounds]:
        """Frame bounds of every level: all filters that read the same maps, decimated as they are.

        From the alias matrix, a square matrix of T^2 R rows for R maps and the largest stride T.
        A > 0: the level loses nothing of any maps it may be given.

        Returns
        -------
        dict of FrameBounds
            By what the level reads and its filters with their strides.
        """
        found = {}
        for links, maps in levels(self.plan).items():
            name = f"{maps}: " + ", ".join(f"{weights}/{stride}" for weights, stride in links)
            found[name] = self._frame([self._level(*link) for link in links])
        return found

    def lipschitz(self, order: int | None = None) -> float:
        """Return C with ||V(x) - V(y)|| <= C ||x - y|| for all images x, y.

        Backwards from the last order: with C_c of the moduli that follow from a raw map u,

            C^2 = sup over w of the largest eigenvalue of the alias matrix of
                  ||low u||^2 + sum over following c of C_c^2 ||psi_c u||^2

        (contraction of the modulus: S. Mallat, Group invariant scattering, 2012, section 2; the
        weights, instead of a product of norms, are what makes it tight). As V(0) = 0, it bounds
        energies too: ||V x|| <= C ||x||.

        Parameters
        ----------
        order : int, optional
            Of the coefficients; all by default.
        """
        self._check_order(order)
        return _lipschitz(self.bank, self.section, order)

    def energies(self) -> dict[str, float]:
        """Return what share of ||x||^2 the coefficients of each order can hold at most.

        2^(2 J) C^2 by order, C of `lipschitz`: 1 for what a constant image puts into order 0.
        """
        orders = range(self.plan.max_order + 1)
        return {f"S{order}": 4**self.plan.J * self.lipschitz(order) ** 2 for order in orders}

    def shift(self, displacement: tuple[int, int], order: int | None = None) -> float:
        """Return C with ||V(T_c x) - V(x)|| <= C ||x||, (T_c x)(u) = x(u - c), x periodic.

        On a grid of t pixels per sample the raw maps u' of T_c x are those of x shifted by m =
        c / t, rounded, but for an error eps that rounding by r pixels makes: as ||a| - |b|| <=
        |e^(i alpha) a - b|, filters psi, whose phase alone turns with a shift, make no more of it
        than

            || (e^(i alpha) psi T_r - psi) u ||,   alpha = -arg sum_w |psi^(w)|^2 e^(-i r w)

        and the low-pass G, which hardly sees a shift, ||G (T_m - 1) u||. See `_perturbed` for how
        these add up. (S. Mallat, Group invariant scattering, 2012, section 2.4, has the bound that
        follows for filters without decimation.)

        Parameters
        ----------
        displacement : tuple of int
            c, in pixels, down and to the right.
        order : int, optional
            Of the coefficients; all by default.
        """
        self._check_order(order)
        try:
            rows, columns = displacement
        except (TypeError, ValueError):
            raise ArgumentError(
                explain("displacement", displacement, "must be a pair of integers", "pass (1, 0)")
            ) from None
        c = np.array([integer("displacement[0]", rows), integer("displacement[1]", columns)])
        return self._perturbed(self.section, _Shifted(self.bank, c), order)

    def teacher_certificate(self, order: int | None = None) -> float:
        """Return eps with ||V(x) - S(x)|| <= eps ||x||, S being Kymatio's transform.

        From the differences of their filters on the padded grid: with D the decimation from
        Kymatio's raw map v to the grid of ours, their low-passes differ by G_V D - G_S and their
        wavelets by Psi_V D - D Psi_S. See `_perturbed` for how these add up.

        Parameters
        ----------
        order : int, optional
            Of the coefficients; all by default.

        Raises
        ------
        ArgumentError
            Unless the boundary is "kymatio": S has no other.
        """
        self._check_order(order)
        if self.boundary != "kymatio":
            raise ArgumentError(
                explain(
                    "boundary",
                    self.boundary,
                    "Kymatio reflects the image, so only boundary='kymatio' compares with it",
                    "pass boundary='kymatio'",
                )
            )
        teacher = _Teacher(self.bank, self.plan.J, self.plan.padded_shape)
        return self._perturbed(self.section, teacher, order)

    def _perturbed(self, section: Section, other: _Shifted | _Teacher, order: int | None) -> float:
        """Return q such that from raw maps u = v + eps V makes what differs by C ||eps|| + q ||v||.

        v is the raw map of another cascade, which it is compared with, C the Lipschitz constant of
        what follows. Where the filters of the other differ by R from ours, the next moduli have an
        error of at most ||R v|| more; so, by the triangle inequality over all that follows,

            q = sup_v sqrt(sum over following c of C_c^2 ||R_c v||^2)
              + sup_v sqrt(||(difference of low-passes) v||^2 + sum of q_c^2 ||(its psi_c) v||^2)

        both of them largest eigenvalues of alias matrices.
        """
        residuals, passed = [], []
        if order in (None, section.order):
            passed.append(other.low(section))
        for chain, after in section.moduli:
            if constant := _lipschitz(self.bank, after, order):
                residuals.append(replace(other.residual(section, chain, after), weight=constant**2))
            if q := self._perturbed(after, other, order):
                passed.append(replace(other.wavelets(section, chain, after), weight=q**2))
        return sum(sqrt(other.largest(section, parts)) for parts in (residuals, passed) if parts)

    def deformation(self, attempts: int = 1000, seed: int = 0) -> Deformation:
        """Search images and smooth displacements for the worst deformation x(u - tau(u)).

        An empirical supremum: a lower estimate of the constant C in Mallat's
        ||V(x_tau) - V(x)|| <= 2^-J C (2^-J max |tau| + max |grad tau|) ||x|| (Group invariant
        scattering, 2012, theorem 2.12, up to the Hessian of tau); V multiplies norms by 2^-J. Half
        of the attempts are random, the others vary the worst pair so far. Images are periodic and
        interpolated linearly. No deformation passes `lipschitz` times ||x_tau - x||.

        Parameters
        ----------
        attempts : int
            Pairs to try, at least 1.
        seed : int
            Of the search.
        """
        if integer("attempts", attempts) < 1:
            raise ArgumentError(
                explain("attempts", attempts, "must be at least 1", "pass attempts=1000")
            )
        generator = np.random.default_rng(integer("seed", seed))
        shape, J = self.plan.shape, self.plan.J
        transform = Scattering2D(
            J, shape, self.bank.L, self.plan.max_order, bank=self.bank, boundary=self.boundary
        )
        best = Deformation(-1.0, np.zeros(shape), np.zeros((2, *shape)), attempts)
        step = 1.0
        for attempt in range(attempts):
            image, field = _random_image(generator, shape), _random_field(generator, shape)
            if attempt >= attempts // 2 and attempt:
                # Vary the worst so far; in smaller steps where larger ones fail.
                image = best.image + step * image
                field = best.field + step * np.abs(best.field).max() * field
            found = deformation_ratio(transform, image, field)
            if found > best.supremum:
                best = Deformation(found, image / np.linalg.norm(image), field, attempts)
            elif attempt >= attempts // 2:
                step = max(1e-3, 0.98 * step)
        return best

    def report(self, displacements: list[tuple[int, int]], attempts: int) -> dict:
        """Return all bounds, for JSON.

        Parameters
        ----------
        displacements : list of tuple of int
            Of `shift`.
        attempts : int
            Of `deformation`; 0 to leave it out.
        """
        orders = {"all": None} | {f"S{order}": order for order in range(self.plan.max_order + 1)}
        paley = self.littlewood_paley
        found = {
            "bank": self.bank.name,
            "bank_sha256": self.bank.sha256,
            "J": self.plan.J,
            "max_order": self.plan.max_order,
            "shape": list(self.plan.shape),
            "boundary": self.boundary,
            "padding": self.padding,
            "littlewood_paley": _as_dict(paley),
            "frames": {name: _as_dict(frame) for name, frame in self.frames.items()},
            "lipschitz": {name: self.lipschitz(order) for name, order in orders.items()},
            "energies": self.energies(),
            "shift": {f"{c[0]} {c[1]}": self.shift(c) for c in displacements},
        }
        if self.boundary == "kymatio":
            certified = {name: self.teacher_certificate(order) for name, order in orders.items()}
            found["teacher_certificate"] = certified
        if attempts:
            found["deformation"] = self.deformation(attempts).supremum
        return found

    def _check_order(self, order: int | None) -> None:
        orders = range(self.plan.max_order + 1)
        if order is not None and order not in orders:
            raise ArgumentError(
                explain("order", order, f"must be one of {list(orders)}", "pass one, or None")
            )

    def _frame(self, filters: list[Filters]) -> FrameBounds:
        return FrameBounds(*extremes(filters, self.bank.symmetric))

    def _level(self, weights: str, stride: int) -> Filters:
        taps = self.bank.real_taps(weights)
        reach = taps.shape[-1] - 1
        return Filters(lambda w: transfer(taps, w), stride, (reach, reach), inputs=taps.shape[1])


@lru_cache(maxsize=256)
def _lipschitz(bank: FilterBank, section: Section, order: int | None) -> float:
    """Return the Lipschitz constant of all that follows from a section's raw map."""
    parts = []
    if order in (None, section.order):
        parts.append(_filters(bank, section.low))
    for chain, after in section.moduli:
        if constant := _lipschitz(bank, after, order):
            parts.append(_filters(bank, chain, constant**2))
    return sqrt(extremes(parts, bank.symmetric)[1].certified) if parts else 0.0


def _filters(
    bank: FilterBank, chain: Chain, weight: float = 1.0, stride: int | None = None
) -> Filters:
    reach = chain.reach(bank)
    return Filters(
        lambda w: chain.response(bank, w), stride or chain.stride, (reach, reach), weight
    )


class _Shifted:
    """The cascade of the shifted image, as one that differs from the image's own."""

    def __init__(self, bank: FilterBank, displacement: np.ndarray):
        self.bank, self.displacement = bank, displacement

    def largest(self, section: Section, parts: list[Filters]) -> float:
        return extremes(parts)[1].certified

    def low(self, section: Section) -> Filters:
        shift, low = self._rounded(section.grid), section.low

        def response(w: np.ndarray) -> np.ndarray:
            return low.response(self.bank, w) * (np.exp(-1j * (w @ shift)) - 1)

        return Filters(response, low.stride, self._reach(low, shift))

    def wavelets(self, section: Section, chain: Chain, after: Section) -> Filters:
        reach = self._reach(chain, np.zeros(2))
        return Filters(lambda w: chain.response(self.bank, w), chain.stride, reach)

    def residual(self, section: Section, chain: Chain, after: Section) -> Filters:
        # What is left of the shift, in samples of this section, when the next grid rounds it.
        left = self._rounded(section.grid) - chain.stride * self._rounded(after.grid)
        w = grid_frequencies((64, 64))
        real, imaginary = np.split(chain.response(self.bank, w), 2)
        power = np.abs(real + 1j * imaginary) ** 2
        alpha = -np.angle((power * np.exp(-1j * (w @ left))).sum(-1))[:, None]

        def response(w: np.ndarray) -> np.ndarray:
            real, imaginary = np.split(chain.response(self.bank, w), 2)
            moved = np.exp(-1j * (w @ left))
            turned = np.cos(alpha) * real - np.sin(alpha) * imaginary
            quarter = np.sin(alpha) * real + np.cos(alpha) * imaginary
            return np.concatenate([turned * moved - real, quarter * moved - imaginary])

        return Filters(response, chain.stride, self._reach(chain, left))

    def _rounded(self, grid: int) -> np.ndarray:
        """Return the displacement in samples of a grid; halves towards zero."""
        size = np.ceil(np.abs(self.displacement) / grid - 0.5)
        return (np.sign(self.displacement) * size).astype(int)

    def _reach(self, chain: Chain, shift: np.ndarray) -> tuple[int, int]:
        rows, columns = (int(chain.reach(self.bank) + abs(one)) for one in shift)
        return rows, columns


class _Teacher:
    """Kymatio's cascade on the frequencies of one padded grid."""

    def __init__(self, bank: FilterBank, J: int, shape: tuple[int, int]):
        self.bank, self.J, self.shape = bank, J, shape
        minus_w = -grid_frequencies(shape)
        self.phi = _TEACHER_GAIN * low_pass(minus_w, J).reshape(shape)
        self.psi = [
            _TEACHER_GAIN * morlet(minus_w, bank.L, j).reshape(-1, *shape) for j in range(J)
        ]

    def largest(self, section: Section, parts: list[Filters]) -> float:
        return on_grid(parts, self._grid(section))

    def low(self, section: Section) -> Filters:
        theirs = _flipped(coarsened(self.phi, self._res(section)))
        return self._filters(
            section,
            section.low.response(self.bank, self._frequencies(section)) - theirs.reshape(1, -1),
            2 ** (self.J - self._res(section)),
        )

    def wavelets(self, section: Section, chain: Chain, after: Section) -> Filters:
        stride = 2 ** (self._res(after) - self._res(section))
        return self._filters(section, self._psi(section, after), stride)

    def residual(self, section: Section, chain: Chain, after: Section) -> Filters:
        ours = chain.response(self.bank, self._frequencies(section))
        # To our grid, which may be coarser than theirs.
        stride = after.grid // 2 ** self._res(section)
        return self._filters(section, ours - self._psi(section, after), stride)

    def _psi(self, section: Section, after: Section) -> np.ndarray:
        return _real_parts(_flipped(coarsened(self.psi[after.scales[-1]], self._res(section))))

    def _res(self, section: Section) -> int:
        """Return log2 of the pixels per sample of Kymatio's raw map."""
        return section.scales[-1] if section.scales else 0

    def _grid(self, section: Section) -> tuple[int, int]:
        samples = 2 ** self._res(section)
        return self.shape[0] // samples, self.shape[1] // samples

    def _frequencies(self, section: Section) -> np.ndarray:
        """Return the frequencies of their grid in radians per sample of ours."""
        apart = section.grid // 2 ** self._res(section)
        return apart * grid_frequencies(self._grid(section))

    def _filters(self, section: Section, table: np.ndarray, stride: int) -> Filters:
        grid = self._grid(section)

        def response(w: np.ndarray) -> np.ndarray:
            index = np.rint(w * grid / (2 * pi)).astype(int) % grid
            return table[:, index[:, 0] * grid[1] + index[:, 1]]

        return Filters(response, stride, (0, 0))


def _as_dict(frame: FrameBounds) -> dict:
    return {
        "A": {"found": frame.A.found, "certified": frame.A.certified},
        "B": {"found": frame.B.found, "certified": frame.B.certified},
    }


def deformed(image: np.ndarray, field: np.ndarray) -> np.ndarray:
    """Return x(u - tau(u)) of a periodic image, interpolated linearly.

    Parameters
    ----------
    image : ndarray, shape (H, W)
    field : ndarray, shape (2, H, W)
        tau, in pixels: down, to the right.
    """
    H, W = image.shape
    rows, columns = np.mgrid[:H, :W] - field
    top, left = np.floor(rows).astype(int), np.floor(columns).astype(int)
    y, x = rows - top, columns - left
    result = np.zeros(image.shape)
    for i, row_weight in ((0, 1 - y), (1, y)):
        for k, column_weight in ((0, 1 - x), (1, x)):
            result += row_weight * column_weight * image[(top + i) % H, (left + k) % W]
    return result


def deformation_ratio(transform: Scattering2D, image: np.ndarray, field: np.ndarray) -> float:
    """Return what `Bounds.deformation` seeks the largest of, for one image and one field."""
    J = transform.J
    difference = transform(deformed(image, field)) - transform(image)
    slope = max(np.abs(np.roll(field, -1, axis) - field).sum(0).max() for axis in (1, 2))
    size = np.hypot(*field).max() / 2**J + slope
    norm = np.linalg.norm(image)
    if not size or not norm:
        return 0.0
    return float(2**J * np.linalg.norm(difference) / (size * norm))


def _random_image(generator: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """Return noise of norm one whose spectrum falls off with a random power, or a wave."""
    w = grid_frequencies(shape)
    if generator.random() < 0.3:
        chosen = w[generator.integers(len(w))]
        rows, columns = np.mgrid[: shape[0], : shape[1]]
        image = np.cos(chosen[0] * rows + chosen[1] * columns + 2 * pi * generator.random())
    else:
        fall = np.maximum(np.hypot(*w.T), 2 * pi / max(shape)) ** -generator.uniform(0, 2)
        spectrum = np.fft.fft2(generator.standard_normal(shape)) * fall.reshape(shape)
        image = np.fft.ifft2(spectrum).real
    return image / max(np.linalg.norm(image), np.finfo(float).tiny)


def _random_field(generator: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """Return a periodic field of a few low frequencies, at most 0.01 to 4 pixels long."""
    H, W = shape
    rows, columns = np.mgrid[:H, :W]
    field = np.zeros((2, H, W))
    for _ in range(generator.integers(1, 4)):
        wave = generator.integers(-3, 4, 2)
        phase = 2 * pi * (wave[0] * rows / H + wave[1] * columns / W + generator.random())
        field += generator.standard_normal((2, 1, 1)) * np.cos(phase)
    largest_length = max(np.hypot(*field).max(), 1e-12)
    return field / largest_length * 10 ** generator.uniform(-2, 0.6)


def _flipped(filters: np.ndarray) -> np.ndarray:
    """Return filters on an FFT's grid at the negative frequencies."""
    return np.roll(filters[..., ::-1, ::-1], 1, (-2, -1))


def _real_parts(filters: np.ndarray) -> np.ndarray:
    """Return transfer functions of the real, then of the imaginary parts of complex filters."""
    mirrored = _flipped(filters).conj()
    parts = np.concatenate([(filters + mirrored) / 2, (filters - mirrored) / 2j])
    return parts.reshape(len(parts), -1)
