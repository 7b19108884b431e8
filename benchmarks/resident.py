"""What memory this process holds, as Linux tells it."""

from __future__ import annotations

import ctypes
import gc
import re
from pathlib import Path

_PROCESS = Path("/proc/self")


def resident(entry: str) -> float:
    """Return VmRSS (now) or VmHWM (the peak) of this process in MiB."""
    text = (_PROCESS / "status").read_text()
    return int(re.search(rf"^{entry}:\s+(\d+) kB", text, re.MULTILINE)[1]) / 1024


def settle() -> float:
    """Return what has been freed to the system, let the peak begin anew, and return VmRSS."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    (_PROCESS / "clear_refs").write_text("5")
    return resident("VmRSS")
