"""Finding pictures: names of files, folders, patterns and lists in, each file once out."""

from __future__ import annotations

import glob
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from npscatter.errors import ArgumentError, explain

# No list of names is longer: what does not end is not a list.
LONGEST_LIST = 2**28
# How the files of pictures begin, of formats that nothing else begins like.
_BEGINNINGS = {
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"\xff\xd8\xff": "JPEG",
    **dict.fromkeys((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"), "TIFF"),
    **dict.fromkeys((b"GIF87a", b"GIF89a"), "GIF"),
    **dict.fromkeys((b"\0\0\0\x0cjP  \r\n\x87\n", b"\xff\x4f\xff\x51"), "JPEG 2000"),
}
# Of files that hold many pictures: tar shards, which are read uncompressed only, and arrays.
_SHARDS = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar.zst")
_ARRAYS = (".npy", ".npz", ".zarr")
# One of these files makes a folder an array, or a group of arrays, of Zarr.
_ZARR = ("zarr.json", ".zarray", ".zgroup")


def is_shard(name: str) -> bool:
    """Say whether a name is that of a tar file."""
    return name.lower().endswith(_SHARDS)


def is_stack(name: str) -> bool:
    """Say whether a name is that of an array: in a file, in an archive, in a Zarr store."""
    path, _ = stack_and_member(name)
    if path.lower().endswith(_ARRAYS):
        return True
    # An array within a store has no suffix, or a store's in its path; nothing else is asked for on
    # the disk.
    folder, last = os.path.split(path.lower())
    return ("." not in last or ".zarr" in folder) and is_store(path)


def stack_and_member(name: str) -> tuple[str, str]:
    """Return the path in a name, and which array of an archive is meant, as in ``a.npz:images``."""
    path, _, member = name.rpartition(":")
    if path.lower().endswith(".npz") and not os.path.lexists(name):
        return path, member
    return name, ""


def is_store(path: str | Path) -> bool:
    """Say whether a folder is an array or a group of a Zarr store."""
    return any(os.path.isfile(os.path.join(path, name)) for name in _ZARR)


class Found:
    """The files that arguments name.

    Parameters
    ----------
    suffixes : container of str
        Of the files that are taken from folders, in lower case.
    recursive : bool, optional
        Whether folders stand for their subfolders too.

    Attributes
    ----------
    files : list of str
        In the order of the arguments, each once, by whatever names and links it is reached. A file
        named outright is listed whether or not it exists.
    repeated : list of str
        Further names of files that are listed.
    empty : list of tuple of str
        The folders and patterns in which no picture was found, and why.
    """

    def __init__(self, suffixes: Iterable[str], recursive: bool = False):
        self.files: list[str] = []
        self.repeated: list[str] = []
        self.empty: list[tuple[str, str]] = []
        self._suffixes, self._recursive = frozenset(suffixes), recursive
        self._seen: set[object] = set()

    def add(self, argument: str) -> None:
        """Take an argument: a file, a folder, ``-``, ``@list``, or a glob pattern.

        A folder stands for the pictures in it, by suffix, sorted by name, hidden files left out; a
        Zarr store counts as a file. What exists by its literal name is no list and no pattern.

        Raises
        ------
        ArgumentError
            If a list cannot be read.
        """
        if argument == "-":
            self._add_list(argument, 0)
        elif os.path.lexists(argument):
            self._add_path(argument)
        elif argument.startswith("@"):
            self._add_list(argument, argument[1:])
        elif glob.has_magic(argument):
            self._add_pattern(argument)
        else:
            self._add_path(argument)

    def has(self, path: str | Path) -> bool:
        """Say whether a file is listed, by whatever name."""
        return identity(path) in self._seen

    def _add_list(self, argument: str, source: str | int) -> None:
        names = read_list(argument, source)
        if not names:
            self.empty.append((argument, "an empty list"))
        for name in names:
            self._add_path(name)

    def _add_pattern(self, pattern: str) -> None:
        files = [name for name in matches(pattern) if not os.path.isdir(name) or is_stack(name)]
        if not files:
            self.empty.append((pattern, "no file matches"))
        for name in files:
            self._add_file(name)

    def _add_path(self, name: str) -> None:
        if os.path.isdir(name) and not is_stack(name):
            self._add_folder(name)
        else:
            self._add_file(name)

    def _add_folder(self, folder: str) -> None:
        before = len(self.files) + len(self.repeated)
        reasons = ["no pictures here"]
        for place, subfolders, names in walk(folder, self._report):
            if holds := sum(map(is_shard, names)):
                reasons.append(f"{holds:,} tar files, which are taken by name alone: *.tar")
            for name in names:
                if Path(name).suffix.lower() in self._suffixes:
                    self._add_file(os.path.join(place, name))
            if not self._recursive:
                if subfolders:
                    reasons.append("its subfolders are left out, see --recursive")
                break
        told = bool(self.empty) and self.empty[-1][0] == folder
        if len(self.files) + len(self.repeated) == before and not told:
            self.empty.append((folder, "; ".join(reasons)))

    def _report(self, error: OSError) -> None:
        self.empty.append((str(error.filename), f"cannot be read ({error.strerror})"))

    def _add_file(self, name: str) -> None:
        path, member = stack_and_member(name)
        key = (identity(path), member) if member else identity(path)
        (self.repeated if key in self._seen else self.files).append(name)
        self._seen.add(key)


def matches(pattern: str) -> list[str]:
    """Return what `glob.glob` would, but each folder once where ``**`` meets links in a loop."""
    path = Path(pattern)
    parts = path.parts[bool(path.anchor) :]
    if parts and parts[-1] == "**":
        parts = (*parts, "*")
    found = [path.anchor]
    for part in parts:
        if part == "**":
            found = [place for start in found for place, _, _ in walk(start, lambda error: None)]
        else:
            beside = [os.path.join(glob.escape(start), part) for start in found]
            found = [name for one in beside for name in glob.glob(one)]
    return sorted(found)


def walk(
    start: str, report: Callable[[OSError], object]
) -> Iterator[tuple[str, list[str], list[str]]]:
    """Yield (folder, its subfolders, its other entries), hidden ones left out, as `os.walk` does.

    Links are followed, but no folder is yielded twice; the order is that of the names.

    Parameters
    ----------
    start : str
        A folder; "" for the current one.
    report : callable
        Called with the `OSError` of a folder that cannot be read.
    """
    waiting, seen = [start], set()
    while waiting:
        folder = waiting.pop()
        key = identity(folder or ".")
        if key in seen:
            continue
        seen.add(key)
        try:
            names = sorted(name for name in os.listdir(folder or ".") if name[0] != ".")
        except OSError as error:
            report(error)
            continue
        inside = {name for name in names if os.path.isdir(os.path.join(folder, name))}
        subfolders = [name for name in names if name in inside]
        yield folder, subfolders, [name for name in names if name not in inside]
        waiting += [os.path.join(folder, name) for name in reversed(subfolders)]


def read_list(argument: str, source: str | int) -> list[str]:
    """Return the names in a list: UTF-8, one a line, or each ended by NUL if there is any.

    Parameters
    ----------
    argument : str
        What the user wrote, for errors.
    source : str or 0
        The file; 0 for standard input.
    """
    try:
        if source == 0:
            content = sys.stdin.buffer.read(LONGEST_LIST + 1)
        else:
            with open(source, "rb") as file:
                content = file.read(LONGEST_LIST + 1)
    except OSError as error:
        rule = f"cannot be read ({error.strerror})"
        remedy = "pass @FILE, a text file that holds a name a line"
        raise ArgumentError(explain("IMAGES", argument, rule, remedy)) from None
    if len(content) > LONGEST_LIST:
        rule = f"must be a list of at most {LONGEST_LIST >> 20} MiB"
        raise ArgumentError(explain("IMAGES", argument, rule, "pass folders, or several lists"))
    if format := picture_format(content):
        rule = f"must be a list of names, and is a picture itself ({format})"
        remedy = "pass its name" if source == 0 else f"pass {str(source)!r}, without @"
        raise ArgumentError(explain("IMAGES", argument, rule, remedy))
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        rule = "must be in UTF-8, and is in UTF-16"
        raise ArgumentError(explain("IMAGES", argument, rule, "write the list anew as UTF-8"))
    # Names that are not UTF-8 are kept as Python keeps those of the file system.
    text = content.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "surrogateescape")
    if "\0" in text:
        return [name for name in text.split("\0") if name]
    return [name for line in text.split("\n") if (name := line.removesuffix("\r"))]


def picture_format(content: bytes) -> str | None:
    """Return the format of a picture by its file's first bytes, 12 at least; None if unknown."""
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return "WebP"
    if content[4:12] in (b"ftypavif", b"ftypavis"):
        return "AVIF"
    return next((name for start, name in _BEGINNINGS.items() if content.startswith(start)), None)


def identity(path: str | Path) -> object:
    """Return what two names of one file have in common, be it there or not."""
    try:
        status = os.stat(path)
    except OSError:
        return os.path.realpath(path)
    except ValueError:  # no file has such a name
        return str(path)
    # Some file systems number nothing.
    return (status.st_dev, status.st_ino) if status.st_ino else os.path.realpath(path)
