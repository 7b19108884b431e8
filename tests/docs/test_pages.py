"""The front door: its commands, its links, and that its Python runs."""

import importlib
import importlib.util
import re
from pathlib import Path

import numpy as np
import pytest
from matplotlib import image as plt_image
from matplotlib import pyplot
from matplotlib.backends.backend_agg import FigureCanvasAgg
from processes import run_python

from docs.make_figures import DPI, figures

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.md"
COMMANDS = (
    'pip install ".[cli]" && npscatter demo',
    "apt-get update && xargs apt-get install -y < tests/packages.txt "
    '&& pip install -e ".[test]" && pytest -m "not gpu"',
)
WITH_LINKS = ["*.md", "docs/*.md", "cexport/*.md", "benchmarks/*.md"]
# Where a page names a file of ours.
NAMED = re.compile(r"`((?:npscatter|cexport|tools|tests|benchmarks|docs)/[\w./-]*)`")
# Where a page names a test.
TEST = re.compile(r"`(test_\w+)`")
# What a page says that is printed.
SAID = re.compile(r"^print\(.*\)  # (.+)$", re.MULTILINE)
# All that a block prints, where a block of text comes right behind it; lines may be broken.
SHOWN = re.compile(r"^```\n\n```text\n(.*?)^```$", re.DOTALL | re.MULTILINE)
# Pages whose Python needs nothing but what the tests do.
WITH_PYTHON = ["README.md", "docs/quickstart.md", "docs/kymatio.md", "docs/cpu.md"]
WITH_PYTHON += ["docs/sklearn.md", "docs/features.md", "docs/onnx.md", "docs/plots.md"]
WITH_PYTHON += ["docs/large.md", "docs/how-large.md", "docs/mistakes.md"]
# Pages whose Python other tests run, and those whose nobody does: for minutes, and for a GPU.
RUN_ELSEWHERE = {"docs/torch.md", "docs/recipes.md", "docs/clusters.md", "cexport/GUIDE.md"}
NOT_RUN = {"docs/bounds.md", "docs/gpu.md"}


def pages(patterns):
    return sorted(path for pattern in patterns for path in ROOT.glob(pattern))


def python_blocks(name):
    """Return the Python of a page, and the line each block begins at."""
    text = (ROOT / name).read_text(encoding="utf-8")
    blocks = re.finditer(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    return [(text.count("\n", 0, block.start()) + 2, block[1]) for block in blocks]


def shown_after(name):
    """Return the text that a page shows right behind each block of Python, None for none."""
    text = (ROOT / name).read_text(encoding="utf-8")
    blocks = re.finditer(r"^```python\n.*?(?=^```$)", text, re.DOTALL | re.MULTILINE)
    shown = [SHOWN.match(text, block.end()) for block in blocks]
    return [one and one[1].split() for one in shown]


@pytest.mark.parametrize("command", COMMANDS)
def test_the_readme_has_the_two_commands(command):
    assert f"\n    {command}\n" in README.read_text(encoding="utf-8")


def source_of(link):
    """Return the file that a page which is made of a program is made of, or the link itself."""
    made = re.fullmatch(r"auto_(\w+)/([\w/]+)", link)
    if not made:
        return link
    return f"{made[1]}/GALLERY_HEADER.rst" if made[2] == "index" else f"{made[1]}/{made[2]}.py"


@pytest.mark.parametrize("page", pages(WITH_LINKS), ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_files(page):
    links = re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text(encoding="utf-8"))
    targets = [page.parent / source_of(link) for link in links if ":" not in link]
    lost = [str(target) for target in targets if not target.exists()]
    assert not lost


def anchors(page):
    """Return the anchors that GitHub makes of the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {
        re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-") for heading in headings
    }


@pytest.mark.parametrize("page", pages(WITH_LINKS), ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_headings(page):
    links = re.findall(r"\]\(([^)#\s:]*)#([^)\s]+)\)", page.read_text(encoding="utf-8"))
    targets = [(page.parent / path if path else page, anchor) for path, anchor in links]
    assert not [
        (path, one) for path, one in targets if path.suffix == ".md" and one not in anchors(path)
    ]


@pytest.mark.parametrize("page", pages(WITH_LINKS), ids=lambda page: str(page.relative_to(ROOT)))
def test_files_a_page_names_are_there(page):
    named = NAMED.findall(page.read_text(encoding="utf-8"))
    assert not [name for name in named if not (ROOT / name).exists()]


@pytest.mark.parametrize("page", pages(WITH_LINKS), ids=lambda page: str(page.relative_to(ROOT)))
def test_tests_a_page_names_are_there(page):
    files = ROOT.glob("tests/**/test_*.py")
    there = {
        name for file in files for name in re.findall(r"^def (test_\w+)", file.read_text(), re.M)
    }
    assert not set(TEST.findall(page.read_text(encoding="utf-8"))) - there


def test_every_page_with_python_is_known():
    names = {page.relative_to(ROOT).as_posix() for page in pages(WITH_LINKS)}
    found = {name for name in names if python_blocks(name)}
    assert found == {*WITH_PYTHON, *RUN_ELSEWHERE, *NOT_RUN}


@pytest.mark.parametrize("name", WITH_PYTHON)
def test_python_on_a_page_runs(name, tmp_path, monkeypatch, capsys):
    """Block after block, as it is read; and prints what a comment behind `print` says.

    And what is shown as text right behind the block.
    """
    monkeypatch.chdir(tmp_path)
    blocks, scope = python_blocks(name), {"__name__": "page"}
    assert blocks
    for (line, block), shown in zip(blocks, shown_after(name), strict=True):
        code = compile("\n" * (line - 1) + block, str(ROOT / name), "exec")
        exec(code, scope)
        printed = capsys.readouterr().out
        said = printed.splitlines()
        assert [text for text in SAID.findall(block) if text not in said] == []
        assert shown is None or printed.split() == shown, f"{name}:{line}"
    pyplot.close("all")


@pytest.mark.parametrize("backend", ["torch", "jax"])
def test_recipes_run(backend, tmp_path):
    """In processes of their own: Keras has one backend in each, and keeps files of its settings."""
    keras, callback = (block for _, block in python_blocks("docs/recipes.md"))
    code = keras + (callback if backend == "jax" else "")
    run_python(code, KERAS_BACKEND=backend, KERAS_HOME=str(tmp_path), JAX_PLATFORMS="cpu")


def test_the_interface_page_names_what_there_is():
    text, module, names = (ROOT / "docs/api/index.md").read_text(), None, 0
    for line in text.splitlines():
        if "currentmodule::" in line:
            module = importlib.import_module(line.split()[-1])
        elif re.fullmatch(r"   \w+", line):
            names += 1
            assert hasattr(module, line.strip()), line
    assert names > 10


def darkness(pixels):
    """Return how dark a picture is, in squares of about 16 pixels, between white and black."""
    height, width = (side // 16 * 16 for side in pixels.shape[:2])
    squares = pixels[:height, :width, :3].reshape(height // 16, 16, width // 16, 16, 3)
    return 1 - squares.mean((1, 3, 4))


def test_the_pictures_of_the_pages_are_what_is_drawn_today():
    """To what Matplotlib's versions may change: fonts, and a few pixels here and there."""
    pyplot.switch_backend("Agg")
    try:
        for name, figure in figures().items():
            stored = plt_image.imread(ROOT / "docs" / "_static" / f"{name}.png")
            figure.set_dpi(DPI)
            canvas = FigureCanvasAgg(figure)
            canvas.draw()
            drawn = np.asarray(canvas.buffer_rgba()) / 255
            assert drawn.shape == stored.shape, name
            both = darkness(stored).ravel(), darkness(drawn).ravel()
            assert np.corrcoef(*both)[0, 1] > 0.97, name
    finally:
        pyplot.close("all")
