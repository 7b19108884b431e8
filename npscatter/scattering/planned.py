"""What a transform is, apart from computing it: its program, its channels, its filters."""

from __future__ import annotations

import html
from typing import Any

import numpy as np

from npscatter.arguments import image_shape, integer
from npscatter.backends import Backend, load
from npscatter.bank import FilterBank
from npscatter.bank.effective import (
    EffectiveFilters,
    effective_filters,
    filters_by_resolution,
    grid_after,
    samples,
)
from npscatter.errors import ArgumentError, explain, shown
from npscatter.program.outputs import ALL
from npscatter.program.padding import padded_side
from npscatter.program.plan import Plan
from npscatter.program.symmetry import angle_steps
from npscatter.program.wavelets import bandwidth, centre_frequency


def refuse_read_only(transform: Any, name: str, value: Any) -> None:
    """Raise an `AttributeError` for an attribute that a transform was made with for good."""
    attribute = getattr(type(transform), name, None)
    if isinstance(attribute, property) and attribute.fset is None:
        now = shown(getattr(transform, name))
        rule = f"is read-only, and {now}: the program was planned for it"
        remedy = f"construct another object, Scattering2D(..., {name}=...)"
        raise AttributeError(explain(name, value, rule, remedy))


class PlannedTransform:
    """A bank and a plan, and what can be told of them. `npscatter.Scattering2D` computes."""

    _bank: FilterBank
    _plan: Plan
    backend: Any
    out_type: Any

    @property
    def bank(self) -> FilterBank:
        """The bank in use."""
        return self._bank

    @property
    def plan(self) -> Plan:
        """The program it runs."""
        return self._plan

    @property
    def pre_pad(self) -> bool:
        """Whether the images come padded."""
        return self.plan.pre_pad

    @property
    def J(self) -> int:
        """Log2 of the scale."""
        return self.plan.J

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of the images, before padding."""
        return self.plan.shape

    @property
    def L(self) -> int:
        """Number of orientations."""
        return self.bank.L

    @property
    def max_order(self) -> int:
        """Highest order computed."""
        return self.plan.max_order

    M = property(lambda self: self.shape[0], doc="Height of the images, before padding.")
    N = property(lambda self: self.shape[1], doc="Width of the images, before padding.")
    # The size that ``pre_pad=True`` expects, under the names that code for Kymatio has.
    _M_padded = property(lambda self: padded_side(self.shape[0], 2**self.J))
    _N_padded = property(lambda self: padded_side(self.shape[1], 2**self.J))

    @property
    def n_coefficients(self) -> int:
        """Number of output channels: of all paths 1 + L J, and L^2 J (J-1) / 2 at order 2."""
        return self.plan.n_coefficients

    @property
    def average(self) -> bool | str:
        """Whether moduli are smoothed: True, False or "global"."""
        return self.plan.outputs.average

    @property
    def oversampling(self) -> int:
        """0, or 1 for twice the samples per side."""
        return self.plan.outputs.oversampling

    @property
    def paths(self) -> tuple[int, ...] | None:
        """Numbers of the channels that are computed, of all there are; None for all."""
        return self.plan.outputs.paths

    @property
    def output_shape(self) -> tuple:
        """Shape of one image's coefficients: (C, h, w), or (C,); of moduli, of each channel."""
        return self.plan.channel_shapes if self.average is False else self.plan.call_shape

    @property
    def boundary(self) -> str:
        """The boundary in use."""
        return self.plan.boundary

    def meta(self) -> dict[str, np.ndarray]:
        """Return what each output channel is.

        Returns
        -------
        dict of ndarray
            Integers: ``order`` (C,), and ``j``, ``theta``, ``n`` (C, 2): scale, orientation and
            wavelet number ``n = j L + theta`` of the first and the second wavelet, -1 where there
            is none. What these mean, in float64, (C, 2), NaN where there is none:

            ``frequency``
                The wavelet's centre frequency, 0.375 / 2^j cycles per pixel.
            ``bandwidth``
                The full width of its Gaussian at half power (-3 dB), along the wave vector,
                sqrt(ln 2) / (pi sigma) = 0.331 / 2^j cycles per pixel for sigma = 0.8 2^j pixels.
            ``angle``
                Of its wave vector, (L // 2 - 1 - theta) 180 / L degrees from axis 0 (down) towards
                axis 1 (right), as in Kymatio. A wavelet at 0 answers to horizontal edges, one at
                90 or -90 to vertical ones.

        Notes
        -----
        Frequency and bandwidth are those of Kymatio's Morlet wavelets, which the banks approximate;
        a constant's share is taken off these, which moves their peaks up by 3 %.
        What a bank's own filters are, `filters` says.

        Examples
        --------
        >>> from npscatter import Scattering2D
        >>> meta = Scattering2D(J=2, shape=(32, 32)).meta()
        >>> meta["j"][-1].tolist(), meta["theta"][-1].tolist()
        ([0, 1], [7, 7])
        >>> meta["frequency"][-1].tolist(), meta["angle"][-1].tolist()
        ([0.375, 0.1875], [-90.0, -90.0])
        """
        paths = self.plan.paths

        def column(name: str) -> np.ndarray:
            values = (getattr(path, name) for path in paths)
            return np.array([(*value, -1, -1)[:2] for value in values])

        j, theta = column("j"), column("theta")
        there = j >= 0
        return {
            "order": np.array([path.order for path in paths]),
            "j": j,
            "theta": theta,
            "n": column("n"),
            "frequency": np.where(there, centre_frequency(j), np.nan),
            "bandwidth": np.where(there, bandwidth(j), np.nan),
            "angle": np.where(there, angle_steps(self.L, theta) * 180 / self.L, np.nan),
        }

    def filters(
        self, size: tuple[int, int] | None = None, after: int | None = None
    ) -> EffectiveFilters:
        """Return the wavelets and the low-pass that the bank's cascade of small filters comes to.

        Parameters
        ----------
        size : tuple of int, optional
            (H, W) of the periodic grid they are sampled on, in samples of what they are applied to;
            by default that of the padded image, as Kymatio's. Filters longer than it wrap.
        after : int, optional
            The filters of the moduli ``|x * psi|`` of this scale: the second wavelets of paths, and
            their low-pass. By default those of the image.

        Returns
        -------
        EffectiveFilters
            ``psi`` and ``phi`` in space, ``psi_hat`` and ``phi_hat`` their Fourier transforms;
            ``scales`` of the wavelets; ``grid``, pixels per sample.

        Raises
        ------
        ArgumentError, ArgumentTypeError
            If there is no such grid, or no such scale.

        Examples
        --------
        >>> from npscatter import Scattering2D
        >>> S = Scattering2D(J=3, shape=(32, 32))
        >>> S.filters().psi.shape  # scales, orientations, height, width
        (3, 8, 48, 48)
        >>> S.filters(size=(16, 16), after=1).scales
        (2,)
        """
        if after is not None and not 0 <= integer("after", after) < self.J:
            rule = f"must be a scale, from 0 to {self.J - 1}"
            raise ArgumentError(explain("after", after, rule, "pass one, or None for the image"))
        made_of = (self.bank, self.J, self.max_order)
        if size is None:
            size = samples(self.plan.padded_shape, grid_after(*made_of, after))
        else:
            size = image_shape(size, "size")
        return effective_filters(*made_of, size, after)

    @property
    def psi(self) -> list[dict]:
        """The wavelets as Kymatio keeps them, in the order of their numbers n.

        One dict for each: ``j``, ``theta``, and ``levels``, its Fourier transform on the grid of
        the padded image and on the coarser ones it is applied at, one sample in 2, 4, ... per axis;
        real if the bank is symmetric, in double precision (Kymatio's are float32), read-only.
        Kymatio stores a level more where it has no use.
        """
        wavelets, _ = self._filters_by_resolution
        return [
            {"levels": list(levels), "j": j, "theta": theta}
            for (j, theta), levels in wavelets.items()
        ]

    @property
    def phi(self) -> dict:
        """The low-pass as Kymatio keeps it: ``j`` = J, and ``levels`` as in `psi`."""
        _, low = self._filters_by_resolution
        return {"levels": list(low), "j": self.J}

    @property
    def _filters_by_resolution(self) -> tuple:
        return filters_by_resolution(self.bank, self.J, self.max_order, self.plan.padded_shape)

    @property
    def _options(self) -> dict[str, object]:
        """What the backend gets besides plan, bank and arrays: as it is now, attributes change."""
        return {name: getattr(self, name) for name in self._backend.OPTIONS}

    @property
    def _backend(self) -> Backend:
        # A module, so not an attribute: objects pickle.
        return load(self.backend)

    def __setattr__(self, name: str, value: Any) -> None:
        refuse_read_only(self, name, value)
        super().__setattr__(name, value)

    @property
    def _brief(self) -> str:
        return f"Scattering2D(J={self.J}, shape={self.shape}, bank={self.bank.name!r})"

    @property
    def _shown_outputs(self) -> str:
        """What differs from all smoothed coefficients, for `repr`."""
        asked = self.plan.outputs
        return "".join(
            f", {name}={shown(getattr(asked, name))}"
            for name in ("average", "oversampling", "paths")
            if getattr(asked, name) != getattr(ALL, name)
        )

    def __repr__(self) -> str:
        return (
            f"Scattering2D(J={self.J}, shape={self.shape}, L={self.L}, "
            f"max_order={self.max_order}, pre_pad={self.pre_pad}, backend={self.backend!r}, "
            f"out_type={self.out_type!r}, bank={self.bank.name!r}, boundary={self.boundary!r}"
            f"{self._shown_outputs}"
            f"{''.join(f', {name}={shown(value)}' for name, value in self._options.items())})"
        )

    def _repr_html_(self) -> str:
        """Return what notebooks show: a table, of plain HTML."""
        orders = [path.order for path in self.plan.paths]
        H, W = self.plan.input_shape
        rows = {
            "images": f"(..., {H}, {W})" + (", padded" if self.pre_pad else ""),
            "coefficients": f"{shown(self.output_shape)} of each image",
            "channels": ", ".join(
                f"{orders.count(order)} of order {order}" for order in sorted(set(orders))
            ),
            "scale": f"2^J = {2**self.J} pixels, J = {self.J}",
            "orientations": f"L = {self.L}",
            "bank": f"{self.bank.name} (sha256 {self.bank.sha256[:16]})",
            "boundary": self.boundary,
            "backend": self.backend,
        }
        cells = "".join(
            f'<tr><th style="text-align:left">{name}</th>'
            f'<td style="text-align:left">{html.escape(value)}</td></tr>'
            for name, value in rows.items()
        )
        return f"<table><caption><b>Scattering2D</b></caption>{cells}</table>"
