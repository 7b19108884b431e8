"""Prefixes: the names a header makes of one, and those that belong to C or to another header."""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files

from npscatter.errors import ArgumentError, ArgumentTypeError, explain
from npscatter.program.steps import WEIGHT_ARRAYS

# Names of a kernel's function and table begin with that of its weights.
_KERNEL = re.compile(rf"({'|'.join(WEIGHT_ARRAYS)})(_|$)")
_PREFIX = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,30}")
# What C99 to C23 reserve, or POSIX defines, of names that go on with an underscore and a lower-case
# letter ...
_RESERVED = (
    (r"(is|to)[a-z]", "ctype.h"),
    (r"(str|mem|wcs)[a-z]", "string.h"),
    (r"(atomic|memory)_", "stdatomic.h"),
    (r"(cnd|mtx|thrd|tss)_", "threads.h"),
    (r"(PRI|SCN)[a-zBX]", "inttypes.h"),
    (r"stdc_", "stdbit.h"),
    (r"ckd_", "stdckdint.h"),
    (r"cr_", "math.h"),
    (r"si_", "signal.h"),
)
# ... or, in macros, with an underscore and an upper-case one.
_RESERVED_MACROS = (
    (r"E[0-9A-Z]", "errno.h"),
    (r"FE_", "fenv.h"),
    (r"(FLT|DBL|LDBL|DEC(32|64|128)?)_", "float.h"),
    (r"(PRI|SCN)[BX]", "inttypes.h"),
    (r"U?INT", "stdint.h"),
    (r"(BOOL|[SU]?CHAR|U?(SHRT|L?LONG))_", "limits.h"),
    (r"(SIZE|PTRDIFF|WCHAR|WINT|SIG_ATOMIC)_", "stdint.h"),
    (r"LC_", "locale.h"),
    (r"(FP|MATH)_", "math.h"),
    (r"SIG[A-Z_]", "signal.h"),
    (r"ATOMIC_", "stdatomic.h"),
    (r"TIME_", "time.h"),
    (r"FD_", "sys/select.h"),
    (r"[FRWX]_$", "unistd.h"),
)


def check_prefix(prefix: object) -> None:
    """Raise an error unless a header may begin its names with a prefix."""
    if not isinstance(prefix, str):
        raise ArgumentTypeError(explain("prefix", prefix, "must be a str", "pass 'nps'"))
    if not _PREFIX.fullmatch(prefix):
        rule = "must be a C identifier of at most 31 characters that begins with a letter"
        raise ArgumentError(explain("prefix", prefix, rule, "pass e.g. 'nps'"))
    if "__" in prefix or prefix.endswith("_"):
        rule = "makes names with two underscores in a row, which C++ reserves"
        raise ArgumentError(explain("prefix", prefix, rule, "leave one underscore out"))
    for name, reserved in ((prefix, _RESERVED), (prefix.upper(), _RESERVED_MACROS)):
        for pattern, header in reserved:
            if re.match(pattern, f"{name}_"):
                rule = f"makes names {name}_..., of a kind that is reserved for {header}"
                raise ArgumentError(explain("prefix", prefix, rule, f"pass e.g. 'my_{prefix}'"))
    words = prefix.split("_")
    for count in range(1, len(words)):
        shorter, ending = "_".join(words[:count]), "_".join(words[count:])
        if ending.lower() in _endings() or _KERNEL.match(ending.lower()):
            rule = f"names of a header whose prefix is {shorter!r} begin with {prefix}_ too"
            remedy = f"pass another, e.g. '{prefix.replace('_', '')}'"
            raise ArgumentError(explain("prefix", prefix, rule, remedy))


@cache
def _endings() -> frozenset[str]:
    """Return what must not follow another prefix: as OUT, for PFX_OUT_HEIGHT and PFX_HEIGHT are."""
    templates = [file for file in (files("cexport") / "c").iterdir() if file.name.endswith(".h")]
    text = "".join(file.read_text("ascii") for file in templates)
    names = set(re.findall(r"\b(?:pfx|PFX)_(\w+)", text))
    # Those of generated tables that are also an array of integer filters'.
    names |= {f"{key}_exponents" for key in WEIGHT_ARRAYS}
    return frozenset(
        name[: match.start()].lower()
        for name in names
        for match in re.finditer("_", name)
        if name[match.end() :] in names
    )
