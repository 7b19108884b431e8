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

from npscatter.cli.finding import picture_format
from npscatter.cli.samples import CHANNELS, ImageError, Samples, samples_of
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
        (LOW, HIGH): the stored numbers that become 0 and 1; those beyond lie beyond. They count
        from black, 0, also where the file has 0 for white. None for the range of the samples'
        type, which 16 bits and less alone have.
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


@dataclass(frozen=True)
class Header:
    """What is known of a picture before its pixels are decoded.

    Attributes
    ----------
    shape : tuple of int
        The (H, W) it will have before it is cropped, padded or resized.
    kind : str
        Of the stored numbers: "8 bits", "16 bits", "floats", ...
    reduced : bool
        More than 8 bits are stored, of which Pillow reads 8.
    frames : bool
        The file holds further frames than the first.
    """

    shape: tuple[int, int]
    kind: str
    reduced: bool
    frames: bool


def read_header(path: str | os.PathLike, how: Reading = _AS_IT_IS) -> Header:
    """Return what a picture's header says; nothing else is read.

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
        samples = samples_of(image, how.levels)
        shape = _turned_shape(image)
        return Header(shape, samples.kind, samples.reduced, _has_frames(image))


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
        the EXIF orientation says. Transparency is ignored; Pillow itself reduces colour of 16 bits,
        and grey of 16 bits with transparency, to 8. A JPEG at least four times larger than
        `how.size`, if it is not cropped or padded, is decoded at a reduced scale first.

    Raises
    ------
    ImageError
        If the file is missing or broken, not a picture in one of `FORMATS`, too large, its
        samples have no fixed range (32 bits, signed, floats) and no levels are given, or levels
        are given and Pillow does not tell the stored numbers.
    MemoryError
        If there is no memory for the pixels.
    """
    with _opened(path, how.frame) as image:
        samples = samples_of(image, how.levels)
        if how.size and not (how.crop or how.pad):
            turned = _orientation(image) >= 5
            height, width = how.size[::-1] if turned else how.size
            image.draft(None, (DRAFT_FACTOR * width, DRAFT_FACTOR * height))
        image.load()
        ImageOps.exif_transpose(image, in_place=True)
        numbers = samples.numbers(_cropped(image, how), how.channel)
    return _fit(_channel(samples.scaled(numbers, how.levels), how.channel), how)


def fitted(planes: np.ndarray, samples: Samples, how: Reading) -> np.ndarray:
    """Return stored numbers (1 or 3, H, W) as `read_image` returns those of a file."""
    if how.channel in CHANNELS and len(planes) == 3:
        planes = planes[[CHANNELS.index(how.channel)]]
    rows, columns = _middle(planes.shape[-2:], how)
    scaled = samples.scaled(planes[:, rows, columns], how.levels)
    return _fit(_channel(scaled, how.channel), how)


def luminance(red: np.ndarray, green: np.ndarray, blue: np.ndarray) -> np.ndarray:
    """Return 0.299 red + 0.587 green + 0.114 blue (BT.601), in the planes' own dtype."""
    planes = (red, green, blue)
    return sum(
        plane.dtype.type(weight) * plane for weight, plane in zip(LUMINANCE, planes, strict=True)
    )


# Opening


@contextmanager
def _opened(path: str | os.PathLike | IO[bytes], frame: int) -> Iterator[Image.Image]:
    """Open a picture at a frame; whatever is wrong with its file becomes an `ImageError`."""
    try:
        # Pillow warns of what it mends, and of sizes below its limit.
        with _open_file(path) as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with _identified(file, frame) as image:
                check_size(image.height, image.width)
                yield image
    except (ImageError, MemoryError):
        raise
    except FileNotFoundError:
        raise ImageError("no such file") from None
    except Image.DecompressionBombError:
        raise _too_large() from None
    except Exception as error:  # Pillow's decoders raise many kinds on broken files
        raise ImageError("cannot be read", one_line(error)) from None


def _identified(file: IO[bytes], frame: int) -> Image.Image:
    """Return a file's picture at a frame, not decoded yet."""
    try:
        image = Image.open(file, formats=_formats())
        _seek(image, frame)
    except UnidentifiedImageError:
        raise _unknown(file) from None
    except MemoryError:  # before any pixel: lengths that the file made up
        raise ImageError("cannot be read", "its header asks for too much memory") from None
    return image


def _unknown(file: IO[bytes]) -> ImageError:
    """Return what to say of a file that Pillow makes nothing of, by its first bytes."""
    file.seek(0)
    start = file.read(32)
    format = picture_format(start)
    if not start:
        return ImageError("is empty")
    if format is None:
        return ImageError(f"not a picture in a format that is read: {', '.join(_formats())}")
    if format == "TIFF":
        kind = "a TIFF file of samples or a compression that are not read, or broken"
        return ImageError(kind, remedy="save it as float32, or with 8 or 16 bits")
    if format == "JPEG":
        kind = "a JPEG file of more than 8 bits, or broken"
        return ImageError(kind, remedy="save it with 8 bits, or as 16-bit PNG or TIFF")
    return ImageError(f"a {format} file, but broken")


def _open_file(path: str | os.PathLike | IO[bytes]) -> AbstractContextManager[IO[bytes]]:
    """Open a picture's file, unless its name or its kind says that there is nothing to read.

    Pillow is not given the name: it would map the pixels of TIFF files into memory, and scramble
    those that are to be turned.
    """
    if not isinstance(path, str | os.PathLike):
        return nullcontext(path)
    check_suffix(path)
    # A pipe would wait for ever, or be empty when it is read again after its header.
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise ImageError("not a regular file")
    return open(path, "rb")


def check_suffix(path: str | os.PathLike) -> None:
    """Raise `ImageError` if a name is that of a picture in a format that is not read."""
    kind = _foreign_suffixes().get(Path(path).suffix.lower())
    if kind is not None:
        raise ImageError(kind[0], remedy=kind[1])


def _seek(image: Image.Image, frame: int) -> None:
    try:
        image.seek(frame)
    except EOFError:
        raise ImageError(f"has no frame {frame}; the first is 0") from None


def check_size(height: int, width: int) -> None:
    """Raise `ImageError` if a picture has no pixels, or too many."""
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


def _has_frames(image: Image.Image) -> bool:
    try:
        return bool(getattr(image, "is_animated", False))
    except Exception:  # what comes after the first frame is broken
        return False


def one_line(error: Exception) -> str:
    """Return what an error of others says, shortened and on one line."""
    # Messages may quote the file's bytes, and name the file anew.
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return printable(" ".join(text.split()) or type(error).__name__)[:200]


# Channels and sizes


def _channel(planes: np.ndarray, channel: str) -> np.ndarray:
    if channel == "all":
        return planes if len(planes) == 3 else np.repeat(planes, 3, axis=0)
    return planes[0] if len(planes) == 1 else luminance(*planes)


def _cropped(image: Image.Image, how: Reading) -> Image.Image:
    """Return what is left of a picture's middle by `how.crop`."""
    rows, columns = _middle((image.height, image.width), how)
    box = (columns.start, rows.start, columns.stop, rows.stop)
    return image if box == (0, 0, *image.size) else image.crop(box)


def _middle(shape: tuple[int, ...], how: Reading) -> tuple[slice, slice]:
    """Return the rows and the columns of a picture that `how.crop` leaves."""
    rows, columns = (
        slice((side - kept) // 2, (side - kept) // 2 + kept)
        for side, kept in zip(shape, map(min, shape, how.crop or shape), strict=True)
    )
    return rows, columns


def _fit(picture: np.ndarray, how: Reading) -> np.ndarray:
    """Return a cropped picture padded and resized."""
    for axis, side in zip((-2, -1), how.framed(picture.shape[-2:]), strict=True):
        missing = side - picture.shape[axis]
        if missing:
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
