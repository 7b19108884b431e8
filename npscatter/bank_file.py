"""Banks on disk: the card, the file format and the folder of shipped banks.

A bank is two files: ``NAME.npz`` with the taps (no pickles) and ``NAME.json``, the card, which
says how the bank was learned and what was measured, and seals both files with SHA-256.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import zipfile
import zlib
from pathlib import Path

import numpy as np

from npscatter.atomic_write import atomic_write
from npscatter.errors import ArgumentTypeError, BankError, explain

FORMAT_VERSION = 1
SHIPPED = Path(__file__).parent / "banks"
# What the format itself writes into a card, and what a bank does; the rest is the learner's.
SEALS = ("format_version", "npz_sha256", "card_sha256")
RESERVED = {"name", "boundary", "architecture", "sha256", *SEALS}


def write(path: Path, arrays: dict[str, np.ndarray], card: dict) -> Path:
    """Write arrays and card, sealed; each file appears whole or not at all.

    Parameters
    ----------
    path : Path
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
    path = _with_suffix(path)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
    payload = buffer.getvalue()
    sealed = {
        "format_version": FORMAT_VERSION,
        **card,
        "npz_sha256": hashlib.sha256(payload).hexdigest(),
    }
    sealed["card_sha256"] = hashlib.sha256(canonical_json(sealed)).hexdigest()
    text = json.dumps(sealed, indent=1) + "\n"
    for target, content in ((path, payload), (path.with_suffix(".json"), text.encode())):
        with atomic_write(target) as file:
            file.write(content)
    return path


def read(path: Path) -> tuple[dict[str, np.ndarray], dict]:
    """Return the arrays and the card that `write` wrote, after checking every seal.

    Raises
    ------
    BankError
        If a file is missing, truncated, altered, of another version, or not a bank's at all.
    """
    try:
        path = _with_suffix(path)
        payload = path.read_bytes()
        text = path.with_suffix(".json").read_bytes()
    except OSError as error:
        raise refused(
            path,
            f"cannot read {error.filename}: {error.strerror}",
            "a bank is an .npz file with its .json card beside it",
        ) from None
    except ValueError as error:
        raise refused(path, f"is no path ({error})", "pass a file's path") from None
    try:
        card = json.loads(text)
        seals = {key: card.pop(key) for key in ("format_version", "card_sha256")}
    except (ValueError, KeyError, AttributeError, TypeError, RecursionError):
        raise refused(path, "its card is not a bank's card") from None
    if seals["format_version"] != FORMAT_VERSION:
        raise refused(
            path,
            f"its format version is {seals['format_version']!r}, "
            f"this npscatter reads {FORMAT_VERSION}",
            "use the npscatter release that wrote it, or learn the bank again",
        )
    signed = {"format_version": FORMAT_VERSION, **card}
    if hashlib.sha256(canonical_json(signed)).hexdigest() != seals["card_sha256"]:
        raise refused(path, "its card was altered: card_sha256 does not match")
    if hashlib.sha256(payload).hexdigest() != card.pop("npz_sha256", None):
        raise refused(path, "the .npz file was truncated or altered: npz_sha256 does not match")
    try:
        # Unlike np.load, this takes nothing for a plain .npy file or a pickle.
        with np.lib.npyio.NpzFile(io.BytesIO(payload), allow_pickle=False) as archive:
            return {key: archive[key] for key in archive.files}, card
    except (
        OSError,
        ValueError,
        EOFError,
        KeyError,
        RuntimeError,
        MemoryError,
        zipfile.BadZipFile,
        zlib.error,
    ) as error:
        raise refused(path, f"the .npz file cannot be read ({error})") from None


def checked_card(card: object) -> str:
    """Return a learner's card as JSON, or raise a `BankError`."""
    if not (card is None or isinstance(card, dict)):
        raise BankError(explain("card", card, "must be a dict or None", "pass a dict"))
    reserved = sorted(RESERVED & set(card or {}))
    if reserved:
        raise BankError(explain("card", reserved, "save() writes these entries", "leave them out"))
    try:
        return json.dumps(card or {}, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise BankError(
            explain("card", card, f"must be what JSON can hold ({error})", "convert it")
        ) from None


def digest(header: dict, arrays: dict[str, np.ndarray]) -> str:
    """Return the SHA-256 of a bank: of its header and of every tap, little-endian."""
    sha256 = hashlib.sha256(canonical_json(header))
    for key, taps in arrays.items():
        sha256.update(f"{key}{taps.shape}{taps.dtype.str}".encode())
        sha256.update(taps.astype(taps.dtype.newbyteorder("<"), copy=False).tobytes())
    return sha256.hexdigest()


def is_path(name_or_path: str | os.PathLike) -> bool:
    """Say whether this is a path; only a bare word can be a shipped bank's name."""
    return (
        not isinstance(name_or_path, str)
        or name_or_path.endswith(".npz")
        or os.path.basename(name_or_path) != name_or_path
    )


def locate(name_or_path: str | os.PathLike) -> Path:
    """Return the path of a shipped bank's file, or of any other's, or raise."""
    if not isinstance(name_or_path, str | os.PathLike):
        raise ArgumentTypeError(
            explain("bank", name_or_path, "must be a str, a path or a FilterBank", "pass one")
        )
    if is_path(name_or_path):
        return Path(name_or_path)
    if name_or_path not in list_banks():
        raise BankError(
            explain(
                "bank",
                name_or_path,
                f"no such bank is shipped; there are {', '.join(list_banks())}",
                "use one of these, or the path of an .npz file",
            )
        )
    return SHIPPED / f"{name_or_path}.npz"


def list_banks() -> list[str]:
    """Return the names of the shipped banks.

    Examples
    --------
    >>> from npscatter import list_banks
    >>> list_banks()
    ['accurate', 'accurate-L4', 'accurate-L6', 'fast', 'fast-L4', 'fast-L6', 'paper', 'paper-tuned']
    """
    return sorted(path.stem for path in SHIPPED.glob("*.npz"))


def refused(
    path: Path, rule: str, remedy: str = "restore the file, or learn the bank again"
) -> BankError:
    """Return the error that says why a bank's files are not usable."""
    return BankError(explain("bank", str(path), rule, remedy))


def canonical_json(card: dict) -> bytes:
    """Return the one text that a card's content has, for hashing."""
    return json.dumps(card, sort_keys=True, separators=(",", ":")).encode()


def _with_suffix(path: Path) -> Path:
    return path if path.suffix == ".npz" else path.with_name(path.name + ".npz")
