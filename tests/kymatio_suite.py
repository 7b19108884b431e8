"""Kymatio's own 2-D tests and examples, run against this library: their imports changed, no more.

    python tests/kymatio_suite.py fetch FOLDER            # its source repository, by git
    python tests/kymatio_suite.py tests FOLDER [--close]
    python tests/kymatio_suite.py example FOLDER plot_sklearn.py [--kymatio] [--change OLD NEW]

The repository is fetched because no package has its tests: Kymatio 0.3.0 is on the index as a wheel
alone, and the source distributions of earlier releases have none. `tests` runs them as they are;
with --close their comparisons of values allow what `close` does. `example` gives what SciPy and
Pillow dropped since under its old name (`older_names`); with --kymatio the imports are not changed,
and every --change puts a text for another, for fewer steps or smaller pictures. Other arguments are
the example's.
"""

from __future__ import annotations

import os
import re
import runpy
import subprocess
import sys
import tempfile
import types
from importlib.metadata import metadata
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
RELEASE = "0.3.0"
# What the imports of Kymatio's classes become, and of the backends that its tests hand them.
IMPORTS = {
    "kymatio.numpy": "from npscatter import {}",
    "kymatio.torch": "from npscatter.torch import {}",
    "kymatio.sklearn": "from npscatter.sklearn import {}",
    "kymatio.scattering2d.frontend.numpy_frontend": "from npscatter import Scattering2D as {}",
    "kymatio.scattering2d.backend.numpy_backend": "from kymatio_suite import numpy as {}",
    "kymatio.scattering2d.backend.torch_backend": "from kymatio_suite import torch as {}",
    "kymatio": "from npscatter import {}",
}
# Relative errors that count as close: the banks are off by a few tenths of a percent.
CLOSE = 0.01

# Files of tests that are run.
RUN = (
    "test_frontend_scattering2d.py",
    "test_numpy_scattering2d.py",
    "test_sklearn_2d.py",
    "test_torch_scattering2d.py",
)
_INTERNALS = "tests Kymatio's own parts (`Pad`, `cdgmm`, `rfft`, ...), which there are none of here"
_NO_DOOR = "no door: see [JAX, TensorFlow and Keras](#jax-tensorflow-and-keras)"
# Those that are not, and why.
NOT_RUN = {
    "test_numpy_backend_2d.py": _INTERNALS,
    "test_torch_backend_2d.py": _INTERNALS,
    "test_tensorflow_backend_2d.py": _INTERNALS,
    "test_jax_scattering2d.py": _NO_DOOR,
    "test_keras_scattering2d.py": _NO_DOOR,
    "test_tensorflow_scattering2d.py": _NO_DOOR,
}
# Tests that fail as they are: those that pass with --close, and why the others do not.
_TOLERANCE = (
    "`allclose` with a tolerance of 1e-5, where the bank is off by a few tenths of a percent"
)
TOLERANCE = {
    "test_numpy_scattering2d.py::test_Scattering2D": _TOLERANCE,
    "test_torch_scattering2d.py::test_Scattering2D": _TOLERANCE,
}
OTHERS = {
    "test_torch_scattering2d.py::test_scattering2d_errors": (
        "expects a tensor that is not contiguous to be refused; here its strides may be any, and "
        "what is told of it is its wrong size"
    ),
}


class Named(str):
    """A backend as Kymatio's tests hand it over: its name, which also has that name."""

    @property
    def name(self) -> str:
        """The name."""
        return str(self)


numpy, torch = Named("numpy"), Named("torch")


def close(actual, expected) -> bool:
    """Say whether coefficients are those expected, but for a relative L2 error of `CLOSE`."""
    actual, expected = (np.asarray(array, np.float64) for array in (actual, expected))
    if actual.shape != expected.shape:
        return False
    return bool(np.linalg.norm(actual - expected) <= CLOSE * np.linalg.norm(expected))


def redirected(source: str) -> str:
    """Return a text of Python whose imports of Kymatio's 2-D classes are ours.

    Its other imports (of data sets, of folders) stay, and so does every other line.
    """

    def change(found: re.Match) -> str:
        indent, module, names = found.groups()
        ours = module in IMPORTS and re.search(
            r"\b(Scattering2D|ScatteringNumPy2D|backend)\b", names
        )
        return f"{indent}{IMPORTS[module].format(names)}" if ours else found[0]

    return re.sub(r"^([ \t]*)from (kymatio[\w.]*) import (.+)$", change, source, flags=re.MULTILINE)


def fetch(folder: Path) -> None:
    """Clone Kymatio's repository at its release, from where the installed package says it is."""
    links = (link.split(", ") for link in metadata("kymatio").get_all("Project-URL"))
    source = dict(links)["Source"]
    command = ["git", "clone", "--quiet", "--depth=1", f"--branch={RELEASE}", source, str(folder)]
    subprocess.run(command, check=True)


def run_tests(folder: Path, is_close: bool) -> dict[str, str]:
    """Run its tests; return for each of them "" or what failed, cases of one test together."""
    with tempfile.TemporaryDirectory() as name:
        copy = Path(name)
        for file in (folder / "tests" / "scattering2d").iterdir():
            if file.name in RUN:
                text = redirected(file.read_text(encoding="utf-8"))
                if is_close:
                    text = "from kymatio_suite import close\n" + text
                    text = re.sub(r"\b(np|torch)\.allclose\(", "close(", text)
                (copy / file.name).write_text(text, encoding="utf-8")
            elif file.suffix == ".npz":
                (copy / file.name).write_bytes(file.read_bytes())
        paths = os.pathsep.join([str(ROOT), str(ROOT / "tests"), os.environ.get("PYTHONPATH", "")])
        command = [sys.executable, "-m", "pytest", "-q", "-c", os.devnull, "--rootdir", name]
        command += [
            "--continue-on-collection-errors",
            "-p",
            "no:cacheprovider",
            "--junitxml",
            str(copy / "found.xml"),
            *RUN,
        ]
        environment = {**os.environ, "PYTHONPATH": paths}
        run = subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True)
        if run.returncode not in (0, 1):
            raise RuntimeError(run.stdout + run.stderr)
        found: dict[str, str] = {}
        for case in ElementTree.parse(copy / "found.xml").iter("testcase"):
            file = case.get("classname", "").split(".")[0] + ".py"
            test = f"{file}::{case.get('name', '').partition('[')[0]}"
            said = [part.get("message", "") for part in case if part.tag in ("failure", "error")]
            found[test] = found.get(test, "") + " ".join(said)
        return found


def older_names() -> None:
    """Give names that the examples, and Kymatio, import and that later releases dropped."""
    import PIL.Image
    import scipy.datasets
    import scipy.special

    if not hasattr(PIL.Image, "ANTIALIAS"):
        PIL.Image.ANTIALIAS = PIL.Image.Resampling.LANCZOS
    if not hasattr(scipy.special, "sph_harm"):
        scipy.special.sph_harm = None  # of its 3-D transform
    misc = types.ModuleType("scipy.misc")
    misc.face = scipy.datasets.face
    sys.modules["scipy.misc"] = misc


def options(arguments: list[str]) -> tuple[bool, dict[str, str], list[str]]:
    """Return whether Kymatio is to run, what is changed, and the arguments that are left."""
    changes, left = {}, []
    given = iter(arguments)
    for one in given:
        if one == "--change":
            old = next(given)
            changes[old] = next(given)
        else:
            left.append(one)
    return "--kymatio" in left, changes, [one for one in left if one != "--kymatio"]


def changed(source: str, is_kymatio: bool, changes: dict[str, str]) -> str:
    """Return an example as it is run."""
    for old, new in changes.items():
        if old not in source:
            raise SystemExit(f"the example has no {old!r}")
        source = source.replace(old, new)
    return source if is_kymatio else redirected(source)


def run_example(folder: Path, name: str, arguments: list[str]) -> None:
    """Run one of its examples in this process, in the folder of the examples."""
    path = folder / "examples" / "2d" / name
    is_kymatio, changes, rest = options(arguments)
    older_names()
    os.chdir(path.parent)
    sys.path[:0] = [str(ROOT), str(path.parent)]
    sys.argv = [str(path), *rest]
    with tempfile.TemporaryDirectory() as copies:
        copy = Path(copies) / name
        source = changed(path.read_text(encoding="utf-8"), is_kymatio, changes)
        copy.write_text(source, encoding="utf-8")
        runpy.run_path(str(copy), run_name="__main__")


def start(*arguments: str, timeout: int) -> subprocess.CompletedProcess:
    """Run a command of those above in a process of its own."""
    command = [sys.executable, __file__, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout)


def table() -> str:
    """Return the table of what fails or is not run, as the page has it."""
    rows = [
        f"| `{test}` | {reason} |" for test, reason in {**TOLERANCE, **OTHERS, **NOT_RUN}.items()
    ]
    return "\n".join(["| among Kymatio's tests of `scattering2d` | reason |", "|---|---|", *rows])


def main(arguments: list[str]) -> int:
    """Run a command of those above."""
    command, folder, *rest = arguments
    if command == "fetch":
        fetch(Path(folder))
    elif command == "example":
        run_example(Path(folder).resolve(), *rest[:1], rest[1:])
    elif command == "tests":
        found = run_tests(Path(folder).resolve(), "--close" in rest)
        for test, said in found.items():
            print(f"{'failed' if said else 'passed'} {test} {said[:200]}")
        return any(found.values())
    else:
        raise SystemExit(__doc__)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
