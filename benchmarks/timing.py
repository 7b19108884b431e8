"""How everything is timed: checked first, then called in turns, so that all share what changes.

A call takes no arguments; one that works on a GPU waits for it. All times are seconds, of a clock
on the wall unless another is given: `time.process_time` is that of the cores that worked.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterable
from typing import TypeVar

Name = TypeVar("Name")

# Smaller blocks are tried until one is so much slower than the best.
FUTILE = 1.15
# What a failure says whose cause is memory: Numba's, Torch's, and those of NVIDIA's libraries.
NO_MEMORY = ("out of memory", "out_of_memory", "alloc_failed", "cufft_internal_error")


class UnavailableError(Exception):
    """What cannot be run here, and so is not timed."""


def seconds(
    call: Callable[[], object], at_least: float = 0.0, clock: Callable[[], float] | None = None
) -> float:
    """Return how long a call takes: the mean of as many as take `at_least` seconds, one or more."""
    clock = clock or time.perf_counter
    count, start = 0, clock()
    while True:
        call()
        count += 1
        taken = clock() - start
        if taken >= at_least:
            return taken / count


def interleaved(
    calls: dict[Name, Callable[[], object]],
    rounds: int,
    *,
    check: Callable[[Name, object], None] | None = None,
    warm: int = 1,
    at_least: float = 0.0,
    share: float = float("inf"),
    pauses: dict[Name, float] | None = None,
    clock: Callable[[], float] | None = None,
) -> dict[Name, list[float]]:
    """Call everything in turn, `rounds` times; return the seconds of every round, by name.

    Nothing is timed before everything is checked: `check` takes a name and what its first call
    returned, in one of the `warm` rounds before those that count, and raises if that is wrong.
    For `at_least` and `clock` see `seconds`; what has taken `share` seconds in three rounds or more
    is called no more; `pauses` says how long to wait after a name's calls.
    """
    for name, call in calls.items():
        for number in range(warm):
            returned = call()
            if check is not None and number == 0:
                check(name, returned)
            del returned
    taken: dict[Name, list[float]] = {name: [] for name in calls}
    names = list(calls)
    for number in range(rounds):
        turn = number % max(1, len(names))  # nobody always follows the same one
        for name in names[turn:] + names[:turn]:
            if len(taken[name]) < 3 or sum(taken[name]) <= share:
                taken[name].append(seconds(calls[name], at_least, clock))
                time.sleep((pauses or {}).get(name, 0))
    return taken


def fastest_block(
    blocks: Iterable[int],
    call: Callable[[int], object],
    release: Callable[[], object] = gc.collect,
) -> int:
    """Return the block size whose second call is the fastest, trying on while that is not futile.

    `blocks` are sizes, largest first; `call` takes one, and works all images off in blocks of it.
    Those that run out of memory are passed over, once `release` has given back what they held;
    raises `UnavailableError` if not even the last one fits.
    """
    best, least, reason = 0, float("inf"), ""
    for block in blocks:
        try:
            call(block)
            taken = seconds(lambda block=block: call(block))
        except Exception as error:
            if not out_of_memory(error):
                raise
            reason = f"{type(error).__name__}: {error}".splitlines()[0]
        else:
            if taken > FUTILE * least:
                break
            if taken < least:
                best, least = block, taken
            continue
        release()  # only now: the exception held what was allocated
    if not best:
        raise UnavailableError(f"does not fit: {reason}")
    return best


def out_of_memory(error: Exception) -> bool:
    """Say whether the memory, the GPU's or the host's, was too small."""
    return isinstance(error, MemoryError) or any(words in str(error).lower() for words in NO_MEMORY)
