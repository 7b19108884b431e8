"""How fast WebAssembly of the generated C is in Chromium, and the page that shows its coefficients.

``python -m benchmarks.web`` writes benchmarks/results/web.json. It needs clang, lld and Chromium.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from statistics import median
from threading import Thread

import click
import numpy as np
from playwright.sync_api import Page, sync_playwright

from benchmarks import results, run
from cexport.examples.web.build import BANKS, SIZES, build
from npscatter import Scattering2D
from tools.measure import test_images

KINDS = {"vectors": "-simd", "no vectors": ""}
ROUNDS, FEWEST_MILLISECONDS, SECONDS_SHOWN = 25, 20, 4
LOAD = """async ([name, pixels]) => {
    const { Scattering } = await import("./scatter.js");
    const module = await Scattering.load(await (await fetch(`${name}.wasm`)).arrayBuffer());
    module.image.set(pixels);
    module.scatter();
    (window.modules ??= {})[name] = module;
    return [...module.output];
}"""
TIME = """([name, atLeast]) => {
    const start = performance.now();
    let passes = 0, taken = 0;
    for (; taken < atLeast; passes++, taken = performance.now() - start) modules[name].scatter();
    return taken / passes;
}"""


def measure(page: Page, bank: str, side: int, J: int) -> dict:
    """Return milliseconds per picture, of rounds in turn, and how many the page shows."""
    image = test_images("photographs", side)[0].astype(np.float32)
    expected = Scattering2D(J, (side, side), bank=bank, backend="numpy")(image.astype(np.float64))
    names = {kind: f"{bank}-{side}{suffix}" for kind, suffix in KINDS.items()}
    for name in names.values():
        output = np.reshape(page.evaluate(LOAD, [name, image.ravel().tolist()]), expected.shape)
        if not np.linalg.norm(output - expected) < 2e-6 * np.linalg.norm(expected):
            raise click.ClickException(f"{name}: coefficients differ from NumPy's")
        page.evaluate(TIME, [name, 25 * FEWEST_MILLISECONDS])
    rounds = [
        {kind: page.evaluate(TIME, [name, FEWEST_MILLISECONDS]) for kind, name in names.items()}
        for _ in range(ROUNDS)
    ]
    times = {
        kind: {of.__name__: round(of([each[kind] for each in rounds]), 4) for of in (median, min)}
        for kind in names
    }
    page.get_by_role("combobox", name="Transform").select_option(f"{bank}-{side}")
    page.get_by_role("button", name="Turn the picture").click()
    page.wait_for_timeout(1000 * SECONDS_SHOWN)
    shown = float(page.locator("#rate").get_attribute("value") or 0)
    page.get_by_role("button", name="Turn the picture").click()
    case = {"bank": bank, "side": side, "J": J, "ms_per_picture": times}
    return {**case, "shown_per_second": round(shown, 1)}


@click.command(help=__doc__)
def main() -> None:
    """Measure every transform of the page."""
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        build(Path(folder))
        handler = partial(SimpleHTTPRequestHandler, directory=folder)
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        Thread(target=server.serve_forever, daemon=True).start()
        chromium = shutil.which("chromium")
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page()
        page.goto(f"http://127.0.0.1:{server.server_port}/")
        load = os.getloadavg()[0]
        rows = [measure(page, bank, *size) for bank in BANKS for size in SIZES]
        result = {
            "environment": results.environment("python -m benchmarks.web"),
            "browser": f"Chromium {browser.version}",
            "compiler": results.version_of("clang"),
            "load_before": round(load, 1),
            "rounds": ROUNDS,
            "rows": rows,
        }
    print(f"wrote {results.write('web', result).name}: {len(rows)} rows")


if __name__ == "__main__":
    run(main)
