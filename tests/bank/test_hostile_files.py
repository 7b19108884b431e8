"""Files that somebody made on purpose, under seals that hold: refused, at no cost."""

import json
import os
import pickle
import socket
import struct
import threading
import tracemalloc

import numpy as np
import pytest
from bank_files import (
    arrays_of,
    members_of,
    npy,
    packed,
    same_bits,
    seal,
    sealed,
    taps_seal,
    with_card_within,
    without_card,
    zipped,
)
from banks import KERNELS

from npscatter import BankError, FilterBank
from npscatter.bank import bank_file
from npscatter.program.steps import WEIGHT_ARRAYS

# What zip archives have in front of an entry of their directory, of its end, and of a member.
ENTRY, END, MEMBER = b"PK\x01\x02", b"PK\x05\x06", b"PK\x03\x04"

# What is no file of a bank's size


def load_in_time(path):
    """Return what loading a bank raises; fail if it waits for something."""
    raised = []

    def load():
        try:
            FilterBank.load(path)
        except BaseException as error:
            raised.append(error)

    loader = threading.Thread(target=load, daemon=True)
    loader.start()
    loader.join(60)
    assert not loader.is_alive()
    return raised[0] if raised else None


def put(path, kind):
    """Put something that is no regular file in a place."""
    path.unlink()
    if kind == "a FIFO":
        os.mkfifo(path)
    elif kind == "a folder":
        path.mkdir()
    elif kind == "a socket":
        # Its path may have a hundred characters.
        with socket.socket(socket.AF_UNIX) as bound:
            here = os.getcwd()
            os.chdir(path.parent)
            bound.bind(path.name)
            os.chdir(here)
    else:
        path.symlink_to(kind)


NO_FILES = ["a FIFO", "a folder", "a socket", "/dev/zero", "/dev/null", "/dev/tty", "/"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="kinds of files that POSIX has")
@pytest.mark.parametrize("suffix", [".npz", ".json"])
@pytest.mark.parametrize("kind", NO_FILES)
def test_what_is_no_regular_file_is_neither_read_nor_waited_for(files, suffix, kind):
    put(files.with_suffix(suffix), kind)
    error = load_in_time(files)
    assert isinstance(error, BankError)
    assert f"toy{suffix}' is not a regular file" in str(error)


def test_links_are_followed(files, bank, tmp_path):
    for suffix in (".npz", ".json"):
        (tmp_path / f"link{suffix}").symlink_to(files.with_suffix(suffix))
    assert same_bits(FilterBank.load(tmp_path / "link.npz"), bank)
    (tmp_path / "loop.npz").symlink_to(tmp_path / "loop.npz")
    with pytest.raises(BankError, match=r"^bank=.*cannot read"):
        FilterBank.load(tmp_path / "loop.npz")


def peak_of(path, told):
    """Return how many bytes are allocated at most while a bank is refused."""
    tracemalloc.start()
    try:
        with pytest.raises(BankError, match=told):
            FilterBank.load(path)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("suffix", [".npz", ".json"])
def test_a_file_larger_than_a_banks_is_not_read(files, suffix):
    size = bank_file.LARGEST_FILE + 1
    for length in (size, 2**40):
        os.truncate(files.with_suffix(suffix), length)  # which takes no room on the disk
        assert peak_of(files, f"has {length} bytes, and a bank's files {size - 1} at most") < 2**19


# What an archive may hold


def test_nan_taps_with_valid_seals_are_refused(files, bank):
    arrays = {key: bank[key].copy() for key in bank.keys()}
    arrays["carry_next"][1, 0, 2, 2] = np.nan
    seal(files, packed(**arrays), sha256=taps_seal(bank, arrays))
    with pytest.raises(BankError, match="NaN"):
        FilterBank.load(files)


@pytest.mark.parametrize("key", WEIGHT_ARRAYS)
def test_other_taps_under_the_old_seal_are_refused(files, bank, key):
    arrays = {name: bank[name].copy() for name in bank.keys()}
    arrays[key][0, 0, 0, 0] += 1e-9
    seal(files, packed(**arrays))
    with pytest.raises(BankError, match="sha256"):
        FilterBank.load(files)


PAYLOADS = {
    "empty": b"",
    "text": b"taps",
    "the start of an .npy file": b"\x93NUMPY\x01\x00",
    "an .npy file": lambda bank: npy(bank["low_first"]),
    "a pickle": lambda bank: pickle.dumps({key: bank[key] for key in bank.keys()}),
    "an .npy file of objects": lambda bank: npy(np.array([{}], object)),
    "objects": lambda bank: packed(**{**arrays_of(bank), "low_first": np.array([{}], object)}),
    "an array too few": lambda bank: packed(**{"low_first": bank["low_first"]}),
    "an array too many": lambda bank: packed(**arrays_of(bank), extra=np.zeros(3)),
    "no axes": lambda bank: packed(**{**arrays_of(bank), "psi_first": np.array(1j)}),
    "not arrays": lambda bank: zipped(*((key, b"taps") for key in bank.keys())),
    "broken arrays": lambda bank: zipped(
        *((f"{key}.npy", b"\x93NUMPY\x01") for key in bank.keys())
    ),
    "an empty zip": lambda bank: zipped(),
}


@pytest.mark.parametrize("payload", PAYLOADS.values(), ids=PAYLOADS)
def test_other_payloads_with_valid_seals_are_refused(files, bank, payload):
    seal(files, payload(bank) if callable(payload) else payload)
    with pytest.raises(BankError, match=r"^bank="):
        FilterBank.load(files)


def edited(archive, mark, place, form, value):
    """Return an .npz file with a number changed after the last mark: low_next's, or the end."""
    changed = bytearray(archive)
    struct.pack_into(f"<{form}", changed, archive.rindex(mark) + place, value)
    return bytes(changed)


@pytest.mark.parametrize("honest", [True, False])
def test_a_bomb_is_not_unpacked(files, bank, honest):
    """64 MiB of zeros in 64 KiB, whether the archive says so or not."""
    bomb = packed(**{**arrays_of(bank), "low_next": np.zeros(2**23)})
    if not honest:
        size = len(npy(bank["low_next"]))
        bomb = edited(bomb, ENTRY, 24, "I", size)
    assert len(bomb) < bank_file.LARGEST_FILE
    seal(files, bomb)
    told = "low_next declares 671" if honest else "low_next is damaged, or not as long"
    assert peak_of(files, told) < 2**20


def test_members_of_one_name_and_others_than_weights_are_refused(files, bank):
    members = [*members_of(bank).items()]
    first = members[0]
    for listed in (
        [*members, first],
        [first, *members[:-1]],
        members[:-1],
        [*members, ("card.json", b"{}")],
        [*members[:-1], ("low_next", members[-1][1])],
        [*members[:-1], ("../low_next.npy", members[-1][1])],
        [*members[:-1], ("low_n\u0435xt.npy", members[-1][1])],
        [*members[:-1], ("LOW_NEXT.npy", members[-1][1])],
    ):
        seal(files, zipped(*listed))
        with pytest.raises(BankError, match=r"^bank=.* alone"):
            FilterBank.load(files)
    seal(files, zipped(*members[::-1]))
    assert same_bits(FilterBank.load(files), bank)


FIELDS = {
    "no entry": (ENTRY, 0, "I", 0),
    "encrypted": (ENTRY, 8, "H", 1),
    "a size that follows": (ENTRY, 8, "H", 8),
    "bzip2": (ENTRY, 10, "H", 12),
    "LZMA": (ENTRY, 10, "H", 14),
    "Zstandard": (ENTRY, 10, "H", 93),
    "another checksum": (ENTRY, 16, "I", 7),
    "packed into nothing": (ENTRY, 20, "I", 0),
    "packed into more than there is": (ENTRY, 20, "I", 2**20),
    "sizes in 64 bits": (ENTRY, 20, "I", 2**32 - 1),
    "nothing inside": (ENTRY, 24, "I", 0),
    "four gigabytes": (ENTRY, 24, "I", 2**32 - 1),
    "a longer name": (ENTRY, 28, "H", 2**16 - 1),
    "a longer extra field": (ENTRY, 30, "H", 2**16 - 1),
    "a longer comment": (ENTRY, 32, "H", 1),
    "elsewhere": (ENTRY, 42, "I", 7),
    "at another member": (ENTRY, 42, "I", 0),
    "beyond the end": (ENTRY, 42, "I", 2**32 - 1),
    "no member": (MEMBER, 0, "I", 0),
    "a member of another name": (MEMBER, 30, "B", ord("L")),
    "a member that begins later": (MEMBER, 28, "H", 2**16 - 1),
    "no array": (END, 10, "H", 0),
    "many arrays": (END, 10, "H", 2**16 - 1),
    "a directory of another size": (END, 12, "I", 7),
    "a directory elsewhere": (END, 16, "I", 7),
    "a directory beyond the end": (END, 16, "I", 2**32 - 1),
}


@pytest.mark.parametrize(("mark", "place", "form", "value"), FIELDS.values(), ids=FIELDS)
def test_archives_that_are_no_banks_are_refused(files, mark, place, form, value):
    whole = files.read_bytes()
    changed = edited(whole, mark, place, form, value)
    assert changed != whole
    seal(files, changed)
    with pytest.raises(BankError, match=r"^bank="):
        FilterBank.load(files)


def with_header(text, version=b"\x01\x00"):
    """Return a function from an .npy file to one with another header."""

    def change(content):
        start = 10 + int.from_bytes(content[8:10], "little")
        header = text.encode() if isinstance(text, str) else text(content[10:start])
        return b"\x93NUMPY" + version + struct.pack("<H", len(header)) + header + content[start:]

    return change


ARRAYS = {
    "float32": lambda content: npy(np.zeros((1, 1, 5, 5), np.float32)),
    "big-endian": lambda content: npy(np.zeros((1, 1, 5, 5), ">f8")),
    "integers": lambda content: npy(np.zeros((1, 1, 5, 5), np.int64)),
    "complex": lambda content: npy(np.zeros((1, 1, 5, 5), complex)),
    "dates": lambda content: npy(np.zeros((1, 1, 5, 5), "M8[s]")),
    "records": lambda content: npy(np.zeros((1, 1, 5, 5), [("tap", "<f8")])),
    "objects": lambda content: npy(np.full((1, 1, 5, 5), None, object)),
    "columns first": lambda content: npy(np.asfortranarray(np.arange(25.0).reshape(1, 1, 5, 5))),
    "another shape": lambda content: npy(np.zeros((5, 5))),
    "other kernels": lambda content: npy(np.zeros((1, 1, 3, 3))),
    "a tap too few": lambda content: content[:-8],
    "a byte too many": lambda content: content + b"0",
    "only a header": lambda content: content[:128],
    "no header": with_header(""),
    "a header that goes on": with_header(lambda text: text.rstrip() + b" + ()\n"),
    "no dict": with_header("(" * 500),
    "half a token": with_header("{'descr': " + "'" * 3),
    "a number too large": with_header("{'descr': '<f8', 'shape': (" + "9" * 500 + ",), }"),
    "a shape that overflows": with_header(
        lambda text: text.replace(b"(1, 1, 5, 5)", b"(-1, 2**99)")
    ),
    "a descr of no type": with_header(lambda text: text.replace(b"'<f8'", b"'<f0'")),
    "a key more": with_header(lambda text: text.replace(b", }", b", 'x': 1, }")),
    "version 2": with_header(lambda text: text, b"\x02\x00"),
    "version 99": with_header(lambda text: text, b"\x63\x00"),
    "a header to the end": lambda content: content[:8] + b"\xff\xff" + content[10:],
}


@pytest.mark.parametrize("change", ARRAYS.values(), ids=ARRAYS)
def test_arrays_that_the_card_does_not_announce_are_refused(files, bank, change):
    members = members_of(bank)
    members["low_first.npy"] = change(members["low_first.npy"])
    seal(files, zipped(*members.items()))
    with pytest.raises(BankError, match=r"^bank=.*low_first"):
        FilterBank.load(files)


# What a card may hold


DESIGN = {
    "L": 4,
    "R": 3,
    "psi_stride": 1,
    "next_from": "carried",
    "kernel_sizes": KERNELS,
}
ENTRIES = {
    "newer version": {"format_version": 2},
    "older version": {"format_version": 0},
    "version as text": {"format_version": "1"},
    "version true": {"format_version": True},
    "version with a point": {"format_version": 1.0},
    "no version": {"format_version": ...},
    "no name": {"name": ...},
    "empty name": {"name": ""},
    "name a number": {"name": 3},
    "no boundary": {"boundary": ...},
    "unknown boundary": {"boundary": "reflect"},
    "another boundary": {"boundary": "zero"},
    "boundary a list": {"boundary": ["zero"]},
    "no architecture": {"architecture": ...},
    "architecture null": {"architecture": None},
    "architecture a list": {"architecture": [1]},
    "architecture text": {"architecture": "paper"},
    "no stride": {"architecture": {"next_from": "carried"}},
    "another stride": {"architecture": {**DESIGN, "psi_stride": 2}},
    "stride text": {"architecture": {**DESIGN, "psi_stride": "1"}},
    "another rule": {"architecture": {**DESIGN, "next_from": "octave"}},
    "another L": {"architecture": {**DESIGN, "L": 8}},
    "another R": {"architecture": {**DESIGN, "R": 4}},
    "other kernels": {"architecture": {**DESIGN, "kernel_sizes": {"psi_first": 7}}},
    "no seal of the taps": {"sha256": ...},
    "seal of the taps null": {"sha256": None},
    "no seal of the file": {"npz_sha256": ...},
    "seal of the file a list": {"npz_sha256": []},
}


@pytest.mark.parametrize("entries", ENTRIES.values(), ids=ENTRIES)
def test_other_cards_with_valid_seals_are_refused(files, entries):
    seal(files, **{"architecture": DESIGN})
    FilterBank.load(files)
    seal(files, **entries)
    with pytest.raises(BankError, match=r"^bank="):
        FilterBank.load(files)


def test_the_version_is_named(files):
    seal(files, format_version=7)
    with pytest.raises(BankError, match="format version is 7, this npscatter reads 1"):
        FilterBank.load(files)


NO_CARDS = ["", "{", "null", "3", "[]", '"card"', "{}", "NaN", "\ufeff{}", "[" * 10**5]


@pytest.mark.parametrize("text", NO_CARDS, ids=range(len(NO_CARDS)))
def test_cards_that_are_no_card(files, text):
    files.with_suffix(".json").write_text(text, encoding="utf-8")
    with pytest.raises(BankError, match=r"^bank="):
        FilterBank.load(files)


def test_a_card_within_is_checked_as_the_one_beside_is(files):
    archive = without_card(files.read_bytes())
    card = json.loads(files.with_suffix(".json").read_bytes())
    del card["npz_sha256"]
    files.with_suffix(".json").unlink()
    files.write_bytes(with_card_within(archive, card))
    FilterBank.load(files)
    for entries in ENTRIES.values():
        files.write_bytes(with_card_within(archive, {**card, **entries}))
        with pytest.raises(BankError, match=r"^bank="):
            FilterBank.load(files)


TEXTS = {
    "a key twice": lambda text: text.replace('"name"', '"name": "other", "name"'),
    "a key twice within": lambda text: text.replace('"L"', '"L": 4, "L"'),
    "NaN": lambda text: text.replace('"random numbers"', "NaN"),
    "infinity": lambda text: text.replace('"random numbers"', "-Infinity"),
    "a number that is infinite": lambda text: text.replace('"random numbers"', "1e999"),
    "too many digits": lambda text: text.replace('"random numbers"', "9" * 641),
    "very many digits": lambda text: text.replace('"random numbers"', "9" * 900_000),
    "too deep": lambda text: text.replace('"random numbers"', "[" * 16 + "]" * 16),
    "far too deep": lambda text: text.replace(
        '"random numbers"', '{"a":' * 10**5 + "1" + "}" * 10**5
    ),
    "a mark in front": lambda text: "\ufeff" + text,
    "too long": lambda text: text.replace("random numbers", "x" * 60_000),
    "half of a character": lambda text: text.replace('"toy', '"\\ud800toy'),
    "family a number": lambda text: text.replace('"origin": "random numbers"', '"family": 3'),
}


def sealed_text(text):
    """Return a card's text with a seal that holds, if it can be parsed at all."""
    try:
        card = json.loads(text)
    except (ValueError, RecursionError):
        return text
    right = sealed(card, b"")["card_sha256"]
    return text.replace(card["card_sha256"], right)


@pytest.mark.parametrize("change", TEXTS.values(), ids=TEXTS)
def test_cards_of_what_json_should_not_hold_are_refused(files, change):
    beside = files.with_suffix(".json")
    text = beside.read_text(encoding="utf-8")
    changed = change(text)
    assert changed != text
    beside.write_text(sealed_text(changed), encoding="utf-8")
    with pytest.raises(BankError, match=r"^bank="):
        FilterBank.load(files)


def test_the_costliest_card_takes_little_memory(files):
    """As many objects as an eighth of the largest file can announce, in an eighth of the memory."""
    text = files.with_suffix(".json").read_text(encoding="utf-8")
    entries = '{"":1},' * (bank_file.LARGEST_FILE // 8 // 7)
    text = text.replace('"random numbers"', f"[{entries}0]")
    files.with_suffix(".json").write_text(text, encoding="utf-8")
    assert peak_of(files, "altered") < 100e6 / 8


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "utf-8-sig", "latin-1"])
def test_cards_that_are_not_utf_8_are_refused(files, encoding):
    seal(files, origin="caf\u00e9")
    FilterBank.load(files)
    beside = files.with_suffix(".json")
    text = json.dumps(json.loads(beside.read_bytes()), ensure_ascii=False)
    beside.write_bytes(text.encode(encoding))
    with pytest.raises(BankError, match=r"^bank=.*card"):
        FilterBank.load(files)


def test_sizes_on_the_card_are_checked_before_the_arrays(files):
    for sizes in (
        {"L": 2000},
        {"R": 10**9},
        {"L": 4.0},
        {"R": True},
        {"L": "4"},
        {"kernel_sizes": {**KERNELS, "psi_next": 101}},
        {"kernel_sizes": {**KERNELS, "psi_next": -3}},
        {"kernel_sizes": {**KERNELS, "psi_next": 3.0}},
        {"kernel_sizes": {**KERNELS, "psi_next": None}},
        {"kernel_sizes": {**KERNELS, "other": 3}},
        {"L": 256, "R": 32},
    ):
        # The archive cannot be read either, and nobody comes to see it.
        seal(files, b"", architecture={**DESIGN, **sizes})
        with pytest.raises(BankError, match=r"^bank=.*(architecture|between 1 and|at most)"):
            FilterBank.load(files)
