"""What numbers a picture's file holds, and what Pillow makes of them."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from PIL import Image

CHANNELS = ("red", "green", "blue")


class ImageError(Exception):
    """A file does not hold a picture that can be read.

    Parameters
    ----------
    kind : str
        What is wrong; the same words for every file with this fault.
    detail : str, optional
        What differs from file to file.
    remedy : str, optional
        What to do; as `kind`.
    """

    def __init__(self, kind: str, detail: object = "", remedy: str = ""):
        self.kind, self.remedy = kind, remedy
        self.brief = f"{kind} ({detail})" if str(detail) else kind
        super().__init__(f"{self.brief}; {remedy}" if remedy else self.brief)


@dataclass(frozen=True)
class Samples:
    """What the numbers of an opened picture are, known before they are decoded.

    Attributes
    ----------
    kind : str
        Of the numbers in the file, in words.
    deep : bool
        Grey of more than 8 bits, which keeps its numbers.
    reduced : bool
        More than 8 bits, of which Pillow reads 8.
    unsigned : bool
        32-bit numbers without a sign, which Pillow takes for signed ones.
    negative : bool
        Grey whose 0 is white, which Pillow leaves so.
    white, stored : int
        The number that Pillow reads for white, and the one that the file has for it, counted from
        black. Where neither is fixed they are equal.
    """

    kind: str
    deep: bool
    reduced: bool
    unsigned: bool
    negative: bool
    white: int
    stored: int

    def numbers(self, image: Image.Image, channel: str) -> np.ndarray:
        """Return what Pillow reads: shape (1, H, W) of grey or of one channel, or (3, H, W)."""
        if self.deep:
            numbers = np.asarray(image)
            return (numbers.view(np.uint32) if self.unsigned else numbers)[None]
        if image.mode in ("1", "L", "LA"):
            return np.asarray(image.convert("L"))[None]
        colour = image.convert("RGB")
        if channel in CHANNELS:
            return np.asarray(colour.getchannel(CHANNELS.index(channel)))[None]
        return np.moveaxis(np.asarray(colour), -1, 0)

    def scaled(self, numbers: np.ndarray, levels: tuple[float, float] | None) -> np.ndarray:
        """Return float64 in which the levels, or black and white, are 0 and 1."""
        planes = numbers.astype(np.float64)
        if self.negative:
            planes = self.white - planes
        if levels and self.stored != self.white:
            planes = np.rint(planes * (self.stored / self.white))
        low, high = levels or (0, self.white)
        planes = (planes - low if low else planes) / (high - low)
        if not np.isfinite(planes).all():
            raise ImageError("holds numbers that are not finite", remedy="fill them first")
        return planes


def samples_of(image: Image.Image, levels: tuple[float, float] | None) -> Samples:
    """Return what the samples are, or raise `ImageError` where that is not known."""
    raw = str(image.tile)  # what Pillow calls the numbers in the file, among other things
    tags = image.tag_v2 if image.format == "TIFF" else {}
    # 16-bit grey comes as "I;16", or, from PGM and from older Pillow's PNG, as 32-bit "I".
    sixteen = image.mode.startswith("I;16") or (
        image.mode == "I" and image.format in ("PNG", "PPM")
    )
    deep = sixteen or image.mode in ("I", "F")
    white, stored = _whites(image, raw, sixteen)
    reduced = not deep and (re.search("(LA|RGB[AaX]?|CMYK);16", raw) is not None or stored > 255)
    if image.mode == "L" and 2 in tags.get(339, ()):
        raise ImageError(
            "signed samples of 8 bits are not read",
            remedy="convert to 16 bits or floats, and give --range",
        )
    if not deep and max(tags.get(258, (1,))) > 8 and re.search("'[A-Z]'", raw):
        raise ImageError(
            "colour of 16 bits whose channels lie apart is not read",
            remedy="save it with the channels together, or with 8 bits",
        )
    if levels is None and deep and not sixteen:
        raise _no_range()
    if levels is not None:
        _check_stored_are_known(image, raw, reduced)
    # Of 8 bits and less Pillow makes the positive itself, and calls them "L;I" and the like.
    negative = sixteen and bool(tags) and tags.get(262, 0) == 0
    return Samples(
        _kind(image, raw, deep and not sixteen, stored),
        deep,
        reduced,
        unsigned=image.mode == "I" and tags.get(258) == (32,) and 1 in tags.get(339, (1,)),
        negative=negative and re.search("'I;16[BLNR]?'", raw) is not None,
        white=white,
        stored=stored,
    )


def samples_of_array(dtype: np.dtype, levels: tuple[float, float] | None) -> Samples:
    """Return what the numbers of an array are, or raise `ImageError` where that is not known."""
    if dtype.kind not in "buif":
        raise ImageError(f"an array of {dtype}, not of real numbers")
    bits = 1 if dtype.kind == "b" else 8 * dtype.itemsize
    if levels is None and not (dtype.kind in "bu" and bits <= 16):
        raise _no_range()
    words = {"f": f"floats of {bits} bits", "i": f"signed {bits} bits"}
    kind = words.get(dtype.kind, f"{bits} bits" if bits > 1 else "1 bit")
    white = 2**bits - 1
    return Samples(kind, False, False, False, False, white, white)


def _no_range() -> ImageError:
    return ImageError(
        "samples of 32 bits, signed or floating-point have no fixed range",
        remedy="give it by --range LOW HIGH, or convert to 8 or 16 bits",
    )


def _whites(image: Image.Image, raw: str, sixteen: bool) -> tuple[int, int]:
    """Return the number that Pillow reads for white, and the file's own.

    Pillow stretches what it reads to all of 8 or 16 bits, but not 12-bit TIFF.
    """
    white = 65535 if sixteen else 255
    if "'I;12'" in raw:
        return 4095, 4095
    if image.mode == "1":
        return white, 1
    if few := re.search("'L;([24])", raw):
        return white, 2 ** int(few[1]) - 1
    if image.format == "PPM" and image.tile[0][0] in ("ppm", "ppm_plain"):
        return white, image.tile[0][3][-1]
    return white, white


def _check_stored_are_known(image: Image.Image, raw: str, reduced: bool) -> None:
    """Refuse pictures of which Pillow does not tell what numbers their files hold."""
    if image.format in ("JPEG2000", "AVIF"):
        raise ImageError(
            "JPEG 2000 and AVIF do not show the stored numbers, so --range cannot say what they "
            "mean",
            remedy="convert to PNG or TIFF",
        )
    if reduced:
        raise ImageError(
            "colour of 16 bits, or grey of 16 with transparency, is read with 8, so --range cannot "
            "say what they mean",
            remedy="write the channels as grey pictures, without transparency",
        )
    if re.search("'BGR;1[56]'", raw):
        raise ImageError(
            "colour of 5 and 6 bits is stretched, so --range cannot say what they mean",
            remedy="convert to PNG",
        )


def _kind(image: Image.Image, raw: str, unlimited: bool, stored: int) -> str:
    """Return in words what numbers a file holds."""
    if image.mode == "F":
        return "floats"
    if unlimited:
        return "signed 16 bits" if ";16" in raw else "32 bits"
    bits = stored.bit_length()
    return f"{bits} bits" if bits > 1 else "1 bit"
