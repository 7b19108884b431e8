"""The order of the house: who may import whom, and how large its parts may grow."""

import ast
import re
import subprocess
import sys
import tokenize
from functools import cache
from pathlib import Path

import pytest
import tiers

ROOT = Path(__file__).resolve().parent.parent
HEAVY = ("torch", "scipy", "numba", "llvmlite", "kymatio", "matplotlib", "click", "PIL", "cupy")
HEAVY += ("numba_cuda", "cuda", "sklearn", "onnx", "onnxruntime", "safetensors")
HEAVY += ("dask", "distributed", "xarray", "zarr", "h5py", "pyarrow")
HELPERS = {path.stem for path in (ROOT / "tests").glob("*.py")}
OTHERS = {"tools", "cexport", "benchmarks", "tests"} | HELPERS
MAY_USE_TORCH = {"tools", "tests", "benchmarks", "npscatter/torch", "docs/gallery"}

# What each unit of npscatter, a file or a folder, may import of the others; those of the folder of
# backends are units of their own. Not counted: what a type checker alone imports, and modules that
# are found by a name when they are needed.
MAY_IMPORT = {
    "errors": set(),
    "atomic_write": set(),
    "features": {"errors", "arguments", "program"},
    "arguments": {"errors"},
    "program": {"errors", "arguments"},
    "bank": {"errors", "arguments", "atomic_write", "program"},
    "backends": {"errors", "jit_cache"},
    "jit_cache": {"errors", "atomic_write"},
    "cost": {"program", "bank"},
    "tiled": {"errors", "program", "bank"},
    "reference": {"errors", "program", "bank", "tiled"},
    "cpu": {"errors", "arguments", "program", "bank", "cost", "jit_cache", "tiled"},
    "gpu": {"errors", "arguments", "program", "bank", "cost", "jit_cache"},
    "scattering": {"errors", "arguments", "backends", "program", "bank"},
    "__init__": {"errors", "bank", "scattering"},
    "sklearn": {"errors", "arguments", "features", "program", "bank", "scattering"},
    "dask": {"errors", "arguments", "program", "bank", "scattering"},
    "xarray": {"__init__", "errors", "arguments", "program", "bank", "scattering"},
    "onnx": {"__init__", "errors", "arguments", "atomic_write", "program", "bank"},
    "plots": {"errors", "arguments", "program", "bank", "scattering"},
    "torch": {"errors", "arguments", "program", "bank", "cpu", "scattering"},
    "bounds": {"errors", "arguments", "program", "bank", "scattering"},
    "cli": {
        *{"__init__", "errors", "arguments", "atomic_write", "features", "program", "bank"},
        *{"scattering", "bounds", "plots", "backends", "jit_cache"},
    },
    "__main__": {"errors"},
}
LARGEST = {
    "entries of npscatter": 18,
    "levels of units": 8,
    "levels of files": 14,
    "lines of a file": 600,
    "lines of a function": 80,
    "parameters of a function": 10,
    "lines of the README": 130,
    "rows of the README's tables": 10,
    # The paper's experiments, on its own data and on sets people know, are a leaf of their own.
    "lines of the benchmarks": 3300,
    "lines of the paper's experiments": 3300,
    "lines of the benchmarks' code": 5200,
}
# Public signatures and commands have as many parameters as they need.
WIDE = {
    "npscatter/scattering/transform.py:__init__",
    "npscatter/torch/module.py:__init__",
    "npscatter/scattering/transform.py:scatter",
    "npscatter/sklearn.py:__init__",
    "npscatter/bank/filter_bank.py:__init__",
    "cexport/generator.py:generate",
    "cexport/fitting.py:find_fitting",
    "cexport/size_report.py:report",
}


# Reading the sources


# Folders that are made, besides hidden ones and those of pages that are made of programs.
GENERATED = {"build", "dist", "runs", "_build"}


def sources(folder):
    """Yield the Python files of a folder of the repository."""
    for path in sorted(folder.rglob("*.py")):
        parts = path.relative_to(ROOT).parts
        if not any(part.startswith((".", "auto_")) or part in GENERATED for part in parts):
            yield path


@cache
def tree_of(path):
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def walk(node, skip_types, skip_functions):
    """Yield the nodes below one, without what a type checker or a call alone runs, if wanted."""
    for child in ast.iter_child_nodes(node):
        if skip_types and isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test):
            continue
        if skip_functions and isinstance(child, ast.FunctionDef | ast.Lambda):
            continue
        yield child
        yield from walk(child, skip_types, skip_functions)


def imported(path, skip_types=False, skip_functions=False, by_name=True):
    """Return the full names a file imports, at its top, lazily, or by import_module."""
    names = set()
    package = list(path.relative_to(ROOT).with_suffix("").parts)
    for node in walk(tree_of(path), skip_types, skip_functions):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            names |= {f"{module}.{alias.name}" for alias in node.names} | {module}
        elif (
            by_name
            and isinstance(node, ast.Call)
            and node.args
            and isinstance(node.args[0], ast.Constant)
        ):
            function = getattr(node.func, "attr", getattr(node.func, "id", ""))
            if function in ("import_module", "__import__", "find_spec"):
                names.add(str(node.args[0].value))
    return names


def tops(path):
    return {name.split(".")[0] for name in imported(path)}


def modules(package):
    """Return the files of a package by their modules' names."""
    found = {}
    for path in sources(ROOT / package):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def static_imports(package):
    """Return which of a package's modules each of them imports as it is imported itself."""
    found = modules(package)
    edges = {}
    for name, path in found.items():
        names = imported(path, skip_types=True, skip_functions=True, by_name=False) & set(found)
        # `from package import module` imports the module, and is no use of the package.
        used = {other for other in names if not any(x.startswith(f"{other}.") for x in names)}
        edges[name] = used - {name}
    return edges


def levels(edges):
    """Return how many levels imports have; fail where some go round in a circle."""
    edges, count = dict(edges), 0
    while edges:
        free = [name for name, needs in edges.items() if not set(needs) & set(edges)]
        assert free, f"these import each other: {sorted(edges)}"
        for name in free:
            del edges[name]
        count += 1
    return count


def functions(package):
    """Yield the place and the definition of every function of a package."""
    for path in sources(ROOT / package):
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield f"{path.relative_to(ROOT).as_posix()}:{node.name}", node


def length(function):
    """Return a function's lines, without those of its docstring."""
    lines = function.end_lineno - function.lineno + 1
    if ast.get_docstring(function) is not None:
        lines -= function.body[0].end_lineno - function.body[0].lineno + 1
    return lines


def parameters(function):
    given = function.args
    listed = [*given.posonlyargs, *given.args, *given.kwonlyargs]
    return len(listed) + (given.vararg is not None) + (given.kwarg is not None)


def run_python(code):
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


# Who imports whom


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


def test_torch_is_for_its_door_and_for_learning_only():
    users = {path.relative_to(ROOT) for path in sources(ROOT) if "torch" in tops(path)}
    for path in users:
        assert any(path.is_relative_to(folder) for folder in MAY_USE_TORCH), path
    for folder in MAY_USE_TORCH:
        assert any(path.is_relative_to(folder) for path in users), folder


@pytest.mark.parametrize("folder", ["tools", "cexport", "benchmarks"])
def test_no_code_imports_the_tests(folder):
    for path in sources(ROOT / folder):
        assert not tops(path) & ({"tests"} | HELPERS), path


def test_the_oracle_imports_nothing_of_the_package():
    assert tops(ROOT / "tests" / "oracle.py") == {"math", "numpy"}


def test_only_tests_of_the_benchmarks_import_them():
    for path in sources(ROOT / "tests"):
        folder = path.relative_to(ROOT / "tests").parts[0]
        assert folder == "benchmarks" or "benchmarks" not in tops(path), path


def test_nothing_imports_the_experiments_of_the_paper():
    own = [ROOT / "benchmarks" / "paper", ROOT / "tests" / "benchmarks"]
    for path in sources(ROOT):
        if not any(path.is_relative_to(folder) for folder in own):
            assert not {name for name in imported(path) if name.startswith("benchmarks.paper")}, (
                path
            )


def unit_of(module):
    """Return the file or the folder of npscatter that a module belongs to."""
    parts = module.split(".")
    if parts[1:2] == ["backends"] and len(parts) > 2:
        return parts[2]
    return parts[1] if len(parts) > 1 else "__init__"


@pytest.mark.parametrize("unit", MAY_IMPORT)
def test_units_import_what_the_table_allows(unit):
    found = modules("npscatter")
    used = set()
    for module in found:
        if unit_of(module) == unit:
            names = imported(found[module], skip_types=True, by_name=False)
            submodules = {name for name in names if name in found and name != "npscatter"}
            used |= {unit_of(name) for name in submodules}
            # The package itself: for a name that is no module, or by ``import npscatter``.
            own = {name for name in names if name.count(".") == 1 and name.startswith("npscatter.")}
            plain = {node.name for node in plain_imports(found[module])}
            if "npscatter" in plain or own - set(found):
                used.add("__init__")
    assert used - {unit} <= MAY_IMPORT[unit]


def plain_imports(path):
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            yield from node.names


def test_every_unit_has_a_row_in_the_table():
    assert {unit_of(module) for module in modules("npscatter")} == set(MAY_IMPORT)


def test_the_table_has_few_levels():
    assert levels(MAY_IMPORT) <= LARGEST["levels of units"]


@pytest.mark.parametrize("package", ["npscatter", "cexport"])
def test_imports_within_a_package_form_no_cycle_and_few_levels(package):
    assert levels(static_imports(package)) <= LARGEST["levels of files"]


# What the page of the architecture says

PAGE = ROOT / "docs" / "architecture.md"
ROW = re.compile(r"^\| (`[^|]+) \|", re.MULTILINE)
FOLDER = re.compile(r"^    npscatter/([\w/]+)/  .*\n((?:      .*\n)+)", re.MULTILINE)


def test_layers_stand_in_the_order_of_imports():
    """A unit imports what stands below it on the page, or beside it."""
    rows = {}
    for number, row in enumerate(ROW.findall(PAGE.read_text(encoding="utf-8"))):
        for name in re.findall(r"`(?:backends/)?([\w/]+?)(?:\.py|/)`", row):
            rows.setdefault(name.removesuffix("/__init__").replace("__init__", "backends"), number)
    units = set(MAY_IMPORT) - {"__init__", "__main__"}
    assert set(rows) == units
    for unit in units:
        assert all(rows[unit] <= rows[other] for other in MAY_IMPORT[unit] - {"__init__"}), unit


def test_the_page_names_every_module():
    """Of npscatter's folders, but for the commands, which have a file each."""
    folders = dict(FOLDER.findall(PAGE.read_text(encoding="utf-8")))
    files = [path for path in modules("npscatter").values() if path.name != "__init__.py"]
    there = {path.relative_to(ROOT / "npscatter").parent.as_posix() for path in files}
    assert set(folders) == there - {"."}
    for folder, text in folders.items():
        named = {word for line in text.splitlines() for word in re.findall(r"\w+", line)}
        listed = {word for line in text.splitlines() for word in re.findall(r"\w+", line[:27])}
        own = {path.stem for path in files if path.parent == ROOT / "npscatter" / folder}
        assert listed <= own, folder
        assert folder == "cli" or own <= named, folder


def test_the_page_names_what_tests_share():
    said = PAGE.read_text(encoding="utf-8").partition("    tests/ ")[2].partition("\n\n")[0]
    shared = {name for name in HELPERS - {"conftest"} if not name.startswith("test_")}
    assert shared <= set(re.findall(r"\w+", said))


# What decides whether compiled code on disk is still right


@pytest.mark.parametrize("wing", ["cpu", "gpu"])
def test_caches_of_compiled_code_are_guarded_by_every_file_that_decides_it(wing):
    """All modules that are imported where it is compiled, but those that `decides` excepts."""
    declared = declared_sources(wing)
    edges = static_imports("npscatter")
    assert set(declared) <= set(edges)
    start = f"npscatter.backends.{wing}."
    needed, todo = set(), [name for name in declared if name.startswith(start)]
    while todo:
        name = todo.pop()
        if name not in needed:
            needed.add(name)
            todo += edges[name]
    assert {name for name in needed if decides(name)} == set(declared)


def test_compiled_gradients_are_guarded_too():
    """By their own files, beside those of the wing."""
    own, edges = set(declared_sources("cpu", "OWN_SOURCES")), static_imports("npscatter")
    assert "npscatter.backends.cpu.gradient_code" in own
    needed = {other for name in own for other in edges[name] if decides(other)}
    assert needed and needed <= own | set(declared_sources("cpu"))


def decides(module):
    """Return whether a module's code is compiled, or makes code that is.

    Plans and banks are data: what is compiled holds what it takes of them, or gets it as an
    argument. Code are the summation, an order in which to add, and the rule of magnitudes. What the
    simulator compiles is never cached on disk.
    """
    if module == "npscatter.backends.gpu.simulator":
        return False
    wings = ("npscatter.backends.cpu.", "npscatter.backends.gpu.")
    shared = ("npscatter.program.summation", "npscatter.program.magnitude")
    return module.startswith(wings) or module in shared


def declared_sources(wing, name="SOURCES"):
    """Return the names of the modules in a wing's `SOURCES`, or in another list of them."""
    for path in sources(ROOT / "npscatter" / "backends" / wing):
        for node in tree_of(path).body:
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == name:
                return ast.literal_eval(node.value)
    raise AssertionError(f"no {name} in {wing}")


# How large


def test_the_package_has_few_entries():
    entries = {
        path.name
        for path in (ROOT / "npscatter").iterdir()
        if path.suffix == ".py" or (path.is_dir() and any(path.glob("*.py")))
    }
    assert len(entries) <= LARGEST["entries of npscatter"], sorted(entries)


def test_no_two_classes_share_a_name():
    places = {}
    for package in ("npscatter", "cexport"):
        for path in sources(ROOT / package):
            for node in ast.walk(tree_of(path)):
                if isinstance(node, ast.ClassDef):
                    places.setdefault(node.name, []).append(str(path.relative_to(ROOT)))
    assert {name: files for name, files in places.items() if len(files) > 1} == {}


@pytest.mark.parametrize("package", ["npscatter", "cexport"])
def test_files_are_read_in_one_sitting(package):
    most = LARGEST["lines of a file"]
    files = {path: len(path.read_text(encoding="utf-8").splitlines())
             for path in sources(ROOT / package)}  # fmt: skip
    assert {path: lines for path, lines in files.items() if lines > most} == {}


@pytest.mark.parametrize("package", ["npscatter", "cexport"])
def test_functions_are_short(package):
    most = LARGEST["lines of a function"]
    assert {place: n for place, node in functions(package) if (n := length(node)) > most} == {}


def test_functions_have_few_parameters_but_those_listed():
    most = LARGEST["parameters of a function"]
    wide = {
        place
        for package in ("npscatter", "cexport")
        for place, node in functions(package)
        if parameters(node) > most
    }
    assert wide - WIDE == set()
    assert WIDE - wide == set(), "these need no exception any more"


def test_the_readme_is_short():
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    assert len(lines) <= LARGEST["lines of the README"]
    rows = [line for line in lines if line.startswith("|")]
    assert len(rows) <= LARGEST["rows of the README's tables"]


def test_the_benchmarks_are_short():
    lines = {
        path: len(path.read_text(encoding="utf-8").splitlines())
        for path in sources(ROOT / "benchmarks")
    }
    of_paper = sum(count for path, count in lines.items() if path.parent.name == "paper")
    assert of_paper <= LARGEST["lines of the paper's experiments"]
    assert sum(lines.values()) - of_paper <= LARGEST["lines of the benchmarks"]
    code = sum(len(code_lines(path)) for path in sources(ROOT / "benchmarks"))
    assert code <= LARGEST["lines of the benchmarks' code"]


def code_lines(path):
    """Return the numbers of the lines that are neither blank nor comments nor docstrings."""
    documented = set()
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
            if ast.get_docstring(node, clean=False) is not None:
                text = node.body[0]
                documented |= set(range(text.lineno, text.end_lineno + 1))
    passed_over = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT}
    passed_over |= {tokenize.DEDENT, tokenize.ENDMARKER}
    lines = set()
    with open(path, encoding="utf-8") as file:
        for token in tokenize.generate_tokens(file.readline):
            if token.type not in passed_over:
                lines |= set(range(token.start[0], token.end[0] + 1))
    return lines - documented


# Which tests are slow


@pytest.mark.parametrize("name", [*tiers.SLOW, *tiers.FAST])
def test_names_of_slow_and_fast_tests_are_names_of_tests(name):
    place, _, test = name.partition("::")
    path = ROOT / "tests" / place
    assert path.exists()
    if test:
        defined = [node.name for node in ast.walk(tree_of(path)) if hasattr(node, "name")]
        case = "[" in test
        prefix = test.partition("[")[0]
        assert any(name == prefix if case else name.startswith(prefix) for name in defined if name)


def test_the_longest_name_decides_which_tests_are_slow():
    assert tiers.is_slow("benchmarks/test_paper.py::test_any")
    assert tiers.is_slow("cpu/test_processes.py::test_ctrl_c_is_heeded[1]")
    assert not tiers.is_slow("cpu/test_processes.py::test_a_forked_child_computes")
    assert not tiers.is_slow("program/test_plan.py::test_any")
