"""The installed package alone, without Torch, SciPy, Kymatio and the extras."""

import importlib.util
import sys
from pathlib import Path

import numpy as np

import cexport
import npscatter

for absent in ("torch", "scipy", "kymatio", "matplotlib", "click", "numba_cuda"):
    assert importlib.util.find_spec(absent) is None, absent
for package in (npscatter, cexport):
    assert Path(package.__file__).is_relative_to(sys.prefix), package
coefficients = npscatter.scatter(np.ones((2, 32, 32), np.float32))
assert coefficients.shape == (2, 81, 8, 8), coefficients.shape
reference = npscatter.scatter(np.ones((2, 32, 32), np.float32), backend="numpy")
assert np.allclose(coefficients, reference, atol=1e-6)
try:
    npscatter.scatter(np.ones((32, 32)), backend="cuda")
    raise AssertionError("there is no GPU here")
except npscatter.BackendError as error:
    assert "[cuda13]" in str(error), error
assert cexport.generate().startswith("/* Scattering")
