"""The examples in docstrings: they run, and what is public has one."""

import doctest
import importlib

import pytest
from test_house import ROOT, sources

import cexport
import npscatter
from npscatter import features, onnx, plots
from npscatter.bounds import Bounds

DOORS = (features, onnx, plots)
# Without a GPU npscatter.backends.gpu cannot be imported.
MODULES = [
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for package in ("npscatter", "cexport", "tools")
    for path in sources(ROOT / package)
    if not path.is_relative_to(ROOT / "npscatter" / "backends" / "gpu")
    and ">>> " in path.read_text("utf-8")
]
PUBLIC = [
    npscatter.FilterBank.load,
    npscatter.Scattering2D,
    npscatter.Scattering2D.filters,
    npscatter.Scattering2D.meta,
    npscatter.list_banks,
    npscatter.scatter,
    Bounds,
    cexport.generate,
    cexport.simulate_q15,
    *(getattr(door, name) for door in DOORS for name in door.__all__ if name != "Meta"),
]


@pytest.mark.parametrize("name", MODULES)
def test_examples_show_what_they_give(name):
    """They import what they use: no name of the module is theirs."""
    flags = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
    runner = doctest.DocTestRunner(optionflags=flags)
    module, said = importlib.import_module(name), []
    for test in doctest.DocTestFinder().find(module, globs={}):
        runner.run(test, out=said.append)
    assert runner.tries > 0 and not runner.failures, "".join(said)


@pytest.mark.parametrize("public", PUBLIC, ids=lambda public: public.__qualname__)
def test_what_is_public_has_an_example(public):
    assert ">>> " in public.__doc__
