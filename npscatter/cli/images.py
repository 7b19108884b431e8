"""Reading pictures: files in, arrays in [0, 1] out. Needs Pillow."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable
from pathlib import Path
from typing import IO

import numpy as np
from PIL import Image, ImageOps

# Luma weights of red, green and blue (ITU-R BT.601).
LUMINANCE = (0.299, 0.587, 0.114)


class ImageError(Exception):
    """A file does not hold a picture that can be read."""


def find_images(arguments: Iterable[str]) -> tuple[list[str], list[str]]:
    """Return the files that `arguments` name.

    Parameters
    ----------
    arguments : iterable of str
        Files; folders, which stand for the pictures in them (by suffix, sorted by name, hidden
        files and subfolders left out); glob patterns, ``**`` included, for what no shell expanded.

    Returns
    -------
    files : list of str
        In the order of the arguments. A file named outright is listed whether or not it exists.
    empty : list of str
        The folders and patterns in which no picture was found.
    """
    files, empty = [], []
    for argument in arguments:
        if os.path.isdir(argument):
            files_here = _images_in(argument)
        elif not os.path.lexists(argument) and glob.has_magic(argument):
            matches = sorted(glob.glob(argument, recursive=True))
            files_here = [match for match in matches if not os.path.isdir(match)]
        else:
            files_here = [argument]
        files += files_here
        if not files_here:
            empty.append(argument)
    return files, empty


def _images_in(folder: str) -> list[str]:
    readable = {
        suffix for suffix, format in Image.registered_extensions().items() if format in Image.OPEN
    }
    try:
        names = sorted(os.listdir(folder))
    except OSError:
        return []
    return [
        os.path.join(folder, name)
        for name in names
        if not name.startswith(".")
        and Path(name).suffix.lower() in readable
        and os.path.isfile(os.path.join(folder, name))
    ]


def read_image(
    path: str | os.PathLike | IO[bytes], channel: str = "grey", size: tuple[int, int] | None = None
) -> np.ndarray:
    """Return one picture as numbers in [0, 1].

    Parameters
    ----------
    path : str, path or file open in binary mode
        Any file Pillow reads; of several frames, the first.
    channel : str, optional
        "grey": the luminance 0.299 R + 0.587 G + 0.114 B (BT.601); "red", "green" or "blue";
        "all": these three. Grey pictures have three equal channels.
    size : tuple of int, optional
        (H, W) to resize to, by Pillow's antialiased bicubic, clipped to [0, 1]. Without it the
        picture keeps its size.

    Returns
    -------
    ndarray of float64, shape (H, W), or (3, H, W) for "all"
        8-bit samples divided by 255, 16-bit samples by 65535, turned as the EXIF orientation
        says. Transparency is ignored; Pillow itself reduces 16-bit colour to 8 bits.

    Raises
    ------
    ImageError
        If the file is missing, broken, or its samples have no fixed range (32 bits, floats).
    """
    try:
        with Image.open(path) as image:
            image.load()
            samples = _samples(ImageOps.exif_transpose(image), image.format)
    except FileNotFoundError:
        raise ImageError("no such file") from None
    except ImageError:
        raise
    except Image.UnidentifiedImageError:
        raise ImageError("not a picture in a format Pillow knows") from None
    except Exception as error:  # Pillow's decoders raise many kinds on broken files
        raise ImageError(f"cannot be read ({_one_line(error)})") from None
    if channel == "all":
        picture = samples if len(samples) == 3 else np.repeat(samples, 3, axis=0)
    elif len(samples) == 1:
        picture = samples[0]
    elif channel == "grey":
        picture = luminance(*samples)
    else:
        picture = samples[("red", "green", "blue").index(channel)]
    return picture if size is None else _resize(picture, size)


def luminance(red: np.ndarray, green: np.ndarray, blue: np.ndarray) -> np.ndarray:
    """Return 0.299 red + 0.587 green + 0.114 blue (BT.601), in the planes' own dtype."""
    planes = (red, green, blue)
    return sum(
        plane.dtype.type(weight) * plane for weight, plane in zip(LUMINANCE, planes, strict=True)
    )


def _samples(image: Image.Image, format: str | None) -> np.ndarray:
    """Return the samples in [0, 1], shape (1, H, W) for grey and (3, H, W) for colour."""
    # 16-bit grey comes as "I;16", or, from PGM and from older Pillow's PNG, as 32-bit "I".
    if image.mode.startswith("I;16") or (image.mode == "I" and format in ("PNG", "PPM")):
        return np.asarray(image, dtype=np.float64)[None] / 65535
    if image.mode in ("I", "F"):
        raise ImageError(f"{_SAMPLES[image.mode]} have no fixed range; convert to 8 or 16 bits")
    if image.mode in ("1", "L", "LA"):
        return np.asarray(image.convert("L"), dtype=np.float64)[None] / 255
    colour = np.asarray(image.convert("RGB"), dtype=np.float64) / 255
    return np.moveaxis(colour, -1, 0)


_SAMPLES = {"I": "32-bit samples", "F": "floating-point samples"}


def _resize(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    if picture.shape[-2:] == tuple(size):
        return picture
    if picture.ndim == 3:
        return np.stack([_resize(plane, size) for plane in picture])
    plane = Image.fromarray(picture.astype(np.float32))
    resized = plane.resize((size[1], size[0]), Image.Resampling.BICUBIC)
    return np.clip(np.asarray(resized, dtype=np.float64), 0, 1)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
