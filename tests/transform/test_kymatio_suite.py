"""Kymatio's own tests, as the page about it says they come out."""

import os
import re
from pathlib import Path

import kymatio_suite
import numpy as np
import pytest
from kymatio_suite import NOT_RUN, OTHERS, ROOT, RUN, TOLERANCE, close, redirected, run_tests

SOURCE = os.environ.get("KYMATIO_SOURCE")


@pytest.mark.skipif(not SOURCE, reason="KYMATIO_SOURCE: see tests/kymatio_suite.py fetch")
class TestKymatiosRepository:
    """What needs its source."""

    folder = Path(SOURCE or ".").resolve()

    def test_it_has_the_files_that_are_listed(self):
        files = {path.name for path in (self.folder / "tests/scattering2d").glob("test_*.py")}
        assert files == {*RUN, *NOT_RUN}

    def test_what_is_no_exception_passes(self):
        found = run_tests(self.folder, is_close=False)
        assert {name for name, said in found.items() if said} == {*TOLERANCE, *OTHERS}, found
        assert len(found) == 14

    def test_but_for_tolerances_all_but_a_few_pass(self):
        found = run_tests(self.folder, is_close=True)
        assert {name for name, said in found.items() if said} == {*OTHERS}, found

    @pytest.mark.parametrize("name", ["plot_sklearn.py", "plot_scattering_disk.py"])
    def test_examples_that_take_seconds_run(self, name, monkeypatch):
        monkeypatch.setenv("MPLBACKEND", "Agg")
        run = kymatio_suite.start("example", str(self.folder), name, timeout=200)
        assert run.returncode == 0, run.stderr
        said = {"plot_sklearn.py": "Accuracy: 0.9", "plot_scattering_disk.py": "(127, 4, 4)"}
        assert said[name] in run.stdout


def test_the_page_has_every_exception():
    page = (ROOT / "docs/kymatio.md").read_text(encoding="utf-8")
    shown = re.search(r"<!-- exceptions: .* -->\n(.*?)\n<!-- /exceptions -->", page, re.DOTALL)
    assert shown[1] == kymatio_suite.table()


def test_only_imports_of_the_classes_are_changed():
    kept = "import kymatio.datasets\nfrom kymatio.datasets import get_dataset_dir\n# from kymatio"
    changed = {
        "from kymatio import Scattering2D": "from npscatter import Scattering2D",
        "    from kymatio.torch import Scattering2D as S": (
            "    from npscatter.torch import Scattering2D as S"
        ),
        "from kymatio.sklearn import Scattering2D": "from npscatter.sklearn import Scattering2D",
    }
    found = redirected("\n".join([kept, *changed, kept]))
    assert found == "\n".join([kept, *changed.values(), kept])


def test_examples_are_changed_as_asked():
    given = ["--mode", "2", "--change", "J = 2", "J = 3", "--kymatio", "--change", "15", "500"]
    is_kymatio, changes, left = kymatio_suite.options(given)
    assert (is_kymatio, left) == (True, ["--mode", "2"])
    source = "from kymatio.torch import Scattering2D\nJ = 2\nsteps = 15\n"
    wanted = source.replace("J = 2", "J = 3").replace("15", "500")
    assert kymatio_suite.changed(source, True, changes) == wanted
    assert kymatio_suite.changed(source, False, changes) == redirected(wanted)
    with pytest.raises(SystemExit, match="has no 'J = 4'"):
        kymatio_suite.changed(source, True, {"J = 4": "J = 5"})


def test_close_is_a_percent():
    values = np.array([3.0, 4.0])
    assert close(values, values) and close(values + 0.0353, values)
    assert not close(values + 0.0354, values) and not close(values[:1], values)
    assert not close(values + np.nan, values)
