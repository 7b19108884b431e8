"""The page that shows coefficients, in Chromium: what it computes, its controls, its failures."""

import json
import re
import sys
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from click.testing import CliRunner
from PIL import Image
from playwright.sync_api import expect, sync_playwright
from programs import program, run

import cexport
from cexport.examples.web.build import main
from npscatter import Scattering2D
from npscatter.cli.images import Reading, read_image
from npscatter.features import relative_errors

BUILD = Path(cexport.__file__).parent / "examples" / "web" / "build.py"
SCALES = {32: 2, 224: 3}
PATH = re.compile(r"j1? = \d")


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Return the folder of the page, built as a reader builds it, of one bank."""
    program("clang"), program("wasm-ld")
    folder = tmp_path_factory.mktemp("web") / "site"
    run(sys.executable, BUILD, folder, "--bank", "accurate")
    return folder


class QuietHandler(SimpleHTTPRequestHandler):
    """What ``python -m http.server`` serves files with, without its log."""

    def log_message(self, *_):
        """Say nothing."""


@pytest.fixture(scope="module")
def address(site):
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(QuietHandler, directory=site)) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.fixture(scope="module")
def chromium():
    options = ["--no-sandbox", "--use-fake-device-for-media-stream"]
    expect.set_options(timeout=60_000)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program("chromium"), args=options)
        yield browser
        browser.close()


@pytest.fixture
def opened(chromium, address):
    """Return a context manager that opens the page; within it nothing may fail unseen."""

    @contextmanager
    def open_page(script=None, loads=True, **options):
        context = chromium.new_context(**options)
        context.set_default_timeout(60_000)
        page, wrong = context.new_page(), []
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda said: wrong.append(said.text) if said.type == "error" else None)
        page.on("request", lambda request: visited.append(request.url))
        visited = page.visited = []
        if script:
            page.add_init_script(script)
        page.goto(address)
        if loads:
            expect(page.get_by_role("status")).to_have_text(
                re.compile("^Shown: the sample picture")
            )
        yield page
        context.close()
        assert wrong == []
        assert visited and all(url.startswith((address, "blob:", "data:")) for url in visited)

    return open_page


@pytest.fixture
def page(opened):
    with opened() as page:
        yield page


def shown(page, words):
    expect(page.get_by_role("status")).to_have_text(re.compile(words))


def choose(page, path):
    """Choose a file and wait until its coefficients are shown."""
    page.get_by_label("Choose a picture").set_input_files(path)
    shown(page, f"^Shown: {re.escape(Path(path).name)},")


def means(page):
    """Return what the table of the page says of every channel."""
    if page.locator("#numbers").get_attribute("open") is None:
        page.get_by_text("All means as a table").click()
    cells = page.locator("#numbers tbody tr td:last-child")
    expect(cells.last).not_to_be_empty()
    return np.array([float(text) for text in cells.all_text_contents()])


def saved(page, folder):
    """Return the coefficients that the page writes to a file."""
    with page.expect_download() as download:
        page.get_by_role("button", name="Save coefficients").click()
    path = folder / download.value.suggested_filename
    download.value.save_as(path)
    return path.name, np.load(path)


def picture(folder, shape, name="picture.png"):
    """Write a picture in colour, smooth and noisy; return its path."""
    generator = np.random.default_rng(5)
    pixels = generator.integers(0, 150, (*shape, 3), np.uint8)
    pixels += np.linspace(0, 55, shape[1]).astype(np.uint8)[:, None]
    Image.fromarray(pixels).save(folder / name)
    return folder / name


def colors(page, order):
    return page.locator(f"#disc{order} .wedge").evaluate_all(
        "paths => paths.map((path) => path.getAttribute('color'))"
    )


@pytest.mark.parametrize("side", SCALES)
def test_coefficients_are_those_in_double_precision(page, tmp_path, side):
    """Of the middle square, in the grey of `npscatter transform`; to 2e-6 of every order."""
    page.get_by_role("combobox", name="Transform").select_option(f"accurate-{side}")
    path = picture(tmp_path, (side, side + 13))
    choose(page, path)
    name, coefficients = saved(page, tmp_path)
    S = Scattering2D(SCALES[side], (side, side), backend="numpy")
    expected = S(read_image(path, Reading(crop=(side, side))))
    assert name == f"accurate-{side}.npy"
    assert coefficients.dtype == np.float32 and coefficients.shape == expected.shape
    errors = relative_errors(coefficients.astype(float), expected, S.meta()["order"])
    assert set(errors) == {"S0", "S1", "S2"} and max(errors.values()) < 2e-6, errors
    np.testing.assert_allclose(means(page), expected.mean((1, 2)), rtol=1e-5)


def test_sectors_have_the_colors_of_their_means(page, site, tmp_path):
    """And where the wave vector of stripes points, there it is brightest."""
    stripes = np.tile(np.uint8([0, 0, 255, 255, 255, 0, 0, 0]), (32, 4))  # vertical
    Image.fromarray(stripes).save(tmp_path / "stripes.png")
    choose(page, tmp_path / "stripes.png")
    table, scale = means(page), json.loads((site / "transforms.json").read_text())["colors"]
    meta = Scattering2D(2, (32, 32), backend="numpy").meta()
    for order in (1, 2):
        channels = np.flatnonzero(meta["order"] == order)
        numbers = np.rint(255 * table[channels] / table[channels].max()).astype(int)
        found = [scale.index(color) for color in colors(page, order)]
        assert np.abs(np.array(found) - numbers).max() <= 1  # the table has seven digits
    first = meta["order"] == 1
    brightest = np.flatnonzero(first)[table[first].argmax()]
    assert meta["j"][brightest, 0] == 1 and meta["angle"][brightest, 0] == -90
    box = page.locator("#disc1 svg .middle").bounding_box()
    x, y, radius = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2, box["width"] / 2
    for channel in np.flatnonzero(first & (meta["j"][:, 0] == 1)):
        # Angles are from the direction down towards that to the right; pointed at, it is read out.
        radians = np.radians(meta["angle"][channel, 0])
        inner = (0.25 + 0.75 / 4) * radius * np.array([np.sin(radians), np.cos(radians)])
        text = f"j = 1, θ = {meta['theta'][channel, 0]}: {table[channel]:#.3g}"
        for sign in (1, -1):
            page.mouse.move(*(np.array([x, y]) + sign * inner))
            expect(page.locator("#disc1 .reading")).to_have_text(text)


def test_a_picture_is_dropped(page, tmp_path):
    """And resized; what is dropped besides files is refused."""
    path, before = picture(tmp_path, (90, 120)), means(page)
    drop = """([bytes, name]) => {
        const data = new DataTransfer();
        if (name) data.items.add(new File([new Uint8Array(bytes)], name));
        for (const kind of ["dragover", "drop"]) {
            const init = { dataTransfer: data, bubbles: true, cancelable: true };
            const event = new DragEvent(kind, init);
            if (document.body.dispatchEvent(event)) throw new Error(`${kind} is the browser's`);
        }
    }"""
    page.evaluate(drop, [list(path.read_bytes()), path.name])
    shown(
        page, r"^Shown: picture.png, 120 × 90 .*the middle square is shown, resized to 32 × 32\.$"
    )
    mean = read_image(path, Reading(crop=(90, 90))).mean()
    assert means(page)[0] == pytest.approx(mean, abs=0.01)
    assert before[0] != pytest.approx(mean, abs=0.05)
    page.evaluate(drop, [[], ""])
    expect(page.get_by_role("alert")).to_have_text(re.compile("is no file"))


def test_what_is_no_picture_is_refused_and_the_last_one_stays(page, tmp_path):
    before = means(page)
    for name, content in {"notes.txt": b"no picture", "empty.png": b""}.items():
        (tmp_path / name).write_bytes(content)
        page.get_by_label("Choose a picture").set_input_files(tmp_path / name)
        said = page.get_by_role("alert")
        expect(said).to_have_text(re.compile(f"^{name} is no picture that this browser can read"))
    cut = picture(tmp_path, (64, 64), "cut.jpg")
    cut.write_bytes(cut.read_bytes()[:150])
    page.get_by_label("Choose a picture").set_input_files(cut)
    expect(said).to_have_text(re.compile("^cut.jpg is no picture"))
    np.testing.assert_array_equal(means(page), before)
    choose(page, picture(tmp_path, (32, 32)))
    expect(said).to_be_hidden()
    assert not np.array_equal(means(page), before)


def test_of_two_pictures_the_one_asked_for_last_is_shown(page, tmp_path):
    """Though the first is ready later."""
    later = "createImageBitmap = ((now) => async (blob) => { if (blob.name) await new Promise("
    page.evaluate(later + "(go) => (ready = go)); return now(blob); })(createImageBitmap); null")
    page.get_by_label("Choose a picture").set_input_files(picture(tmp_path, (32, 32)))
    page.get_by_role("button", name="Sample picture").click()
    page.wait_for_timeout(300)
    page.evaluate("ready()")
    page.wait_for_timeout(300)
    shown(page, "^Shown: the sample picture")
    expect(page.get_by_role("alert")).to_be_hidden()


def test_a_transform_that_is_lost_leaves_the_one_there_was(opened):
    lost = "fetch = ((now) => async (name, ...more) => String(name).includes('-224')"
    lost += " ? new Response('', {status: 404}) : now(name, ...more))(fetch)"
    with opened(lost) as page:
        chosen = page.locator("#transform")
        before = chosen.input_value()
        other = chosen.locator("option").evaluate_all("all => all.map((one) => one.value)")
        chosen.select_option(next(name for name in other if name.endswith("-224")))
        expect(page.get_by_role("alert")).to_be_visible()
        assert chosen.input_value() == before
        shown(page, "resized to 32 × 32")


def test_the_keyboard_reaches_everything(page, tmp_path):
    """In the order of the page, with nothing but Tab, arrows, space and enter."""

    def tab(role, name):
        page.keyboard.press("Tab")
        control = page.get_by_role(role, name=name)
        expect(control).to_be_focused()
        outlined = page.evaluate(
            "getComputedStyle(document.activeElement.closest('.button') ?? document.activeElement)"
            ".outlineStyle"
        )
        assert outlined == "solid"
        return control

    with page.expect_file_chooser() as chooser:
        page.keyboard.press("Tab")
        expect(page.get_by_label("Choose a picture")).to_be_focused()
        page.keyboard.press("Enter")
    chooser.value.set_files(picture(tmp_path, (40, 40)))
    shown(page, "^Shown: picture.png, 40 × 40")
    tab("button", "Camera")
    turn = tab("button", "Turn the picture")
    before = colors(page, 1)
    page.keyboard.press("Space")
    expect(turn).to_have_attribute("aria-pressed", "true")
    page.wait_for_function("document.getElementById('rate').value > 0")
    assert colors(page, 1) != before
    page.keyboard.press("Space")
    expect(turn).to_have_attribute("aria-pressed", "false")
    expect(page.locator("#live")).to_be_hidden()
    tab("button", "Sample picture")
    page.keyboard.press("Enter")
    shown(page, "^Shown: the sample picture, 256 × 256 pixels, resized to 32 × 32")
    tab("combobox", "Transform")
    page.keyboard.press("ArrowDown")
    shown(page, "resized to 224 × 224")
    tab("button", "Save coefficients (.npy)")
    for order in (1, 2):
        sector = tab("slider", f"Sector of order {order}")
        page.keyboard.press("ArrowRight")
        expect(sector).to_have_attribute("aria-valuetext", PATH)
        expect(page.locator(f"#disc{order} .reading")).to_have_text(PATH)
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Radius is scale")).to_be_visible()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    tab("region", "Means of all coefficients")
    assert len(means(page)) == 217


def test_the_cameras_pictures_are_shown_as_they_come(opened):
    with opened(permissions=["camera"]) as page:
        camera = page.get_by_role("button", name="Camera")
        camera.click()
        shown(page, r"^Shown: the camera, \d+ × \d+ pixels.*, resized to 32 × 32\.$")
        expect(camera).to_have_attribute("aria-pressed", "true")
        page.wait_for_function("document.getElementById('rate').value > 0")
        seen = colors(page, 2)
        page.wait_for_function(
            "seen => [...document.querySelectorAll('#disc2 .wedge')].some((path, i) =>"
            " path.getAttribute('color') !== seen[i])",
            arg=seen,
        )
        camera.click()
        shown(page, "^Shown: the sample picture")
        expect(page.locator("#live")).to_be_hidden()


def test_a_camera_that_is_not_to_be_had(page):
    """The reason is told, and the picture stays."""
    refused = "navigator.mediaDevices.getUserMedia = async () => {throw new DOMException('', '%s')}"
    for script, words in (
        ("null", "cannot be used. Its use was not allowed"),
        (refused % "NotFoundError", "cannot be used. There is none."),
        (refused % "NotReadableError", "cannot be used. Another program uses it."),
        ("Object.defineProperty(navigator, 'mediaDevices', {value: undefined})", "localhost"),
    ):
        page.evaluate(f"{script}; null")  # what is a function would be called
        camera = page.get_by_role("button", name="Camera")
        camera.click()
        expect(page.get_by_role("alert")).to_contain_text(words)
        expect(camera).to_have_attribute("aria-pressed", "false")
    shown(page, "^Shown: the sample picture")


def test_without_vector_instructions(opened, tmp_path):
    """The other module is fetched; its coefficients are the same, to the bit."""
    results = []
    for script in (None, "WebAssembly.validate = () => false"):
        with opened(script) as page:
            choose(page, picture(tmp_path, (32, 32)))
            results.append(saved(page, tmp_path)[1])
            fetched = [url.rpartition("/")[2] for url in page.visited]
            assert ("accurate-32.wasm" in fetched) == (script is not None)
    np.testing.assert_array_equal(*results)


def test_what_the_page_cannot_do_without(opened):
    """WebAssembly, scripts, and its own files."""
    with opened("delete window.WebAssembly", loads=False) as page:
        expect(page.get_by_role("alert")).to_have_text(re.compile("has no WebAssembly"))
    with opened(loads=False, java_script_enabled=False) as page:
        expect(page.get_by_role("status")).to_contain_text("scripts are switched off")
    missing = "fetch = async () => new Response('', {status: 404})"
    with opened(missing, loads=False) as page:
        said = page.get_by_role("alert")
        expect(said).to_have_text(re.compile(r"^transforms.json is missing .* \(404\): build it"))


def test_it_is_readable(page):
    """No rule of axe's is broken, all of it opened; nothing is wider than the window."""
    means(page)
    page.get_by_text("How to read the discs").click()
    expect(page.get_by_role("img", name="Disc of the means of order 2, largest at")).to_be_visible()
    for width, scheme in ((320, "dark"), (1280, "light")):
        page.set_viewport_size({"width": width, "height": 800})
        page.emulate_media(color_scheme=scheme)
        found = Axe().run(page)
        assert found.violations_count == 0, found.generate_report()
        assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize(
    ("arguments", "environment", "words"),
    [
        ([""], {}, "'' names no folder"),
        (["--bank", "none"], {}, "bank='none': no such bank"),
        (["--bank", "fast", "--bank", "fast"], {}, "must have different names"),
        ([], {"CLANG": "no-such-clang"}, "no-such-clang is not installed: Debian: apt-get install"),
        ([], {"CLANG": "false"}, "build.sh failed"),
    ],
)
def test_what_cannot_be_built(tmp_path, monkeypatch, arguments, environment, words):
    """Is told, and nothing is written."""
    program("clang"), program("wasm-ld")
    monkeypatch.chdir(tmp_path)
    folder = [] if arguments == [""] else [str(tmp_path / "site")]
    result = CliRunner().invoke(main, [*folder, *arguments], env=environment)
    assert result.exit_code and "Error: " in result.output and words in result.output
    assert not list(tmp_path.iterdir())
