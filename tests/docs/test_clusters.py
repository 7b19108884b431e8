"""The recipes for clusters run as they stand, where their engines are installed.

Little is imported: besides an engine an environment needs pytest and hypothesis.
"""

import re
from importlib.util import find_spec

import pytest
from processes import ROOT, run_python

PAGE = ROOT / "docs" / "clusters.md"
# Heading -> the package that its recipe is for.
PACKAGES = {
    "joblib": "joblib",
    "Shards, with the standard library": "joblib",
    "webdataset": "webdataset",
    "Ray Data": "ray",
    "Spark": "pyspark",
}


def recipes():
    """Return what is before all recipes, and the recipes by their headings."""
    first, *sections = re.split(r"^## ", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    blocks = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)
    (before,) = blocks.findall(first)
    return before, {section.partition("\n")[0]: blocks.findall(section) for section in sections}


def test_every_recipe_is_known():
    assert list(recipes()[1]) == list(PACKAGES)


@pytest.mark.parametrize("heading", PACKAGES)
def test_recipes_of_clusters_run(heading, tmp_path):
    if find_spec(PACKAGES[heading]) is None:
        pytest.skip(f"{PACKAGES[heading]} is not installed")
    before, found = recipes()
    run_python("\n".join([before, *found[heading]]), folder=tmp_path, PYTHONPATH=str(ROOT))
