"""A bank's filters as plain arrays, for other frameworks: NumPy's .npz, or safetensors."""

from __future__ import annotations

import importlib
import io
import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from npscatter.arguments import one_of
from npscatter.errors import ArgumentError, BackendError, explain, install_extra

SUFFIXES = (".npz", ".safetensors")
DTYPES = ("float32", "float16", "float64")
# What each weight array is for, by the architecture's `next_from`.
MEANING = {
    "carried": {
        "psi_first": "the wavelets of one raw map (the image, or a modulus at its own octave)",
        "carry_first": "from one raw map to the maps carried to the next octave",
        "low_first": "the low-pass of one raw map",
        "psi_next": "the wavelets of carried maps",
        "carry_next": "from carried maps to those of the next octave",
        "low_next": "the low-pass of carried maps",
    },
    "octave": {
        "psi_first": "the wavelets of the first octave",
        "carry_first": "from the first octave to the second, of the image and of moduli",
        "low_first": "the low-pass of the first octave, which is the last if J = 1",
        "psi_next": "the wavelets of all later octaves",
        "carry_next": "from a later octave to the next, of carried maps and of moduli",
        "low_next": "the low-pass of later octaves",
    },
}


def encode(bank: Any, path: str | os.PathLike, dtype: str) -> bytes:
    """Return the content of a file of plain taps; see `npscatter.FilterBank.export_taps`."""
    suffix = _suffix_of(path)
    one_of("dtype", dtype, DTYPES)
    taps = {key: np.ascontiguousarray(bank.real_taps(key), dtype) for key in bank}
    about = json.dumps(_about(bank))
    if suffix == ".npz":
        buffer = io.BytesIO()
        np.savez(buffer, about=np.array(about), **taps)  # type: ignore[arg-type]
        return buffer.getvalue()
    try:
        safetensors = importlib.import_module("safetensors.numpy")
    except ImportError as error:
        rule = "needs safetensors, which is not installed"
        remedy = f"{install_extra('safetensors')}, or write .npz"
        raise BackendError(explain("path", path, rule, remedy)) from error
    return safetensors.save(taps, {"about": about})


def _suffix_of(path: str | os.PathLike) -> str:
    """Return which format a path's suffix names, or raise."""
    suffix = Path(path).suffix.lower()
    if suffix not in SUFFIXES:
        rule = f"must end in {' or '.join(SUFFIXES)}"
        raise ArgumentError(explain("path", path, rule, "name the file so"))
    return suffix


def _about(bank: Any) -> dict:
    """Return what someone must know who runs the cascade with nothing but the arrays."""
    design = bank.architecture
    return {
        "name": bank.name,
        "sha256": bank.sha256,
        "L": bank.L,
        "R": bank.R,
        "boundary": bank.boundary,
        "next_from": design.next_from,
        "strides": {
            "psi": design.psi_stride,
            "carry and low of a modulus": 2 // design.psi_stride,
            "carry and low of all else": 2,
        },
        "layout": "taps[output, input, row, column], applied as correlations centred on the "
        "sample, as convolution layers apply them; of psi the first L outputs are real parts, the "
        "others imaginary parts",
        "edge": "zeros" if bank.boundary == "zero" else "maps are their own period",
        "arrays": MEANING[design.next_from],
    }
