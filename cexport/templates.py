"""The C text of the folder ``c``: files that C tools can read, with the prefix ``pfx``.

What differs from header to header stands between lines ``#if NAME`` (or ``#if !NAME``), ``#else``
and ``#endif``. A header holds only what applies to it, so these lines are resolved here. The one
line that includes another file, ``selftest_tables.h``, stands for tables that are generated.
"""

from __future__ import annotations

import re
from importlib.resources import files

_CONDITION = re.compile(r"#if (!?)(PFX_\w+)")


def template(name: str, conditions: dict[str, bool]) -> str:
    """Return the text of a file of the folder ``c``, as `resolve` leaves it."""
    return resolve((files("cexport") / "c" / name).read_text("ascii"), conditions)


def resolve(text: str, conditions: dict[str, bool]) -> str:
    """Return the lines of C text that conditions keep, with one empty line where several are left.

    Parameters
    ----------
    text : str
        C. Each ``#if NAME`` or ``#if !NAME`` whose NAME begins with PFX_ asks for a condition;
        all other lines for the preprocessor, such as ``#ifdef __cplusplus``, are text.
    conditions : dict of str to bool
        By NAME.

    Raises
    ------
    KeyError
        If a condition is not among them.
    ValueError
        If an ``#else`` or ``#endif`` has no beginning, an ``#if`` no end, or a condition is more
        than a NAME.
    """
    lines: list[str] = []
    # Of every conditional that is open: whether its lines are kept, None if it is text itself.
    kept: list[bool | None] = []
    for line in text.splitlines(keepends=True):
        directive = line.split("/*")[0].strip()
        condition = _CONDITION.fullmatch(directive)
        if condition:
            kept.append(conditions[condition[2]] != bool(condition[1]))
            continue
        if re.match(r"#\s*(if|elif)\b.*\bPFX_", directive) and "defined(" not in directive:
            raise ValueError(f"{line!r}: only '#if NAME' and '#if !NAME' are resolved")
        if directive.startswith("#if"):
            kept.append(None)
        elif directive in ("#else", "#endif"):
            if not kept:
                raise ValueError(f"{line!r}: nothing to end")
            before = kept[-1]
            if directive == "#endif":
                kept.pop()
            elif before is not None:
                kept[-1] = not before
            if before is not None:
                continue
        if False not in kept:
            lines.append(line)
    if kept:
        raise ValueError(f"{len(kept)} #if without #endif")
    return re.sub(r"\n{3,}", "\n\n", "".join(lines)).lstrip("\n")
