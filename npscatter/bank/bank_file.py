"""Banks on disk: the card, the file format and the folder of shipped banks.

A bank is two files: ``NAME.npz`` with the taps (no pickles) and ``NAME.json``, the card, which
says how the bank was learned and what was measured, and seals both files with SHA-256.

The ``.npz`` holds its card once more, as the comment of the archive. Two files cannot be replaced
at once; while, or because, the card beside it is another bank's, the one within it counts.

Files may come from strangers, so everything is compared with what a bank may be before anything is
unpacked: no more is ever read or allocated than the limits below allow.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import os
import stat
import struct
import zlib
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from npscatter.atomic_write import atomic_write, open_regular
from npscatter.errors import ArgumentTypeError, BankError, explain
from npscatter.program.steps import WEIGHT_ARRAYS

if TYPE_CHECKING:
    from importlib.abc import Traversable

FORMAT_VERSION = 1
SHIPPED: Traversable = files("npscatter") / "banks"
NAMES = (
    *("accurate", "accurate-L4", "accurate-L6", "fast", "fast-L4", "fast-L6"),
    *("paper", "paper-tuned"),
)
# What the format itself writes into a card, and what a bank does; the rest is the learner's.
SEALS = ("format_version", "npz_sha256", "card_sha256")
RESERVED = {"name", "boundary", "architecture", "sha256", *SEALS}

# Of a bank: kernels this large take about a minute to compile, and no design is near.
MOST_ORIENTATIONS, MOST_CARRIERS, LARGEST_KERNEL = 256, 32, 31
MOST_TAPS = 2**15
LONGEST_NAME = 255
# Of its files, in bytes. A learner's card is counted as JSON without white space.
LARGEST_FILE, LARGEST_CARD = 2**20, 60_000
# Levels within each other in a card, and digits of an integer: Python may refuse more.
DEEPEST_CARD, MOST_DIGITS = 16, 640

# Of a zip archive: the end of its directory, an entry of it, and what stands before a member.
_END, _ENTRY, _LOCAL = (struct.Struct(f"<4s{fields}") for fields in ("4H2LH", "6H3L5H2L", "5H3L2H"))
_END_MARK, _ENTRY_MARK, _LOCAL_MARK = b"PK\x05\x06", b"PK\x01\x02", b"PK\x03\x04"
_STORED, _DEFLATED = 0, 8
_NPY_MARK = b"\x93NUMPY\x01\x00"
_LONGEST_NPY_HEADER = 1024


class _FileError(Exception):
    """What is wrong with a bank's files: the rule they break, and a remedy if it is special."""


def write(path: str | os.PathLike, arrays: dict[str, np.ndarray], card: dict) -> Path:
    """Write arrays and card, sealed; what is at `path` is a whole bank at every moment.

    Parameters
    ----------
    path : str or path
        Of the ``.npz`` file; the suffix is added where it is missing.
    arrays : dict of ndarray
        The taps.
    card : dict
        What JSON can hold.

    Returns
    -------
    Path
        Of the ``.npz`` file.
    """
    npz, beside = _files_of("path", path)
    buffer = io.BytesIO()
    little = {key: taps.astype(taps.dtype.newbyteorder("<")) for key, taps in arrays.items()}
    np.savez_compressed(buffer, **little)  # type: ignore[arg-type]
    bare = buffer.getvalue()
    payload = _with_comment(bare, canonical_json(_sealed(card, bare)))
    text = json.dumps(_sealed(card, payload), indent=1) + "\n"
    # In this order: until the second is there, the card within the first counts.
    for target, content in ((npz, payload), (beside, text.encode())):
        with atomic_write(target) as file:
            file.write(content)
    return npz


def read(npz: Traversable, beside: Traversable) -> tuple[dict[str, np.ndarray], dict]:
    """Return the arrays and the card that `write` wrote, after checking every seal.

    Parameters
    ----------
    npz, beside
        The ``.npz`` file and the card beside it, which may be missing if there is one within.

    Raises
    ------
    BankError
        If a file is missing, truncated, altered, of another version, larger than a bank's, or not
        a bank's at all.
    """
    try:
        card, payload = _read_sealed(npz, beside)
        shapes = _shapes(card)
        return _unpacked(payload, shapes), card
    except OSError as error:
        rule = f"cannot read {str(error.filename)!r}: {error.strerror}"
        remedy = "a bank is an .npz file with its .json card beside it"
        raise refused(npz, rule, remedy) from None
    except BankError as error:
        raise refused(npz, f"it does not hold a valid bank ({error})") from None
    except _FileError as error:
        raise refused(npz, *error.args) from None


def _read_sealed(npz: Traversable, beside: Traversable) -> tuple[dict, bytes]:
    """Return the card and the content of the .npz that it seals."""
    missing = text = None
    try:
        # First, since it is written last: if this one is old, the other has its card within.
        text = _content(beside)
    except FileNotFoundError as error:
        missing = error
    payload = _content(npz)
    card = None if text is None else _unsealed(_parsed(text), payload)
    if card is None:
        card = _card_within(payload)
    if card is None and missing:
        raise missing
    if card is None:
        raise _FileError("the .npz file was truncated or altered: npz_sha256 does not match")
    return card, payload


def _content(file: Traversable) -> bytes:
    """Return what a file holds, if it is one, and no larger than a bank's."""
    if not isinstance(file, Path):
        return file.read_bytes()  # within the archive that the package comes in
    try:
        # Opening alone may wait for a writer, or wind a tape; asking what it is does not.
        _size(file, os.stat(file))
        with open_regular(file) as opened:
            return opened.read(_size(file, os.fstat(opened.fileno())))
    except ValueError as error:
        raise _FileError(f"is no path ({error})", "pass a file's path") from None


def _size(file: Path, status: os.stat_result) -> int:
    if not stat.S_ISREG(status.st_mode):
        raise _FileError(f"{str(file)!r} is not a regular file", "pass the path of an .npz file")
    if status.st_size > LARGEST_FILE:
        rule = f"{str(file)!r} has {status.st_size} bytes, and a bank's files {LARGEST_FILE}"
        raise _FileError(f"{rule} at most")
    return status.st_size


# The card


def checked_card(card: object) -> str:
    """Return a learner's card as JSON, or raise a `BankError`."""
    if not (card is None or isinstance(card, dict)):
        raise BankError(explain("card", card, "must be a dict or None", "pass a dict"))
    reserved = sorted(RESERVED & set(card or {}))
    if reserved:
        raise BankError(explain("card", reserved, "save() writes these entries", "leave them out"))
    try:
        text = json.dumps(card or {}, allow_nan=False)
        length = len(canonical_json(_parsed(text.encode())))
    except (TypeError, ValueError, RecursionError, _FileError) as error:
        rule = f"must be what JSON can hold ({error})"
        raise BankError(explain("card", type(card), rule, "convert it")) from None
    if length > LARGEST_CARD:
        rule = f"has {length} bytes as JSON, and a card {LARGEST_CARD} at most"
        raise BankError(explain("card", type(card), rule, "leave out what is not needed"))
    family = (card or {}).get("family", "its own")
    if not (isinstance(family, str) and family):
        raise BankError(explain("card['family']", family, "must be a non-empty str", "name one"))
    return text


def canonical_json(card: dict) -> bytes:
    """Return the one text that a card's content has, for hashing."""
    return json.dumps(card, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def _sealed(card: dict, payload: bytes) -> dict:
    """Return a card with the seals of the .npz and of itself."""
    sha256 = hashlib.sha256(payload).hexdigest()
    sealed = {"format_version": FORMAT_VERSION, **card, "npz_sha256": sha256}
    return {**sealed, "card_sha256": hashlib.sha256(canonical_json(sealed)).hexdigest()}


def _unsealed(sealed: dict, payload: bytes) -> dict | None:
    """Return a card without its seals; None if it is another .npz's."""
    if not all(seal in sealed for seal in SEALS):
        raise _FileError("its card is not a bank's card")
    version, npz_sha256, card_sha256 = (sealed[seal] for seal in SEALS)
    if type(version) is not int or version != FORMAT_VERSION:
        rule = f"its format version is {version!r:.40}, this npscatter reads {FORMAT_VERSION}"
        raise _FileError(rule, "use the npscatter release that wrote it, or learn the bank again")
    signed = {key: value for key, value in sealed.items() if key != "card_sha256"}
    if hashlib.sha256(canonical_json(signed)).hexdigest() != card_sha256:
        raise _FileError("its card was altered: card_sha256 does not match")
    if not isinstance(npz_sha256, str):
        raise _FileError("its card seals no .npz file")
    card = {key: value for key, value in sealed.items() if key not in SEALS}
    return card if npz_sha256 == hashlib.sha256(payload).hexdigest() else None


def _card_within(payload: bytes) -> dict | None:
    """Return the card in an archive's comment; None if there is none, or it is damaged."""
    end = payload.rfind(_END_MARK)
    text = payload[end + _END.size :]
    bare = payload[: end + _END.size - 2] + bytes(2)
    if end < 0 or not text or _with_comment(bare, text) != payload:
        return None
    try:
        sealed = _parsed(text)
        # What says the same in other words was altered too.
        return _unsealed(sealed, bare) if canonical_json(sealed) == text else None
    except _FileError:
        return None


def _with_comment(archive: bytes, comment: bytes) -> bytes:
    """Return a zip archive that had no comment with one of less than 64 KiB."""
    return archive[:-2] + struct.pack("<H", len(comment)) + comment


def _parsed(text: bytes) -> dict:
    """Return the dict that a card's JSON is, without anything that JSON cannot hold or repeats."""
    try:
        card = json.loads(
            text.decode("utf-8"),
            object_pairs_hook=_unique,
            parse_constant=_no_number,
            parse_float=_finite,
            parse_int=_short,
        )
    except (ValueError, RecursionError) as error:
        raise _FileError(f"its card is not a bank's card ({error})") from None
    if not isinstance(card, dict):
        raise _FileError("its card is not a bank's card")
    level: list[Any] = [card]
    for _ in range(DEEPEST_CARD):
        values = (one.values() if isinstance(one, dict) else one for one in level)
        level = [one for within in values for one in within if isinstance(one, dict | list)]
    if level:
        raise _FileError(f"its card is not a bank's card (more than {DEEPEST_CARD} levels)")
    return card


def _unique(pairs: list[tuple[str, Any]]) -> dict:
    if len(entries := dict(pairs)) < len(pairs):
        raise ValueError("an entry is there twice")
    return entries


def _no_number(word: str) -> None:
    raise ValueError(f"{word} is no number")


def _finite(digits: str) -> float:
    if math.isinf(number := float(digits)):
        raise ValueError("a number is too large")
    return number


def _short(digits: str) -> int:
    if len(digits) > MOST_DIGITS:
        raise ValueError(f"a number has more than {MOST_DIGITS} digits")
    return int(digits)


# The taps


def check_sizes(L: int, R: int, kernel_sizes: dict[str, int]) -> None:
    """Raise a `BankError` unless a bank may have these sizes, by weight array the kernels'."""
    limits = [("L", L, MOST_ORIENTATIONS), ("R", R, MOST_CARRIERS)]
    limits += [(f"K of {key}", K, LARGEST_KERNEL) for key, K in kernel_sizes.items()]
    for argument, value, most in limits:
        if not 1 <= value <= most:
            rule = f"must be between 1 and {most} in a bank"
            raise BankError(explain(argument, value, rule, "learn a smaller bank"))
    shapes = (WEIGHT_ARRAYS[key].real_shape(L, R, K) for key, K in kernel_sizes.items())
    if (taps := sum(map(math.prod, shapes))) > MOST_TAPS:
        rule = f"a bank has {MOST_TAPS} at most, real and imaginary parts counted apart"
        raise BankError(explain("taps", taps, rule, "make L, R or the kernels smaller"))


def digest(header: dict, arrays: dict[str, np.ndarray]) -> str:
    """Return the SHA-256 of a bank: of its header and of every tap, little-endian."""
    sha256 = hashlib.sha256(canonical_json(header))
    for key, taps in arrays.items():
        little = taps.astype(taps.dtype.newbyteorder("<"), copy=False)
        sha256.update(f"{key}{little.shape}{little.dtype.str}".encode())
        sha256.update(little.tobytes())
    return sha256.hexdigest()


def _shapes(card: dict) -> dict[str, tuple[int, ...]]:
    """Return the shape that a card's architecture gives every weight array."""
    design = card.get("architecture")
    design = design if isinstance(design, dict) else {}
    sizes = design.get("kernel_sizes")
    if not isinstance(sizes, dict) or set(sizes) != set(WEIGHT_ARRAYS):
        raise _FileError("its card's architecture is not a bank's")
    numbers = (design.get("L"), design.get("R"), *sizes.values())
    if not all(type(number) is int for number in numbers):
        raise _FileError("its card's architecture has sizes that are no integers")
    L, R = numbers[:2]
    check_sizes(L, R, sizes)
    return {key: array.shape(L, R, sizes[key]) for key, array in WEIGHT_ARRAYS.items()}


def _unpacked(payload: bytes, shapes: dict[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
    """Return the weight arrays of an .npz file, of these shapes."""
    try:
        entries = _directory(payload)
        names = {key: f"{key}.npy".encode() for key in shapes}
        if set(entries) != set(names.values()):
            raise _FileError(f"the .npz file does not hold {', '.join(shapes)} alone")
        return {
            key: _array(key, shape, payload, names[key], entries[names[key]])
            for key, shape in shapes.items()
        }
    except (struct.error, zlib.error) as error:
        raise _FileError(f"the .npz file cannot be read ({error})") from None


def _directory(payload: bytes) -> dict[bytes, tuple]:
    """Return the entries of a zip archive, (flags, method, CRC, sizes, offset), by name."""
    end = payload.rfind(_END_MARK)
    if end < 0:
        raise _FileError("the .npz file is no zip archive")
    *_, count, size, at, _ = _END.unpack_from(payload, end)
    # Counted before anything is looked at, so that nobody walks through millions.
    if count != len(WEIGHT_ARRAYS) or at + size != end:
        raise _FileError(f"the .npz file does not hold {len(WEIGHT_ARRAYS)} arrays alone")
    entries = {}
    for _ in range(count):
        mark, _, _, flags, method, _, _, *rest = _ENTRY.unpack_from(payload, at)
        crc, packed, unpacked, name, extra, comment, _, _, _, offset = rest
        if mark != _ENTRY_MARK:
            raise _FileError("the .npz file's directory is damaged")
        at += _ENTRY.size
        entries[payload[at : at + name]] = flags, method, crc, packed, unpacked, offset
        at += name + extra + comment
    if at != end:
        raise _FileError("the .npz file's directory is damaged")
    return entries


def _array(
    key: str, shape: tuple[int, ...], payload: bytes, name: bytes, entry: tuple
) -> np.ndarray:
    """Return a member of an .npz file, which must be an array of this shape and of its dtype."""
    dtype = np.dtype("<c16" if WEIGHT_ARRAYS[key].is_complex else "<f8")
    size = math.prod(shape) * dtype.itemsize
    content = _member(key, payload, name, entry, size + _LONGEST_NPY_HEADER)
    # The only header that `write` makes of such an array; so nothing needs to be understood.
    header = f"{{'descr': {dtype.str!r}, 'fortran_order': False, 'shape': {shape}, }}".encode()
    start = 10 + int.from_bytes(content[8:10], "little")
    if content[:8] != _NPY_MARK or content[10:start].rstrip() != header:
        raise _FileError(f"{key} is no array {shape} of {dtype.name}, as its card says")
    if len(content) != start + size:
        raise _FileError(f"{key} has {len(content) - start} bytes of taps, not {size}")
    return np.frombuffer(content, dtype, offset=start).reshape(shape)


def _member(key: str, payload: bytes, name: bytes, entry: tuple, most: int) -> bytes:
    """Return what a member of a zip archive holds, of `most` bytes at most."""
    flags, method, crc, packed, unpacked, offset = entry
    if flags or method not in (_STORED, _DEFLATED):
        raise _FileError(f"{key} is encrypted, or compressed in a way that banks are not")
    if unpacked > most:
        raise _FileError(f"{key} declares {unpacked} bytes, and its shape takes {most} at most")
    mark, *_, name_size, extra = _LOCAL.unpack_from(payload, offset)
    start = offset + _LOCAL.size
    if mark != _LOCAL_MARK or payload[start : start + name_size] != name:
        raise _FileError(f"the .npz file's directory says where {key} is, and it is not there")
    start += name_size + extra
    content = payload[start : start + packed]
    complete = True
    if method == _DEFLATED:
        stream = zlib.decompressobj(-zlib.MAX_WBITS)
        content = stream.decompress(content, unpacked + 1)
        complete = stream.eof and not stream.unused_data
    if not complete or len(content) != unpacked or zlib.crc32(content) != crc:
        raise _FileError(f"{key} is damaged, or not as long as the .npz file's directory says")
    return content


# Names and paths


def is_path(name_or_path: str | os.PathLike) -> bool:
    """Say whether this is a path; only a bare word can be a shipped bank's name."""
    return (
        not isinstance(name_or_path, str)
        or name_or_path.endswith(".npz")
        or os.path.basename(name_or_path) != name_or_path
    )


def locate(name_or_path: str | os.PathLike) -> tuple[Traversable, Traversable]:
    """Return the .npz file and the card of a shipped bank, or of any other, or raise."""
    if not isinstance(name_or_path, str | os.PathLike):
        rule, remedy = "must be a str, a path or a FilterBank", "pass one"
        raise ArgumentTypeError(explain("bank", name_or_path, rule, remedy))
    if is_path(name_or_path):
        return _files_of("bank", name_or_path)
    if name_or_path not in list_banks():
        raise BankError(
            explain(
                "bank",
                name_or_path,
                f"no such bank is shipped; there are {', '.join(list_banks())}",
                "use one of these, or the path of an .npz file",
            )
        )
    npz, card = (SHIPPED / f"{name_or_path}{suffix}" for suffix in (".npz", ".json"))
    for file in (npz, card):
        if not file.is_file():
            rule = f"is shipped with npscatter, and its file {str(file)!r} is missing"
            raise BankError(explain("bank", name_or_path, rule, "install npscatter again"))
    return npz, card


def list_banks() -> list[str]:
    """Return the names of the shipped banks.

    Examples
    --------
    >>> from npscatter import list_banks
    >>> list_banks()
    ['accurate', 'accurate-L4', 'accurate-L6', 'fast', 'fast-L4', 'fast-L6', 'paper', 'paper-tuned']
    """
    return list(NAMES)


def refused(
    file: Traversable, rule: str, remedy: str = "restore the file, or learn the bank again"
) -> BankError:
    """Return the error that says why a bank's files are not usable."""
    return BankError(explain("bank", str(file), rule, remedy))


def _files_of(argument: str, path: str | os.PathLike) -> tuple[Path, Path]:
    """Return the .npz file and the card that a path means."""
    try:
        npz = Path(path)
    except TypeError:
        raise ArgumentTypeError(
            explain(argument, path, "must be a str or a path", "pass one")
        ) from None
    if not npz.name:
        raise BankError(explain(argument, str(path), "names no file", "pass a file's path"))
    if npz.suffix != ".npz":
        npz = npz.with_name(f"{npz.name}.npz")
    return npz, npz.with_suffix(".json")
