"""Banks and their files as tests take them apart, and seal them again as a forger would."""

import hashlib
import io
import json
import struct
import warnings
import zipfile

import numpy as np

from npscatter import BankError, FilterBank
from npscatter.program.steps import WEIGHT_ARRAYS


def parts(bank):
    """Return what the constructor takes."""
    return {
        **{key: bank[key] for key in bank.keys()},
        "psi_stride": bank.architecture.psi_stride,
        "next_from": bank.architecture.next_from,
        "boundary": bank.boundary,
        "card": bank.card,
    }


def same_bits(one, other):
    """Say whether two banks agree in everything, taps to the last bit."""
    return (
        one == other
        and one.card == other.card
        and one.architecture == other.architecture
        and one.boundary == other.boundary
        and all(one[key].tobytes() == other[key].tobytes() for key in WEIGHT_ARRAYS)
        and all(one[key].dtype == other[key].dtype for key in WEIGHT_ARRAYS)
    )


def sealed(card, payload):
    """Return a card with the seals of an .npz file and of itself; ``...`` leaves an entry out."""
    seals = {"format_version": 1, "npz_sha256": hashlib.sha256(payload).hexdigest()}
    card = {**seals, **{key: value for key, value in card.items() if key != "card_sha256"}}
    card = {key: value for key, value in card.items() if value is not ...}
    text = json.dumps(card, sort_keys=True, separators=(",", ":"))
    return {**card, "card_sha256": hashlib.sha256(text.encode()).hexdigest()}


def seal(path, payload=None, **entries):
    """Rewrite a saved bank with valid file seals: what a careful forger, or a bug, would leave."""
    if payload is not None:
        path.write_bytes(payload)
    card = json.loads(path.with_suffix(".json").read_bytes())
    del card["npz_sha256"]
    card = sealed({**card, **entries}, path.read_bytes())
    path.with_suffix(".json").write_text(json.dumps(card), encoding="utf-8")


def refused_or_same(path, expected=None):
    """Return whether a bank is refused; fail if it is another, or anything else is raised."""
    try:
        loaded = FilterBank.load(path)
    except BankError as error:
        assert str(error).startswith("bank=") and len(str(error)) < 2000
        return True
    assert expected is None or same_bits(loaded, expected)
    return False


def comment(text):
    """Return how a zip archive ends that has this comment."""
    return struct.pack("<H", len(text)) + text


def without_card(payload):
    """Return an .npz file as earlier versions wrote it, without a card within."""
    end = payload.rindex(b"PK\x05\x06")
    return payload[: end + 20] + bytes(2)


def with_card_within(archive, card):
    """Return an .npz file with a card within, sealed."""
    text = json.dumps(sealed(card, archive), sort_keys=True, separators=(",", ":")).encode()
    return archive[:-2] + comment(text)


def packed(**arrays):
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def taps_seal(bank, arrays):
    """Return the format's SHA-256 of taps, as its documentation says: header, then every array."""
    header = {
        "boundary": bank.boundary,
        "architecture": {
            "L": bank.L,
            "R": bank.R,
            "psi_stride": bank.architecture.psi_stride,
            "next_from": bank.architecture.next_from,
            "kernel_sizes": {key: taps.shape[-1] for key, taps in arrays.items()},
        },
    }
    digest = hashlib.sha256(json.dumps(header, sort_keys=True, separators=(",", ":")).encode())
    for key, taps in arrays.items():
        digest.update(f"{key}{taps.shape}{taps.dtype.str}".encode() + taps.tobytes())
    return digest.hexdigest()


def npy(array):
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=True)
    return buffer.getvalue()


def zipped(*members):
    """Return a zip archive of (name, content), uncompressed; names may be there twice."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of names that are there twice
        for name, content in members:
            archive.writestr(name, content)
    return buffer.getvalue()


def arrays_of(bank):
    return {key: bank[key] for key in bank.keys()}


def members_of(bank):
    return {f"{key}.npy": npy(bank[key]) for key in bank.keys()}
