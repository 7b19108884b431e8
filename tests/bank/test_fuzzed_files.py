"""Bank files with accidents, seeded: each is refused with a `BankError`, or is the bank."""

import copy
import json
import warnings

import numpy as np
import pytest
from bank_files import (
    arrays_of,
    members_of,
    packed,
    refused_or_same,
    seal,
    sealed,
    taps_seal,
    zipped,
)

from npscatter import BankWarning, FilterBank


def mutated(content, other, generator):
    """Return bytes with one accident: flipped, cut, inserted, repeated, or of another file."""
    content = bytearray(content)
    start, end = sorted(generator.integers(0, len(content) + 1, 2).tolist())
    piece = generator.integers(0, len(other) - 40)
    accident = generator.integers(0, 6)
    if accident == 0:
        for place in generator.integers(0, len(content), generator.integers(1, 9)):
            content[place] ^= 1 << generator.integers(0, 8)
    elif accident == 1:
        del content[start:end]
    elif accident == 2:
        content[start:start] = other[piece : piece + generator.integers(1, 40)]
    elif accident == 3:
        content[start:start] = content[start:end]
    elif accident == 4:
        length = generator.integers(1, 9)
        content[start : start + length] = bytes([generator.choice([0, 127, 255])] * length)
    else:
        content[start:] = other[piece:]
    return bytes(content)


def test_accidents_to_both_files(files, toy_bank, bank):
    generator = np.random.default_rng(71)
    other = toy_bank("paper", 4).save(files.with_name("other.npz"))
    refused = 0
    for turn in range(300):
        path = files.with_suffix((".npz", ".json")[turn % 2])
        whole = path.read_bytes()
        path.write_bytes(mutated(whole, other.with_suffix(path.suffix).read_bytes(), generator))
        refused += refused_or_same(files, bank)
        path.write_bytes(whole)
    assert refused > 200


@pytest.mark.parametrize("stored", [True, False])
def test_accidents_to_the_archive_under_valid_seals(files, toy_bank, bank, stored):
    """Few reach the arrays where they are compressed; there all of them is header or number."""
    generator = np.random.default_rng(72 + stored)
    archive, other = (
        zipped(*members_of(one).items()) if stored else packed(**arrays_of(one))
        for one in (bank, toy_bank("paper", 4))
    )
    refused = 0
    for turn in range(300):
        content = mutated(archive, other, generator)
        if turn % 2:  # structure: the directory, and what stands before the first member
            place = generator.choice([0, archive.index(b"PK\x01\x02")]) + generator.integers(0, 120)
            size = generator.choice([1, 2, 4])
            value = int(generator.choice([0, 1, 127, 128, 255, generator.integers(256)]))
            content = archive[:place] + bytes([value]) * size + archive[place + size :]
        seal(files, content)
        refused += refused_or_same(files, bank)
    assert 150 < refused < 300


WORDS = [
    *(None, True, False, 0, 1, -1, 2, 3, 8, 31, 33, 2**31, 2**63, 10**30, 0.5, 1e308, -0.0, ""),
    *("octave", "zero", "x" * 300, [], {}, [1], [[]], {"L": 4}, "\0", "\ud800", ...),
]


def places(card, above=()):
    """Yield where all entries of a card are, as tuples of keys."""
    for key, value in card.items() if isinstance(card, dict) else enumerate(card):
        yield (*above, key)
        if isinstance(value, dict | list):
            yield from places(value, (*above, key))


def test_cards_with_every_entry_of_every_type(files, bank):
    """One that loads all the same is the bank of its card, entry by entry, and of the same taps."""
    card = json.loads(files.with_suffix(".json").read_bytes())
    payload = files.read_bytes()
    card |= {"errors": {"photographs": {"S1": 0.25}}, "family": "toys"}
    del card["npz_sha256"], card["card_sha256"]
    loaded = 0
    for place in [("new",), *places(card)]:
        for word in WORDS:
            changed = copy.deepcopy(card)
            within = changed
            for key in place[:-1]:
                within = within[key]
            within[place[-1]] = word
            if word is ...:
                del within[place[-1]]
            text = json.dumps(sealed(changed, payload))
            files.with_suffix(".json").write_text(text, encoding="utf-8")
            if not refused_or_same(files):
                again = FilterBank.load(files)
                changed.pop("format_version", None)
                assert json.dumps(again.describe(), sort_keys=True) == json.dumps(
                    changed, sort_keys=True
                )
                assert all(np.array_equal(again[key], bank[key]) for key in bank)
                loaded += 1
    assert loaded > 100


def test_taps_of_any_value_load_or_are_refused(files, bank):
    generator = np.random.default_rng(73)
    values = [0.0, -0.0, 5e-324, 1e-300, 1.0, 1e100, 1.1e100, -1.7e308, np.inf, np.nan]
    refused = 0
    for _ in range(60):
        arrays = {key: bank[key].copy() for key in bank}
        for taps in arrays.values():
            taps[generator.random(taps.shape) < 0.3] = values[generator.integers(0, 7)]
        if generator.random() < 0.5:
            arrays["carry_next"].flat[generator.integers(0, 99)] = generator.choice(values)
        seal(files, packed(**arrays), sha256=taps_seal(bank, arrays))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", BankWarning)  # of what such banks amplify
            refused += refused_or_same(files)
    assert 0 < refused < 60
