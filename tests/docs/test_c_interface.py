"""The reference of generated headers: it has every public name, and its programs run."""

import re
from pathlib import Path

import numpy as np
import pytest
from programs import run

from cexport import LinearClassifier, generate
from npscatter import Scattering2D

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "c-interface.md").read_text()
MISTAKES = (ROOT / "docs" / "mistakes.md").read_text()
PROGRAM = re.compile(r"^```c\n(.*?)^```$", re.DOTALL | re.MULTILINE)
# Of a program: C, perhaps the commands, and what it prints.
RUN = re.compile(
    PROGRAM.pattern + r"\n\n(?:```sh\n.*?^```\n\n)?```text\n(.*?)^```$", re.DOTALL | re.MULTILINE
)
NAME = re.compile(r"\b(?:nps|NPS)_\w+")
# A header's own: guards of what compilers know, and what assertions and loops are made of.
INTERNAL = re.compile(
    r"(NPS_(RESTRICT|SANITIZED|INDEPENDENT|ASSERT|CLASSIFIER)$|nps_(aligned|assert)_)"
)


@pytest.fixture(scope="module")
def headers():
    """Return headers of every kind, by name."""
    S = Scattering2D(J=1, shape=(8, 8), L=4, backend="numpy")
    weights = np.ones((1, np.prod(S.output_shape)))
    classifier = LinearClassifier.of(S, weights, [0], ["dark", "bright"])
    common = {"J": 1, "shape": (8, 8), "L": 4}
    return {
        "float": generate(**common),
        "q15": generate(**common, dtype="q15"),
        "classifier": generate(**common, classifier=classifier),
        "weights": generate(L=4, weights_only=True),
        "q15 weights": generate(L=4, weights_only=True, dtype="q15"),
    }


def public(text):
    """Return the names that a header's interface declares."""
    sizes, interface, selftest = (
        text.partition(f"/* ---- {title} -")[2].partition("/* ----")[0]
        for title in ("Sizes", "Interface", "Self-test")
    )
    names = {
        *re.findall(r"^#define (\w+)", sizes + interface, re.MULTILINE),
        *re.findall(r"^#define (NPS_SELFTEST_BYTES)", selftest, re.MULTILINE),
        *re.findall(r"^NPS_API \w+ (\w+)\(", text, re.MULTILINE),
        *re.findall(r"^typedef .*?(nps_\w+);", interface, re.MULTILINE),
        *re.findall(r"^\} (nps_\w+);", interface, re.MULTILINE),
        *re.findall(r"^typedef int \(\*(nps_\w+)\)", interface, re.MULTILINE),
        *re.findall(r"^    (NPS_(?:OK|ERROR_\w+)) =", interface, re.MULTILINE),
        *re.findall(r"\b(nps_(?:paths|exponents|labels))\[", text),
    }
    return {name for name in names if not INTERNAL.match(name)}


def test_every_public_name_is_on_the_page(headers):
    named = set(NAME.findall(PAGE))
    for kind in ("float", "q15", "classifier"):
        names = public(headers[kind])
        assert len(names) > 30
        assert names <= named, kind


def test_the_page_names_nothing_else(headers):
    there = set(NAME.findall("".join(headers.values())))
    assert set(NAME.findall(PAGE)) <= there


def test_values_of_the_status(headers):
    rows = re.findall(r"^\| `(NPS_(?:OK|ERROR_\w+))` \| (-?\d) \|", PAGE, re.MULTILINE)
    assert len(rows) == 5
    for name, value in rows:
        assert re.search(rf"^    {name} = {value}\b", headers["float"], re.MULTILINE), name


@pytest.mark.parametrize("dtype", ["float", "q15"])
@pytest.mark.parametrize("page", [PAGE, MISTAKES], ids=["reference", "mistakes"])
def test_programs_of_the_pages_run(page, dtype, tmp_path):
    assert len(PROGRAM.findall(page)) == 1
    ((code, shown),) = RUN.findall(page)
    (tmp_path / "nps.h").write_text(generate(J=2, shape=(32, 32), L=4, dtype=dtype))
    (tmp_path / "example.c").write_text(code)
    strict = ["-std=c99", "-O2", "-Wall", "-Wextra", "-Werror"]
    run("gcc", *strict, "example.c", "-o", "example", "-lm", cwd=tmp_path)
    assert run(tmp_path / "example").stdout.decode() == shown
