"""The page of errors: whatever a public call can refuse is provoked as it is built."""

import ast
from pathlib import Path

import pytest

import npscatter
from docs import make_errors
from npscatter import errors

ROOT = Path(__file__).resolve().parents[2]
# Arguments that errors name and no call of the page provokes: of the planner and of banks' insides,
# of what no test can break, and of a folder that others can write.
UNPROVOKED = {"breadth_first", "carry_next", "folded", "taps", "package", "NUMBA_CACHE_DIR"}
ELSEWHERE = ("cli", "gpu")


@pytest.fixture(scope="module")
def provoked():
    return make_errors.provoked()


def explained():
    """Return the arguments that errors of the packages name, where the sources spell them out."""
    names = set()
    for path in [*ROOT.glob("npscatter/**/*.py"), *ROOT.glob("cexport/*.py")]:
        if not set(ELSEWHERE) & set(path.parts):
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                called = isinstance(node, ast.Call) and getattr(node.func, "id", "") == "explain"
                if called and node.args and isinstance(node.args[0], ast.Constant):
                    names.add(node.args[0].value)
    return names


def test_every_call_of_the_page_is_refused_with_a_remedy(provoked):
    said = [one for table in provoked.values() for one in table]
    assert len(said) > 100
    for one in said:
        assert one.remedy and "=" in one.fault, one
        kind = getattr(npscatter, one.kind, None)
        assert kind is not None or one.kind == "AttributeError", one


def test_every_argument_that_is_explained_is_on_the_page(provoked):
    named = {one.fault.partition("=")[0] for table in provoked.values() for one in table}
    left = explained() - named
    assert left == UNPROVOKED


def test_the_page_has_every_class_and_warning():
    public = {
        name
        for name in npscatter.__all__
        if isinstance(getattr(npscatter, name), type)
        and issubclass(getattr(npscatter, name), BaseException)
    }
    assert public == {name for name, _, _ in make_errors.classes()}
    defined = {name for name, one in vars(errors).items() if isinstance(one, type)}
    assert public == {name for name in defined if name.endswith(("Error", "Warning"))}
    assert set(make_errors.warned()) == {name for name in public if name.endswith("Warning")}
