"""Threads of numba-cuda's simulator, one at a time.

The simulator itself lets all threads of a block run, and asks each of them, over and over, whether
it has come to a barrier: most of its time goes into asking.
"""

import threading

import numpy as np
from numba.cuda.simulator import kernel


class Thread(kernel.BlockThread):
    """A thread that runs from barrier to barrier whenever it is its turn."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.turn, self.over = threading.Lock(), threading.Lock()
        self.turn.acquire()
        self.over.acquire()

    def take_turn(self):
        """Run to the next barrier, or to the end; return whether it was a barrier."""
        self.syncthreads_blocked = False
        if self.ident is None:
            self.start()
        else:
            self.turn.release()
        self.over.acquire()
        return self.syncthreads_blocked

    def run(self):
        super().run()
        self.over.release()

    def syncthreads(self):
        self.syncthreads_blocked = True
        self.over.release()
        self.turn.acquire()
        if self.abort:
            raise RuntimeError("another thread has failed")


class Block(kernel.BlockManager):
    """Runs a block: the last thread first after every other barrier, so none relies on an order."""

    def run(self, grid_point, *arguments):
        """Run all threads."""

        def target():
            self._f(*arguments)

        points = np.ndindex(*self._block_dim)
        threads = [Thread(target, self, grid_point, point, self._debug) for point in points]
        while threads:
            waiting = [thread for thread in threads if thread.take_turn()]
            for thread in threads:
                if thread.exception:
                    self.stop(waiting)
                    error, traceback = thread.exception
                    raise error.with_traceback(traceback)
            threads = waiting[::-1]

    def stop(self, threads):
        """Let threads end that wait at a barrier."""
        for thread in threads:
            thread.abort = True
            thread.take_turn()


def use_turns():
    """Let the simulator run blocks so, from now on."""
    kernel.BlockManager = Block
