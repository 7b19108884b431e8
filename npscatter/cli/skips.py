"""Files that are left out: a few of each kind are named, the rest counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING

from npscatter.cli.terminal import Failure

if TYPE_CHECKING:
    from npscatter.cli.samples import ImageError

# So many are named of those that one thing is wrong with.
NAMED = 5


class Capped:
    """Lines about names, of which no more than `NAMED` are printed of a kind.

    Parameters
    ----------
    say : callable
        Prints a line.
    """

    def __init__(self, say: Callable[[str], None]):
        self._say = say
        self._kinds: Counter[str] = Counter()
        self._unnamed: Counter[str] = Counter()

    def tell(self, name: str, kind: str, brief: str, remedy: str = "") -> None:
        """Print what is wrong with a name; the remedy only with the first of a kind."""
        self._kinds[kind] += 1
        if self._kinds[kind] > NAMED:
            self._unnamed[kind] += 1
        else:
            hint = f"; {remedy}" if remedy and self._kinds[kind] == 1 else ""
            self._say(f"{name}: {brief}{hint}")

    def tell_rest(self) -> None:
        """Print how many more there were of each kind since this was last told."""
        for kind, count in self._unnamed.items():
            self._say(f"... and {count:,} more: {kind}")
        self._unnamed.clear()


class Skips:
    """The pictures that are skipped.

    Parameters
    ----------
    forbidden : str or None
        Why none may be skipped.
    say : callable
        Prints a line.

    Attributes
    ----------
    total : int
        How many pictures there are.
    named : list of tuple of str
        Those that were skipped, and why.
    """

    def __init__(self, forbidden: str | None, say: Callable[[str], None]):
        self.total = 0
        self.named: list[tuple[str, str]] = []
        self._forbidden = forbidden
        self._lines = Capped(say)
        self._settled = False

    @property
    def count(self) -> int:
        """How many were skipped."""
        return len(self.named)

    def skip(self, name: str, error: ImageError) -> None:
        """Skip a picture for what is wrong with it."""
        self.named.append((name, error.brief))
        self._lines.tell(name, error.kind, f"{error.brief}; skipped", error.remedy)
        # What headers show is told of all of them. Hours later, the first is enough.
        if self._settled and self._forbidden:
            self.settle()

    def settle(self) -> None:
        """Say what was not named, and stop if none may be skipped or if nothing is left."""
        self._settled = True
        self._lines.tell_rest()
        if self.count == self.total:
            raise Failure(f"0 of {self.total} pictures can be read; nothing was written")
        if self.count and self._forbidden:
            raise Failure(
                f"{self.count} of {self.total} pictures cannot be read, and {self._forbidden}; "
                "nothing was written"
            )
