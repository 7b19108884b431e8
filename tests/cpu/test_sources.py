"""The list of modules whose hash keeps caches from giving back code of other sources."""

import ast
from pathlib import Path

from npscatter.cpu.row_codegen import SOURCES

ROOT = Path(__file__).resolve().parents[2]
# Imported where code is compiled, but no part of what is compiled.
NOT_COMPILED = {"npscatter.jit_cache": "stores compiled code, and hashes sources"}


def modules_imported(name):
    """Return the modules of npscatter that a module of it imports."""
    tree = ast.parse((ROOT / Path(*name.split("."))).with_suffix(".py").read_text("utf-8"))
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            assert not node.level, f"{name} imports by a relative name"
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    files = {name: (ROOT / Path(*name.split("."))).with_suffix(".py") for name in names}
    return {name for name, path in files.items() if name.startswith("npscatter.") and path.exists()}


def test_all_that_is_compiled_is_hashed():
    found, new = set(), {"npscatter.cpu.interpreter"}
    while new:
        found |= new
        new = set().union(*map(modules_imported, new)) - found
    assert found - set(SOURCES) == set(NOT_COMPILED)
    # Compiled code is told of the records by its arguments' types, not by an import.
    assert set(SOURCES) - found == {"npscatter.cpu.records"}
