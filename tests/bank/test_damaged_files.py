"""Damage of a bank's files is noticed, byte by byte."""

import json

import numpy as np
import pytest
from bank_files import comment, refused_or_same, same_bits, seal, without_card

from npscatter import BankError, FilterBank


def spread(length, edge=100, count=250):
    """Return positions to damage: all of both ends and `count` spread between."""
    between = np.linspace(0, length - 1, count).astype(int).tolist()
    return sorted({*range(min(edge, length)), *range(max(0, length - edge), length), *between})


def test_every_damaged_byte_of_the_taps_is_noticed(files):
    whole, generator = files.read_bytes(), np.random.default_rng(6)
    for position in spread(len(whole)):
        damaged = bytearray(whole)
        damaged[position] ^= int(generator.integers(1, 256))
        files.write_bytes(damaged)
        with pytest.raises(BankError, match=r"^bank=.*npz_sha256"):
            FilterBank.load(files)


@pytest.mark.parametrize("flip", [0x01, 0x2A, 0x80])
def test_every_damaged_byte_of_the_card_is_noticed(files, bank, flip):
    card = files.with_suffix(".json")
    whole = card.read_bytes()
    content = json.loads(whole)
    refused = 0
    for position in range(len(whole)):
        damaged = bytearray(whole)
        damaged[position] ^= flip
        card.write_bytes(damaged)
        if refused_or_same(files, bank):
            refused += 1
        else:  # white space became other white space
            assert json.loads(bytes(damaged)) == content
            assert chr(whole[position]).isspace() and chr(damaged[position]).isspace()
    assert refused > 0.8 * len(whole)


@pytest.mark.parametrize("suffix", [".npz", ".json"])
def test_truncated_files_are_noticed(files, suffix):
    path = files.with_suffix(suffix)
    whole = path.read_bytes()
    ends = len(whole) - (2 if suffix == ".json" else 1)  # the card's last byte is a line feed
    for length in {0, 1, 2, 10, len(whole) // 3, len(whole) // 2, ends}:
        path.write_bytes(whole[:length])
        with pytest.raises(BankError, match=r"^bank="):
            FilterBank.load(files)
    path.write_bytes(whole + b"x")
    with pytest.raises(BankError, match=r"^bank="):
        FilterBank.load(files)


@pytest.mark.parametrize("suffix", [".npz", ".json"])
def test_a_missing_file_is_named(files, suffix):
    seal(files, without_card(files.read_bytes()))
    files.with_suffix(suffix).unlink()
    with pytest.raises(BankError, match=f"^bank=.*cannot read .*{files.stem}{suffix}"):
        FilterBank.load(files)


def test_resealing_alone_changes_nothing(files, bank):
    seal(files, files.read_bytes())
    assert same_bits(FilterBank.load(files), bank)


def test_damage_under_valid_seals_never_raises_anything_else(files, bank):
    # The zip format's own headers: of the first member in front, the directory at the end.
    whole = files.read_bytes()
    refused = []
    for position in spread(len(whole), edge=120, count=100):
        damaged = bytearray(whole)
        damaged[position] ^= 0xFF
        seal(files, bytes(damaged))
        refused.append(refused_or_same(files, bank))
    assert sum(refused) > len(refused) / 3
    # Encrypted, compressed by an unknown method, of an unknown version: what flags can say.
    central = whole.index(b"PK\x01\x02")
    for place, value in [(6, 99), (8, 1), (10, 99), (10, 9), (38, 255), (8, 0x20)]:
        damaged = bytearray(whole)
        damaged[central + place] = value
        seal(files, bytes(damaged))
        refused_or_same(files, bank)


@pytest.mark.parametrize("damage", ["flip", "cut", "longer", "other words"])
def test_damage_of_the_card_within_is_noticed(files, bank, damage):
    whole = files.read_bytes()
    start = len(without_card(whole))
    card = json.loads(whole[start:])
    files.with_suffix(".json").unlink()
    assert same_bits(FilterBank.load(files), bank)
    damaged = {
        "flip": [
            whole[:place] + b"7" + whole[place + 1 :]
            for place in [start - 2, start - 1, *range(start, len(whole), 9)]
        ],
        "cut": [whole[:-1], whole[:start]],
        "longer": [whole + b" "],
        # Valid JSON of the same content, and as long as the archive says.
        "other words": [without_card(whole)[:-2] + comment(json.dumps(card).encode())],
    }
    for content in damaged[damage]:
        if content != whole:
            files.write_bytes(content)
            with pytest.raises(BankError, match=r"^bank="):
                FilterBank.load(files)
