"""Pieces of C text: constants, arrays, comments, and the prefix of every name."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable

import numpy as np

from npscatter.program.symmetry import angle_steps

WIDTH = 100


def with_prefix(text: str, prefix: str) -> str:
    """Return finished C text, with its prefix in place of ``pfx``."""
    names = {"pfx": prefix, "PFX": prefix.upper()}
    text = re.sub(r"\b(pfx|PFX)_", lambda match: f"{names[match[1]]}_", text)
    return text.translate({hidden: plain for plain, hidden in _HIDDEN.items()})


# What the user's own words, such as a bank's name, might have in common with names to be prefixed.
_HIDDEN = {ord("_"): 1}


def printable(text: str) -> str:
    """Return the user's text in ASCII, on one line; what is neither is written as in Python."""
    plain = (c if c == "\\" else c.encode("unicode_escape").decode("ascii") for c in text)
    return "".join(plain).translate(_HIDDEN)


def in_comment(text: str) -> str:
    """Return the user's text so that a comment neither ends, nests, nor goes on by it.

    No two question marks are adjacent, for they may begin a trigraph, and a backslash at the end of
    a word, which may end a line, is written as in Python.
    """
    text = re.sub(r"(?<=\*)(?=/)|(?<=/)(?=\*)|(?<=\?)(?=\?)", " ", printable(text))
    return re.sub(r"\\(?= |$)", r"\\x5c", text)


def string_literal(text: str) -> str:
    """Return the user's text as a C string constant, without trigraphs."""
    return '"' + re.sub(r'(["\\?])', r"\\\1", printable(text)) + '"'


def utf8_literal(text: str) -> str:
    """Return text as a C string constant of its bytes in UTF-8, without trigraphs."""
    plain = (
        chr(byte) if 32 <= byte < 127 and chr(byte) not in '"\\?' else f"\\{byte:03o}"
        for byte in text.encode()
    )
    return f'"{"".join(plain).translate(_HIDDEN)}"'


def section(title: str) -> str:
    """Return the comment that begins a section, and an empty line."""
    return f"/* ---- {title} ".ljust(WIDTH - 3, "-") + " */\n"


def comment(*paragraphs: str) -> list[str]:
    """Return the lines of a comment; a paragraph that begins with a blank is not wrapped."""
    lines = []
    for paragraph in paragraphs:
        wrapped = (
            [paragraph]
            if paragraph[:1] in ("", " ")
            else textwrap.wrap(paragraph, WIDTH - 6, break_long_words=False, break_on_hyphens=False)
        )
        lines += wrapped
    lines = [f" * {line}".rstrip() for line in lines]
    lines[0] = "/*" + lines[0][2:]
    return [*lines[:-1], lines[-1] + " */"]


def array(
    kind: str, name: str, values: Iterable, size: str | None = None, one_per_line: bool = False
) -> list[str]:
    """Return the lines that define an array of constants."""
    values = [str(value) for value in values]
    size = f"[{len(values)}]" if size is None else size
    if one_per_line:
        lines = [f"    {value}," for value in values]
    else:
        lines = textwrap.wrap(
            # What must not be broken has its blanks hidden.
            ", ".join(value.replace(" ", "\0") for value in values) + ",",
            WIDTH,
            initial_indent="    ",
            subsequent_indent="    ",
            break_long_words=False,
            break_on_hyphens=False,
        )
        lines = [line.replace("\0", " ") for line in lines]
    return [f"static const {kind} {name}{size} = {{", *lines, "};"]


def braces(values: Iterable) -> str:
    """Return values in braces, with blanks that `array` keeps."""
    return "{" + ", ".join(str(value) for value in values) + "}"


def integer_literal(value: float) -> str:
    """Return the constant of a whole number."""
    return str(round(value))


def float_literal(value: float) -> str:
    """Return a float constant that reads back to the same bits."""
    text = f"{np.float32(value):.9g}"
    return text + ("f" if "." in text or "e" in text else ".0f")


def angle_of_theta(L: int) -> str:
    """Return the sentence that says what `npscatter.program.symmetry.angle` computes."""
    return f"Wavelet theta has the angle ({angle_steps(L, 0)} - theta) pi / {L}."


def columns(rows: Iterable[Iterable[object]]) -> list[str]:
    """Return the lines of a table: the first column flush left, the others right."""
    table = [[str(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if number == 0 else cell.rjust(width)
            for number, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in table
    ]


def times(shape: tuple[int, ...]) -> str:
    """Return a shape in words."""
    return " x ".join(map(str, shape))
