"""Docstrings: their examples run, what is public has one, and what they name is there."""

import ast
import doctest
import importlib
import inspect
import re

import pytest
from test_house import ROOT, modules, sources, tree_of

import cexport
import npscatter
from npscatter import features, onnx, plots, sklearn, torch

DOORS = (features, onnx, plots, sklearn, torch)
PACKAGES = ("npscatter", "cexport", "tools", "benchmarks")
# What texts name by its full name: modules, and what is in them.
FULL = re.compile(rf"`((?:{'|'.join(PACKAGES)})(?:\.\w+)+)")
PAGES = sorted(path for pattern in ("*.md", "docs/*.md", "*/*.md") for path in ROOT.glob(pattern))
# Without a GPU npscatter.backends.gpu cannot be imported.
MODULES = [
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for package in ("npscatter", "cexport", "tools")
    for path in sources(ROOT / package)
    if not path.is_relative_to(ROOT / "npscatter" / "backends" / "gpu")
    and ">>> " in path.read_text("utf-8")
]
# What an argument, or an attribute, is documented as: its name, others' beside it.
DOCUMENTED = re.compile(r"^ *((?:\\?\*{0,2}\w+, )*\\?\*{0,2}\w+)(?: :.*)?$", re.MULTILINE)


def of_the_interface_page():
    """Return what the page of the Python interface lists."""
    found, module = [], None
    for line in (ROOT / "docs" / "api" / "index.md").read_text("utf-8").splitlines():
        if "currentmodule::" in line:
            module = line.split()[-1]
        elif re.fullmatch(r"   \w+(\.\w+)?", line):
            *within, name = line.strip().split(".")
            found.append(getattr(importlib.import_module(".".join([module, *within])), name))
    return found


LISTED = of_the_interface_page()
PUBLIC = [
    *LISTED,
    npscatter.FilterBank.export_taps,
    npscatter.FilterBank.load,
    npscatter.FilterBank.save,
    npscatter.Scattering2D.filters,
    npscatter.Scattering2D.meta,
    npscatter.Scattering2D.warmup,
    cexport.LinearClassifier.from_sklearn,
    cexport.LinearClassifier.save,
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


@pytest.mark.parametrize("listed", LISTED, ids=lambda listed: listed.__qualname__)
def test_what_is_listed_documents_its_arguments(listed):
    """Those of functions, of classes, and of classes' public methods that have any."""
    functions = [listed]
    if isinstance(listed, type):
        methods = (getattr(listed, name) for name in vars(listed) if not name.startswith("_"))
        told = [one for one in methods if callable(one) and "Parameters\n" in (one.__doc__ or "")]
        plain = issubclass(listed, BaseException) or getattr(listed, "_is_protocol", False)
        functions = told if plain else [listed, *told]
    for function in functions:
        names = {
            name.lstrip("*\\")
            for row in DOCUMENTED.findall(function.__doc__)
            for name in row.split(", ")
        }
        assert set(inspect.signature(function).parameters) - {"self", "frontend"} <= names, function


def defined(tree):
    """Return the names that a module or a class defines, wherever in it, with their definitions."""
    found = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found[node.name] = node
        elif isinstance(node, ast.Name):
            found.setdefault(node.id, node)
        elif isinstance(node, ast.alias):
            found.setdefault(node.asname or node.name.split(".")[0], node)
    return found


def is_there(name, files):
    """Say whether a full name is a module's, or of what a module or its class defines."""
    parts = name.split(".")
    start = max(k for k in range(len(parts) + 1) if not k or ".".join(parts[:k]) in files)
    if not start:
        return False
    node = tree_of(files[".".join(parts[:start])])
    for part in parts[start:]:
        names = defined(node)
        if part not in names:
            return False
        node = names[part]
        if isinstance(node, ast.alias):  # of another module
            break
    return True


def test_what_texts_name_is_there():
    files = {name: path for package in PACKAGES for name, path in modules(package).items()}
    assert not is_there("npscatter.scattering.Scattering3D", files)
    read, lost = 0, []
    for path in [*files.values(), *PAGES]:
        # Names are cut at the ends of lines by nothing but their dots.
        for name in FULL.findall(path.read_text(encoding="utf-8")):
            read += 1
            if not is_there(name, files):
                lost.append(f"{path.relative_to(ROOT)}: {name}")
    # An entry point.
    assert set(lost) <= {"docs/architecture.md: npscatter.commands"} and read > 150
