"""Imports run one way, and importing npscatter loads NumPy and nothing else that is heavy."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
HEAVY = ("torch", "scipy", "numba", "llvmlite", "kymatio", "matplotlib", "click", "PIL", "cupy")
HEAVY += ("numba_cuda", "cuda")
OTHERS = {"tools", "cexport", "benchmarks", "tests", "conftest", "oracle"}
MAY_USE_TORCH = {"tools", "tests", "benchmarks"}


def sources(folder):
    """Yield the Python files of a folder of the repository."""
    for path in sorted(folder.rglob("*.py")):
        parts = path.relative_to(ROOT).parts
        if not any(part.startswith(".") or part in ("build", "dist", "runs") for part in parts):
            yield path


def imported(path):
    """Return the full names a file imports, at its top, lazily, or by import_module."""
    names = set()
    tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
    package = list(path.relative_to(ROOT).with_suffix("").parts)
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            names |= {f"{module}.{alias.name}" for alias in node.names} | {module}
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            function = getattr(node.func, "attr", getattr(node.func, "id", ""))
            if function in ("import_module", "__import__", "find_spec"):
                names.add(str(node.args[0].value))
    return names


def tops(path):
    return {name.split(".")[0] for name in imported(path)}


def run_python(code):
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


@pytest.mark.parametrize("package", ["npscatter", "cexport"])
def test_importing_loads_nothing_heavy(package):
    loaded = set(run_python(f"import {package}, sys; print(*sys.modules)").split())
    assert "npscatter.scattering" in loaded and "numpy" in loaded
    assert not {name for name in loaded if name.split(".")[0] in HEAVY}


def test_what_is_exported_exists():
    run_python("from npscatter import *; Scattering2D, scatter, FilterBank, list_banks")
    run_python("import npscatter; assert all(hasattr(npscatter, n) for n in npscatter.__all__)")


def test_the_package_imports_none_of_its_neighbours():
    files = list(sources(ROOT / "npscatter"))
    assert len(files) > 5
    for path in files:
        assert not tops(path) & OTHERS, path


def test_the_generator_of_c_imports_the_package_alone():
    for path in sources(ROOT / "cexport"):
        assert not tops(path) & (OTHERS - {"cexport"}), path


def test_torch_is_for_learning_only():
    users = {path.relative_to(ROOT).parts[0] for path in sources(ROOT) if "torch" in tops(path)}
    assert users <= MAY_USE_TORCH
    assert "tools" in users


@pytest.mark.parametrize("folder", ["tools", "cexport", "benchmarks"])
def test_no_code_imports_the_tests(folder):
    for path in sources(ROOT / folder):
        assert not tops(path) & {"tests", "conftest", "oracle"}, path


def test_the_oracle_imports_nothing_of_the_package():
    assert tops(ROOT / "tests" / "oracle.py") == {"math", "numpy"}


@pytest.mark.parametrize("package", ["npscatter", "cexport"])
def test_imports_within_a_package_form_no_cycle(package):
    modules = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts): path
        for path in sources(ROOT / package)
        if path.name != "__init__.py"
    }
    edges = {name: imported(path) & (set(modules) - {name}) for name, path in modules.items()}
    while edges:
        free = [name for name, needs in edges.items() if not needs & set(edges)]
        assert free, f"these import each other: {sorted(edges)}"
        for name in free:
            del edges[name]
