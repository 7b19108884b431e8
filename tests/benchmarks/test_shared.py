"""What all benchmarks share: timing, result files, tables and pages."""

import json
import re

import click
import pytest
from click.testing import CliRunner

from benchmarks import accuracy, results, tables, timing
from benchmarks.asv_bench import suite
from benchmarks.timing import UnavailableError, fastest_block, interleaved
from tools import pages

# Timing.


@pytest.fixture
def clock(monkeypatch):
    """Let only calls take time, as long as they say."""

    class Clock:
        now = 0.0

        def call(self, seconds, found=None):
            def called():
                self.now += seconds
                return found

            return called

        def sleep(self, seconds):
            self.now += seconds

    held = Clock()
    monkeypatch.setattr(timing.time, "perf_counter", lambda: held.now)
    monkeypatch.setattr(timing.time, "sleep", held.sleep)
    return held


def test_calls_are_interleaved(clock):
    order = []

    def call(name):
        return lambda: (order.append(name), clock.call(1.0)())

    taken = interleaved({"a": call("a"), "b": call("b")}, rounds=3, warm=2)
    assert taken == {"a": [1.0] * 3, "b": [1.0] * 3}
    assert "".join(order) == "aabb" + "ab" + "ba" + "ab"


def test_another_clock_may_be_read(clock):
    """Such as that of the cores that worked: here one that goes half as fast."""
    taken = interleaved({"a": clock.call(1.0)}, rounds=2, clock=lambda: clock.now / 2)
    assert taken == {"a": [0.5] * 2}


def test_what_has_had_its_share_is_called_no_more(clock):
    calls = {"slow": clock.call(6.0), "fast": clock.call(0.1)}
    taken = interleaved(calls, rounds=5, share=10.0)
    assert {name: len(each) for name, each in taken.items()} == {"slow": 3, "fast": 5}


def test_short_calls_are_repeated_and_pauses_do_not_count(clock):
    taken = interleaved({"a": clock.call(0.25)}, rounds=2, at_least=1.0, pauses={"a": 5.0})
    assert taken == {"a": [0.25] * 2}
    assert clock.now == 0.25 + 2 * (1.0 + 5.0)


def test_nothing_is_timed_before_everything_is_checked(clock):
    def check(name, found):
        if found != 1:
            raise AssertionError(name)

    calls = {"right": clock.call(1.0, 1), "wrong": clock.call(1.0, 2)}
    with pytest.raises(AssertionError, match="wrong"):
        interleaved(calls, rounds=3, check=check)
    assert clock.now == 2.0


def test_smaller_blocks_are_tried_while_they_pay(clock):
    each = {16: 5.0, 8: 4.0, 4: 4.5, 2: 6.0, 1: 0.1}
    tried = []

    def call(block):
        tried.append(block)
        clock.call(each[block])()

    assert fastest_block([16, 8, 4, 2, 1], call) == 8
    assert tried == [16, 16, 8, 8, 4, 4, 2, 2]


@pytest.mark.parametrize(
    "error",
    [
        MemoryError("1 byte could not be had"),
        RuntimeError("CUDA out of memory. Tried to allocate 2 GiB\nmore"),
        RuntimeError("[CUDA_ERROR_OUT_OF_MEMORY] Call to cuMemAlloc"),
        RuntimeError("cuFFT error: CUFFT_ALLOC_FAILED"),
    ],
)
def test_blocks_that_do_not_fit_are_passed_over(clock, error):
    released = []

    def call(block):
        if block > fits:
            raise error
        clock.call(1.0)()

    fits = 30
    assert fastest_block([101, 51, 26], call, lambda: released.append(1)) == 26
    assert len(released) == 2
    fits = 0
    with pytest.raises(UnavailableError, match="does not fit: ") as raised:
        fastest_block([2, 1], call)
    assert "\n" not in str(raised.value)


def test_other_failures_are_no_lack_of_memory():
    def call(block):
        raise RuntimeError("an illegal memory access was encountered")

    with pytest.raises(RuntimeError, match="illegal"):
        fastest_block([4, 2], call)


# Result files.


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "paper" / "x.json"
    results.write(path, {"a": 1})
    for unwritable in ({"a": float("nan")}, {"a": object()}):
        with pytest.raises((ValueError, TypeError)):
            results.write(path, unwritable)
    assert results.read(path) == {"a": 1}

    class Figure:
        def savefig(self, file, format):
            file.write(b"half")
            raise OSError("disk full")

    picture = path.with_suffix(".png")
    picture.write_bytes(b"old")
    with pytest.raises(OSError, match="disk full"):
        results.write_figure(picture, Figure)
    assert picture.read_bytes() == b"old"
    assert sorted(each.name for each in path.parent.iterdir()) == ["x.json", "x.png"]


def test_figures_are_drawn_in_one_style(tmp_path):
    import matplotlib

    sizes = []

    class Figure:
        def __init__(self):
            sizes.append(matplotlib.rcParams["savefig.dpi"])

        def savefig(self, file, format):
            file.write(format.encode())

    before = matplotlib.rcParams["savefig.dpi"]
    path = results.write_figure(tmp_path / "x.png", Figure)
    assert path.read_bytes() == b"png"
    (dpi,) = re.findall(r"^savefig.dpi: (\d+)$", results.STYLE.read_text(), re.M)
    assert sizes == [float(dpi)] and matplotlib.rcParams["savefig.dpi"] == before


def test_names_are_paths_without_a_suffix():
    assert results.path_of("paper/fig3") == results.RESULTS / "paper" / "fig3.json"
    told = results.environment("python -m this", ("numpy", "no-such-package"))
    assert told["command"] == "python -m this" and list(told["versions"]) == ["numpy"]
    json.dumps(told)


# Tables and pages.


def test_tables_have_a_cell_under_every_title():
    assert tables.table(["a", "b"], [["1", "2"]]) == "| a | b |\n|---|---|\n| 1 | 2 |"
    with pytest.raises(ValueError, match="1 cells under 2 titles"):
        tables.table(["a", "b"], [["1"]])


def test_numbers_have_three_digits_and_errors_two():
    values = [None, 0.01234, 12.34, 99.96, 123.4, 99999.0, 1e5]
    assert [*map(tables.number, values)] == ["", "0.0123", "12.3", "100", "123", "99999", "1e+05"]
    assert [*map(tables.percent, [None, 0.001234, 0.0999, 1.234])] == ["", "0.12", "10", "123"]


PAGE = "text\n<!-- one -->\nold\n<!-- /one -->\nmore\n"


def test_pages_are_filled_between_their_markers():
    filled = tables.filled("page", PAGE, {"one": lambda: r"new \1 <!-- two -->"})
    assert filled == PAGE.replace("old", r"new \1 <!-- two -->")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("text\n", r"\[\] and should have \['one'\]"),
        (PAGE + PAGE, r"\['one', 'one'\]"),
        (PAGE + PAGE.replace("one", "two"), r"\['one', 'two'\] and should"),
        ("<!-- one -->\n", "has no end"),
    ],
)
def test_pages_without_the_right_markers_are_refused(text, words):
    with pytest.raises(click.ClickException, match=words):
        tables.filled("page", text, {"one": lambda: "new"})


def test_stale_and_missing_pages_are_told(tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "ROOT", tmp_path)
    arguments = "page.md", {"one": lambda: "new"}
    with pytest.raises(click.ClickException, match=r"there is no page\.md"):
        tables.update(*arguments, True, "this")
    (tmp_path / "page.md").write_text(PAGE)
    with pytest.raises(click.ClickException, match=r"page\.md is stale: run this"):
        tables.update(*arguments, True, "this")
    assert (tmp_path / "page.md").read_text() == PAGE
    tables.update(*arguments, False, "this")
    tables.update(*arguments, True, "this")


@pytest.mark.parametrize("page", pages.PAGES)
def test_every_table_can_be_made(page):
    for name, make in pages.PAGES[page].items():
        text = make()
        assert text == text.strip() and "<!--" not in text, name


def test_the_pages_show_the_committed_results():
    result = CliRunner().invoke(pages.main, ["--check"])
    assert result.exit_code == 0, result.output


# Regression tracking.


def test_what_asv_runs_runs():
    transform, construction = suite.Transform(), suite.Construction()
    sizes, banks = transform.params
    for bank in banks:
        transform.setup(sizes[1], bank)
        transform.time_call(sizes[1], bank)
        transform.peakmem_call(sizes[1], bank)
        construction.setup(bank)
        construction.time_large(bank)
    assert suite.timeraw_import() == "import npscatter"


def test_the_tables_of_accuracy_say_what_is_above_its_limit():
    def row(bank, source, S1, **more):
        errors = {"errors": {"S0": 0.0001, "S1": S1}, "S1 by j": [S1], "size": 128, "J": 3}
        return {"bank": bank, "family": bank, "source": source, "section": "unlike"} | errors | more

    rows = [
        row("accurate", "MRI", 0.001),
        row("accurate", "MRI", 0.007, J=6),
        # Worse, but nothing is asked of it there.
        row("accurate", "star field", 0.005, **{"S1 by j": [0.02]}),
        row("other", "MRI", 0.5),
    ]
    leaks = {"leaks, dB": {"white": [-40.0, None]}}
    result = {"banks": {"accurate": leaks}, "images": {"128": 8}, "photographs": ["camera"]}
    result |= {"environment": {"versions": {"kymatio": "0.3.0"}}, "rows": rows}
    banks, kinds, leaked, words = accuracy.sections(result)
    lines = banks.splitlines()
    assert "| `accurate` | 0.01 (MRI J=3) | **0.7** (MRI J=6) |" in banks
    assert lines[-2].endswith("| 2 (star field J=3) | 1 of 3 |") and lines[-1].endswith("|  |")
    assert "| `MRI` | 0.01 (J=3) | **0.7** (J=6) |" in kinds and "`star field`" in kinds
    assert leaked.endswith("| `accurate` | white | -40 |  |")
    assert "8 of 128" in words
