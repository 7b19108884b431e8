"""The GPU's kernels against the definition, on random transforms, in the simulator."""

import os
import subprocess
import sys
from pathlib import Path

TESTS = Path(__file__).parents[1]


def test_random_transforms_equal_the_definition(profile):
    path = os.pathsep.join([str(TESTS.parent), str(TESTS)])
    ran = subprocess.run(
        [sys.executable, TESTS / "gpu" / "property_simulated.py", profile],
        env=os.environ | {"NUMBA_ENABLE_CUDASIM": "1", "NUMBA_OPT": "0", "PYTHONPATH": path},
        **{"capture_output": True, "text": True, "timeout": 900},
    )
    assert ran.returncode == 0, ran.stderr[-4000:]
