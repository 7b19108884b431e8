"""What is done of a run, kept beside its output so that an interrupted run can go on."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import stat
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from npscatter.atomic_write import is_sent, stat_or_none
from npscatter.cli.terminal import Failure

# Seconds between two records of what is done; a run that ends before the first leaves nothing.
INTERVAL = 5.0
_NAME = "journal"


@dataclass
class Done:
    """How far a run has come.

    Attributes
    ----------
    pictures, rows : int
        How many pictures were taken, in their order, and how many rows came of them.
    skipped : list of (int, str)
        The pictures of which none did, by number, and why.
    """

    pictures: int = 0
    rows: int = 0
    skipped: list[tuple[int, str]] = field(default_factory=list)


class Journal:
    """A folder beside an output, which holds what was written of it and a record of that.

    Of an output that no file can be put beside, it is a temporary one and nothing is kept.

    Parameters
    ----------
    output : Path
        The file or folder that is made.

    Attributes
    ----------
    folder : Path
        Made by `open`, for its owner alone.
    finished : bool
        Set by whoever has put the output in its place.
    """

    def __init__(self, output: Path):
        place = Path(os.path.realpath(output))
        status = stat_or_none(output)
        self._temporary = status is not None and is_sent(status) and not output.is_dir()
        self.folder = (
            Path(tempfile.mkdtemp(prefix="npscatter-"))
            if self._temporary
            else place.with_name(_partial(place.name))
        )
        self._file: BinaryIO | None = None
        self.finished = False
        self._last, self._pictures, self._told = 0.0, 0, 0

    def open(self, settings: dict[str, Any], resume: bool | None) -> Done:
        """Make the folder, and return what an interrupted run with the same settings had done.

        Parameters
        ----------
        settings : dict
            All that its result depends on, in words that JSON has.
        resume : bool or None
            Whether to go on; None if that was not said.

        Raises
        ------
        Failure
            If another run is writing; if something is done, and whether to go on was not said, or
            the settings are others.
        """
        if not self._temporary:
            self._make_folder()
        self._file = open(self.folder / _NAME, "a+b")
        try:
            return self._go_on(settings, resume)
        except BaseException:
            self._file.close()
            self._file = None
            raise

    def _make_folder(self) -> None:
        with suppress(FileExistsError):
            self.folder.mkdir(0o700)
        # What somebody else has put there leads to where they may read and write.
        status = os.lstat(self.folder)
        ours = stat.S_ISDIR(status.st_mode)
        if ours:
            with tempfile.TemporaryFile(dir=self.folder) as file:
                ours = os.fstat(file.fileno()).st_uid == status.st_uid
        if not ours:
            raise Failure(
                f"{self.folder} is not a folder of yours, and is needed to write in; move it "
                "elsewhere"
            )

    def _go_on(self, settings: dict[str, Any], resume: bool | None) -> Done:
        assert self._file is not None
        if not (_locked(self._file) and self._stands()):
            raise Failure(f"another npscatter transform is writing this output, in {self.folder}")
        self._file.seek(0)
        content = self._file.read()
        before, done, length = _read(content)
        if not done.pictures or resume is False:
            return self.begin(settings)
        if resume is None:
            raise Failure(
                f"{done.pictures:,} pictures of an interrupted run are kept in {self.folder}: "
                "--resume goes on with them, --restart drops them"
            )
        self._check(before, settings)
        self._file.truncate(length)
        self._note(done)
        return done

    def _stands(self) -> bool:
        """Say whether the file that is open is still there: a run that ends removes its own."""
        assert self._file is not None
        there = stat_or_none(self.folder / _NAME)
        return there is not None and os.path.samestat(there, os.fstat(self._file.fileno()))

    def begin(self, settings: dict[str, Any]) -> Done:
        """Forget what was done."""
        assert self._file is not None
        self._file.truncate(0)
        self._write(settings)
        self._note(Done())
        return Done()

    def _check(self, before: dict[str, Any], settings: dict[str, Any]) -> None:
        now = json.loads(json.dumps(settings))
        changed = [name for name in {**now, **before} if before.get(name) != now.get(name)]
        if changed:
            told = ", ".join(f"{n}: {before.get(n)!r}, now {now.get(n)!r}" for n in changed[:5])
            raise Failure(
                f"--resume: the interrupted run was another ({told}); give what it was given, or "
                "--restart"
            )

    @property
    def due(self) -> bool:
        """Whether it is time for a record."""
        return time.monotonic() - self._last >= INTERVAL

    def record(self, done: Done) -> None:
        """Note what is done, which has to be on the disk already."""
        self._write([done.pictures, done.rows, done.skipped[self._told :]])
        self._note(done)

    def _note(self, done: Done) -> None:
        self._pictures, self._told = done.pictures, len(done.skipped)
        self._last = time.monotonic()

    @property
    def began(self) -> bool:
        """Whether there is a record of something done."""
        return self._pictures > 0

    def close(self) -> int:
        """Remove the folder, unless it is worth going on with; return how many pictures it has."""
        if self._file is None:
            return 0
        kept = self.began and not self.finished and not self._temporary
        if not kept:
            shutil.rmtree(self.folder, ignore_errors=True)
        # Where the disk is full, Python would try once more what failed.
        with suppress(OSError):
            self._file.close()
        return self._pictures if kept else 0

    def _write(self, record: Any) -> None:
        assert self._file is not None
        self._file.write(json.dumps(record).encode() + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())


def _partial(name: str) -> str:
    """Return the name of the folder of an output: short enough, and another for each."""
    if len(os.fsencode(name)) > 200:
        name = f"{name[:40]}.{hashlib.sha256(os.fsencode(name)).hexdigest()[:16]}"
    return f".{name}.partial"


def _read(content: bytes) -> tuple[dict[str, Any], Done, int]:
    """Return the settings, what is done, and the length of what tells that.

    A line that broke off or is damaged tells nothing, and neither do those behind it.
    """
    # Behind the last line's end there is nothing, or what broke off.
    first, *lines = content.split(b"\n")[:-1] or [b""]
    settings, done, length = _json(first), Done(), len(first) + 1
    if not isinstance(settings, dict):
        return {}, done, 0
    for line in lines:
        try:
            pictures, rows, more = _json(line)
            skipped = done.skipped + [(int(number), str(why)) for number, why in more]
            whole = done.pictures < pictures == rows + len(skipped) and done.rows < rows
        except (TypeError, ValueError):
            break
        if not whole:
            break
        done, length = Done(pictures, rows, skipped), length + len(line) + 1
    return settings, done, length


def _json(line: bytes) -> Any:
    """Return what a line holds, None if it is none of JSON."""
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def _locked(file: BinaryIO) -> bool:
    """Lock a file for this process, where the system can; return whether nobody else had."""
    try:
        import fcntl
    except ImportError:
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno not in (errno.EACCES, errno.EAGAIN)
    return True
