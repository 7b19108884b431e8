"""Which files arguments name: each once, nothing lost, nothing endless."""

import glob
import os

import pytest
from PIL import Image

from npscatter.cli import finding
from npscatter.cli.finding import Found, matches, read_list
from npscatter.cli.images import _readable_suffixes
from npscatter.errors import ArgumentError

SUFFIXES = {".png", ".heic"}


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def find(*arguments, recursive=False):
    found = Found(SUFFIXES, recursive)
    for argument in arguments:
        found.add(argument)
    return found


def touch(*names):
    for name in names:
        os.makedirs(os.path.dirname(name) or ".", exist_ok=True)
        with open(name, "x") as file:
            file.write(name)


def test_folders_globs_and_files():
    touch("in/b.png", "in/a.PNG", "in/deep/c.png", "in/.hidden.png", "out/d.png", "in/notes.txt")
    found = find("out/d.png", "in", "in/**/*.png", "in/*.gif", "missing.png")
    assert found.files == ["out/d.png", "in/a.PNG", "in/b.png", "in/deep/c.png", "missing.png"]
    assert found.repeated == ["in/b.png"]
    assert found.empty == [("in/*.gif", "no file matches")]


def test_pictures_of_other_formats_and_broken_links_do_not_vanish_from_folders():
    touch("in/a.png", "in/b.HEIC")
    os.symlink("nowhere", "in/c.png")
    assert find("in").files == ["in/a.png", "in/b.HEIC", "in/c.png"]


def test_subfolders_are_taken_if_wanted_and_told_if_not():
    touch("in/z.png", "in/b/x.png", "in/a/deep/y.png", "in/.hidden/w.png", "in/b/no.txt")
    found = find("in", recursive=True)
    assert found.files == ["in/z.png", "in/a/deep/y.png", "in/b/x.png"]
    assert find("in/a").empty == [
        ("in/a", "no pictures here; its subfolders are left out, see --recursive")
    ]
    touch("else/no.txt")
    assert find("else", recursive=True).empty == [("else", "no pictures here")]


def test_loops_of_links_neither_multiply_pictures_nor_go_on_for_ever():
    touch("in/a.png", "in/sub/b.png")
    # With two links to choose from at every level, 2^40 paths lead to each picture.
    for name in ("in/one", "in/two", "in/sub/up"):
        os.symlink("..", name)
        os.symlink("../in", f"{name}again")
    expected = ["in/a.png", "in/sub/b.png"]
    assert find("in", recursive=True).files == expected
    assert matches("in/**/*.png") == expected
    assert sorted(matches("**/*.png")) == expected


def test_patterns_match_as_glob_does_where_there_are_no_links():
    touch("in/a.png", "in/sub/b.png", "in/sub/deep/c.png", "in/.hid/d.png", "e.png", "in/[x].png")
    for pattern in (
        *("*.png", "in/*", "in/**", "**/*.png", "**", "in/**/deep/*.png", "in/*/*.png"),
        *("in/[[]x].png", "./in/../in/?.png", "in/.hid/*.png", "no/*.png", "**/**/c.png"),
        str(os.path.join(os.getcwd(), "**", "b.png")),
    ):
        ours = {os.path.abspath(name) for name in matches(pattern)}
        theirs = {os.path.abspath(name) for name in glob.glob(pattern, recursive=True)}
        # Of a pattern that ends in **, glob gives the folder it starts from too.
        assert ours == theirs - {os.path.abspath(pattern.removesuffix("**"))}, pattern


def test_each_file_is_taken_once_by_whatever_name():
    touch("a.png")
    os.link("a.png", "hard.png")
    os.symlink("a.png", "soft.png")
    found = find("a.png", "./a.png", "hard.png", "soft.png", os.path.abspath("a.png"), ".")
    assert found.files == ["a.png"]
    assert found.repeated[:3] == ["./a.png", "hard.png", "soft.png"]
    assert len(found.repeated) == 7
    found = find("missing.png", "./missing.png")
    assert (found.files, found.repeated) == (["missing.png"], ["./missing.png"])


@pytest.mark.parametrize(
    "content, names",
    [
        (b"a.png\nb c.png\n", ["a.png", "b c.png"]),
        (b"a.png\r\n\r\n b.png", ["a.png", " b.png"]),
        (b"\xef\xbb\xbfa.png\n", ["a.png"]),
        (b"a.png\0two\nlines.png\0", ["a.png", "two\nlines.png"]),
        ("grün.png\n".encode(), ["grün.png"]),
        (b"latin\xfc.png\n", ["latin\udcfc.png"]),
        (b"", []),
        (b"\n\n", []),
    ],
)
def test_lists_hold_a_name_a_line_or_names_ended_by_nul(here, content, names):
    (here / "list").write_bytes(content)
    assert read_list("@list", "list") == names


def test_names_in_lists_are_files_and_folders_literally(here):
    touch("in/a.png", "[b].png", "b.png", "@c")
    (here / "list").write_text("in\n[b].png\n@c\nmissing.png\n*.png\n")
    assert find("@list").files == ["in/a.png", "[b].png", "@c", "missing.png", "*.png"]
    # What exists by that name is that file.
    assert find("@c", "[b].png").files == ["@c", "[b].png"]
    (here / "empty").write_text("\n")
    assert find("@empty").empty == [("@empty", "an empty list")]


def test_lists_that_are_none(here, monkeypatch):
    (here / "wide").write_bytes("a.png\n".encode("utf-16"))
    monkeypatch.setattr(finding, "LONGEST_LIST", 2**20)
    for argument, rule in (
        ("@missing", "cannot be read"),
        ("@.", "cannot be read"),
        ("@wide", "UTF-16"),
        ("@/dev/zero", "at most 1 MiB"),
    ):
        with pytest.raises(ArgumentError, match=rule):
            find(argument)


@pytest.mark.parametrize("suffix", ["png", "jpg", "gif", "tif", "webp", "jp2", "avif"])
def test_a_picture_is_no_list(here, suffix):
    format = f".{suffix}"
    if format not in _readable_suffixes():
        pytest.skip("Pillow lacks this format")
    Image.new("L", (8, 8)).save(f"a{format}")
    with pytest.raises(ArgumentError, match=rf"list of names.*; pass 'a\.{suffix}', without @"):
        find(f"@a{format}")


def test_folders_that_cannot_be_read_are_told(monkeypatch):
    touch("in/a.png", "in/closed/b.png")
    listdir = os.listdir

    def refuse(folder):
        if "closed" in folder:
            raise PermissionError(13, "Permission denied", folder)
        return listdir(folder)

    monkeypatch.setattr(os, "listdir", refuse)
    found = find("in", recursive=True)
    assert found.files == ["in/a.png"]
    assert found.empty == [("in/closed", "cannot be read (Permission denied)")]
    assert find("in/closed").empty == found.empty
