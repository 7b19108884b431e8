"""Reading pictures: files in, arrays in [0, 1] out. Needs Pillow."""

from __future__ import annotations

import os
import stat
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import IO

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from npscatter.errors import ArgumentError, explain, printable

# What photographs and scientific pictures come in. Of what else Pillow would open, some formats
# hand the file to other programs, and some take almost any bytes for theirs.
FORMATS = ("PNG", "JPEG", "TIFF", "BMP", "GIF", "WEBP", "PPM", "JPEG2000", "AVIF")
# Pillow's own limit against small files that decode to more than a machine has memory for.
MOST_PIXELS = 178_956_970
# Luma weights of red, green and blue (ITU-R BT.601).
LUMINANCE = (0.299, 0.587, 0.114)
# How many times larger than asked for a JPEG is decoded, at least, if it is then resized.
DRAFT_FACTOR = 2

# Suffixes of pictures that are not read, with what they are and what to do. Camera raw files
# matter most: they are TIFF files whose first picture is a thumbnail.
_FOREIGN = (
    (
        ".heic .heif .heics .heifs .hif .avif .avifs .jxl .jxr .bpg",
        "HEIF and its like are not read here",
        "convert to PNG or JPEG, e.g. magick IN.heic OUT.png",
    ),
    (
        ".cr2 .cr3 .crw .nef .nrw .arw .sr2 .srf .dng .raw .raf .orf .rw2 .rwl .pef .srw .x3f "
        ".3fr .erf .fff .iiq .kdc .dcr .mos .mrw",
        "camera raw is not read",
        "develop it to 16-bit TIFF or PNG, e.g. darktable-cli IN.nef OUT.tif",
    ),
    (
        ".fits .fit .fts .dcm .dicom .nii .mrc .czi .nd2 .lif .lsm .oib .oif .vsi .svs .ndpi "
        ".scn .mha .mhd .nrrd .exr .hdr",
        "this format of science is not read",
        "read it in Python (astropy, pydicom, tifffile, ...) and call npscatter.scatter on the "
        "array, or write float TIFF and give --range",
    ),
    (
        ".svg .svgz .eps .ai .wmf .emf .cdr",
        "drawings have no pixels",
        "draw it as PNG first, e.g. rsvg-convert IN.svg -o OUT.png",
    ),
    (
        ".psd .psb .xcf .kra .ora .tga .pcx .sgi .ras .sun .dds .ico .cur .icns .qoi .xbm .xpm "
        ".wbmp .djvu .fpx .pcd",
        "this format is not read",
        "convert to PNG or TIFF, e.g. magick IN OUT.png",
    ),
)


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
class Reading:
    """How pictures are read.

    Attributes
    ----------
    channel : str
        "grey": the luminance 0.299 R + 0.587 G + 0.114 B (BT.601); "red", "green" or "blue";
        "all": these three. Grey pictures have three equal channels.
    frame : int
        Which picture of a file that holds several, from 0.
    levels : tuple of float or None
        (LOW, HIGH): the stored numbers that become 0 and 1; those beyond lie beyond. None for
        the range of the samples' type, which 8 and 16 bits alone have.
    crop, pad, size : tuple of int or None
        (H, W), in this order: sides longer than `crop` are cut to it, about the centre; sides
        shorter than `pad` are filled up to it with the mirrored picture (as the transform's own
        boundary "kymatio"), about the centre; then the picture is resized to `size`, by Pillow's
        antialiased bicubic, and clipped to the interval that [0, 1] and it span.

    Raises
    ------
    ArgumentError
        If they contradict each other, or ask for more than 178,956,970 pixels.
    """

    channel: str = "grey"
    frame: int = 0
    levels: tuple[float, float] | None = None
    crop: tuple[int, int] | None = None
    pad: tuple[int, int] | None = None
    size: tuple[int, int] | None = None

    def __post_init__(self):
        low, high = self.levels or (0, 1)
        if not (np.isfinite([low, high]).all() and low < high):
            rule = "must be two finite numbers, the lower first"
            remedy = "e.g. --range 0 4095 for samples of 12 bits"
            raise ArgumentError(explain("--range", self.levels, rule, remedy))
        for name, shape in (("--pad", self.pad), ("--size", self.size)):
            if shape and shape[0] * shape[1] > MOST_PIXELS:
                rule = f"must be at most {MOST_PIXELS:,} pixels"
                raise ArgumentError(explain(name, shape, rule, "take smaller sides"))
        if self.crop and self.pad and any(np.greater(self.crop, self.pad)):
            rule = f"must not be larger than --pad {self.pad[0]} {self.pad[1]}"
            raise ArgumentError(explain("--crop", self.crop, rule, "give both the same sides"))

    def framed(self, shape: tuple[int, int]) -> tuple[int, int]:
        """Return what `crop` and `pad` make of a shape."""
        height, width = shape
        if self.crop:
            height, width = min(height, self.crop[0]), min(width, self.crop[1])
        if self.pad:
            height, width = max(height, self.pad[0]), max(width, self.pad[1])
        return height, width


_AS_IT_IS = Reading()


@cache
def picture_suffixes() -> frozenset[str]:
    """Return the suffixes of pictures, in lower case: of those that are read, and of others."""
    return _readable_suffixes() | frozenset(_foreign_suffixes())


@cache
def _readable_suffixes() -> frozenset[str]:
    formats = {*_formats(), "MPO"}  # JPEG with several pictures; the plugin of JPEG opens it
    registered = Image.registered_extensions()
    return frozenset(suffix for suffix, format in registered.items() if format in formats)


@cache
def _formats() -> tuple[str, ...]:
    Image.init()
    return tuple(format for format in FORMATS if format in Image.OPEN)


@cache
def _foreign_suffixes() -> dict[str, tuple[str, str]]:
    foreign = {
        suffix: (kind, remedy) for suffixes, kind, remedy in _FOREIGN for suffix in suffixes.split()
    }
    return {suffix: foreign[suffix] for suffix in set(foreign) - _readable_suffixes()}


def read_shape(path: str | os.PathLike, how: Reading = _AS_IT_IS) -> tuple[int, int]:
    """Return the (H, W) a picture will have before it is cropped, padded or resized.

    Only the header is read.

    Parameters
    ----------
    path : str or path
        As for `read_image`.
    how : Reading, optional
        Its frame and levels matter.

    Raises
    ------
    ImageError
        If the header shows that the picture cannot be read so.
    """
    with _opened(path, how.frame) as image:
        _samples_of(image, how.levels)
        return _turned_shape(image)


def read_image(path: str | os.PathLike | IO[bytes], how: Reading = _AS_IT_IS) -> np.ndarray:
    """Return one picture as numbers in [0, 1].

    Parameters
    ----------
    path : str, path or file open in binary mode
        In one of `FORMATS`.
    how : Reading, optional
        Without it: grey, the first frame, the size it has.

    Returns
    -------
    ndarray of float64, shape (H, W), or (3, H, W) for channel "all"
        8-bit samples divided by 255, 16-bit samples by 65535, or as `how.levels` says; turned as
        the EXIF orientation says. Transparency is ignored; Pillow itself reduces 16-bit colour
        to 8 bits. A JPEG at least four times larger than `how.size`, if it is not cropped or
        padded, is decoded at a reduced scale first.

    Raises
    ------
    ImageError
        If the file is missing or broken, not a picture in one of `FORMATS`, too large, or its
        samples have no fixed range (32 bits, signed, floats) and no levels are given.
    """
    with _opened(path, how.frame) as image:
        samples = _samples_of(image, how.levels)
        if how.size and not (how.crop or how.pad):
            turned = _orientation(image) >= 5
            height, width = how.size[::-1] if turned else how.size
            image.draft(None, (DRAFT_FACTOR * width, DRAFT_FACTOR * height))
        image.load()
        planes = samples.planes(ImageOps.exif_transpose(image))
        return _fit(_channel(planes, how.channel), how)


def luminance(red: np.ndarray, green: np.ndarray, blue: np.ndarray) -> np.ndarray:
    """Return 0.299 red + 0.587 green + 0.114 blue (BT.601), in the planes' own dtype."""
    planes = (red, green, blue)
    return sum(
        plane.dtype.type(weight) * plane for weight, plane in zip(LUMINANCE, planes, strict=True)
    )


# Opening


@contextmanager
def _opened(path: str | os.PathLike | IO[bytes], frame: int) -> Iterator[Image.Image]:
    """Open a picture at a frame; whatever goes wrong with it becomes an `ImageError`."""
    try:
        # Pillow warns of what it mends, and of sizes below its limit.
        with _open_file(path) as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(file, formats=_formats()) as image:
                _seek(image, frame)
                _check_size(image)
                yield image
    except ImageError:
        raise
    except FileNotFoundError:
        raise ImageError("no such file") from None
    except UnidentifiedImageError:
        formats = f"not a picture in a format that is read: {', '.join(_formats())}"
        raise ImageError(formats) from None
    except Image.DecompressionBombError:
        raise _too_large() from None
    except Exception as error:  # Pillow's decoders raise many kinds on broken files
        raise ImageError("cannot be read", _one_line(error)) from None


def _open_file(path: str | os.PathLike | IO[bytes]) -> AbstractContextManager[IO[bytes]]:
    """Open a picture's file, unless its name or its kind says that there is nothing to read.

    Pillow is not given the name: it would map the pixels of TIFF files into memory, and scramble
    those that are to be turned.
    """
    if not isinstance(path, str | os.PathLike):
        return nullcontext(path)
    kind = _foreign_suffixes().get(Path(path).suffix.lower())
    if kind is not None:
        raise ImageError(kind[0], remedy=kind[1])
    # A pipe would wait for ever, or be empty when it is read again after its header.
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise ImageError("not a regular file")
    return open(path, "rb")


def _seek(image: Image.Image, frame: int) -> None:
    try:
        image.seek(frame)
    except EOFError:
        raise ImageError(f"has no frame {frame}; the first is 0") from None


def _check_size(image: Image.Image) -> None:
    width, height = image.size
    if width < 1 or height < 1:
        raise ImageError("has no pixels", f"{height} x {width}")
    if width * height > MOST_PIXELS:
        raise _too_large(f"{height} x {width}")


def _too_large(detail: str = "") -> ImageError:
    kind = f"more than {MOST_PIXELS:,} pixels, or a file made to fill the memory"
    return ImageError(kind, detail, "cut it into pieces first")


def _orientation(image: Image.Image) -> int:
    # PNG's own method decodes the picture for what may come after it.
    read = Image.Image.getexif if image.format == "PNG" else type(image).getexif
    orientation = read(image).get(0x0112, 1)
    return orientation if orientation in range(1, 9) else 1


def _turned_shape(image: Image.Image) -> tuple[int, int]:
    width, height = image.size
    if image.format == "TIFF":  # newer versions of Pillow give the size that is turned already
        width, height = image.tag_v2[256], image.tag_v2[257]
    return (width, height) if _orientation(image) >= 5 else (height, width)


def _one_line(error: Exception) -> str:
    # Messages may quote the file's bytes, and name the file anew.
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return printable(" ".join(text.split()) or type(error).__name__)[:200]


# Samples


@dataclass(frozen=True)
class _Samples:
    """What the numbers of an opened picture are, known before they are decoded.

    Attributes
    ----------
    deep : bool
        Grey of more than 8 bits, which keeps its numbers.
    unsigned : bool
        32-bit numbers without a sign, which Pillow takes for signed ones.
    factor : float
        What brings Pillow's numbers back to those in the file.
    levels : tuple of float
        The numbers in the file that become 0 and 1.
    """

    deep: bool
    unsigned: bool
    factor: float
    levels: tuple[float, float]

    def planes(self, image: Image.Image) -> np.ndarray:
        """Return float64 of shape (1, H, W) for grey and (3, H, W) for colour."""
        if self.deep:
            numbers = np.asarray(image)
            numbers = (numbers.view(np.uint32) if self.unsigned else numbers)[None]
        elif image.mode in ("1", "L", "LA"):
            numbers = np.asarray(image.convert("L"))[None]
        else:
            numbers = np.moveaxis(np.asarray(image.convert("RGB")), -1, 0)
        planes = numbers.astype(np.float64)
        if self.factor != 1:
            planes = np.rint(planes * self.factor)
        low, high = self.levels
        planes = (planes - low if low else planes) / (high - low)
        if not np.isfinite(planes).all():
            raise ImageError("holds numbers that are not finite", remedy="fill them first")
        return planes


def _samples_of(image: Image.Image, levels: tuple[float, float] | None) -> _Samples:
    """Return what the samples are, or raise `ImageError` where that is not known."""
    raw = str(image.tile)
    # 16-bit grey comes as "I;16", or, from PGM and from older Pillow's PNG, as 32-bit "I".
    sixteen = image.mode.startswith("I;16") or (
        image.mode == "I" and image.format in ("PNG", "PPM")
    )
    deep = sixteen or image.mode in ("I", "F")
    if levels is None and deep and not sixteen:
        raise ImageError(
            "samples of 32 bits, signed or floating-point have no fixed range",
            remedy="give it by --range LOW HIGH, or convert to 8 or 16 bits",
        )
    if levels is not None and not deep and ";16" in raw:
        raise ImageError(
            "colour of 16 bits is read with 8, so --range cannot say what they mean",
            remedy="split the channels into grey pictures",
        )
    white = 65535 if sixteen else 255
    stored = _white_stored(image, white)
    if levels is None:
        # Pillow stretches what it reads to all of 8 or 16 bits, but not 12-bit TIFF.
        return _Samples(deep, False, 1, (0, stored if image.format == "TIFF" else white))
    return _Samples(deep, "I;32N" in raw, stored / white if image.format == "PPM" else 1, levels)


def _white_stored(image: Image.Image, white: int) -> int:
    """Return the file's own number for white: of PGM and PPM the largest, of TIFF by its bits."""
    if image.format == "PPM" and image.tile[0][0] in ("ppm", "ppm_plain"):
        largest = image.tile[0][3][-1]
        return largest if isinstance(largest, int) else white  # black and white has none
    if image.format == "TIFF" and image.mode.startswith("I;16"):
        return 2 ** image.tag_v2.get(258, (16,))[0] - 1
    return white


# Channels and sizes


def _channel(planes: np.ndarray, channel: str) -> np.ndarray:
    if channel == "all":
        return planes if len(planes) == 3 else np.repeat(planes, 3, axis=0)
    if len(planes) == 1:
        return planes[0]
    if channel == "grey":
        return luminance(*planes)
    return planes[("red", "green", "blue").index(channel)]


def _fit(picture: np.ndarray, how: Reading) -> np.ndarray:
    for axis, side in zip((-2, -1), how.framed(picture.shape[-2:]), strict=True):
        missing = side - picture.shape[axis]
        if missing < 0:
            first = -missing // 2
            picture = np.take(picture, range(first, first + side), axis)
        elif missing > 0:
            margin = [(0, 0)] * picture.ndim
            margin[axis] = (missing // 2, missing - missing // 2)
            picture = np.pad(picture, margin, mode="reflect")
    return picture if how.size is None else _resize(picture, how.size)


def _resize(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    if picture.shape[-2:] == tuple(size):
        return picture
    if picture.ndim == 3:
        return np.stack([_resize(plane, size) for plane in picture])
    plane = Image.fromarray(picture.astype(np.float32))
    resized = plane.resize((size[1], size[0]), Image.Resampling.BICUBIC)
    low, high = min(0.0, picture.min()), max(1.0, picture.max())
    return np.clip(np.asarray(resized, dtype=np.float64), low, high)
