"""Filter banks: the frozen weights of a transform, and what they satisfy."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from npscatter.arguments import integer
from npscatter.atomic_write import atomic_write
from npscatter.bank import bank_file, plain_taps
from npscatter.errors import ArgumentError, BankError, BankWarning, explain, outside_package
from npscatter.program.padding import BOUNDARIES
from npscatter.program.steps import WEIGHT_ARRAYS, Architecture
from npscatter.program.summation import Summation, make_summation
from npscatter.program.symmetry import is_symmetric

if TYPE_CHECKING:
    from importlib.abc import Traversable

# What an octave may multiply the mean by, and what any other mode.
LARGEST_MEAN, LARGEST_MODE = 1.1, 0.5
# Sums of as many taps as there may be, and their squares, are finite numbers.
LARGEST_TAP = 1e100

LEARN_ONE = (
    ", or learn one, in npscatter's source repository (docs/learning.md): `python -m tools.learn "
    "train {name} --L {L} --run runs/{run} && python -m tools.learn freeze runs/{run} --name {run} "
    "-o .`, then pass bank='{run}.npz'"
)


class FilterBank:
    """An immutable bank of spatial filters.

    Every array is applied as a correlation, ``y[u] = sum_a w[a] x[u + a - K//2]``.

    Parameters
    ----------
    name : str
        What the bank is called, in 255 characters at most.
    psi_first : ndarray of complex, shape (L, 1, K, K)
        Wavelets for one raw map.
    carry_first : ndarray, shape (R, 1, K, K)
        From one raw map to R carried maps.
    low_first : ndarray, shape (1, 1, K, K)
        Low-pass for one raw map.
    psi_next : ndarray of complex, shape (L, R, K, K)
        Wavelets for carried maps.
    carry_next : ndarray, shape (R, R, K, K)
        From carried maps to those of the next octave.
    low_next : ndarray, shape (1, R, K, K)
        Low-pass for carried maps.
    psi_stride : int, optional
        1, or 2 for wavelets that halve the resolution (the paper's network).
    next_from : str, optional
        "carried" or "octave": when the ``*_next`` arrays take over; see
        `npscatter.program.steps.Architecture`.
    boundary : str, optional
        The boundary the bank was learned for: one of
        ``npscatter.program.padding.BOUNDARIES``.
    card : dict, optional
        How the bank was learned and what it measures; anything JSON can hold, in 60,000 bytes. Its
        entry "family", if there is one, is a name.

    Raises
    ------
    BankError
        If shapes, kernel sizes or values do not make a bank.

    Notes
    -----
    K is odd and may differ from array to array. The arrays are stored as float64 and complex128,
    and are read-only. L is 256 at most, R 32, K 31, and all taps together 32,768, for what is
    computed with them is unrolled and compiled.

    Examples
    --------
    Another low-pass for a shipped bank, and a transform by it:

    >>> from npscatter import FilterBank, Scattering2D
    >>> shipped = FilterBank.load("accurate")
    >>> taps = {key: shipped[key] for key in shipped}
    >>> taps["low_next"] = taps["low_next"] / 2
    >>> mine = FilterBank("mine", **taps, boundary="kymatio")
    >>> Scattering2D(J=2, shape=(32, 32), bank=mine).bank
    FilterBank('mine', L=8, R=4, kernels: ...
    """

    def __init__(
        self,
        name: str,
        *,
        psi_first: np.ndarray,
        carry_first: np.ndarray,
        low_first: np.ndarray,
        psi_next: np.ndarray,
        carry_next: np.ndarray,
        low_next: np.ndarray,
        psi_stride: int = 1,
        next_from: str = "carried",
        boundary: str = "kymatio",
        card: dict | None = None,
    ):
        given = (psi_first, carry_first, low_first, psi_next, carry_next, low_next)
        self._card = bank_file.checked_card(card)
        self._name = name
        self._arrays = {
            key: _frozen(key, taps) for key, taps in zip(WEIGHT_ARRAYS, given, strict=True)
        }
        L, R = self._arrays["psi_first"].shape[0], self._arrays["carry_first"].shape[0]
        self._architecture = Architecture(L, R, psi_stride, next_from)
        self._boundary = boundary
        _check(self)
        self._sha256 = bank_file.digest(self.header(), self._arrays)
        self._symmetric = all(
            is_symmetric(_real_and_imaginary(key, taps), WEIGHT_ARRAYS[key].role)
            for key, taps in self._arrays.items()
        )

    @property
    def name(self) -> str:
        """The bank's name."""
        return self._name

    @property
    def architecture(self) -> Architecture:
        """What the planner must know: L, R, strides, and which weights apply where."""
        return self._architecture

    @property
    def boundary(self) -> str:
        """The boundary the bank was learned for."""
        return self._boundary

    @property
    def L(self) -> int:
        """Number of orientations."""
        return self._architecture.orientations

    @property
    def R(self) -> int:
        """Number of maps carried from octave to octave."""
        return self._architecture.carriers

    @property
    def card(self) -> dict:
        """A copy of the card: how the bank was learned, and its measured errors."""
        return json.loads(self._card)

    @property
    def sha256(self) -> str:
        """SHA-256 over the architecture, the boundary and every tap: the bank's identity."""
        return self._sha256

    @property
    def symmetric(self) -> bool:
        """Whether the square's symmetries leave the bank unchanged, bit for bit.

        Only then are mirrored and rotated images mapped to exactly permuted coefficients, and
        only then may an executor fold its windows.
        """
        return self._symmetric

    @property
    def family(self) -> str:
        """The name that stands for the bank and its relatives of other L; its own by default."""
        return self.card.get("family", self.name)

    @property
    def modes(self) -> np.ndarray:
        """What an octave multiplies constant carried maps by, the mean first, then by size.

        The eigenvalues of `carry_next` summed over its taps, shape (R,); the mean's is nearest 1.
        """
        modes = np.linalg.eigvals(self._arrays["carry_next"].sum((2, 3)))
        mean = abs(modes - 1).argmin()
        others = np.delete(modes, mean)
        return np.r_[modes[mean], others[np.argsort(-abs(others), kind="stable")]]

    def instability(self) -> str | None:
        """Say whether the mean grows from octave to octave, or another mode hardly decays.

        What enters it, aliases and rounding above all, grows with J; a mode of 1/2 or less forgets
        it. `npscatter.bounds.Growth` proves more.

        Returns
        -------
        str or None
            The fault as a sentence; None if there is no such mode.
        """
        mean, *others = self.modes
        if abs(mean) > LARGEST_MEAN:
            what, mode, most = "the mean", mean, LARGEST_MEAN
        # Eigenvalues are known to rounding.
        elif others and abs(others[0]) > LARGEST_MODE + 1e-9:
            what, mode, most = "a mode", others[0], LARGEST_MODE
        else:
            return None
        by = f"{mode.real:.3g}" if mode.imag == 0 else f"{mode:.3g}"
        rule = f"carry_next multiplies {what} of the carried maps by {by} per octave, where "
        rule += f"{most} is the most: what leaks into it grows with J"
        remedy = "check its errors at the J you use, or learn it again "
        remedy += "(docs/learning.md in the source repository)"
        return explain("bank", self.name, rule, remedy)

    def __getitem__(self, key: str) -> np.ndarray:
        """Return one weight array, read-only; the keys are those of the constructor."""
        # A view: whoever reshapes it or asks for it to be writeable does not reach the bank's.
        return self._arrays[key].view()

    def __iter__(self) -> Iterator[str]:
        return iter(self._arrays)

    def keys(self) -> tuple[str, ...]:
        """Return the names of the weight arrays."""
        return tuple(self._arrays)

    def real_taps(self, key: str, outputs: tuple[int, ...] | None = None) -> np.ndarray:
        """Return ``self[key]`` as real filters: for wavelets all real parts, then imaginary ones.

        Parameters
        ----------
        key : str
            A weight array.
        outputs : tuple of int, optional
            Which outputs (orientations, carriers), in this order; all by default.

        Returns
        -------
        ndarray of float64, shape (O or 2 O, R, K, K)
        """
        taps = self._arrays[key] if outputs is None else self._arrays[key][list(outputs)]
        if not WEIGHT_ARRAYS[key].is_complex:
            return taps
        return np.concatenate([taps.real, taps.imag])

    def summation(
        self, key: str, outputs: tuple[int, ...] | None = None, folded: bool | None = None
    ) -> tuple[Summation, np.ndarray]:
        """Return in what order the correlations with ``self[key]`` are summed, and the weights.

        Parameters
        ----------
        key, outputs
            As for `real_taps`.
        folded : bool, optional
            Whether windows are folded first by x(a, b) +- x(a, -b), +- (-a): then each parity
            needs one quadrant of taps, and a mirrored pair of wavelets is computed as one. By
            default a symmetric bank's are.

        Returns
        -------
        Summation
        ndarray of float64, shape (multiply_adds,)

        Raises
        ------
        BankError
            To fold what is not symmetric.
        """
        if folded and not self.symmetric:
            raise BankError(
                explain("folded", True, f"bank {self.name!r} is not symmetric", "use folded=False")
            )
        folded = self.symmetric if folded is None else folded
        return make_summation(self.real_taps(key, outputs), folded)

    def header(self) -> dict:
        """Return the boundary and the architecture, as cards have them."""
        design = self._architecture
        return {
            "boundary": self._boundary,
            "architecture": {
                "L": design.orientations,
                "R": design.carriers,
                "psi_stride": design.psi_stride,
                "next_from": design.next_from,
                "kernel_sizes": {key: taps.shape[-1] for key, taps in self._arrays.items()},
            },
        }

    def describe(self) -> dict:
        """Return the whole card: name, architecture and SHA-256, then `card`."""
        return {"name": self.name, **self.header(), "sha256": self.sha256, **self.card}

    def with_card(self, card: dict) -> FilterBank:
        """Return the same bank with another card.

        Parameters
        ----------
        card : dict
            As for `FilterBank`.

        Returns
        -------
        FilterBank
        """
        return _rebuild(self.name, self._design_arguments(), self._arrays, card)

    def save(self, path: str | os.PathLike) -> Path:
        """Write ``path`` (suffix .npz) and the card beside it (suffix .json).

        The same bank makes the same bytes, as long as Python zips alike. Whoever loads the bank
        meanwhile, or after a writer that was stopped, gets the earlier bank or this one, whole.

        Parameters
        ----------
        path : str or path
            The suffix is added where it is missing.

        Returns
        -------
        Path
            Of the ``.npz`` file.

        Examples
        --------
        >>> from tempfile import TemporaryDirectory
        >>> from npscatter import FilterBank
        >>> bank = FilterBank.load("fast")
        >>> with TemporaryDirectory() as folder:
        ...     FilterBank.load(bank.save(f"{folder}/mine")) == bank
        True
        """
        return bank_file.write(path, self._arrays, self.describe())

    def export_taps(self, path: str | os.PathLike, dtype: str = "float32") -> Path:
        """Write the taps as plain arrays, from which any framework's layers can be initialised.

        Each of the six arrays is a convolution layer's weight, shape (outputs, inputs, K, K); of
        wavelets the first L outputs are the real parts, the others the imaginary parts. What
        strides and edges they go with is in the file too.

        Parameters
        ----------
        path : str or path
            Ends in ``.npz``, where a text of JSON stands beside the arrays as ``about``, or in
            ``.safetensors`` (extra ``safetensors``), where it is the metadata's only entry.
        dtype : str, optional
            "float32", "float16" or "float64".

        Returns
        -------
        Path
            Of the file.

        Raises
        ------
        ArgumentError, BackendError
            For another suffix or dtype, and where safetensors is not installed.

        See Also
        --------
        save : Writes what `load` reads.
        cexport.generate : With ``weights_only=True``, the same as C arrays.

        Examples
        --------
        >>> import numpy as np
        >>> from tempfile import TemporaryDirectory
        >>> from npscatter import FilterBank
        >>> with TemporaryDirectory() as folder:
        ...     path = FilterBank.load("accurate").export_taps(f"{folder}/taps.npz")
        ...     with np.load(path) as file:
        ...         print(file["psi_next"].shape, file["psi_next"].dtype)
        (16, 4, 7, 7) float32
        """
        content = plain_taps.encode(self, path, dtype)
        with atomic_write(Path(path)) as file:
            file.write(content)
        return Path(path)

    @classmethod
    def load(cls, name_or_path: str | os.PathLike) -> FilterBank:
        """Load a shipped bank by name, or any bank by the path of its ``.npz`` file.

        Parameters
        ----------
        name_or_path : str or path
            A name from `npscatter.list_banks`, or a path (anything with a directory or the suffix
            .npz).

        Raises
        ------
        BankError
            If there is no such bank, or the files are missing, truncated, of another format
            version, altered, larger than a bank's, or do not hold a valid bank. Nothing else is
            raised, whatever the files hold, but for an `ArgumentTypeError` where this is no path.

        Warns
        -----
        BankWarning
            If it has an `instability`.

        Examples
        --------
        >>> from npscatter import FilterBank
        >>> bank = FilterBank.load("accurate")
        >>> bank.L, bank.R, bank["psi_first"].shape
        (8, 4, (8, 1, 9, 9))
        """
        if isinstance(name_or_path, str) and not bank_file.is_path(name_or_path):
            return _read_shipped(name_or_path)
        return _read(*bank_file.locate(name_or_path))

    def _design_arguments(self) -> dict:
        return {
            "psi_stride": self._architecture.psi_stride,
            "next_from": self._architecture.next_from,
            "boundary": self._boundary,
        }

    def __reduce__(self) -> tuple:
        return _rebuild, (self.name, self._design_arguments(), dict(self._arrays), self.card)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, FilterBank):
            return NotImplemented
        return self.name == other.name and self.sha256 == other.sha256

    def __hash__(self) -> int:
        return hash(self.sha256)

    def __repr__(self) -> str:
        kernels = ", ".join(f"{key} {taps.shape[-1]}" for key, taps in self._arrays.items())
        return (
            f"FilterBank({self.name!r}, L={self.L}, R={self.R}, kernels: {kernels}, "
            f"boundary={self.boundary!r}, symmetric={self.symmetric})"
        )


def resolve(
    bank: str | os.PathLike | FilterBank, L: int | None = None, boundary: str | None = None
) -> tuple[FilterBank, str]:
    """Return the bank and the boundary a caller means.

    Parameters
    ----------
    bank : str, path or FilterBank
        A shipped name, a path, or a bank. The name of a family stands for all its members:
        "accurate" with L = 4 is "accurate-L4".
    L : int, optional
        Number of orientations; the bank's own by default.
    boundary : str, optional
        The bank's own by default.

    Raises
    ------
    ArgumentError
        If `bank` is one bank, and has another L.
    BankError
        If nobody learned that bank at that L; the message lists what there is.
    """
    resolved = bank if isinstance(bank, FilterBank) else FilterBank.load(bank)
    wanted = resolved.L if L is None else integer("L", L)
    if resolved.L != wanted:
        named = isinstance(bank, str) and not bank_file.is_path(bank)
        resolved = _relative(resolved, wanted, named)
    return resolved, resolved.boundary if boundary is None else boundary


def _relative(bank: FilterBank, L: int, is_family: bool) -> FilterBank:
    """Return the member of a bank's family that has L orientations, if it was named by family."""
    if not is_family or bank.family != bank.name:
        raise ArgumentError(
            explain("L", L, f"bank {bank.name!r} has L={bank.L}", f"pass L={bank.L}")
        )
    family = [FilterBank.load(name) for name in bank_file.list_banks()]
    family = sorted((one for one in family if one.family == bank.family), key=lambda b: b.L)
    for member in family:
        if member.L == L:
            return member
    rule = f"bank {bank.name!r} was learned for {', '.join(f'L={member.L}' for member in family)}"
    remedy = "use one of these"
    if 2 <= L <= bank_file.MOST_ORIENTATIONS and L % 2 == 0:
        run = f"{bank.name}-L{L}"
        remedy += LEARN_ONE.format(name=bank.name, L=L, run=run)
    raise BankError(explain("L", L, rule, remedy))


@lru_cache(maxsize=32)
def _read_shipped(name: str) -> FilterBank:
    # By name: an object costs no look into the folder of banks.
    return _read(*bank_file.locate(name))


def _read(npz: Traversable, beside: Traversable) -> FilterBank:
    arrays, card = bank_file.read(npz, beside)
    try:
        design = card["architecture"]
        bank = FilterBank(
            card["name"],
            **arrays,
            psi_stride=design["psi_stride"],
            next_from=design["next_from"],
            boundary=card["boundary"],
            card={key: value for key, value in card.items() if key not in bank_file.RESERVED},
        )
    except KeyError as error:
        raise bank_file.refused(npz, f"its card has no {error}") from None
    except BankError as error:
        raise bank_file.refused(npz, f"it does not hold a valid bank ({error})") from None
    if bank.describe() != card:
        raise bank_file.refused(npz, "its card and its taps, of another sha256, contradict")
    if fault := bank.instability():
        warnings.warn(BankWarning(fault), stacklevel=outside_package())
    return bank


def _check(bank: FilterBank) -> None:
    """Raise a `BankError` unless name, shapes, sizes and values make a bank."""
    L, R, design = bank.L, bank.R, bank.architecture
    _check_name(bank.name)
    shape = bank["psi_first"].shape
    _require(L >= 2 and L % 2 == 0, "psi_first", shape, "L must be even", "use L = 2, 4, 6, 8")
    shape = bank["carry_first"].shape
    _require(R >= 1, "carry_first", shape, "R must be at least 1", "add a carrier")
    stride = design.psi_stride
    holds = type(stride) is int and stride in (1, 2)
    _require(holds, "psi_stride", stride, "must be the int 1 or 2", "choose one")
    holds = design.next_from in ("carried", "octave")
    rule = "must be 'carried' or 'octave'"
    _require(holds, "next_from", design.next_from, rule, "choose one")
    holds = design.next_from == "carried" or R == 1
    rule = f"needs R = 1, this bank has R = {R}"
    _require(holds, "next_from", "octave", rule, "use 'carried'")
    holds = bank.boundary in BOUNDARIES
    _require(holds, "boundary", bank.boundary, f"must be one of {BOUNDARIES}", "choose one")
    for key, array in WEIGHT_ARRAYS.items():
        taps, leading = bank[key], array.shape(L, R, 1)[:2]
        rule, remedy = f"must have shape {leading} + (K, K)", "check L, R and the order of the axes"
        _require(taps.shape[:2] == leading, key, taps.shape, rule, remedy)
        odd = taps.shape[2] == taps.shape[3] and taps.shape[2] % 2 == 1
        _require(odd, key, taps.shape, "kernels must be square and odd", "pad with zeros")
        finite = np.isfinite(taps).all()
        _require(finite, key, "an array", "holds NaN or infinity", "learn or copy it again")
        largest = max(abs(taps.real).max(), abs(taps.imag).max())
        rule = f"has taps above {LARGEST_TAP:g}"
        _require(largest <= LARGEST_TAP, key, largest, rule, "check what made the bank")
    bank_file.check_sizes(L, R, {key: bank[key].shape[-1] for key in WEIGHT_ARRAYS})


def _check_name(name: object) -> None:
    """Raise a `BankError` unless this can be a bank's name."""
    if not (isinstance(name, str) and name):
        raise BankError(explain("name", name, "must be a non-empty str", "name the bank"))
    rule = f"has {len(name)} characters, and a name {bank_file.LONGEST_NAME} at most"
    _require(len(name) <= bank_file.LONGEST_NAME, "name", name, rule, "take a shorter one")
    try:
        name.encode()
    except UnicodeEncodeError:
        rule = "has half of a character (a surrogate), which UTF-8 cannot hold"
        raise BankError(explain("name", name, rule, "leave it out")) from None


def _require(holds: object, argument: str, value: object, rule: str, remedy: str) -> None:
    if not holds:
        raise BankError(explain(argument, value, rule, remedy))


def _frozen(key: str, value: np.ndarray) -> np.ndarray:
    dtype = np.complex128 if WEIGHT_ARRAYS[key].is_complex else np.float64
    try:
        taps = np.asarray(value)
    except (TypeError, ValueError) as error:
        raise BankError(explain(key, value, f"is no array ({error})", "pass an array")) from None
    _require(taps.ndim == 4, key, taps.shape, "must have four axes", "see FilterBank's shapes")
    _require(
        taps.dtype.kind == "f" or (taps.dtype.kind == "c" and dtype is np.complex128),
        *(key, taps.dtype, f"must hold {dtype.__name__}", "convert it"),
    )
    taps = np.array(taps, dtype=dtype, order="C")
    taps.setflags(write=False)
    return taps


def _real_and_imaginary(key: str, taps: np.ndarray) -> np.ndarray:
    return np.stack([taps.real, taps.imag]) if WEIGHT_ARRAYS[key].is_complex else taps


def _rebuild(name: str, design: dict, arrays: dict, card: dict) -> FilterBank:
    return FilterBank(name, **design, **arrays, card=card)
