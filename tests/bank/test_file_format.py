"""Banks on disk: what is written is what is read, at every moment."""

import errno
import hashlib
import io
import json
import pickle
import shutil
import threading
from contextlib import contextmanager
from itertools import combinations, combinations_with_replacement

import numpy as np
import pytest
from bank_files import same_bits, seal, taps_seal, without_card

from npscatter import BankError, FilterBank, list_banks
from npscatter.bank import bank_file


def test_save_and_load_are_exact(toy_bank, tmp_path):
    for kind, L, R in [("symmetric", 8, 4), ("free", 6, 2), ("paper", 4, 1)]:
        bank = toy_bank(kind, L, R)
        path = bank.save(tmp_path / kind)
        assert path == tmp_path / f"{kind}.npz"
        assert sorted(p.name for p in tmp_path.glob(f"{kind}*")) == [f"{kind}.json", f"{kind}.npz"]
        loaded = FilterBank.load(path)
        assert same_bits(loaded, bank) and loaded.symmetric == bank.symmetric
        assert same_bits(FilterBank.load(str(path)), bank)


def test_the_same_bank_makes_the_same_bytes(bank, tmp_path):
    first = bank.save(tmp_path / "first.npz")
    second = FilterBank.load(first).save(tmp_path / "second.npz")
    third = pickle.loads(pickle.dumps(bank)).save(tmp_path / "third.npz")
    for other in (second, third):
        assert other.read_bytes() == first.read_bytes()
        card = other.with_suffix(".json").read_bytes()
        assert card == first.with_suffix(".json").read_bytes()


def test_a_name_with_a_dot_is_kept(bank, tmp_path):
    assert bank.save(tmp_path / "bank-1.5").name == "bank-1.5.npz"
    assert bank.save(tmp_path / "bank-1.6.npz").name == "bank-1.6.npz"
    assert FilterBank.load(tmp_path / "bank-1.5.npz") == bank


def test_the_card_on_disk_describes_the_bank(files, bank):
    card = json.loads(files.with_suffix(".json").read_text(encoding="utf-8"))
    assert card["format_version"] == 1 and card["name"] == bank.name
    assert card["boundary"] == "kymatio" and card["sha256"] == bank.sha256
    assert card["architecture"] == {
        "L": 4,
        "R": 3,
        "psi_stride": 1,
        "next_from": "carried",
        "kernel_sizes": {key: bank[key].shape[-1] for key in bank.keys()},
    }
    assert card["npz_sha256"] == hashlib.sha256(files.read_bytes()).hexdigest()
    assert card["origin"] == "random numbers"


def test_a_card_of_any_text_survives(bank, tmp_path):
    card = {"author": 'Ψ, \u2028 \\ " \n', "nested": [1, 2.5, None, {"a": [True]}], "tiny": 5e-324}
    loaded = FilterBank.load(bank.with_card(card).save(tmp_path / "b.npz"))
    assert loaded.card == card


FORMAT_ENTRIES = ("format_version", "name", "boundary", "architecture")
SEALS = ("sha256", "npz_sha256", "card_sha256")


@pytest.mark.parametrize("key", FORMAT_ENTRIES + SEALS)
def test_a_card_cannot_speak_for_the_format(bank, tmp_path, key):
    """Entries the format writes are refused in a card, or at least never override the truth."""
    try:
        pretender = bank.with_card({key: "another"})
    except BankError:
        return
    loaded = FilterBank.load(pretender.save(tmp_path / "b.npz"))
    assert loaded == bank and loaded.boundary == bank.boundary


def test_the_seal_of_the_taps_is_what_it_says(bank):
    assert bank.sha256 == taps_seal(bank, {key: bank[key] for key in bank.keys()})


def test_any_reader_of_npz_files_reads_the_taps(files, bank):
    with np.load(files, allow_pickle=False) as stored:
        assert sorted(stored.files) == sorted(bank.keys())
        assert all(np.array_equal(stored[key], bank[key]) for key in stored.files)


def test_the_largest_card_can_be_saved(bank, tmp_path):
    most, name = bank_file.LARGEST_CARD, "\U0001f642" * bank_file.LONGEST_NAME
    text = "x" * (most - len('{"a":""}'))
    given = {key: bank[key] for key in bank.keys()}
    largest = FilterBank(name, **given, card={"a": text})
    assert same_bits(FilterBank.load(largest.save(tmp_path / "b.npz")), largest)
    within = [1] * ((most - 2 * bank_file.DEEPEST_CARD) // 2 - 10)
    for _ in range(bank_file.DEEPEST_CARD - 2):
        within = [within]
    deepest = FilterBank(name, **given, card={"a": within})
    assert same_bits(FilterBank.load(deepest.save(tmp_path / "b.npz")), deepest)


@pytest.mark.parametrize("name", list_banks())
def test_shipped_files_load_by_path_as_they_are(name, tmp_path):
    for suffix in (".npz", ".json"):
        shutil.copy(bank_file.SHIPPED / f"{name}{suffix}", tmp_path / f"copy{suffix}")
    assert same_bits(FilterBank.load(tmp_path / "copy.npz"), FilterBank.load(name))


# What is on disk while a bank is saved


class Shown:
    """A file as a reader meets it: each time one is read, a later moment has come."""

    def __init__(self, name, moments):
        self.name, self.moments = name, moments

    def read_bytes(self):
        files = next(self.moments)
        if self.name not in files:
            raise FileNotFoundError(errno.ENOENT, "No such file", self.name)
        return files[self.name]


def writes_of(monkeypatch, bank, path):
    """Return what saving a bank replaces, in order: names and contents."""
    writes = []

    @contextmanager
    def recorded(target):
        content = io.BytesIO()
        yield content
        writes.append({target.name: content.getvalue()})

    with monkeypatch.context() as patched:
        patched.setattr(bank_file, "atomic_write", recorded)
        bank.save(path)
    assert len(writes) == 2
    return writes


def on_disk(files):
    return {path.name: path.read_bytes() for path in (files, files.with_suffix(".json"))}


@pytest.fixture(params=["none", "saved", "without a card within"])
def before(request, bank, files):
    """Return what lies there before, and the bank it is."""
    if request.param == "none":
        return {}, None
    if request.param != "saved":
        seal(files, without_card(files.read_bytes()))
    return on_disk(files), bank


def orders(first, second):
    """Yield all ways in which two writers' steps may follow each other."""
    for places in combinations(range(4), 2):
        rest = iter(second)
        mine = dict(zip(places, first, strict=True))
        yield [mine[place] if place in mine else next(rest) for place in range(4)]


def test_a_bank_is_whole_at_every_moment_of_a_save(monkeypatch, before, files, toy_bank):
    """One writer or two at once, stopped anywhere; the two files read at any two moments."""
    old_files, old = before
    banks = [toy_bank("free", 4, 2), toy_bank("paper", 4)]
    writes = [writes_of(monkeypatch, bank, files) for bank in banks]
    read = set()
    for steps in (*writes, *orders(*writes)):
        moments = [old_files]
        for step in steps:
            moments.append({**moments[-1], **step})
        for first, second in combinations_with_replacement(moments, 2):
            shown = iter((first, second))
            try:
                arrays, card = bank_file.read(Shown("toy.npz", shown), Shown("toy.json", shown))
            except BankError as error:
                assert old is None and first == {} and "cannot read 'toy." in str(error)
                continue
            (whole,) = (bank for bank in (old, *banks) if bank and bank.describe() == card)
            assert all(np.array_equal(arrays[key], whole[key]) for key in whole)
            read.add(whole.name)
    assert read == {bank.name for bank in (old, *banks) if bank}


def test_a_bank_is_whole_while_it_is_saved_again_and_again(files, bank, toy_bank):
    other = toy_bank("free", 4, 2)
    seen, ended = set(), threading.Event()

    def save():
        for turn in range(40):
            (bank if turn % 2 else other).save(files)
        ended.set()

    writer = threading.Thread(target=save)
    writer.start()
    while not ended.is_set():
        loaded = FilterBank.load(files)
        assert same_bits(loaded, bank) or same_bits(loaded, other)
        seen.add(loaded.name)
    writer.join()
    assert seen and same_bits(FilterBank.load(files), bank)


def test_a_writer_that_is_stopped_between_the_files_leaves_a_whole_bank(files, bank, toy_bank):
    old, new = on_disk(files), toy_bank("free", 4, 2)
    new.save(files)
    files.with_suffix(".json").write_bytes(old["toy.json"])
    assert same_bits(FilterBank.load(files), new)
    files.with_suffix(".json").unlink()
    assert same_bits(FilterBank.load(files), new)
    bank.save(files)
    assert same_bits(FilterBank.load(files), bank) and on_disk(files) == old
