"""What an installation shows, and that every place states the same of it."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from npscatter.errors import install_extra

ROOT = Path(__file__).resolve().parent.parent
# Where a text sends its reader to what a wheel does not have.
SOURCES_ALONE = re.compile(r"python -m (?:tools|benchmarks|docs)\b|\b(?:docs|tools|tests)/\w")
FROM_AN_INDEX = re.compile(r"""pip install (?:-\S+ )*["']?npscatter""")
PAGES = ["*.md", "docs/*.md", "cexport/*.md", "tools/*.md", "benchmarks/*.md", "npscatter/**/*.md"]

NAMES = ("npscatter", "cexport", "tools", "tests", "benchmarks", "docs")
SHOWN = f"""
import importlib.util
for name in {NAMES}:
    spec = importlib.util.find_spec(name)
    for place in spec.submodule_search_locations or () if spec else ():
        print(name, place)
"""


def read(name):
    return (ROOT / name).read_text(encoding="utf-8")


def texts(path):
    """Yield every string of a file."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def test_an_installation_shows_the_packages_alone(tmp_path):
    """An editable one too, where the repository on the path would show all that is in it."""
    command = [sys.executable, "-I", "-c", SHOWN]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    shown = [line.split(maxsplit=1) for line in ran.stdout.splitlines()]
    ours = {name for name, place in shown if Path(place).is_relative_to(ROOT)}
    assert ours <= {"npscatter", "cexport"}, "pip install -e . again?"


def test_every_place_states_the_same_pythons():
    project, runs = read("pyproject.toml"), read(".ci/distributions")
    stated = re.findall(r"Python :: (3\.\d+)\"", project)
    oldest, newest = stated[0], stated[-1]
    assert [int(version.split(".")[1]) for version in stated] == list(
        range(int(oldest.split(".")[1]), int(newest.split(".")[1]) + 1)
    )
    assert f'requires-python = ">={oldest}"' in project
    assert f'python_version = "{oldest}"' in project
    assert f'target-version = "py{oldest.replace(".", "")}"' in project
    assert re.findall(r"\(on_one_python (\S+) (\S+) (\S+)\)", runs) == [
        (oldest, "lowest-direct", "commands"),
        (newest, "highest", "commands"),
        *((version, "highest", "alone") for version in stated[1:-1]),
    ]
    workflow = read(".github/workflows/ci.yml")
    assert f"python: {stated}".replace("'", '"') in workflow
    assert f"Python** {', '.join(stated[:-1])} and {newest}" in read("docs/install.md")
    assert f"Python {oldest} to {newest} are tested" in read("CONTRIBUTING.md")
    assert f"Python {oldest} or newer" in read("README.md")


@pytest.mark.parametrize("package", ["npscatter", "cexport"])
def test_messages_say_where_the_sources_alone_have_something(package):
    for path in (ROOT / package).rglob("*.py"):
        for text in texts(path):
            assert not FROM_AN_INDEX.search(text), (path, text)
            if SOURCES_ALONE.search(text):
                assert "source repository" in text, (path, text)


EXTRAS = [
    "cli",
    "cuda12",
    "cuda13",
    "dask",
    "onnx",
    "plots",
    "safetensors",
    "sklearn",
    "torch",
    "xarray",
]
# Packages whose ``__all__`` is the interface.
DOORS = ("bounds", "dask", "features", "onnx", "plots", "sklearn", "torch", "xarray")
INTERFACE = ["npscatter", *(f"npscatter.{name}" for name in DOORS)]


def test_the_page_of_installing_has_every_extra_and_what_it_includes():
    listed = read("pyproject.toml").partition("[project.optional-dependencies]\n")[2]
    extras = re.findall(r"^(\w+) = \[(.*?)\]$", listed.partition("\n\n[")[0], re.M | re.DOTALL)
    rows = re.findall(r"^\| (`\w+.*?) \|.*\| (.+) \|$", read("docs/install.md"), re.M)
    brings = {name: words for names, words in rows for name in re.findall(r"`(\w+)`", names)}
    assert set(brings) == {name for name, _ in extras} >= set(EXTRAS)
    for name, dependencies in extras:
        included = re.findall(r'"npscatter\[(.*?)\]"', dependencies)
        for other in included[0].split(",") if included else ():
            assert f"`{other}`" in brings[name], (name, other)


def test_the_extra_of_the_pages_brings_what_the_reference_imports():
    reference = read("docs/api/index.md")
    documented = set(re.findall(r"currentmodule:: npscatter\.(\w+)$", reference, re.M))
    included = re.search(r'\ndocs = \[\n    "npscatter\[(.*?)\]"', read("pyproject.toml"))[1]
    assert {"torch", "onnx"} <= documented & set(EXTRAS) - {"plots"} <= set(included.split(","))


def test_the_page_of_installing_names_the_interface():
    said = (
        read("docs/install.md").partition("**The interface** is")[2].partition(", the commands")[0]
    )
    assert re.findall(r"`([\w.]+)`", said) == ["__all__", *INTERFACE]
    there = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for path in (ROOT / "npscatter").rglob("*.py")
        if "\n__all__ = " in path.read_text(encoding="utf-8")
    }
    # The others with an `__all__` are where the package finds its own parts.
    own = {f"npscatter.{name}" for name in ("bank", "scattering", "backends.gpu.target")}
    assert there - set(INTERFACE) == own


@pytest.mark.parametrize("name", EXTRAS)
def test_the_extras_that_messages_name_are_there(name):
    assert f"\n{name} = [" in read("pyproject.toml")
    assert f"'.[{name}]' in its source repository" in install_extra(name)


def test_no_page_installs_from_an_index_what_is_not_there():
    pages = [path for pattern in PAGES for path in ROOT.glob(pattern)]
    assert len(pages) > 15
    for path in pages:
        assert not FROM_AN_INDEX.search(path.read_text(encoding="utf-8")), path
