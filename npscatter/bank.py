"""Filter banks: the frozen weights of a transform, what they satisfy and what they cost."""

from __future__ import annotations

import hashlib
import json
import os
from functools import lru_cache
from pathlib import Path

import numpy as np

from npscatter import bank_file
from npscatter.arguments import integer
from npscatter.errors import ArgumentError, ArgumentTypeError, BankError, explain
from npscatter.program.padding import BOUNDARIES
from npscatter.program.plan import Plan
from npscatter.program.steps import WEIGHT_ARRAYS, Architecture
from npscatter.program.summation import make_summation
from npscatter.program.symmetry import is_symmetric

ROLES = {name: array.role for name, array in WEIGHT_ARRAYS.items()}
# What `FilterBank.describe` and the file format write into a card; the rest is the learner's.
_RESERVED = {"name", "boundary", "architecture", "sha256", *bank_file.SEALS}


class FilterBank:
    """An immutable bank of spatial filters.

    Every array is applied as a correlation, ``y[u] = sum_a w[a] x[u + a - K//2]``.

    Parameters
    ----------
    name : str
        What the bank is called.
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
        `npscatter.program.plan.Architecture`.
    boundary : str, optional
        The boundary the bank was learned for: "kymatio", "zero" or "periodic".
    card : dict, optional
        How the bank was learned and what it measures; anything JSON can hold.

    Raises
    ------
    BankError
        If shapes, kernel sizes or values do not make a bank.

    Notes
    -----
    K is odd and may differ from array to array. The arrays are stored as float64 and complex128,
    and are read-only.
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
        arrays = {
            "psi_first": psi_first,
            "carry_first": carry_first,
            "low_first": low_first,
            "psi_next": psi_next,
            "carry_next": carry_next,
            "low_next": low_next,
        }
        _require(
            card is None or isinstance(card, dict),
            *("card", card, "must be a dict or None", "pass a dict"),
        )
        try:
            self._card = json.dumps(card or {}, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise BankError(
                explain("card", card, f"must be what JSON can hold ({error})", "convert it")
            ) from None
        self._name = name
        self._arrays = {key: _frozen(key, value) for key, value in arrays.items()}
        L, R = self._arrays["psi_first"].shape[0], self._arrays["carry_first"].shape[0]
        self._architecture = Architecture(L, R, psi_stride, next_from)
        self._boundary = boundary
        self._check()
        self._sha256 = self._digest()
        self._symmetric = all(
            is_symmetric(
                np.stack([taps.real, taps.imag]) if ROLES[key] == "psi" else taps, ROLES[key]
            )
            for key, taps in self._arrays.items()
        )

    def _check(self) -> None:
        L, R, design = self.L, self.R, self._architecture
        reserved = sorted(_RESERVED & set(self.card))
        _require(not reserved, "card", reserved, "save() writes these entries", "leave them out")
        _require(
            isinstance(self._name, str) and self._name,
            *("name", self._name, "must be a non-empty str", "name the bank"),
        )
        _require(
            L >= 2 and L % 2 == 0,
            *("psi_first", self["psi_first"].shape, "L must be even", "use L = 2, 4, 6, 8"),
        )
        _require(
            R >= 1,
            *("carry_first", self["carry_first"].shape, "R must be at least 1", "add a carrier"),
        )
        _require(
            type(design.psi_stride) is int and design.psi_stride in (1, 2),
            *("psi_stride", design.psi_stride, "must be the int 1 or 2", "choose one"),
        )
        _require(
            design.next_from in ("carried", "octave"),
            *("next_from", design.next_from, "must be 'carried' or 'octave'", "choose one"),
        )
        _require(
            design.next_from == "carried" or R == 1,
            *("next_from", "octave", f"needs R = 1, this bank has R = {R}", "use 'carried'"),
        )
        _require(
            self.boundary in BOUNDARIES,
            *("boundary", self.boundary, f"must be one of {BOUNDARIES}", "choose one"),
        )
        leading = {
            "psi_first": (L, 1),
            "carry_first": (R, 1),
            "low_first": (1, 1),
            "psi_next": (L, R),
            "carry_next": (R, R),
            "low_next": (1, R),
        }
        for key, taps in self._arrays.items():
            rule = f"must have shape {leading[key]} + (K, K)"
            _require(
                taps.shape[:2] == leading[key],
                *(key, taps.shape, rule, "check L, R and the order of the axes"),
            )
            _require(
                taps.shape[2] == taps.shape[3] and taps.shape[2] % 2 == 1,
                *(key, taps.shape, "kernels must be square and odd", "pad with zeros"),
            )
            _require(
                np.isfinite(taps).all(),
                *(key, "an array", "holds NaN or infinity", "learn or copy it again"),
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

    def describe(self) -> dict:
        """Return the whole card: name, architecture and SHA-256, then `card`."""
        return {
            "name": self.name,
            **self.header(),
            "sha256": self.sha256,
            **self.card,
        }

    def __getitem__(self, key: str) -> np.ndarray:
        """Return one weight array, read-only; the keys are those of the constructor."""
        # A view: whoever reshapes it or asks for it to be writeable does not reach the bank's.
        return self._arrays[key].view()

    def __iter__(self):
        return iter(self._arrays)

    def keys(self) -> tuple[str, ...]:
        """Return the names of the weight arrays."""
        return tuple(self._arrays)

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

    def multiply_adds(self, key: str, folded: bool, outputs: tuple[int, ...] | None = None) -> int:
        """Return the multiply-adds one output sample of ``self[key]`` takes.

        Parameters
        ----------
        key : str
            A weight array.
        folded : bool
            Whether windows are folded first by x(a, b) +- x(a, -b), +- (-a): then each parity
            needs one quadrant of taps, and a mirrored pair of wavelets is computed as one.
            The additions of the folding are not counted.
        outputs : tuple of int, optional
            The outputs (orientations, carriers) that are computed, together; all by default.
        """
        if folded and not self.symmetric:
            raise BankError(
                explain("folded", True, f"bank {self.name!r} is not symmetric", "use folded=False")
            )
        return make_summation(self.real_taps(key, outputs), folded)[0].multiply_adds

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
        return np.concatenate([taps.real, taps.imag]) if ROLES[key] == "psi" else taps

    def with_card(self, card: dict) -> FilterBank:
        """Return the same bank with another card."""
        return FilterBank(self.name, **self._header_arguments(), **self._arrays, card=card)

    def save(self, path: str | os.PathLike) -> Path:
        """Write ``path`` (suffix .npz) and the card beside it (suffix .json).

        The same bank makes the same bytes, as long as Python zips alike.

        Returns
        -------
        Path
            Of the ``.npz`` file.
        """
        return bank_file.write(Path(path), self._arrays, self.describe())

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
            version, altered, or do not hold a valid bank.
        """
        if not isinstance(name_or_path, str | os.PathLike):
            raise ArgumentTypeError(
                explain("bank", name_or_path, "must be a str, a path or a FilterBank", "pass one")
            )
        if _is_path(name_or_path):
            return _load(Path(name_or_path))
        return _load_shipped(name_or_path)

    def _digest(self) -> str:
        digest = hashlib.sha256(bank_file.canonical_json(self.header()))
        for key, taps in self._arrays.items():
            digest.update(f"{key}{taps.shape}{taps.dtype.str}".encode())
            digest.update(taps.astype(taps.dtype.newbyteorder("<"), copy=False).tobytes())
        return digest.hexdigest()

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

    def _header_arguments(self) -> dict:
        return {
            "psi_stride": self._architecture.psi_stride,
            "next_from": self._architecture.next_from,
            "boundary": self._boundary,
        }

    def __reduce__(self):
        return _rebuild, (self.name, self._header_arguments(), dict(self._arrays), self.card)

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


def find_bank(bank: str | os.PathLike | FilterBank, L: int) -> FilterBank:
    """Return the bank a caller means by `bank` and `L`.

    Parameters
    ----------
    bank : str, path or FilterBank
        A shipped name, a path, or a bank. The name of a family stands for all its members:
        "accurate" with L = 4 is "accurate-L4".
    L : int
        Number of orientations.

    Raises
    ------
    ArgumentError
        If `bank` is one bank, and has another L.
    BankError
        If nobody learned that bank at that L; the message lists what there is.
    """
    L = integer("L", L)
    found = bank if isinstance(bank, FilterBank) else FilterBank.load(bank)
    if found.L == L:
        return found
    if isinstance(bank, FilterBank) or _is_path(bank) or _family(found) != found.name:
        raise ArgumentError(
            explain("L", L, f"bank {found.name!r} has L={found.L}", f"pass L={found.L}")
        )
    family = [FilterBank.load(name) for name in bank_file.list_banks()]
    family = [member for member in family if _family(member) == _family(found)]
    for member in family:
        if member.L == L:
            return member
    learned = ", ".join(f"L={member.L}" for member in sorted(family, key=lambda b: b.L))
    raise BankError(
        explain(
            "L",
            L,
            f"bank {found.name!r} was learned for {learned}",
            "use one of these, or learn a bank with python -m tools.learn",
        )
    )


def multiply_adds(plan: Plan, bank: FilterBank, folded: bool) -> int:
    """Return the multiply-adds one image takes.

    Parameters
    ----------
    plan : Plan
        The program.
    bank : FilterBank
        Its weights.
    folded : bool
        See `FilterBank.multiply_adds`.
    """

    @lru_cache
    def per_sample(key: str, outputs: tuple[int, ...] | None) -> int:
        return bank.multiply_adds(key, folded, outputs)

    total = 0
    for step in plan.steps:
        groups = step.groups
        if step.wavelets:
            height, width = step.modulus_shape
            total += groups * height * width * per_sample(step.wavelets, step.orientations)
            groups *= len(step.orientations)
        total += groups * step.size[0] * step.size[1] * per_sample(step.smoothing, None)
    return total


def _family(bank: FilterBank) -> str:
    return bank.card.get("family", bank.name)


def _is_path(name_or_path: str | os.PathLike) -> bool:
    # Only a bare word can be a shipped bank's name.
    return (
        not isinstance(name_or_path, str)
        or name_or_path.endswith(".npz")
        or os.path.basename(name_or_path) != name_or_path
    )


@lru_cache(maxsize=32)
def _load_shipped(name: str) -> FilterBank:
    if name not in bank_file.list_banks():
        raise BankError(
            explain(
                "bank",
                name,
                f"no such bank is shipped; there are {', '.join(bank_file.list_banks())}",
                "use one of these, or the path of an .npz file",
            )
        )
    return _load(bank_file.SHIPPED / f"{name}.npz")


def _load(path: Path) -> FilterBank:
    arrays, card = bank_file.read(path)
    if set(arrays) != set(ROLES):
        raise bank_file.refused(path, f"the .npz file holds {sorted(arrays)}, not {sorted(ROLES)}")
    try:
        design = card["architecture"]
        bank = FilterBank(
            card["name"],
            **arrays,
            psi_stride=design["psi_stride"],
            next_from=design["next_from"],
            boundary=card["boundary"],
            card={key: value for key, value in card.items() if key not in _RESERVED},
        )
    except (BankError, TypeError, KeyError) as error:
        raise bank_file.refused(path, f"it does not hold a valid bank ({error})") from None
    if bank.describe() != card:
        raise bank_file.refused(path, "its card and its taps, of another sha256, contradict")
    return bank


def _require(holds: object, argument: str, value: object, rule: str, remedy: str) -> None:
    if not holds:
        raise BankError(explain(argument, value, rule, remedy))


def _frozen(key: str, value: np.ndarray) -> np.ndarray:
    dtype = np.complex128 if ROLES[key] == "psi" else np.float64
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


def _rebuild(name: str, header: dict, arrays: dict, card: dict) -> FilterBank:
    return FilterBank(name, **header, **arrays, card=card)
