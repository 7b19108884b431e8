"""What is checked of the pages that were built: links, loads, widths, and what they take."""

from shutil import which

import pytest
from click.testing import CliRunner

from docs.check_site import main

RIGHT = """<!doctype html><meta charset="utf-8"><title>One</title>
<article id="top"><a href="folder/#there">to the other</a> <a href="https://example.org">away</a>
<a href="#top">up</a> <img src="data:image/png;base64,AAAA" alt=""></article>"""
OTHER = '<!doctype html><title>Other</title><p id="there">text <a href="../one.html#top">back</a>'
FAULTS = {
    '<a href="lost.html">lost</a>': "one.html: no file lost.html",
    '<a href="folder/#nowhere">lost</a>': "one.html: no place folder/#nowhere",
    '<a href="#nowhere">lost</a>': "one.html: no place #nowhere",
    '<script src="https://example.org/a.js"></script>': "one.html: loads https://example.org/a.js",
    '<img src="lost.png" alt="">': "one.html: no file lost.png",
    '<img src="data:," srcset="lost-2x.png 2x" alt="">': "one.html: no file lost-2x.png",
    '<a href="../outside.html">outside</a>': "one.html: no file ../outside.html",
    '<meta name="generator"><a href="#generator">no place</a>': "one.html: no place #generator",
    '<a href="http://localhost:8000/">mine</a>': "leads to this machine: http://localhost:8000/",
    '<article><p class="long" style="width: 50em">wide</p></article>': (
        "one, phone: wider than its window, "
    ),
    "<script>nothing.there()</script>": "one, phone: nothing is not defined",
    '<script>fetch("lost.json").catch(() => 0)</script>': "one, phone: not loaded: file:",
}


def checked(folder, *options):
    return CliRunner().invoke(main, [str(folder), "--chromium", which("chromium"), *options])


@pytest.fixture
def site(tmp_path):
    """Return a folder with pages that are right."""
    folder = tmp_path / "site"
    (folder / "folder").mkdir(parents=True)
    (folder / "one.html").write_text(RIGHT)
    (folder / "folder" / "index.html").write_text(OTHER)
    return folder


def test_what_is_right_passes(site, tmp_path):
    (site / "gallery.xml").write_text(
        '<testsuite><testcase file="gallery/see/a.py" time="2.5"/></testsuite>'
    )
    result = checked(site, "--screenshots", str(tmp_path / "pictures"))
    assert result.exit_code == 0, result.output
    assert result.output == "   2.5 s  gallery/see/a.py\n2 pages, 0 faults\n"
    names = {path.name for path in (tmp_path / "pictures").iterdir()}
    assert len(names) == 8 and "folder-index-phone-dark.png" in names


def test_every_fault_is_found(site):
    (site.parent / "outside.html").write_text(OTHER)
    (site / "one.html").write_text(RIGHT + "".join(FAULTS))
    result = checked(site)
    assert result.exit_code == 1
    assert not [fault for fault in FAULTS.values() if fault not in result.output], result.output


@pytest.mark.parametrize(
    "wide",
    [f"<article><p>{'name.' * 40}</p></article>", '<footer style="width: 900px">wide</footer>'],
)
def test_pages_wider_than_a_phone_are_found(site, wide):
    """Whether a box is wide or the text in it, and wherever."""
    (site / "one.html").write_text(RIGHT + wide)
    result = checked(site)
    assert result.exit_code == 1 and "one, phone: wider than its window, " in result.output


def test_a_folder_without_pages_is_a_fault(tmp_path):
    result = checked(tmp_path)
    assert result.exit_code == 1 and "holds no pages" in result.output


@pytest.mark.parametrize("fault", [*FAULTS][:2])
def test_one_fault_is_enough(site, fault):
    (site / "one.html").write_text(RIGHT + fault)
    result = checked(site)
    assert result.exit_code == 1
    assert FAULTS[fault] in result.output
