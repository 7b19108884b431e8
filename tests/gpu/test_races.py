"""No thread of a block touches what another one writes, but for a barrier between.

Every barrier of the kernels, left out, makes a conflict that is found; so does a ring that is a row
too short.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from gpu_cases import CASES

from npscatter.backends.gpu import tiling

TESTS = Path(__file__).parents[1]
# Between them they need every barrier.
SWEEPS = ["tiles: prefetch", "tiles: strips and advances"]
FREE = [name for name in CASES if name.startswith(("architecture", "tiles", "scale", "storage"))]
FREE += ["dtype: float64", "memory: orientations in rounds"]
FREE += [
    "outputs: moduli",
    "outputs: moduli, tiles",
    "outputs: means, tiles",
    "outputs: fine, tiles",
]


def barriers_of(name):
    """Return the numbers of the lines of a file that are barriers."""
    lines = Path(tiling.__file__).with_name(name).read_text().splitlines()
    return [n for n, line in enumerate(lines, 1) if "cuda.syncthreads()" in line]


BARRIERS = barriers_of("kernel.py")
(LOOKING,) = barriers_of("magnitudes.py")
SHORT = ["architecture: symmetric L=4 R=3", "architecture: free, strided wavelets"]
TILES = ["source_tile", "moduli_tile"]

JOBS = {
    **{name: {"case": name, "blocks": 3} for name in FREE},
    **{
        f"{name} without {line}": {"case": name, "blocks": 2, "removed": line}
        for name in SWEEPS
        for line in BARRIERS
    },
    **{f"{name} {tile}": {"case": name, "short": tile} for name in SHORT for tile in TILES},
    "looking": {"threads": 64},
    "looking without a barrier": {"threads": 64, "removed": LOOKING},
}


@pytest.fixture(scope="module")
def looked(tmp_path_factory):
    """Return what every job has found, launch by launch."""
    path = tmp_path_factory.mktemp("races") / "races.json"
    ran = subprocess.run(
        [sys.executable, TESTS / "gpu_races.py", path, json.dumps(JOBS)],
        env=os.environ | {"NUMBA_ENABLE_CUDASIM": "1", "PYTHONPATH": str(TESTS.parent)},
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert ran.returncode == 0, ran.stderr[-4000:]
    return json.loads(path.read_text())


@pytest.mark.parametrize("name", FREE)
def test_kernels_have_no_races(looked, name):
    assert looked[name]
    for launch in looked[name]:
        assert launch["conflicts"] == [] and launch["barriers"] and launch["blocks"]


def test_every_barrier_is_passed(looked):
    passed = {line for name in SWEEPS for launch in looked[name] for line in launch["barriers"]}
    assert sorted(passed) == BARRIERS and len(BARRIERS) > 3


@pytest.mark.parametrize("line", BARRIERS)
def test_a_barrier_left_out_makes_a_race(looked, line):
    assert any(
        launch["conflicts"] for name in SWEEPS for launch in looked[f"{name} without {line}"]
    )


@pytest.mark.parametrize("tile", TILES)
@pytest.mark.parametrize("name", SHORT)
def test_a_ring_a_row_too_short_makes_a_race(looked, name, tile):
    for launch in looked[f"{name} {tile}"]:
        assert launch["conflicts"]


def test_looking_through_images_has_no_races(looked):
    for launch, alone in zip(looked["looking"], looked["looking without a barrier"], strict=True):
        assert launch["conflicts"] == [] and launch["barriers"] == [LOOKING]
        assert alone["conflicts"]
