"""Fixtures every test may ask for, and the marks of the slow ones."""

import sys
from pathlib import Path

import cases
import pytest
from banks import make_toy_bank
from tiers import is_slow

TESTS = Path(__file__).parent


def pytest_configure(config):
    """Try more random cases where slow tests run."""
    cases.use_profile(profile_of(config))


def profile_of(config):
    return "fast" if "not slow" in config.option.markexpr else "complete"


@pytest.fixture
def profile(pytestconfig):
    """Name of what `cases.EXAMPLES` says of this run, for processes of their own."""
    return profile_of(pytestconfig)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Mark slow tests, before `-m` chooses among the marks."""
    for item in items:
        if item.path.is_relative_to(TESTS):
            file = item.path.relative_to(TESTS).as_posix()
            if is_slow(f"{file}::{item.nodeid.partition('::')[2]}"):
                item.add_marker("slow")


def pytest_terminal_summary(terminalreporter):
    """Say how long the tests took that plain pytest runs, and the slow ones."""
    reports = [one for kind in ("passed", "") for one in terminalreporter.stats.get(kind, ())]
    for words, slow in (("that plain pytest runs", False), ("that are slow", True)):
        taken = [one.duration for one in reports if ("slow" in one.keywords) == slow]
        if taken:
            terminalreporter.write_line(f"tests {words}: {sum(taken):.0f} s")


@pytest.fixture(autouse=True)
def commands_are_patient(monkeypatch):
    """Let commands say no more on a busy machine, where all takes long, than on an idle one."""
    if terminal := sys.modules.get("npscatter.cli.terminal"):
        monkeypatch.setattr(terminal, "PATIENCE", 3600.0)


@pytest.fixture(scope="session", params=["numba", "numpy"])
def backend(request):
    """Every executor in turn."""
    return request.param


@pytest.fixture(scope="session")
def toy_bank():
    """`make_toy_bank`: banks are immutable, so tests share them."""
    return make_toy_bank


@pytest.fixture
def ship_from(monkeypatch):
    """Return the function that puts a folder of banks in the place of the shipped ones."""
    from npscatter.bank import bank_file, filter_bank

    def ship(folder):
        monkeypatch.setattr(bank_file, "SHIPPED", folder)
        names = sorted(path.stem for path in folder.glob("*.npz"))
        monkeypatch.setattr(bank_file, "NAMES", tuple(names))
        filter_bank._read_shipped.cache_clear()

    yield ship
    filter_bank._read_shipped.cache_clear()


# Of the grids on which bounds are certified those that take long, at the cost of a percent.
COARSE = {1: 50_000, 4: 20_000, 16: 2_500, 64: 1_500}


@pytest.fixture
def use_grids(monkeypatch):
    """Return the function that sets how many frequencies are searched, by the matrices' size.

    On coarse grids, as by default, bounds are certified all the same, only a little higher.
    """
    from npscatter.bounds import alias, bounds

    def forget():
        bounds._lipschitz.cache_clear()
        bounds._lipschitz_by_filters.cache_clear()

    def use(points=COARSE):
        monkeypatch.setattr(alias, "POINTS", points)
        forget()

    yield use
    forget()
