"""Nobody waits for ever: Ctrl-C, forks and the interpreter's end at the worst of moments.

Moments are forced. Timeouts are such that only a hang exceeds them.
"""

import _thread
import os
import shutil
import signal
import sys
import threading
import time

import numpy as np
import pytest
from processes import EQUALS_NUMPY, IN_THREADS, SMALL_BANK, copy_worker, run_python

from npscatter import Scattering2D
from npscatter.backends import jit_cache
from npscatter.backends.cpu import executor, row_codegen
from npscatter.backends.cpu.executor import KeptMemory, Limits, execute

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="forks")
POSIX = pytest.mark.skipif(os.name != "posix", reason="sends POSIX signals")
# As many threads as are asked for, whatever is worth it.
SHARED = Limits(work_per_thread=1, work_per_step=0)
HANG = 120


def shared_among(S, images, threads):
    """Return coefficients that so many threads compute, if they can be had."""
    output = np.empty((*images.shape[:-2], *S.output_shape), images.dtype)
    execute(S.plan, S.bank, images, output, threads, SHARED)
    return output


@pytest.fixture
def case(toy_bank):
    """Return a transform, images, and what they become."""
    S = Scattering2D(2, (64, 64), L=4, bank=toy_bank("free", 4, 2), threads=1)
    images = np.random.default_rng(0).normal(size=(50, 64, 64))
    return S, images, S(images)


@pytest.fixture(scope="module")
def workers(tmp_path_factory):
    """Return a cache that holds no bank's kernels."""
    folder = tmp_path_factory.mktemp("workers")
    copy_worker(folder)
    return folder


@pytest.fixture
def cold(workers, tmp_path):
    """Return environment variables of a process that has to compile the small bank's kernels."""
    shutil.copytree(workers, tmp_path / "cache")
    return {"NUMBA_CACHE_DIR": str(tmp_path / "cache")}


# Ctrl-C while it compiles


def test_all_is_compiled_before_any_thread_starts(case, monkeypatch):
    S, images, expected = case
    start, compiled = _thread.start_new_thread, []

    def start_then(*given):
        rows = row_codegen.compiled_row.cache_info().currsize
        compiled.append(rows > 0 and bool(executor._worker("float64").overloads))
        return start(*given)

    for function in (executor._worker, executor._compiled, row_codegen.compiled_row):
        function.cache_clear()
    monkeypatch.setattr(_thread, "start_new_thread", start_then)
    assert np.array_equal(shared_among(S, images, 3), expected)
    assert compiled == [True, True]


INTERRUPTED = """
import signal, threading
from numba.core.compiler_lock import _CompilerLock
signal.signal(signal.SIGINT, signal.default_int_handler)
results = []
thread = threading.Thread(target=lambda: results.append(in_threads(x)), daemon=True)
acquire = _CompilerLock.acquire
def interrupted(lock):
    acquire(lock)
    if not thread.ident:
        thread.start()
        os.kill(os.getpid(), signal.SIGINT)
_CompilerLock.acquire = interrupted
try:
    in_threads(x)
except KeyboardInterrupt:
    print("interrupted")
thread.join(100)
assert not thread.is_alive()
assert np.array_equal(results[0], in_threads(x))
"""


@POSIX
@pytest.mark.parametrize("state", ["cold", "warm"])
def test_ctrl_c_in_the_compiler_leaves_nothing_locked(state, request):
    """It comes as the main thread has the compiler's lock, which another one is waiting for."""
    variables = request.getfixturevalue("cold") if state == "cold" else {}
    code = SMALL_BANK + IN_THREADS + INTERRUPTED + EQUALS_NUMPY
    assert run_python(code, timeout=HANG, **variables) == "interrupted\n"


@POSIX
def test_signals_are_held_between_passes_alone_and_handlers_given_back():
    """Whatever a handler raises; those of signals without one in Python are left alone."""
    seen = []

    def handler(number, _):
        seen.append(number)
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, handler)
    try:
        with pytest.raises(TimeoutError), jit_cache._HeldSignals() as held:
            signal.raise_signal(signal.SIGALRM)
            signal.raise_signal(signal.SIGALRM)
            assert seen == []
            held.heed()
        assert seen == [signal.SIGALRM, signal.SIGALRM]
        assert signal.getsignal(signal.SIGALRM) is handler
        with jit_cache._HeldSignals():
            assert signal.getsignal(signal.SIGALRM) is not handler
            assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
        with pytest.raises(TimeoutError):
            signal.raise_signal(signal.SIGALRM)
    finally:
        signal.signal(signal.SIGALRM, before)


# Ctrl-C while threads work


@POSIX
@pytest.mark.parametrize("presses", [1, 2, 5])
def test_ctrl_c_returns_only_when_no_thread_works(case, monkeypatch, presses):
    """However often it is pressed while the other threads are waited for."""
    S, images, expected = case
    keep, main, at_work = KeptMemory.keep, _thread.get_ident(), []

    def keep_slowly(*given):
        if _thread.get_ident() != main and presses:
            at_work.append(True)
            for _ in range(presses):
                time.sleep(0.05)
                os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.1)
            at_work.remove(True)
        return keep(*given)

    monkeypatch.setattr(KeptMemory, "keep", keep_slowly)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            for _ in range(100):  # until another thread comes to work before all is done
                shared_among(S, images, 2)
        assert at_work == []
        presses = 0
        assert np.array_equal(shared_among(S, images, 2), expected)
    finally:
        signal.signal(signal.SIGINT, before)


# Threads that cannot be had


@pytest.mark.parametrize("started", [0, 1, 2])
def test_a_thread_that_cannot_be_started_is_done_without(case, monkeypatch, started):
    S, images, expected = case
    start, tries = _thread.start_new_thread, []

    def start_some(*given):
        tries.append(1)
        if len(tries) > started:
            raise RuntimeError("can't start new thread")
        return start(*given)

    monkeypatch.setattr(_thread, "start_new_thread", start_some)
    assert np.array_equal(shared_among(S, images, 5), expected)
    assert len(tries) == started + 1
    assert np.array_equal(shared_among(S, images[0], 5), expected[0])


@LINUX
def test_no_thread_can_be_had_of_the_system(case):
    S, images, expected = case
    before = threading.stack_size(2**46)  # more than a process has addresses for two of
    try:
        with pytest.raises(RuntimeError):
            for _ in range(4):
                _thread.start_new_thread(time.sleep, (1,))
        assert np.array_equal(shared_among(S, images, 3), expected)
    finally:
        threading.stack_size(before)


AT_EXIT = """
import atexit
S = Scattering2D(2, (64, 64), L=2, bank=bank, backend="numba", threads=3)
x = generator.normal(size=(100, 64, 64))
expected = S(x)
class Late:
    # What it needs of modules: their names are gone by then.
    needs = S, x, expected, sys.is_finalizing, os.write
    def __init__(self, name):
        self.name = name
    def say(self):
        S, x, expected, is_finalizing, write = self.needs
        right = bool((S(x) == expected).all())
        write(1, f"{self.name} {is_finalizing()} {right}\\n".encode())
    __del__ = say
one = Late("global")
two = Late("cycle")
two.itself = two
atexit.register(Late.say, Late("atexit"))
"""


def test_calls_work_while_the_interpreter_ends():
    """At exit, and as the last objects are deleted, when no other thread would run any more."""
    first, *others = run_python(SMALL_BANK + AT_EXIT, timeout=HANG).splitlines()
    assert first == "atexit False True"
    assert {"cycle True True", "global True True"} <= set(others)
    assert all(told.endswith("True") for told in others)


# Forks

FORKED = """
import signal, threading, time
from numba.core.ccallback import CFunc
from npscatter import BackendError
from npscatter.backends import jit_cache
compiling, go_on, compile_anew = threading.Event(), threading.Event(), CFunc._compile_uncached
def slowly(code):
    compiling.set()
    go_on.wait(1 if len(sys.argv) < 2 else 100)
    return compile_anew(code)
CFunc._compile_uncached = slowly
thread = threading.Thread(target=lambda: in_threads(x))
thread.start()
assert compiling.wait(100)
if len(sys.argv) > 1:
    jit_cache.PATIENCE = 0.1
child = os.fork()
if not child:
    signal.alarm(60)
    N = Scattering2D(2, (16, 20), L=2, bank=bank, backend="numpy")
    expected = N(x)
    try:
        right = np.abs(in_threads(x) - expected).max() < 1e-12 * np.abs(expected).max()
        os._exit(0 if right else 1)
    except BackendError as error:
        os._exit(2 if "S.warmup()" in str(error) else 3)
go_on.set()
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
thread.join()
"""


@LINUX
@pytest.mark.parametrize("patience", ["waits", "gives up"])
def test_a_fork_while_another_thread_compiles(cold, patience):
    """It waits until that is done; if that takes too long, the child says what to do, and when."""
    code = SMALL_BANK + IN_THREADS + FORKED + EQUALS_NUMPY
    arguments = ["gives up"] if patience == "gives up" else []
    told = run_python(code, *arguments, timeout=HANG, **cold)
    assert told == ("0\n" if patience == "waits" else "2\n")


FORKED_IN_IMPORT = """
import importlib.abc, os, signal, sys, threading, time
from npscatter import Scattering2D
importing = threading.Event()
class Slow(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name == "numba.core":
            importing.set()
            time.sleep(0.5)
sys.meta_path.insert(0, Slow())
make = lambda: Scattering2D(2, (8, 8)).backend
thread = threading.Thread(target=make)
thread.start()
assert importing.wait(100)
child = os.fork()
if not child:
    signal.alarm(60)
    os._exit(0 if make() == "numba" else 1)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
thread.join()
"""


@LINUX
def test_a_fork_while_another_thread_imports_numba():
    assert run_python(FORKED_IN_IMPORT, timeout=HANG) == "0\n"
