"""Check the pages that were built: ``python -m docs.check_site docs/_build/html``.

Every link leads to a file and a place on it, nothing is loaded from elsewhere, so that the folder
can be read without a network, and in Chromium no page is wider than a phone or a screen. With
``--screenshots FOLDER`` pictures of every page, in light and dark, are left to be looked at. The
seconds that programs of the gallery took, if they were run, are listed.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from itertools import product
from pathlib import Path
from urllib.parse import unquote, urlsplit
from xml.etree import ElementTree

import click
from playwright.sync_api import Browser, sync_playwright

from npscatter.__main__ import run

# Pixels: a phone, and a laptop.
WIDTHS = {"phone": 390, "screen": 1280}
SCHEMES = ("light", "dark")
# Attributes by which a page loads something; other links a reader follows.
LOADS = {("script", "src"), ("img", "src"), ("link", "href"), ("source", "src"), ("iframe", "src")}
LOCAL = {"localhost", "127.0.0.1"}
# Of <link>, those that load.
RELATIONS = {"stylesheet", "icon", "preload"}
# Whether a page is wider than its window, and some of what lies beyond the edge, by tag and class;
# text may do so where its box does not.
OVERFLOW = """() => {
    const root = document.scrollingElement;
    if (root.scrollWidth <= root.clientWidth + 1) return [];
    const range = document.createRange();
    const right = (one) => {
        range.selectNodeContents(one);
        return Math.max(one.getBoundingClientRect().right, range.getBoundingClientRect().right);
    };
    const beyond = [...document.body.querySelectorAll("*")]
        .filter((one) => right(one) > root.clientWidth + 1)
        .map((one) => one.tagName.toLowerCase() + "." + one.className);
    return [`${root.scrollWidth} pixels: ${beyond.slice(-3).join(", ")}`];
}"""


class Page(HTMLParser):
    """The places of a page and what it refers to."""

    def __init__(self, text: str):
        super().__init__()
        self.places: set[str] = set()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        """Take note of a tag's names and references."""
        found = {name: value or "" for name, value in attributes}
        self.places |= {found["id"]} if "id" in found else set()
        self.places |= {found["name"]} if tag == "a" and "name" in found else set()
        for candidate in found.get("srcset", "").split(","):
            self.loaded += candidate.split()[:1]
        for name, value in found.items():
            if (tag, name) in LOADS:
                if tag != "link" or RELATIONS & set(found.get("rel", "").split()):
                    self.loaded.append(value)
            elif (tag, name) == ("a", "href"):
                self.links.append(value)


def broken(folder: Path) -> Iterator[str]:
    """Yield a line for every reference that leads nowhere or is loaded from elsewhere."""
    root = folder.resolve()
    pages = {path.resolve(): Page(path.read_text("utf-8")) for path in folder.rglob("*.html")}
    if not pages:
        yield f"{folder}: holds no pages"
    for path, page in sorted(pages.items()):
        here = path.relative_to(root)
        for link in page.loaded + page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                if link in page.loaded and parts.scheme != "data":
                    yield f"{here}: loads {link}"
                elif parts.scheme == "file" or parts.hostname in LOCAL:
                    yield f"{here}: leads to this machine: {link}"
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if target.is_dir():
                target /= "index.html"
            if not target.is_file() or not target.is_relative_to(root):
                yield f"{here}: no file {link}"
            elif parts.fragment and target in pages:
                if unquote(parts.fragment) not in pages[target].places:
                    yield f"{here}: no place {link}"


def unfit(browser: Browser, folder: Path, screenshots: Path | None) -> Iterator[str]:
    """Yield a line for every page that is wider than its window or fails in it."""
    for device, scheme in product(WIDTHS, SCHEMES if screenshots else SCHEMES[:1]):
        size = {"width": WIDTHS[device], "height": 900}
        context = browser.new_context(viewport=size, color_scheme=scheme, offline=True)
        page, said = context.new_page(), []
        page.on("pageerror", lambda error, said=said: said.append(str(error)))
        page.on("requestfailed", lambda one, said=said: said.append(f"not loaded: {one.url}"))
        for path in sorted(folder.rglob("*.html")):
            name = path.relative_to(folder).with_suffix("").as_posix().replace("/", "-")
            page.goto(path.resolve().as_uri())
            said += [f"wider than its window, {one}" for one in page.evaluate(OVERFLOW)]
            if screenshots:
                file = screenshots / f"{name}-{device}-{scheme}.png"
                page.screenshot(path=file, full_page=True)
            yield from (f"{name}, {device}: {one}" for one in said)
            said.clear()
        context.close()


def times(folder: Path) -> Iterator[str]:
    """Yield a line for every program of the gallery that was run, and what it took."""
    path = folder / "gallery.xml"
    if path.exists():
        for case in ElementTree.parse(path).iter("testcase"):
            yield f"{float(case.attrib['time']):6.1f} s  {case.attrib['file']}"


@click.command(help=__doc__)
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--chromium", default="/usr/bin/chromium", show_default=True, help="The browser.")
@click.option("--screenshots", type=click.Path(file_okay=False, path_type=Path))
def main(folder: Path, chromium: str, screenshots: Path | None) -> None:
    """Check, and exit with 1 if something was found."""
    if screenshots:
        screenshots.mkdir(parents=True, exist_ok=True)
    found = list(broken(folder))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        found += unfit(browser, folder, screenshots)
        browser.close()
    for line in (*times(folder), *found):
        click.echo(line)
    click.echo(f"{len(list(folder.rglob('*.html')))} pages, {len(found)} faults")
    sys.exit(bool(found))


if __name__ == "__main__":
    run(main)
