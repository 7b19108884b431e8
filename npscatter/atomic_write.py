"""Files that appear whole or not at all, written where a path leads; and files that are read."""

from __future__ import annotations

import errno
import io
import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import BinaryIO


@contextmanager
def atomic_write(path: Path, force: bool = False) -> Iterator[BinaryIO]:
    """Open a file for writing that takes its name only once it is complete.

    A regular file is replaced in one step, and keeps its mode and, where the system lets us, its
    owner; another hard link to it keeps the old content. A symbolic link is followed, and stays.
    Devices, FIFOs and what standard output or error goes to are not replaced: they are sent
    everything at the end, at once.

    Parameters
    ----------
    path : Path
        Untouched, with nothing left beside it, if writing fails: also if it is interrupted, by
        an exception of any kind.
    force : bool, optional
        Replace even a file that is read-only.

    Yields
    ------
    file
        Open in binary mode.

    Raises
    ------
    PermissionError
        If the file is read-only, for root too.
    OSError
        If it cannot be written; a `FileNotFoundError` if its folder is missing. The path it names
        is the one that was given.
    """
    old = _what_may_be_replaced(path, force)
    if old is not None and is_sent(old):
        content = io.BytesIO()
        yield content
        content.seek(0)
        _send(content, path, old)
        return
    target = Path(os.path.realpath(path))
    # Not the whole name, which may be as long as names can be.
    partial = target.with_name(f".{target.name[:40]}.{secrets.token_hex(4)}.partial")
    # Nobody may read in the meantime what they may not read in the end.
    mode = 0o666 if old is None else 0o600
    try:
        with open(partial, "xb", opener=lambda name, flags: os.open(name, flags, mode)) as file:
            yield file
        _replace(partial, target, old)
    except OSError as error:
        if str(error.filename) != str(partial):
            raise
        reason = error.strerror
        if error.errno == errno.ENOENT and not target.parent.is_dir():
            reason = "the folder it is to be in does not exist; make that first"
        raise OSError(error.errno, reason, str(path)) from None
    finally:
        partial.unlink(missing_ok=True)


def put_in_place(partial: Path, path: Path, force: bool = False) -> None:
    """Let a complete file take a name, by the rules of `atomic_write`.

    Parameters
    ----------
    partial : Path
        On the disk that the path leads to, and where nobody else may read. It is gone afterwards,
        unless it was sent to a device, a FIFO or a standard stream.
    path : Path
        Where it goes.
    force : bool, optional
        Replace even a file that is read-only.

    Raises
    ------
    OSError
        As `atomic_write`, but with the paths that were in use.
    """
    old = _what_may_be_replaced(path, force)
    if old is not None and is_sent(old):
        with open(partial, "rb") as content:
            _send(content, path, old)
    else:
        _replace(partial, Path(os.path.realpath(path)), old)


def exchange_folders(new: Path, target: Path, aside: Path) -> None:
    """Let a complete folder take a name; what has that name stands aside until it is done.

    Parameters
    ----------
    new, target, aside : Path
        On one disk, and no symbolic links. Nothing may have the name `aside`, and nothing has it
        afterwards; where the process ended in between, `settle_exchange` ends what was begun.

    Raises
    ------
    OSError
        If it cannot be done; what had the name has it then.
    """
    if target.exists():
        keep_owner_and_mode(new, target.stat())
        os.rename(target, aside)
    try:
        os.rename(new, target)
    finally:
        settle_exchange(target, aside)


def settle_exchange(target: Path, aside: Path) -> None:
    """Remove the folder that was replaced, or put it back where nothing took its place."""
    if not aside.exists():
        return
    if target.exists():
        shutil.rmtree(aside)
    else:
        os.rename(aside, target)


def no_room(path: Path) -> str | None:
    """Return why nothing new can be put where a path leads, None if something can.

    The folder is shown as the user wrote it, unless a link leads elsewhere.
    """
    folder = Path(os.path.realpath(path)).parent
    shown = str(folder if path.is_symlink() else path.parent)
    if not folder.is_dir():
        return f"there is no folder {shown!r}"
    try:
        # Permissions do not tell: root has all of them, and some file systems take no files.
        with TemporaryDirectory(prefix=".", dir=folder):
            return None
    except OSError as error:
        return f"the folder {shown!r} cannot be written to ({error.strerror})"


def is_sent(status: os.stat_result) -> bool:
    """Return whether what stands somewhere is sent what is written, and not replaced by it."""
    return not stat.S_ISREG(status.st_mode) or _stream(status) is not None


def open_regular(path: Path, flags: int = os.O_RDONLY) -> BinaryIO:
    """Open a regular file, unbuffered, and nothing else: others may wait for ever, or never end.

    Raises
    ------
    OSError
        If it is none, or cannot be opened.
    """
    # O_NONBLOCK: a FIFO would wait for its other end.
    flags |= getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
    file = open(os.open(path, flags, 0o666), "r+b" if flags & os.O_RDWR else "rb", buffering=0)
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    return file


def stat_or_none(path: Path) -> os.stat_result | None:
    """Return what stands where a path leads, None if nothing does."""
    try:
        return os.stat(path)
    except FileNotFoundError:
        return None


def is_read_only(path: Path, status: os.stat_result) -> bool:
    """Return whether a regular file may not be written: by its mode too, which root passes over."""
    return stat.S_ISREG(status.st_mode) and not (
        status.st_mode & 0o222 and os.access(path, os.W_OK)
    )


def _what_may_be_replaced(path: Path, force: bool) -> os.stat_result | None:
    old = stat_or_none(path)
    if old is not None and is_read_only(path, old) and not force:
        raise PermissionError(errno.EACCES, "the file is read-only", str(path))
    return old


def _replace(partial: Path, target: Path, old: os.stat_result | None) -> None:
    if old is not None:
        keep_owner_and_mode(partial, old)
    os.replace(partial, target)


def _send(content: BinaryIO, path: Path, status: os.stat_result) -> None:
    with _open_straight(path, status) as file:
        shutil.copyfileobj(content, file, 2**20)


def _stream(status: os.stat_result) -> int | None:
    """Return the number of the standard stream that goes to a file, None if neither does."""
    for number in (1, 2):
        try:
            if os.path.samestat(status, os.fstat(number)):
                return number
        except OSError:  # closed
            continue
    return None


def _open_straight(path: Path, status: os.stat_result) -> BinaryIO:
    number = _stream(status)
    # Opened by its name, a file that a shell appends to would be emptied.
    return open(path, "wb") if number is None else os.fdopen(os.dup(number), "wb")


def keep_owner_and_mode(path: Path, old: os.stat_result) -> None:
    """Give a new file or folder the mode and, where the system lets us, the owner of the old."""
    new = os.stat(path)
    if hasattr(os, "chown") and (new.st_uid, new.st_gid) != (old.st_uid, old.st_gid):
        for owner, group in ((old.st_uid, old.st_gid), (-1, old.st_gid)):
            try:
                os.chown(path, owner, group)
                break
            except PermissionError:  # root alone gives files away
                continue
    os.chmod(path, stat.S_IMODE(old.st_mode))
