"""Compiled code on disk: whole or as good as absent, and compiled by one process alone."""

import os
import random
import shutil
import signal
import stat
import sys
import threading
import time
import warnings
from importlib.util import find_spec

import numba
import pytest
from numba.core import event
from processes import run_python

from npscatter import BackendWarning
from npscatter.backends import jit_cache
from npscatter.backends.jit_cache import compile_cached

POSIX = pytest.mark.skipif(os.name != "posix", reason="looks at POSIX's owners and modes")
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="forks")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Numba's folder for caches, empty."""
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


def is_on_disk(term, meanwhile=lambda: None):
    """Return whether a function that adds `term` was found on disk, and not compiled.

    All such functions have one name and one line, as the kernels of banks have.
    """

    def add(x):
        return x + term

    code = numba.njit(add)
    compile_anew = code._compiler.compile

    def slowly(*given):
        meanwhile()
        return compile_anew(*given)

    code._compiler.compile = slowly
    compile_cached(code, lambda: code.compile((numba.int64,)))
    assert code(10) == 10 + term
    return sum(code.stats.cache_hits.values()) == 1


def files(folder):
    return sorted(folder.rglob("*.nbc"))


def test_what_was_compiled_is_on_disk(folder):
    assert not is_on_disk(1) and is_on_disk(1)
    assert not is_on_disk(2) and is_on_disk(2) and is_on_disk(1)
    assert len(files(folder)) == 2


def test_compiling_is_told_from_loading(folder, monkeypatch):
    class Passes(event.Listener):
        def on_start(self, event):
            pass

        def on_end(self, event):
            compiling.add(jit_cache.is_compiling())

    load = jit_cache.SealedFiles.load
    compiling, loading = set(), set()
    monkeypatch.setattr(
        jit_cache.SealedFiles,
        "load",
        lambda *given: loading.add(jit_cache.is_compiling()) or load(*given),
    )
    with event.install_listener("numba:run_pass", Passes()):
        assert not is_on_disk(1) and compiling == {True}
        compiling.clear()
        assert is_on_disk(1) and not compiling and loading == {False}
    assert not jit_cache.is_compiling()


def damages(content):
    """Yield what can become of a file: cut, emptied, zeroed, longer, bits turned."""
    size, choose = len(content), random.Random(0)
    yield b""
    for length in (1, 31, 32, 33, size // 2, size - 1):
        yield content[:length]
    yield bytes(size)
    yield content[: size // 2] + bytes(size - size // 2)
    yield content + b"\0"
    for place in (0, 31, 32, size - 1, *(choose.randrange(size) for _ in range(6))):
        turned = content[place] ^ 1 << choose.randrange(8)
        yield content[:place] + bytes([turned]) + content[place + 1 :]


def test_a_damaged_file_is_as_good_as_absent_and_replaced(folder):
    assert not is_on_disk(1)
    [path] = files(folder)
    for damaged in damages(path.read_bytes()):
        path.write_bytes(damaged)
        assert not is_on_disk(1)
        assert is_on_disk(1)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="makes a FIFO")
def test_what_is_no_file_is_neither_read_nor_waited_for(folder):
    """Whoever may write in the folder could else stop every process for good."""
    assert not is_on_disk(1)
    (compiled,) = files(folder)
    lock = compiled.with_name("npscatter.lock")
    for place in (compiled, lock):
        place.unlink()
        os.mkfifo(place)
    waited = []

    def free():  # whoever waits for the other end
        for place in (compiled, lock):
            waited.append(os.open(place, os.O_RDWR | os.O_NONBLOCK))

    timer = threading.Timer(60, free)
    timer.start()
    assert not is_on_disk(1) and not waited
    timer.cancel()
    # One is replaced, and without a lock everything works.
    assert is_on_disk(1) and stat.S_ISFIFO(lock.stat().st_mode)
    lock.unlink()
    lock.mkdir()
    assert not is_on_disk(2) and is_on_disk(2)


def test_no_function_is_found_under_the_name_of_another(folder):
    assert not is_on_disk(1)
    [one] = files(folder)
    content = one.read_bytes()
    assert not is_on_disk(2)
    [other] = set(files(folder)) - {one}
    other.write_bytes(content)
    assert not is_on_disk(2) and is_on_disk(2)


def test_what_cannot_be_unpickled_is_as_good_as_absent(folder, monkeypatch):
    """Such as code kept where classes were known that are not here."""
    assert not is_on_disk(1)
    with monkeypatch.context() as patch:
        patch.setattr(jit_cache.pickle, "loads", lambda content: 1 / 0)
        assert not is_on_disk(1)
    assert is_on_disk(1)


def test_it_works_where_the_folder_vanishes_while_it_compiles(folder):
    def remove():
        shutil.rmtree(folder)

    assert not is_on_disk(1, remove)
    assert is_on_disk(1)


def test_it_works_where_a_file_takes_the_place_of_the_folder(folder):
    def replace():
        if folder.is_dir():
            shutil.rmtree(folder)
            folder.write_text("")

    assert not is_on_disk(1, replace)
    assert folder.is_file()


def test_it_works_where_the_disk_is_full(folder, monkeypatch):
    def full(path):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(jit_cache, "atomic_write", full)
    assert not is_on_disk(1) and not is_on_disk(1)


NUMBA_CUDA = """
import sys
import numba_cuda
from numba import cuda
from numba.cuda.core import config
from npscatter.backends.jit_cache import SealedFiles
config.CACHE_DIR = sys.argv[1]
kernel = cuda.jit(lto=False)(SealedFiles.load)  # any function that stands in a file
kernel.enable_caching()
files = SealedFiles(kernel._cache, lambda: None)
files.save("key", b"code")
assert files.load("key") == b"code" and files.load("another") is None
files._path(files._name("key")).write_bytes(b"")
assert files.load("key") is None
kernel._cache.disable()
"""


@pytest.mark.skipif(find_spec("numba_cuda") is None, reason="needs numba-cuda")
def test_files_of_numba_cuda_are_sealed_too(tmp_path):
    run_python(NUMBA_CUDA, tmp_path)


# Many processes


@LINUX
def test_one_of_many_processes_compiles_and_the_others_wait(folder, tmp_path):
    """Each of them takes half a second for it, and would have begun before the first is done."""
    children = []
    for _ in range(4):
        child = os.fork()
        if not child:
            status = 1
            try:
                signal.alarm(100)
                status = 10 if is_on_disk(1, lambda: time.sleep(0.5)) else 20
            finally:
                os._exit(status)
        children.append(child)
    statuses = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    assert sorted(statuses) == [10, 10, 10, 20]


@LINUX
def test_a_process_that_is_held_up_is_not_waited_for_long(folder, monkeypatch):
    monkeypatch.setattr(jit_cache, "PATIENCE", 0.1)
    ready, child_is_ready = os.pipe()
    child = os.fork()
    if not child:
        is_on_disk(1, lambda: (os.write(child_is_ready, b"1"), signal.pause()))
        os._exit(1)
    try:
        assert os.read(ready, 1) == b"1"
        assert not is_on_disk(1)
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(ready), os.close(child_is_ready)


# Whom it trusts


def warned_of(folder):
    """Return the warnings that a function compiled in `folder` gives."""
    jit_cache._warn_of.cache_clear()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        is_on_disk(1), is_on_disk(2)
    return [str(one.message) for one in caught if issubclass(one.category, BackendWarning)]


@POSIX
def test_a_folder_of_ones_own_gives_no_warning(folder):
    assert warned_of(folder) == []


@POSIX
@pytest.mark.parametrize("within", ["", "within"])
def test_a_folder_that_all_can_write_gives_one_warning(folder, within):
    """Or one within which that folder can be replaced."""
    folder.mkdir()
    folder.chmod(0o777)
    numba.config.CACHE_DIR = str(folder / within)
    [message] = warned_of(folder)
    assert message.startswith(f"NUMBA_CACHE_DIR='{folder}': ")
    assert "can be written by every user" in message
    folder.chmod(0o1777)  # as /tmp is: what others own stays theirs
    assert warned_of(folder) == []


@POSIX
@pytest.mark.skipif(os.name == "posix" and os.geteuid() != 0, reason="gives a folder away")
def test_a_folder_of_another_user_gives_one_warning(folder):
    is_on_disk(1)
    [path] = folder.iterdir()
    os.chown(path, 54321, -1)
    [message] = warned_of(folder)
    assert "belongs to another user" in message and path.name[-30:] in message
