"""In what blocks and in what turns calls are timed. No GPU needed."""

from __future__ import annotations

import gc
from collections.abc import Callable

from benchmarks.peers import UnavailableError

# What a failure says whose cause is memory: Numba's, Torch's, and those of NVIDIA's libraries.
NO_MEMORY = ("out of memory", "out_of_memory", "alloc_failed", "cufft_internal_error")
# Smaller blocks are tried until one is so much slower than the best.
FUTILE = 1.15
# Rounds before those that count.
WARM = 2
# What has taken so many milliseconds and FEWEST rounds has had its share.
MOST_MILLISECONDS, FEWEST = 20_000.0, 3
# A run at a ceiling takes about so many milliseconds; the fastest of so many counts.
RUN_MILLISECONDS, REPEATS = 30.0, 7


def out_of_memory(error: Exception) -> bool:
    """Say whether the GPU's (or the host's) memory was too small."""
    return isinstance(error, MemoryError) or any(words in str(error).lower() for words in NO_MEMORY)


def largest_block(
    images: int, attempt: Callable[[int], None], release: Callable[[], None] = gc.collect
) -> int:
    """Return the largest of images, images / 2, images / 4, ... that does not run out of memory.

    Parameters
    ----------
    images : int
        All there are.
    attempt : callable
        Takes a block size and raises if it does not fit.
    release : callable
        Gives back what a failed attempt held.

    Raises
    ------
    UnavailableError
        If not even one image fits.
    """
    block = images
    while True:
        try:
            attempt(block)
            return block
        except Exception as error:
            if not out_of_memory(error):
                raise
            words = f"{type(error).__name__}: {error}"
        # Only now: the exception held what was allocated.
        release()
        if block == 1:
            raise UnavailableError(f"does not fit: {words.splitlines()[0]}")
        block = -(-block // 2)


def fastest_block(block: int, timed: Callable[[int], float]) -> int:
    """Return the fastest of `block`, `block` / 2, ..., as long as halving is not futile."""
    best, least = block, float("inf")
    while block:
        taken = timed(block)
        if taken > FUTILE * least:
            break
        if taken < least:
            best, least = block, taken
        block //= 2
    return best


def interleaved(
    calls: dict[str, Callable[[], float]], rounds: int, warm: int = WARM
) -> dict[str, list[float]]:
    """Call everything in turn; return the milliseconds of each in the rounds that count.

    Parameters
    ----------
    calls : dict of callable
        Name -> what does a call and returns its milliseconds.
    rounds : int
        How often each is called, unless it takes long.
    warm : int
        Rounds before, which do not count.
    """
    taken: dict[str, list[float]] = {name: [] for name in calls}
    names = list(calls)
    for number in range(-warm, rounds):
        turn = number % max(1, len(names))  # nobody always follows the same one
        for name in names[turn:] + names[:turn]:
            if len(taken[name]) >= FEWEST and sum(taken[name]) > MOST_MILLISECONDS:
                continue
            milliseconds = calls[name]()
            if number >= 0:
                taken[name].append(milliseconds)
    return taken


def most_turns(run: Callable[[int], float]) -> float:
    """Return the turns per second of the fastest of some runs.

    Parameters
    ----------
    run : callable
        Takes how many turns, returns how many milliseconds they took.
    """
    turns = 1
    run(turns)  # compiles
    while (taken := run(turns)) < RUN_MILLISECONDS / 10 and turns < 2**26:
        turns *= 4
    turns = max(1, int(turns * RUN_MILLISECONDS / taken))
    return 1e3 * turns / min(run(turns) for _ in range(REPEATS))
