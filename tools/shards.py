"""Tar shards of pieces of photographs, such as a pipeline is tried on."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import numpy as np
from PIL import Image

from tools.data import packaged_photographs


def write_shard(path: Path, count: int, shape: tuple[int, int], suffix: str) -> None:
    """Write a tar file of pieces of photographs of a shape, enlarged where they are smaller."""
    photographs = packaged_photographs("held-out").values()
    photographs = [(255 * one).astype(np.uint8) for one in photographs]
    random = np.random.default_rng(0)
    with tarfile.open(path, "w") as tar:
        for number in range(count):
            whole = photographs[number % len(photographs)]
            sides = [min(side, most) for side, most in zip(shape, whole.shape, strict=True)]
            y, x = (random.integers(0, m - s + 1) for m, s in zip(whole.shape, sides, strict=True))
            piece = Image.fromarray(whole[y : y + sides[0], x : x + sides[1]])
            file = io.BytesIO()
            piece.resize(shape[::-1]).save(file, "png" if suffix == "png" else "jpeg")
            member = tarfile.TarInfo(f"{number:06}.{suffix}")
            member.size = file.tell()
            file.seek(0)
            tar.addfile(member, file)
