"""What a frozen bank's transform can do to an image at most: bounds, proven from its filters.

The program is a cascade of linear stages (`npscatter.bank.cascade`) and moduli, and
| |a| - |b| | <= |a - b|: so constants of the linear stages, which the alias matrix gives exactly
(`npscatter.bounds.alias`), carry over to the whole transform V. Norms are Euclidean, over all
samples of images, maps and coefficients. V of a constant image is that constant in order 0, with
4^-J times as many samples: so the constants are of the size of 2^-J. All hold in exact arithmetic,
up to the rounding of their own computation in float64.

Wrapped maps have some of the frequencies of an infinite grid, so its constants hold for whole
stages. With zeros beyond the edge every single filter works on an infinite grid and what leaves
the image is dropped after it, so there constants hold filter by filter.
"""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from math import sqrt

import numpy as np

from npscatter.arguments import image_shape, integer, pair
from npscatter.bank import FilterBank, resolve
from npscatter.bank.cascade import FilterChain, LinearStage, image_stage, levels, transfer
from npscatter.bounds.alias import Extreme, Filters, extremes
from npscatter.bounds.deformation import Deformation, worst_deformation
from npscatter.bounds.growth import Growth
from npscatter.bounds.perturbation import Shifted, Teacher
from npscatter.errors import ArgumentError, explain
from npscatter.program.plan import make_plan
from npscatter.scattering import Scattering2D

# The alias matrices have 16^J entries.
LARGEST_J = 4
# The distance from Kymatio takes every frequency of the image: minutes at this side.
LARGEST_SIDE = 1024
LARGEST_ATTEMPTS = 100_000
# Above, Kymatio's sum over two periods cuts the Gaussians, which are L / 4 times as long as wide.
LARGEST_TEACHER_L = 12


@dataclass(frozen=True)
class FrameBounds:
    """The best constants of A ||x||^2 <= Q(x) <= B ||x||^2.

    Attributes
    ----------
    A, B : Extreme
        Found on a grid of frequencies, and certified for all.

    Examples
    --------
    >>> from npscatter.bounds import Bounds
    >>> frame = Bounds("fast-L4", J=1, shape=(16, 16)).littlewood_paley
    >>> 0 < frame.A.certified <= frame.B.certified < 1.5
    True
    """

    A: Extreme
    B: Extreme


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
        (H, W) of the images, up to 1024.
    boundary : str, optional
        None for the bank's own.

    Raises
    ------
    ArgumentError, ArgumentTypeError, BankError
        For values there is no such transform for.

    Examples
    --------
    An image's coefficients change by no more than this many times the image's own change:

    >>> from npscatter.bounds import Bounds
    >>> bounds = Bounds("accurate-L4", J=1, shape=(16, 16), boundary="periodic")
    >>> bounds.lipschitz()
    0.509...
    """

    def __init__(
        self,
        bank: str | os.PathLike | FilterBank = "accurate",
        J: int = 2,
        max_order: int = 2,
        shape: tuple[int, int] = (32, 32),
        boundary: str | None = None,
    ):
        self.bank, self.boundary = resolve(bank, None, boundary)
        if integer("J", J) > LARGEST_J:
            raise ArgumentError(
                explain(
                    "J",
                    J,
                    f"bounds are for J up to {LARGEST_J}: the alias matrix has 16^J entries",
                    f"pass J={LARGEST_J} or less",
                )
            )
        if max(image_shape(shape)) > LARGEST_SIDE:
            rule = f"bounds are for images of sides up to {LARGEST_SIDE}"
            remedy = f"pass shape=({LARGEST_SIDE}, {LARGEST_SIDE}) or less"
            raise ArgumentError(explain("shape", tuple(shape), rule, remedy))
        self.plan = make_plan(J, shape, self.bank.architecture, max_order, self.boundary)
        self.stage = image_stage(self.plan)

    @cached_property
    def padding(self) -> float:
        """Largest factor by which padding enlarges an image's norm.

        The padded image P x repeats pixels near the edge; P'P is diagonal and holds how often, so
        ||P||^2 is the largest of them. 1 unless the boundary is "kymatio". The other bounds are
        of the images themselves and include it; cropping makes nothing larger.
        """
        most = 1
        for indices in (self.plan.rows, self.plan.columns):
            most *= max(Counter(index for index in indices if index >= 0).values())
        return sqrt(most)

    @cached_property
    def littlewood_paley(self) -> FrameBounds:
        """Extremes of the Littlewood-Paley sum of the image's filters, over all frequencies.

        With phi and psi the filters that the image sees through the cascade, it is::

            |phi^(w)|^2 + 1/2 sum_(j, theta) (|psi^_(j, theta)(w)|^2 + |psi^_(j, theta)(-w)|^2)

        and its extremes are A and B of ``||x * phi||^2 + sum ||x * psi||^2`` without decimation,
        for real x, periodic or on an infinite grid (J. Bruna and S. Mallat, Invariant scattering
        convolution networks, 2013, section 2.2).
        """
        chains = [self.stage.low, *(chain for chain, _ in self.stage.moduli)]
        return self._frame([_filters(self.bank, chain, stride=1) for chain in chains])

    @cached_property
    def frames(self) -> dict[str, FrameBounds]:
        """Frame bounds of every level: all filters that read the same maps, decimated as they are.

        From the alias matrix, a square matrix of T^2 R rows for R maps and the largest stride T.
        A > 0: the level loses nothing of any wrapped maps it may be given. With zeros beyond the
        edge what leaves the grid is lost, and A is given as 0.

        Returns
        -------
        dict of FrameBounds
            By what the level reads and its filters with their strides.
        """
        frames = {}
        for maps, links in levels(self.plan):
            name = f"{maps}: " + ", ".join(f"{weights}/{stride}" for weights, stride in links)
            frame = self._frame(
                [_real_filters(self.bank.real_taps(weights), stride) for weights, stride in links]
            )
            if self.plan.edge == "zero":
                frame = replace(frame, A=Extreme(0.0, 0.0, frame.A.frequency))
            frames[name] = frame
        return frames

    @cached_property
    def growth(self) -> Growth:
        """How much the carried maps amplify over octaves, whatever J is, and what leaks in."""
        return Growth(self.bank)

    def lipschitz(self, order: int | None = None) -> float:
        """Return C with ||V(x) - V(y)|| <= C ||x - y|| for all images x, y of any real values.

        Backwards from the last order: with C_c of the moduli that follow from a raw map u,

            C^2 = sup over w of the largest eigenvalue of the alias matrix of
                  ||low u||^2 + sum over following c of C_c^2 ||psi_c u||^2

        (contraction of the modulus: S. Mallat, Group invariant scattering, 2012, section 2; the
        weights, instead of a product of norms, are what makes it tight), and the norm of the
        `padding`. As V(0) = 0, it bounds energies too: ||V x|| <= C ||x||. With zeros beyond the
        edge the recursion goes filter by filter, and is looser where R > 1.

        Parameters
        ----------
        order : int, optional
            Of the coefficients; all by default.
        """
        self._check_order(order)
        if self.plan.edge == "zero":
            return _lipschitz_by_filters(self.bank, self.stage, order)
        return self.padding * _lipschitz(self.bank, self.stage, order)

    def energies(self) -> dict[str, float]:
        """Return by order the most that 4^J ||V(x)||^2 / ||x||^2 can be.

        4^J C^2, C of `lipschitz`: without padding 1 for what a constant image puts into order 0.
        """
        return {f"S{order}": 4**self.plan.J * self.lipschitz(order) ** 2 for order in self._orders}

    def shift(self, displacement: tuple[int, int], order: int | None = None) -> float:
        """Return C with ``||V(T_c x) - V(x)|| <= C ||x||``, (T_c x)(u) = x(u - c), x periodic.

        On a grid of t pixels per sample the raw maps u' of T_c x are those of x shifted by m =
        c / t, rounded, but for an error eps that rounding by r pixels makes: as
        ``||a| - |b|| <= |e^(i alpha) a - b|``, filters psi, whose phase alone turns with a shift,
        make no more of it than::

            || (e^(i alpha) psi T_r - psi) u ||,   alpha = -arg sum_w |psi^(w)|^2 e^(-i r w)

        and the low-pass G, which hardly sees a shift, ``||G (T_m - 1) u||``. See `_perturbed` for
        how these add up; nor does a shift move V by more than 2 `lipschitz`. (For filters without
        decimation: S. Mallat, Group invariant scattering, 2012, section 2.4.)

        Parameters
        ----------
        displacement : tuple of int
            c, in pixels, down and to the right, up to 1024.
        order : int, optional
            Of the coefficients; all by default.

        Raises
        ------
        ArgumentError, ArgumentTypeError
            Unless the boundary is "periodic": at other edges a shift brings something new in.
        """
        self._check_order(order)
        self._check_boundary("periodic", "an image is shifted whole only if it is periodic")
        c = np.array(_checked_displacement(displacement))
        constant = self._perturbed(self.stage, Shifted(self.bank, c), order)
        return min(constant, 2 * self.lipschitz(order))

    def teacher_certificate(self, order: int | None = None) -> float:
        """Return eps with ``||V(x) - S(x)|| <= eps ||x||``, S being Kymatio's transform.

        From the differences of their filters on the padded grid: with D the decimation from
        Kymatio's raw map v to the grid of ours, their low-passes differ by G_V D - G_S and their
        wavelets by Psi_V D - D Psi_S. See `_perturbed` for how these add up. Includes `padding`.

        Parameters
        ----------
        order : int, optional
            Of the coefficients; all by default.

        Raises
        ------
        ArgumentError
            Unless the boundary is "kymatio": S has no other. For L above 12, where Kymatio cuts
            its Gaussians off too early for the closed form of its filters.
        """
        self._check_order(order)
        self._check_boundary("kymatio", "Kymatio reflects the image")
        if self.bank.L > LARGEST_TEACHER_L:
            raise ArgumentError(
                explain(
                    "bank",
                    self.bank.name,
                    f"its L={self.bank.L} is above {LARGEST_TEACHER_L}, where Kymatio's filters "
                    "are not Morlet wavelets to rounding",
                    f"use a bank of L={LARGEST_TEACHER_L} or less",
                )
            )
        teacher = Teacher(self.bank, self.plan.J, self.plan.padded_shape)
        constant = self._perturbed(self.stage, teacher, order)
        if order is None:
            each = [self._perturbed(self.stage, teacher, m) for m in self._orders]
            constant = min(constant, float(np.linalg.norm(each)))
        return self.padding * constant

    def _perturbed(self, stage: LinearStage, other: Shifted | Teacher, order: int | None) -> float:
        """Return q such that from raw maps u = v + eps V makes what differs by C ||eps|| + q ||v||.

        v is the raw map of another cascade, which it is compared with, C the Lipschitz constant of
        what follows. Where the filters of the other differ by R from ours, the next moduli have an
        error of at most ||R v|| more; so what differs is at most

            sum over following c of (C_c ||R_c v|| + q_c ||(its psi_c) v||)^2
              + ||(difference of low-passes) v||^2

        squared. With a the supremum of the first terms in the brackets and b of the others, q is at
        most a + b by the triangle inequality; and by (x + y)^2 <= (1 + s) x^2 + (1 + 1 / s) y^2
        with s = b / a, the root of one largest eigenvalue, which is never more.
        """
        low, residuals, passed = [], [], []
        if order in (None, stage.order):
            low.append(other.low(stage))
        for chain, after in stage.moduli:
            if constant := _lipschitz(self.bank, after, order):
                residual = other.residual(stage, chain, after)
                residuals.append(replace(residual, weight=constant**2))
            if q := self._perturbed(after, other, order):
                wavelets = other.wavelets(stage, chain, after)
                passed.append(replace(wavelets, weight=q**2))
        a, b = (
            sqrt(other.largest(stage, parts)) if parts else 0.0
            for parts in (residuals, low + passed)
        )
        if not (a and b):
            return a + b
        # Only brackets of two terms need the inequality.
        grown = 1 + b / a if passed else 1.0
        joint = low + [replace(each, weight=grown * each.weight) for each in residuals]
        joint += [replace(each, weight=(1 + a / b) * each.weight) for each in passed]
        return min(a + b, sqrt(other.largest(stage, joint)))

    def deformation(self, attempts: int = 1000, seed: int = 0) -> Deformation:
        """Search images and smooth displacements for the worst deformation x(u - tau(u)).

        An empirical supremum, not a bound: the largest `supremum` of a `Deformation` found, after
        the form of Mallat's::

            ||V(x_tau) - V(x)|| <= 2^-J C (2^-J max |tau| + max |grad tau|) ||x||

        for ``|grad tau| <= 1/2`` (Group invariant scattering, 2012, theorem 2.12, without the
        Hessian of tau); V multiplies norms by 2^-J. Half of the attempts are random, the others
        vary the worst pair so far. Images are deformed as periodic ones, interpolated linearly.
        What no deformation passes is `lipschitz` times ``||x_tau - x||``.

        Parameters
        ----------
        attempts : int
            Pairs to try, 1 to 100,000.
        seed : int
            Of the search.
        """
        _check_attempts(attempts)
        if integer("seed", seed) < 0:
            raise ArgumentError(explain("seed", seed, "must be at least 0", "pass seed=0"))
        plan = self.plan
        transform = Scattering2D(
            plan.J, plan.shape, self.bank.L, plan.max_order, bank=self.bank, boundary=self.boundary
        )
        return worst_deformation(transform, attempts, seed)

    def report(self, displacements: list[tuple[int, int]], attempts: int) -> dict:
        """Return all bounds, for JSON.

        Parameters
        ----------
        displacements : list of tuple of int
            Of `shift`.
        attempts : int
            Of `deformation`; 0 to leave it out.

        Raises
        ------
        ArgumentError, ArgumentTypeError
            As these do, before any of the work.
        """
        for displacement in displacements:
            _checked_displacement(displacement)
        if attempts:
            _check_attempts(attempts)
        orders = {"all": None} | {f"S{order}": order for order in self._orders}
        report = {
            "bank": self.bank.name,
            "bank_sha256": self.bank.sha256,
            "J": self.plan.J,
            "max_order": self.plan.max_order,
            "shape": list(self.plan.shape),
            "boundary": self.boundary,
            "growth": self.growth.report(),
            "padding": self.padding,
            "littlewood_paley": _as_dict(self.littlewood_paley),
            "frames": {name: _as_dict(frame) for name, frame in self.frames.items()},
            "lipschitz": {name: self.lipschitz(order) for name, order in orders.items()},
            "energies": self.energies(),
        }
        if displacements:
            side = 2**self.plan.J
            periodic = Bounds(self.bank, self.plan.J, self.plan.max_order, (side, side), "periodic")
            shifts = {f"{c[0]} {c[1]}": periodic.shift(c) for c in displacements}
            report["shift, boundary periodic"] = shifts
        if self.boundary == "kymatio" and self.bank.L <= LARGEST_TEACHER_L:
            certified = {name: self.teacher_certificate(order) for name, order in orders.items()}
            report["teacher_certificate"] = certified
        if attempts:
            report["deformation"] = self.deformation(attempts).supremum
        return report

    @property
    def _orders(self) -> range:
        return range(self.plan.max_order + 1)

    def _check_boundary(self, wanted: str, why: str) -> None:
        if self.boundary != wanted:
            rule = f"must be {wanted!r} for this bound: {why}"
            raise ArgumentError(
                explain("boundary", self.boundary, rule, f"pass Bounds(..., boundary={wanted!r})")
            )

    def _check_order(self, order: int | None) -> None:
        if order is not None and integer("order", order) not in self._orders:
            raise ArgumentError(
                explain("order", order, f"must be one of {list(self._orders)}", "pass one, or None")
            )

    def _frame(self, filters: list[Filters]) -> FrameBounds:
        return FrameBounds(*extremes(filters, self.bank.symmetric))


def _checked_displacement(displacement: tuple[int, int]) -> tuple[int, int]:
    pixels = pair("displacement", displacement, "of integers", "pass (1, 0)")
    if max(map(abs, pixels)) > LARGEST_SIDE:
        rule = f"must be of at most {LARGEST_SIDE} pixels either way"
        raise ArgumentError(explain("displacement", pixels, rule, "pass a shorter one"))
    return pixels


def _check_attempts(attempts: int) -> None:
    if not 1 <= integer("attempts", attempts) <= LARGEST_ATTEMPTS:
        rule = f"must be from 1 to {LARGEST_ATTEMPTS}"
        raise ArgumentError(explain("attempts", attempts, rule, "pass attempts=1000"))


@lru_cache(maxsize=256)
def _lipschitz(bank: FilterBank, stage: LinearStage, order: int | None) -> float:
    """Return the Lipschitz constant of all that follows from a stage's raw map."""
    parts = []
    if order in (None, stage.order):
        parts.append(_filters(bank, stage.low))
    for chain, after in stage.moduli:
        if constant := _lipschitz(bank, after, order):
            parts.append(_filters(bank, chain, constant**2))
    return sqrt(extremes(parts, bank.symmetric)[1].certified) if parts else 0.0


def _filters(
    bank: FilterBank, chain: FilterChain, weight: float = 1.0, stride: int | None = None
) -> Filters:
    reach = chain.reach(bank)
    return Filters(
        lambda w: chain.response(bank, w), stride or chain.stride, (reach, reach), weight
    )


def _real_filters(taps: np.ndarray, stride: int) -> Filters:
    """Return real filters of taps (O, I, K, K)."""
    reach = taps.shape[-1] - 1
    return Filters(lambda w: transfer(taps, w), stride, (reach, reach), inputs=taps.shape[1])


@lru_cache(maxsize=256)
def _lipschitz_by_filters(bank: FilterBank, stage: LinearStage, order: int | None) -> float:
    """Return the Lipschitz constant of all that follows, whatever becomes of maps in between."""
    ends = [(stage.low.links, 1.0)] if order in (None, stage.order) else []
    for chain, after in stage.moduli:
        if constant := _lipschitz_by_filters(bank, after, order):
            ends.append((chain.links, constant))
    return float(_gains(bank, ends)[0]) if ends else 0.0


def _gains(bank: FilterBank, ends: list[tuple[tuple, float]]) -> np.ndarray:
    """Return d such that chains from maps m make at most sum_r d_r^2 ||m_r||^2, weighted.

    Parameters
    ----------
    bank : FilterBank
        The weights.
    ends : list of (links, constant)
        Chains of at least one link, and what their results are multiplied by.

    Returns
    -------
    ndarray, shape (I,)
        For the I maps that the first links read. Each map's own gain g_r, times the largest
        eigenvalue of all of them together once each is divided by its gain.
    """
    following: dict[tuple[str, int], list] = {}
    for (link, *rest), constant in ends:
        following.setdefault(link, []).append((tuple(rest), constant))
    weighted = []
    for (weights, stride), rest in following.items():
        # A link is the last of one chain, or all that share it go on.
        outputs = rest[0][1] if not rest[0][0] else _gains(bank, rest)[:, None, None, None]
        weighted.append((bank.real_taps(weights) * outputs, stride))

    def gain(scaled: list[tuple[np.ndarray, int]]) -> float:
        return sqrt(extremes([_real_filters(*each) for each in scaled])[1].certified)

    maps = weighted[0][0].shape[1]
    alone = np.array([gain([(taps[:, [r]], s) for taps, s in weighted]) for r in range(maps)])
    if maps == 1 or not alone.any():
        return alone
    alone = np.maximum(alone, 1e-6 * alone.max())
    return alone * gain([(taps / alone[:, None, None], s) for taps, s in weighted])


def _as_dict(frame: FrameBounds) -> dict:
    return {
        "A": {"found": frame.A.found, "certified": frame.A.certified},
        "B": {"found": frame.B.found, "certified": frame.B.certified},
    }
