"""A header as a library for Arduino and PlatformIO, a component of ESP-IDF, a module of Zephyr.

What is the same in all of them stands in the folder ``packages``: C text with the prefix ``pfx``,
as in the folder ``c``, and words such as ``@version@`` in place of what differs.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import secrets
import shutil
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from importlib.resources import files
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import npscatter
from cexport.text import with_prefix
from npscatter.atomic_write import exchange_folders, no_room, stat_or_none
from npscatter.errors import BackendError, explain

if TYPE_CHECKING:
    from importlib.abc import Traversable

# Of each kind: where the header lies, and where stripes.h, which all examples share.
_HEADERS = {"arduino": "src", "esp-idf": "include", "zephyr": "include"}
_STRIPES = {
    "arduino": "examples/Stripes",
    "esp-idf": "examples/stripes/main",
    "zephyr": "samples/stripes/src",
}
KINDS = tuple(_HEADERS)
# Says what was written, so that nothing else is replaced, and by whom.
SUMS = "SHA256SUMS"
_WRITER = "# Written by npscatter, which writes this folder anew while nothing in it is changed."
# What the address of a project's page may be called in a package's metadata.
_PAGES = ("homepage", "repository", "source")
# What the header's command, which is ASCII, has for other characters; see `cexport.text.printable`.
_ESCAPE = re.compile(r"\\\\(x[0-9a-f]{2}|u[0-9a-f]{4}|U[0-9a-f]{8}|[nrt])")
_WORD = re.compile(r"@(\w+)@")


def package_files(kind: str, header: str, prefix: str) -> dict[str, str]:
    """Return the files of a package.

    Parameters
    ----------
    kind : str
        "arduino", "esp-idf" or "zephyr".
    header : str
        What `cexport.generate` returned.
    prefix : str
        The prefix it was generated with.

    Returns
    -------
    dict of str to str
        Texts by paths in the package, ASCII all of them. ``SHA256SUMS`` has the sum of each other.

    Raises
    ------
    BackendError
        If this is no installed package of Python, which alone knows its author and its licence.

    Examples
    --------
    >>> from cexport import generate
    >>> from cexport.package import package_files
    >>> package = package_files("arduino", generate(J=1, shape=(8, 8)), "nps")
    >>> sorted(package)[:3]
    ['LICENSE', 'README.md', 'SHA256SUMS']
    """
    words = _words(kind, header, prefix)
    folder = files("cexport") / "packages"
    texts = {
        f"{_STRIPES[kind]}/stripes.h": folder / "stripes.h",
        **{path: file for path, file in _walk(folder / kind)},
    }

    def filled(file: Traversable, path: str) -> str:
        return _fill(file.read_text("ascii"), words, prefix, path)

    words["usage"] = filled(folder / "usage.md", "usage.md").rstrip()
    package = {path: filled(file, path) for path, file in texts.items()}
    package[f"{_HEADERS[kind]}/{prefix}.h"] = header
    package["LICENSE"] = _licence(_installed())
    sums = [f"{_sum(text.encode('ascii'))}  {path}\n" for path, text in sorted(package.items())]
    return {**package, SUMS: "".join([f"{_WRITER}\n", *sums])}


def write_package(folder: Path, package: dict[str, str]) -> None:
    """Write a package's files into a folder, which is there whole or as it was.

    Parameters
    ----------
    folder : Path
        To be made, empty, or an earlier package as it was written: see `obstacle`. A symbolic link
        is followed.
    package : dict of str to str
        What `package_files` returned.

    Raises
    ------
    OSError
        If it cannot be written; a `FileExistsError` if something would be lost.
    """
    reason = obstacle(folder)
    if reason:
        raise FileExistsError(errno.EEXIST, reason, str(folder))
    target = Path(os.path.realpath(folder))
    token = secrets.token_hex(4)
    partial, aside = (target.with_name(f".{target.name[:40]}.{token}.{e}") for e in ("new", "old"))
    try:
        for path, text in package.items():
            (partial / path).parent.mkdir(parents=True, exist_ok=True)
            (partial / path).write_bytes(text.encode("ascii"))
        exchange_folders(partial, target, aside)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def obstacle(folder: Path) -> str | None:
    """Return why a package must not be written to a folder, None if it can be and nothing is lost.

    Raises
    ------
    OSError
        If that cannot be found out.
    """
    target = Path(os.path.realpath(folder))
    if stat_or_none(folder) is None:
        return no_room(folder)
    if not target.is_dir():
        return f"{str(folder)!r} is a file"
    if os.path.ismount(target):
        return f"{str(folder)!r} is the root of a file system, which cannot be replaced"
    here = Path.cwd()
    if target in (here, *here.parents):
        return f"{str(folder)!r} holds the folder this runs in, and would be replaced as a whole"
    return _lost(folder, target) or no_room(folder)


def _lost(folder: Path, target: Path) -> str | None:
    """Return what would be lost of a folder, by its name and where that leads, None if nothing."""
    written = _written(target / SUMS)
    folders = {parent.as_posix() for path in written for parent in PurePosixPath(path).parents}
    for path in target.rglob("*"):
        name = path.relative_to(target).as_posix()
        if name == SUMS and written:
            continue
        if name in folders and path.is_dir() and not path.is_symlink():
            continue
        if name not in written:
            return f"{name!r} in {str(folder)!r} is not of an earlier package and would be lost"
        if path.is_symlink() or not path.is_file() or _sum(path.read_bytes()) != written[name]:
            return f"{name!r} in {str(folder)!r} was changed and would be lost"
    return None


def _written(sums: Path) -> dict[str, str]:
    """Return the sums of what an earlier call wrote, by paths."""
    lines = sums.read_text("ascii", errors="replace").splitlines() if sums.is_file() else []
    if lines[:1] != [_WRITER]:
        return {}
    return {path: digest for digest, _, path in (line.partition("  ") for line in lines[1:])}


def _words(kind: str, header: str, prefix: str) -> dict[str, str | None]:
    """Return what stands for the words of the templates, None where there is nothing to say."""
    macro = re.compile(rf'^#define {prefix.upper()}_(\w+) (?:(\d+)|"(.*)")$', re.M)
    macros = {name: number or text for name, number, text in macro.findall(header)}
    q15 = macros["Q15"] == "1"
    image_bytes = int(macros["HEIGHT"]) * int(macros["WIDTH"]) * (1 if q15 else 4)
    meta = _installed().metadata
    urls = [line.partition(", ")[::2] for line in meta.get_all("Project-URL") or ()]
    return {
        **macros,
        "name": f"{meta['Name']}-{prefix}",
        "version": npscatter.__version__,
        "author": meta["Author"],
        "summary": meta["Summary"],
        "keywords": meta["Keywords"].lower(),
        "license": meta["License-Expression"],
        "prefix": prefix,
        "PREFIX": prefix.upper(),
        "arithmetic": "integers of 16 bits (Q15)" if q15 else "floats",
        "command": re.sub(r"\\(.)", r"\1", macros["PROVENANCE"]),
        "option": f"--{kind}",
        "image_bytes": str(image_bytes),
        "url": next((url for label, url in urls if label.lower() in _PAGES), None),
        "fpu": None if q15 else "FPU",
        # Marks of lines that are for some headers alone.
        "q15": "" if q15 else None,
        "classifier": "" if "CLASSES" in macros else None,
        "escaped": "" if _ESCAPE.search(macros["PROVENANCE"]) else None,
    }


def _fill(text: str, words: dict[str, str | None], prefix: str, path: str) -> str:
    """Return a template's text; a line whose word has nothing to say is left out."""
    quoted = path.endswith((".json", ".yml", ".yaml"))

    def word(match: re.Match[str]) -> str:
        value = words[match[1]] or ""
        return json.dumps(value)[1:-1] if quoted else value

    # The prefix first: what the user named may look like a name of the header.
    text = with_prefix(text.replace("pfx.h", "@prefix@.h"), prefix)
    lines = text.splitlines(keepends=True)
    said = [line for line in lines if all(words[n] is not None for n in _WORD.findall(line))]
    return "".join(_WORD.sub(word, line) for line in said)


def _walk(folder: Traversable, path: str = "") -> list[tuple[str, Traversable]]:
    found = []
    for entry in folder.iterdir():
        below = f"{path}{entry.name}"
        found += _walk(entry, f"{below}/") if entry.is_dir() else [(below, entry)]
    return found


def _sum(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _installed() -> Distribution:
    try:
        return distribution(npscatter.__name__)
    except PackageNotFoundError:
        rule = "a package needs the author and the licence, which an installed npscatter knows"
        remedy = "install it, as pip install . in its source repository does"
        raise BackendError(explain("package", npscatter.__name__, rule, remedy)) from None


def _licence(installed: Distribution) -> str:
    """Return the licence's text, which wheels have in one of two places."""
    text = installed.read_text("licenses/LICENSE") or installed.read_text("LICENSE")
    if text is None:
        rule, remedy = (
            "its installation lacks the LICENSE",
            "install it from a wheel or its sources",
        )
        raise BackendError(explain("package", npscatter.__name__, rule, remedy))
    return text
