"""The wavelets and the low-pass that a bank's whole cascade of filters comes to."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property, lru_cache

import numpy as np

from npscatter.bank.cascade import LinearStage, image_stage
from npscatter.bank.filter_bank import FilterBank
from npscatter.program.plan import make_plan


@dataclass(frozen=True, eq=False)
class EffectiveFilters:
    """The filters that the image, or a modulus, sees through the cascade, on a periodic grid.

    What the program computes of a map x is, to rounding, ``|x * psi|`` and ``x * phi``, one sample
    in 2^j or 2^J of them, with * the periodic convolution (wherever x is periodic, or its edges are
    far away).

    Attributes
    ----------
    scales : tuple of int
        The scale j of each row of wavelets.
    grid : int
        Pixels of the image per sample of x, along one axis.
    psi_hat : ndarray of complex128, shape (len(scales), L, H, W)
        The wavelets' Fourier transforms, sampled at the frequencies of ``numpy.fft.fft2``. They
        are real, to rounding, if the bank is symmetric.
    phi_hat : ndarray of complex128, shape (H, W)
        The low-pass's.

    Examples
    --------
    >>> from npscatter import Scattering2D
    >>> filters = Scattering2D(J=2, shape=(32, 32)).filters(size=(64, 64))
    >>> filters
    EffectiveFilters(scales=(0, 1), grid=1, L=8, size=(64, 64))
    >>> filters.phi.shape, bool(abs(filters.phi_hat[0, 0] - 1) < 0.01)
    ((64, 64), True)
    """

    scales: tuple[int, ...]
    grid: int
    psi_hat: np.ndarray
    phi_hat: np.ndarray

    def __repr__(self) -> str:
        *_, L, H, W = self.psi_hat.shape
        return f"EffectiveFilters(scales={self.scales}, grid={self.grid}, L={L}, size={(H, W)})"

    @cached_property
    def psi(self) -> np.ndarray:
        """The wavelets in space, shape (len(scales), L, H, W), each centred at [H // 2, W // 2]."""
        return _in_space(self.psi_hat)

    @cached_property
    def phi(self) -> np.ndarray:
        """The low-pass in space, real, shape (H, W), centred at [H // 2, W // 2]."""
        return _in_space(self.phi_hat).real


def effective_filters(
    bank: FilterBank,
    J: int,
    max_order: int,
    size: tuple[int, int],
    after: int | None = None,
) -> EffectiveFilters:
    """Return the filters that are applied to the image, or to the moduli of one scale.

    Parameters
    ----------
    bank : FilterBank
        The weights.
    J, max_order : int
        Of the transform.
    size : tuple of int
        (H, W) of the periodic grid, in samples of what the filters read.
    after : int or None, optional
        The filters of ``|x * psi|``, psi being of this scale; those of the image by default.
    """
    stage = _stages(bank, J, max_order)[() if after is None else (after,)]
    # |x ⋆ w| of a correlation with w is |x * psi|, psi(u) = conj w(-u): Kymatio's wavelets. A real
    # filter has the same transfer function either way, so i turns to -i.
    wavelets = np.zeros((len(stage.moduli), bank.L, *size), complex)
    for row, (chain, _) in zip(wavelets, stage.moduli, strict=True):
        real, imaginary = np.split(chain.on_grid(bank, size), 2)
        row[...] = (real - 1j * imaginary).reshape(row.shape)
    return EffectiveFilters(
        scales=tuple(following.scales[-1] for _, following in stage.moduli),
        grid=stage.grid,
        psi_hat=wavelets,
        phi_hat=stage.low.on_grid(bank, size).reshape(size),
    )


def samples(size: tuple[int, int], grid: int) -> tuple[int, int]:
    """Return the (H, W) of a map that keeps one sample in `grid` per axis of `size` pixels."""
    return -(-size[0] // grid), -(-size[1] // grid)


def grid_after(bank: FilterBank, J: int, max_order: int, after: int | None) -> int:
    """Return the pixels per sample of the image (1), or of the moduli of scale `after`."""
    return _stages(bank, J, max_order)[() if after is None else (after,)].grid


# What `psi` and `phi` are made of: asked for again and again, in loops over their elements.
@lru_cache(maxsize=1)
def filters_by_resolution(
    bank: FilterBank, J: int, max_order: int, size: tuple[int, int]
) -> tuple[dict[tuple[int, int], list[np.ndarray]], list[np.ndarray]]:
    """Return the wavelets' and the low-pass's Fourier transforms on every grid they are applied at.

    Parameters are those of `effective_filters`, with the size in pixels.

    Returns
    -------
    psi : dict of list of ndarray
        By (j, theta), read-only: of the image, then for one sample in 2, 4, ... per axis.
    phi : list of ndarray
        The same of the low-pass.
    """
    psi: dict[tuple[int, int], list[np.ndarray]] = {
        (j, theta): [] for j in range(J) for theta in range(bank.L)
    }
    phi: dict[int, np.ndarray] = {}
    for after in (None, *range(J)):
        grid = grid_after(bank, J, max_order, after)
        if grid in phi:  # moduli at full resolution see what the image sees
            continue
        found = effective_filters(bank, J, max_order, samples(size, grid), after)
        phi[grid] = _real_where_it_is(bank, found.phi_hat)
        for j, wavelets in zip(found.scales, found.psi_hat, strict=True):
            for theta, wavelet in enumerate(wavelets):
                psi[j, theta].append(_real_where_it_is(bank, wavelet))
    return psi, list(phi.values())


def _real_where_it_is(bank: FilterBank, transform: np.ndarray) -> np.ndarray:
    kept = transform.real.copy() if bank.symmetric else transform
    kept.flags.writeable = False
    return kept


def _stages(bank: FilterBank, J: int, max_order: int) -> dict[tuple[int, ...], LinearStage]:
    """Return the linear stages by the scales that led to them."""
    # Chains of filters do not depend on the image's size, nor on how many orientations there are.
    architecture = replace(bank.architecture, orientations=2)
    plan = make_plan(J, (2**J, 2**J), architecture, max_order, "periodic")
    return {stage.scales: stage for stage in image_stage(plan).walk()}


def _in_space(transforms: np.ndarray) -> np.ndarray:
    return np.fft.fftshift(np.fft.ifft2(transforms), (-2, -1))
