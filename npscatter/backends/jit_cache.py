"""Compiling, one thread and one process at a time, and compiled code on disk.

Numba's compiler is left in pieces, or locked for good, by whatever is raised at a bad moment in it
and by a fork while another thread is in it. Its files on disk are believed unseen, and two
processes that write its index at once can leave one function's code under another's name.
"""

from __future__ import annotations

import errno
import gc
import hashlib
import importlib.util
import inspect
import logging  # noqa: F401  (before the hooks below are registered)
import os
import pickle
import signal
import stat
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from contextvars import ContextVar
from functools import lru_cache
from pathlib import Path
from types import FrameType
from typing import IO, Any

from npscatter.atomic_write import atomic_write, open_regular
from npscatter.errors import BackendError, BackendWarning, explain, outside_package

PACKAGE = Path(__file__).parent.parent
_COMPILING = threading.Event()
# Seconds that a fork waits for other threads, and a process for others, to have compiled.
PATIENCE = 60.0


# What decides that compiled code is still right


@lru_cache(maxsize=8)
def source_digest(modules: tuple[str, ...]) -> str:
    """Return a hash of the source files that decide what is compiled.

    Numba's cache on disk looks at the file of the compiled function alone; this becomes part of
    what is compiled, so that no cache outlives the other files.

    Parameters
    ----------
    modules : tuple of str
        Full names of modules.
    """
    digest = hashlib.sha256()
    for name in modules:
        spec = importlib.util.find_spec(name)
        if spec is None or spec.loader is None:
            raise ModuleNotFoundError(f"no module named {name!r}", name=name)
        # The loader finds it in an archive too. A frozen application has none, and Numba's cache
        # looks at the application itself.
        source = getattr(spec.loader, "get_source", lambda _: None)(name)
        digest.update((source or "").encode())
    return digest.hexdigest()


_ON_TRIAL = ContextVar("on_trial", default=False)


@contextmanager
def trial_banks() -> Iterator[None]:
    """Keep kernels of banks off the disk, for nobody will run these banks again."""
    token = _ON_TRIAL.set(True)
    try:
        yield
    finally:
        _ON_TRIAL.reset(token)


# Compiling


def compile_cached(code: Any, compile_it: Callable[[], object], of_a_bank: bool = False) -> None:
    """Compile one of Numba's functions in the calling thread, or load what was compiled before.

    Ctrl-C is heeded between the compiler's passes, where no harm is done.

    Parameters
    ----------
    code : Dispatcher, CFunc or CUDADispatcher
        Not compiled yet, and without a cache; it gets one on disk if there is a place for it.
    compile_it : callable
        Compiles `code`.
    of_a_bank : bool, optional
        It is one bank's kernel, which is not kept where `trial_banks` are run.
    """
    with alone(), _HeldSignals() as held, _uncollected():
        files = None
        if not (of_a_bank and _ON_TRIAL.get()):
            try:
                code.enable_caching()
                files = code._cache._cache_file = SealedFiles(code._cache, held.heed)
                _warn_of(files.folder)
            except (RuntimeError, OSError):  # either where there is no place
                code._cache.disable()
        try:
            with _between_passes(held.heed):
                try:
                    compile_it()
                except OSError:  # the folder is gone, and cannot be made again
                    if files is None:
                        raise
                    code._cache.disable()
                    compile_it()
        finally:
            if files is not None:
                files.close()


def is_compiling() -> bool:
    """Say whether a function is being compiled, not merely loaded, at this moment."""
    return _COMPILING.is_set()


@contextmanager
def _uncollected() -> Iterator[None]:
    """Put garbage collection off: compiling makes many objects, and looking at them takes long."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()


@contextmanager
def _between_passes(heed: Callable[[], None]) -> Iterator[None]:
    """Call a function whenever a pass of Numba's compiler starts."""
    from numba.core import event

    class PassStarts(event.Listener):
        def on_start(self, event: object) -> None:
            _COMPILING.set()
            heed()

        def on_end(self, event: object) -> None:
            pass

    try:
        with event.install_listener("numba:run_pass", PassStarts()):
            yield
    finally:
        _COMPILING.clear()


class _HeldSignals:
    """Keeps what Python calls upon signals, such as Ctrl-C's exception, for a harmless moment."""

    def __init__(self) -> None:
        self._handlers: dict[int, Callable] = {}
        self._held: set[int] = set()
        self._caught: list[tuple[int, FrameType | None]] = []

    def __enter__(self) -> _HeldSignals:
        if threading.current_thread() is not threading.main_thread():
            return self  # signals are handled in the main thread alone
        try:
            for number in signal.valid_signals():
                handler = signal.getsignal(number)
                if callable(handler):
                    self._handlers[number] = handler
                    self._held.add(number)
                    signal.signal(number, self._catch)
        except BaseException:
            self._release()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._release()
        self.heed()

    def heed(self) -> None:
        """Let what was caught be handled now."""
        while self._caught and threading.current_thread() is threading.main_thread():
            number, frame = self._caught.pop(0)
            self._handlers[number](number, frame)

    def _catch(self, number: int, frame: FrameType | None) -> None:
        self._caught.append((number, frame))

    def _release(self) -> None:
        try:
            while self._held:
                number = min(self._held)
                signal.signal(number, self._handlers[number])
                self._held.remove(number)
        finally:
            if self._held:  # one that was released has raised
                self._release()


# One thread at a time


class _Fork(threading.local):
    """What a thread that forks holds meanwhile."""

    locks: tuple[Any, ...] = ()
    held: tuple[Any, ...] = ()


_LOCK = threading.RLock()
_FORK = _Fork()
_ORPHANED = threading.Event()  # set where a thread was lost by a fork while it compiled


def alone() -> AbstractContextManager:
    """Return the lock of whoever compiles, or imports what compiles.

    Raises
    ------
    BackendError
        This process was forked while another thread held the lock, for longer than a fork waits.
    """
    if _ORPHANED.is_set():
        rule = "this process was forked while another thread compiled, and cannot compile any more"
        remedy = (
            "call S.warmup() before forking, or start processes by multiprocessing's 'spawn' or "
            "'forkserver'"
        )
        raise BackendError(explain("backend", "numba", rule, remedy))
    return _LOCK


def _before_fork() -> None:
    """Wait until no thread compiles: the child would wait for ever for what it had locked."""
    _FORK.locks, _FORK.held = (_LOCK,), ()
    if lock := getattr(sys.modules.get("numba.core.compiler_lock"), "global_compiler_lock", None):
        _FORK.locks += (lock._lock,)
    deadline = time.monotonic() + PATIENCE
    for lock in _FORK.locks:
        if lock.acquire(timeout=max(0.0, deadline - time.monotonic())):
            _FORK.held += (lock,)


def _after_fork() -> None:
    for lock in reversed(_FORK.held):
        lock.release()


def _after_fork_in_child() -> None:
    if len(_FORK.held) < len(_FORK.locks):
        _ORPHANED.set()
    _after_fork()


# The last to be registered is called first: before logging locks what the compiler logs with.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before_fork,
        after_in_parent=_after_fork,
        after_in_child=_after_fork_in_child,
    )


# On disk


class SealedFiles:
    """What one of Numba's caches has on disk: a file for each compiled function, under a seal.

    A file that was cut, emptied or changed, or that was made for something else, is as good as
    absent, and is replaced. Stands in for Numba's `IndexDataCacheFile`.

    Parameters
    ----------
    cache : Cache
        Of `numba.core.caching`, or of numba-cuda's.
    heed : callable
        Called again and again while another process is waited for.
    """

    def __init__(self, cache: Any, heed: Callable[[], None]):
        files = cache._cache_file
        self.folder = _outside_the_package(cache)
        self._base = cache._impl.filename_base
        self._made_by = files._version, files._source_stamp
        self._dump, self._heed = files._dump, heed
        self._turn: IO[bytes] | None = None

    def load(self, key: object) -> Any:
        """Return what was saved, perhaps by another process that is waited for, or None."""
        name = self._name(key)
        data = self._read(name)
        if data is None:
            self._take_turn(name)
            data = self._read(name)
        return data

    def save(self, key: object, data: object) -> None:
        """Save some data; do without where the disk is full."""
        name, content = self._name(key), self._dump(data)
        path = self._path(name)
        with suppress(OSError):
            # What is no file would be written to, and may wait for a reader.
            if not path.is_file():
                path.unlink(missing_ok=True)
            with atomic_write(path) as file:
                file.write(_seal(name, content) + content)

    def close(self) -> None:
        """Let other processes compile what this one has compiled, or has failed to."""
        if self._turn is not None:
            self._turn.close()

    def _name(self, key: object) -> str:
        return hashlib.sha256(repr((self._made_by, key)).encode()).hexdigest()

    def _path(self, name: str) -> Path:
        return self.folder / f"{self._base}.{name[:24]}.nbc"

    def _read(self, name: str) -> Any:
        try:
            with open_regular(self._path(name)) as file:
                content = file.read()
            if content[:32] == _seal(name, content[32:]):
                return pickle.loads(content[32:])
        except Exception:  # no such file, or made where other classes were known
            pass
        return None

    def _take_turn(self, name: str) -> None:
        """Wait until no other process compiles the same, if locks of files can tell."""
        try:
            import fcntl

            self._turn = open_regular(self.folder / "npscatter.lock", os.O_RDWR | os.O_CREAT)
        except (ImportError, OSError):
            return
        deadline, place = time.monotonic() + PATIENCE, int(name[:7], 16)
        while time.monotonic() < deadline:
            self._heed()
            try:
                fcntl.lockf(self._turn, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, place)
            except OSError as error:
                if error.errno not in (errno.EACCES, errno.EAGAIN):
                    return
                time.sleep(0.02)
            else:
                return


def _outside_the_package(cache: Any) -> Path:
    """Return the folder that Numba chose, or the user's where that is the package's own.

    So that nothing is left of a package which is uninstalled.
    """
    chosen = Path(cache.cache_path)
    if not chosen.is_relative_to(PACKAGE):
        return chosen
    from numba.core.caching import UserWideCacheLocator

    with suppress(OSError):
        chosen.rmdir()  # which Numba may have made, to see whether it can
    locator = UserWideCacheLocator.from_function(cache._py_func, inspect.getfile(cache._py_func))
    if locator is None:
        raise FileNotFoundError("no folder for compiled code")
    cache._impl._locator = locator  # where Numba makes a folder again that is gone
    return Path(locator.get_cache_path())


def _seal(name: str, content: bytes) -> bytes:
    return hashlib.sha256(name.encode() + content).digest()


@lru_cache(maxsize=8)
def _warn_of(folder: Path) -> None:
    """Warn once of a folder in which others could leave code for this user to run."""
    if os.name != "posix":
        return
    # Whoever may change the sources may as well change what is compiled from them.
    trusted = {0, os.geteuid(), os.stat(__file__).st_uid}
    fault = None if os.stat(folder).st_uid in trusted else "belongs to another user"
    for place in (folder, *folder.parents):
        mode = os.stat(place).st_mode
        if mode & stat.S_IWOTH and (place == folder or not mode & stat.S_ISVTX):
            folder, fault = place, "can be written by every user"
    if fault:
        rule = f"the folder of compiled code {fault}, who could put code of theirs into it"
        remedy = "set NUMBA_CACHE_DIR to a folder that only you can write"
        message = explain("NUMBA_CACHE_DIR", str(folder), rule, remedy)
        warnings.warn(BackendWarning(message), stacklevel=outside_package())
