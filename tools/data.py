"""Photographs and random images for learning filters and for measuring them.

Every picture comes back as a float32 array of shape (H, W) in [0, 1]; the random
images follow the standard normal law instead. Nothing here uses the network: the
packaged photographs ship with scikit-image and scikit-learn. The data sets others
publish are read by `tools.published_sets`.
"""

from pathlib import Path

import numpy as np

from npscatter.arguments import at_least, one_of, pair
from npscatter.cli.images import ImageError, luminance, read_image
from npscatter.cli.terminal import echo
from npscatter.errors import ArgumentError, explain

LEARNING_PHOTOGRAPHS = (
    "astronaut",
    "chelsea",
    "coins",
    "gravel",
    "grass",
    "hubble_deep_field",
    "immunohistochemistry",
    "moon",
    "motorcycle_left",
    "china",
)
HELD_OUT_PHOTOGRAPHS = ("camera", "coffee", "rocket", "brick", "retina", "flower")

CHANNELS = ("red", "green", "blue", "grey")


def grey(image):
    """Turn one picture into grey levels by the ITU-R BT.601 luminance weights.

    Parameters
    ----------
    image : array, shape (H, W) or (H, W, C) with C from 1 to 4
        Levels (C = 1), levels and alpha (2), red-green-blue (3) or red-green-blue and
        alpha (4). bool, uint8, uint16, or floating point in [0, 1]. Alpha is dropped.

    Returns
    -------
    array, float32, shape (H, W), range [0, 1]
        0.299 red + 0.587 green + 0.114 blue; a picture without colour keeps its levels.

    Raises
    ------
    ArgumentError
        If the shape, the type or the range is none of the above.
    """
    image = np.asarray(image)
    if image.ndim not in (2, 3):
        rule = "must be one picture, (H, W) or (H, W, C)"
        raise ArgumentError(explain("image.shape", image.shape, rule, "pass pictures one by one"))
    return choose_channel(image, "grey")


def packaged_photographs(split, channel="grey"):
    """Return the photographs that ship with scikit-image and scikit-learn.

    Parameters
    ----------
    split : {"learning", "held-out"}
        `LEARNING_PHOTOGRAPHS` or `HELD_OUT_PHOTOGRAPHS`; no photograph is in both.
    channel : {"grey", "red", "green", "blue"}
        Grey levels, or one colour; grey photographs have the same level in all of them.

    Returns
    -------
    dict of str to array, float32, shape (H, W), range [0, 1]
        By name, in the order of the tuple.

    Raises
    ------
    ArgumentError
        If an argument is not one of its choices.
    ImportError
        If scikit-image or scikit-learn is not installed.
    """
    splits = {"learning": LEARNING_PHOTOGRAPHS, "held-out": HELD_OUT_PHOTOGRAPHS}
    one_of("split", split, tuple(splits))
    one_of("channel", channel, CHANNELS)
    pictures = {name: np.asarray(_packaged_photograph(name)) for name in splits[split]}
    return {name: choose_channel(picture, channel) for name, picture in pictures.items()}


def check_photographs(source):
    """Raise an ArgumentError unless `photographs_from` knows such a source."""
    kind, _, path = source.partition(":")
    if kind not in ("photographs", "folder"):
        rule = "must be photographs or folder:PATH"
        raise ArgumentError(explain("source", source, rule, "pass one of them"))
    if kind == "folder" and not Path(path).is_dir():
        raise ArgumentError(explain("source", source, "must name a folder", "check the path"))


def photographs_from(source):
    """Read photographs to learn from, grey.

    Parameters
    ----------
    source : str
        "photographs", those that are packaged, or "folder:PATH".

    Returns
    -------
    dict of str to array, float32, shape (H, W)
        Name to photograph. Files of a folder that cannot be read are printed and left out.
    """
    kind, _, path = source.partition(":")
    if kind == "photographs":
        return packaged_photographs("learning")
    check_photographs(source)
    photographs, unreadable = photographs_in_folder(path)
    for name, reason in unreadable:
        echo(f"left out {name}: {reason}")
    return photographs


def random_images(count, shape, seed):
    """Draw images whose pixels are independent and standard normal.

    Parameters
    ----------
    count : int, at least 1
        Number of images.
    shape : (int, int) or int
        Height and width; one number means a square.
    seed : int, at least 0
        The same seed gives the same images.

    Returns
    -------
    array, float32, shape (count, H, W)
        Mean 0, variance 1, unbounded range.

    Raises
    ------
    ArgumentError, ArgumentTypeError
        If an argument is out of range, or not an integer.
    """
    check_count_and_seed(count, seed)
    generator = np.random.default_rng(seed)
    return generator.standard_normal((count, *_height_width("shape", shape)), dtype=np.float32)


def photographs_in_folder(path):
    """Read every picture directly inside a folder.

    Hidden files and sub-folders are passed over. A file that cannot be read is reported
    and never loses the others.

    Parameters
    ----------
    path : str or Path
        Folder with pictures as `npscatter.cli.images.read_image` reads them.

    Returns
    -------
    photographs : dict of str to array, float32, shape (H, W), range [0, 1]
        Grey levels by file name, in the order of the names.
    unreadable : list of (str, str)
        File name and reason of each file that could not be read.

    Raises
    ------
    FileNotFoundError
        If there is no such folder.
    ArgumentError
        If `path` is not a folder, or nothing in it could be read.
    """
    folder = Path(path)
    check_exists(folder, "pass a folder that holds pictures")
    if not folder.is_dir():
        remedy = "pass the folder that holds it"
        raise ArgumentError(explain("path", str(path), "must be a folder", remedy))
    photographs, unreadable = {}, []
    for file in sorted(folder.iterdir()):
        if file.is_dir() or file.name.startswith("."):
            continue
        try:
            photographs[file.name] = read_image(file).astype(np.float32)
        except ImageError as fault:
            unreadable.append((file.name, str(fault)))
    if not photographs:
        held = "; ".join(f"{name} ({reason})" for name, reason in unreadable) or "no files"
        rule = f"must hold at least one readable picture, but holds {held}"
        remedy = "pass a folder with PNG or JPEG pictures"
        raise ArgumentError(explain("path", str(path), rule, remedy))
    return photographs, unreadable


def crops(photographs, size, count, seed):
    """Cut random pieces out of photographs, evenly over the photographs.

    Each photograph large enough gives floor(count / P) or ceil(count / P) of the pieces,
    P being their number; the smaller ones are skipped.

    Parameters
    ----------
    photographs : dict of str to array, shape (H, W)
        As `packaged_photographs` and `photographs_in_folder` return them. Only names and
        pixels matter, not the order of the dictionary.
    size : (int, int) or int
        Height and width of a piece; one number means a square.
    count : int, at least 1
        Number of pieces.
    seed : int, at least 0
        The same seed gives the same pieces.

    Returns
    -------
    array, float32, shape (count, height, width)
        In the range of the photographs.

    Raises
    ------
    ArgumentError, ArgumentTypeError
        If an argument is out of range, or not an integer, a photograph is not (H, W), or none is
        large enough.
    """
    height, width = _height_width("size", size)
    check_count_and_seed(count, seed)
    shapes = {name: np.shape(photograph) for name, photograph in sorted(photographs.items())}
    for name, shape in shapes.items():
        if len(shape) != 2:
            remedy = "turn it into grey levels with grey()"
            argument = f"photographs[{name!r}].shape"
            raise ArgumentError(explain(argument, shape, "must be (H, W)", remedy))
    large = [name for name, shape in shapes.items() if shape[0] >= height and shape[1] >= width]
    if not large:
        rule = f"at least one photograph must be that large, but their shapes are {shapes}"
        remedy = "ask for a smaller size or add larger photographs"
        raise ArgumentError(explain("size", size, rule, remedy))
    generator = np.random.default_rng(seed)
    rounds = -(-count // len(large))
    turns = np.concatenate([generator.permutation(large) for _ in range(rounds)])[:count]
    pieces = np.empty((count, height, width), dtype=np.float32)
    for piece, name in zip(pieces, turns, strict=True):
        top = generator.integers(shapes[name][0] - height + 1)
        left = generator.integers(shapes[name][1] - width + 1)
        piece[:] = photographs[name][top : top + height, left : left + width]
    return pieces


def choose_channel(image, channel):
    """Take one channel of (H, W) or (..., H, W, C) pictures as float32 in [0, 1]."""
    if image.ndim > 2 and image.shape[-1] not in (1, 2, 3, 4):
        rule = "the last axis must hold 1 to 4 channels"
        remedy = "move the channels to the last axis"
        raise ArgumentError(explain("image.shape", image.shape, rule, remedy))
    if image.ndim == 2:
        return _unit_range(image)
    if image.shape[-1] <= 2:
        return _unit_range(image[..., 0])
    if channel != "grey":
        return _unit_range(image[..., CHANNELS.index(channel)])
    return luminance(*(_unit_range(image[..., position]) for position in range(3)))


def check_count_and_seed(count, seed):
    at_least("count", count, 1, "pass 1 or more")
    at_least("seed", seed, 0, "pass 0 or more")


def check_exists(path, remedy):
    if not path.exists():
        raise FileNotFoundError(explain("path", str(path), "must exist", remedy))


def _unit_range(levels):
    kind, bytes_each = levels.dtype.kind, levels.dtype.itemsize
    if levels.size and kind == "b":
        return levels.astype(np.float32)
    if levels.size and kind == "u" and bytes_each <= 2:
        return levels.astype(np.float32) / np.float32(np.iinfo(levels.dtype).max)
    if levels.size and kind == "f" and levels.min() >= 0 and levels.max() <= 1:
        return levels.astype(np.float32)
    raise ArgumentError(
        explain(
            "image",
            f"shape {levels.shape}, dtype {levels.dtype}",
            "must be non-empty and bool, uint8, uint16, or floating point in [0, 1]",
            "divide the levels by their largest possible value",
        )
    )


def _packaged_photograph(name):
    try:
        if name in ("china", "flower"):
            from sklearn.datasets import load_sample_image

            return load_sample_image(f"{name}.jpg")
        from skimage import data
    except ImportError as fault:
        rule = f"comes with scikit-image or scikit-learn, and both must be installed ({fault})"
        remedy = "pip install scikit-image scikit-learn"
        raise ImportError(explain("photograph", name, rule, remedy)) from fault
    if name == "motorcycle_left":
        return data.stereo_motorcycle()[0]
    return getattr(data, name)()


def _height_width(argument, value):
    remedy = "pass two integers, or one for a square"
    if not isinstance(value, tuple | list):
        value = (value, value)
    sides = pair(argument, value, "(height, width), or one number", remedy)
    return tuple(at_least(argument, side, 1, remedy) for side in sides)
