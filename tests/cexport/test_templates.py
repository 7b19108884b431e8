"""The C templates: what their conditions keep, and that compilers can read them as they are."""

from pathlib import Path

import pytest
from programs import run
from toy_classifiers import make_toy_classifier

import cexport
from cexport import generate
from cexport.configuration import Configuration
from cexport.templates import resolve, template

FOLDER = Path(cexport.__file__).parent / "c"
TEMPLATES = sorted(path.name for path in FOLDER.iterdir())
TABLES = '#include "selftest_tables.h"'
TEXT = """\
#ifdef __cplusplus
extern
#if PFX_A
"C"
#else
"D"
#endif
#else
first
#endif /* __cplusplus */
#if !PFX_A
#if PFX_B /* and not A */
second
#else
#ifndef X
third
#endif
#endif
  #endif
#if defined(PFX_INCLUDED) && PFX_INCLUDED != 7U
#endif
"""


@pytest.mark.parametrize(
    ("conditions", "dropped"),
    [
        ({"PFX_A": True, "PFX_B": True}, {5, 12, 14, 15, 16}),
        ({"PFX_A": False, "PFX_B": True}, {3, 14, 15, 16}),
        ({"PFX_A": False, "PFX_B": False}, {3, 12}),
    ],
)
def test_conditions_drop_their_own_lines_and_those_that_do_not_apply(conditions, dropped):
    own = {2, 4, 6, 10, 11, 13, 17, 18}
    lines = TEXT.splitlines(keepends=True)
    kept = [line for number, line in enumerate(lines) if number not in own | dropped]
    assert resolve(TEXT, conditions) == "".join(kept)


def test_conditions_that_are_not_known_or_not_closed_are_refused():
    with pytest.raises(KeyError, match="PFX_Q51"):
        resolve("#if PFX_Q51\n#endif\n", {"PFX_Q15": True})
    for text in ("#if PFX_Q15\n", "#ifdef X\n", "#endif\n", "#if PFX_Q15\n#endif\n#else\n"):
        with pytest.raises(ValueError, match=r"without|nothing to end"):
            resolve(text, {"PFX_Q15": False})
    for text in ("#if PFX_Q15 && PFX_A\n#endif\n", "#if X\n#elif PFX_Q15\n#endif\n"):
        with pytest.raises(ValueError, match="are resolved"):
            resolve(text, {"PFX_Q15": False})


def preprocessed(path, *flags):
    """Return the words that the C preprocessor leaves of a header and what it includes."""
    flags = ["-std=c99", "-DPFX_SELFTEST", f"-I{path.parent}", f"-I{FOLDER}", *flags]
    return run("gcc", "-E", "-P", *flags, "-xc", path).stdout.split()


@pytest.mark.parametrize("dtype", ["float", "q15"])
@pytest.mark.parametrize(
    ("boundary", "target"), [("kymatio", "speed"), ("zero", "speed"), ("kymatio", "size")]
)
def test_compilers_read_templates_as_they_are(tmp_path, dtype, boundary, target):
    """A header that includes them, instead of what is left of them, is the same program."""
    of = {"bank": "accurate-L4", "J": 2, "shape": (8, 9), "boundary": boundary}
    classifier = make_toy_classifier(**of, scores=1 if dtype == "float" else 3)
    options = {"boundary": boundary, "dtype": dtype, "prefix": "pfx", "target": target}
    options |= {"classifier": classifier}
    configuration = Configuration("accurate-L4", 2, (8, 9), **options)
    text = generate("accurate-L4", 2, (8, 9), **options)
    (tmp_path / "whole.h").write_text(text)
    included = set()
    for name in TEMPLATES:
        part = template(name, configuration.conditions)
        if TABLES in part:
            before, after = part.split(TABLES)
            tables = text.partition(before)[2].partition(after)[0]
            (tmp_path / "selftest_tables.h").write_text(tables)
            part = before + tables + after
        if part in text:
            text = text.replace(part, f'#include "{name}"\n')
            included.add(name)
    (tmp_path / "parts.h").write_text(text)
    left_out = {"float.h", "magnitude.h"} if dtype == "q15" else {"q15.h"}
    left_out |= {"folded.h"} if target == "speed" else {"cells.h"}
    left_out |= set() if (dtype, target) == ("q15", "speed") else {"extensions.h"}
    assert set(TEMPLATES) - included == left_out
    flags = [f"-D{name}={int(holds)}" for name, holds in configuration.conditions.items()]
    assert preprocessed(tmp_path / "parts.h", *flags) == preprocessed(tmp_path / "whole.h")
