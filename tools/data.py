"""Image sources for learning filters and for measuring them.

Every picture comes back as a float32 array of shape (H, W) in [0, 1]; the random
images follow the standard normal law instead. Nothing here uses the network: the
packaged photographs ship with scikit-image and scikit-learn, and the data sets are
read from files in the layout their authors publish.
"""

import gzip
import io
import pickle
import re
import tarfile
import zipfile
import zlib
from contextlib import contextmanager
from functools import partial
from numbers import Integral
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image, UnidentifiedImageError

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
BT601_WEIGHTS = (0.299, 0.587, 0.114)

CIFAR10_SOURCE = "https://www.cs.toronto.edu/~kriz/cifar.html"
TINY_IMAGENET_SOURCE = "http://cs231n.stanford.edu/tiny-imagenet-200.zip"

_CIFAR10_FOLDERS = ("cifar-10-batches-bin", "cifar-10-batches-py")
_CIFAR10_BATCHES = {
    "train": tuple(f"data_batch_{number}" for number in range(1, 6)),
    "test": ("test_batch",),
}
_CIFAR10_PIXELS = 3 * 32 * 32
_CIFAR10_CLASSES = 10

_TINY_IMAGENET_FOLDERS = ("tiny-imagenet-200",)
_TINY_IMAGENET_PICTURES = {
    "train": "train/n*/images/n*_*.JPEG",
    "val": "val/images/val_*.JPEG",
    "test": "test/images/test_*.JPEG",
}
_TINY_IMAGENET_SIDE = 64

_ARCHIVE_FAULTS = (tarfile.TarError, zipfile.BadZipFile, gzip.BadGzipFile, zlib.error, EOFError)


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
    ValueError
        If the shape, the type or the range is none of the above.

    """
    image = np.asarray(image)
    if image.ndim not in (2, 3):
        rule = "must be one picture, (H, W) or (H, W, C)"
        raise _refusal(f"image of shape {image.shape}", rule, "pass pictures one by one")
    return _choose_channel(image, "grey")


def packaged_photographs(split):
    """Return the photographs that ship with scikit-image and scikit-learn.

    Parameters
    ----------
    split : {"learning", "held-out"}
        `LEARNING_PHOTOGRAPHS` or `HELD_OUT_PHOTOGRAPHS`; no photograph is in both.

    Returns
    -------
    dict of str to array, float32, shape (H, W), range [0, 1]
        Grey levels by name, in the order of the tuple.

    Raises
    ------
    ValueError
        If `split` is not one of the two.
    ImportError
        If scikit-image or scikit-learn is not installed.

    """
    splits = {"learning": LEARNING_PHOTOGRAPHS, "held-out": HELD_OUT_PHOTOGRAPHS}
    _check_choice("split", split, splits)
    return {name: grey(_packaged_photograph(name)) for name in splits[split]}


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
    ValueError
        If an argument is out of range.

    """
    _check_whole("count", count, 1)
    _check_whole("seed", seed, 0)
    generator = np.random.default_rng(seed)
    return generator.standard_normal((count, *_height_width("shape", shape)), dtype=np.float32)


def photographs_in_folder(path):
    """Read every picture directly inside a folder.

    Hidden files and sub-folders are passed over. A file that cannot be read is reported
    and never loses the others.

    Parameters
    ----------
    path : str or Path
        Folder with pictures in any format Pillow reads.

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
    ValueError
        If `path` is not a folder, or nothing in it could be read.

    """
    folder = Path(path)
    _check_exists(folder, "pass a folder that holds pictures")
    if not folder.is_dir():
        raise _refusal(f"path={str(path)!r}", "must be a folder", "pass the folder that holds it")
    photographs, unreadable = {}, []
    for file in sorted(folder.iterdir()):
        if file.is_dir() or file.name.startswith("."):
            continue
        try:
            photographs[file.name] = grey(_decode_picture(file.read_bytes()))
        # Whatever is wrong with one file must not lose the others.
        except Exception as fault:
            unreadable.append((file.name, f"{type(fault).__name__}: {fault}"))
    if not photographs:
        found = "; ".join(f"{name} ({reason})" for name, reason in unreadable) or "no files"
        rule = f"must hold at least one readable picture, found {found}"
        raise _refusal(f"path={str(path)!r}", rule, "pass a folder with PNG or JPEG pictures")
    return photographs, unreadable


def cifar10(path, split="test", channel="green"):
    """Read CIFAR-10 in its binary or its Python version.

    Both are published at https://www.cs.toronto.edu/~kriz/cifar.html. In the binary
    version a record is one label byte, then 1024 red, 1024 green and 1024 blue bytes, row
    by row; in the Python version a batch is a pickled dictionary with ``data`` (N, 3072)
    uint8 and ``labels``. A folder with both versions is read from the binary one. Batches
    shorter than the published 10 000 images are accepted if they hold whole records.

    Parameters
    ----------
    path : str or Path
        Extracted folder, its parent, or ``cifar-10-binary.tar.gz`` or
        ``cifar-10-python.tar.gz``, which is read without extracting it.
    split : {"test", "train"}
        The test batch, or the five training batches in order.
    channel : {"green", "red", "blue", "grey"}
        Colour plane to keep, or `grey` of the three.

    Returns
    -------
    images : array, float32, shape (N, 32, 32), range [0, 1]
        In the published order.
    labels : array, int64, shape (N,), 0 to 9

    Raises
    ------
    FileNotFoundError
        If `path` or a batch of the split is missing.
    ValueError
        If an argument is not one of its choices, or a file is damaged, of the wrong size,
        or a pickle that asks for more than NumPy arrays of bytes.

    """
    _check_choice("split", split, _CIFAR10_BATCHES)
    _check_choice("channel", channel, CHANNELS)
    batches = _CIFAR10_BATCHES[split]
    images, labels = [], []
    with _published_files(
        path, _CIFAR10_FOLDERS, [name + end for name in batches for end in (".bin", "")]
    ) as files:
        binary = any(f"{name}.bin" in files for name in batches)
        names = [f"{name}.bin" if binary else name for name in batches]
        _check_present(path, files, names, CIFAR10_SOURCE)
        decode = _decode_binary_batch if binary else _decode_python_batch
        for name in names:
            pixels, batch_labels = decode(name, files[name]())
            if max(batch_labels) >= _CIFAR10_CLASSES or min(batch_labels) < 0:
                raise _damaged(name, f"labels must be 0 to {_CIFAR10_CLASSES - 1}", CIFAR10_SOURCE)
            colour = pixels.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
            images.append(_choose_channel(colour, channel))
            labels.append(np.asarray(batch_labels, dtype=np.int64))
    return np.concatenate(images), np.concatenate(labels)


def tiny_imagenet(path, split="test", channel="green", limit=None):
    """Read Tiny ImageNet as published for the Stanford course CS231n.

    The published file is http://cs231n.stanford.edu/tiny-imagenet-200.zip, with the
    pictures in ``train/<class>/images``, ``val/images`` and ``test/images``, the classes
    of the validation pictures in ``val/val_annotations.txt`` and the 200 classes in
    ``wnids.txt``. The few greyscale pictures have the same levels in every channel.

    Parameters
    ----------
    path : str or Path
        Extracted folder, its parent, or the zip archive, which is read without
        extracting it.
    split : {"test", "val", "train"}
        Published part to read.
    channel : {"green", "red", "blue", "grey"}
        Colour plane to keep, or `grey` of the three.
    limit : int, at least 1, optional
        Read at most this many pictures, the first ones.

    Returns
    -------
    images : array, float32, shape (N, 64, 64), range [0, 1]
        By number; training pictures by number and then by class, so that a limit still
        takes from every class evenly.
    labels : array, int64, shape (N,)
        Line of the class in ``wnids.txt``, from 0; -1 in the test split, whose labels are
        not published.

    Raises
    ------
    FileNotFoundError
        If `path`, the pictures of the split or a list of classes is missing.
    ValueError
        If an argument is not one of its choices, or a file is damaged, of the wrong size
        or of no listed class.

    """
    _check_choice("split", split, _TINY_IMAGENET_PICTURES)
    _check_choice("channel", channel, CHANNELS)
    if limit is not None:
        _check_whole("limit", limit, 1)
    pictures = _TINY_IMAGENET_PICTURES[split]
    lists = {"train": ["wnids.txt"], "val": ["wnids.txt", "val/val_annotations.txt"], "test": []}
    with _published_files(path, _TINY_IMAGENET_FOLDERS, [pictures, *lists[split]]) as files:
        _check_present(path, files, lists[split], TINY_IMAGENET_SOURCE)
        lines = {name: files.pop(name)().decode().splitlines() for name in lists[split]}
        _check_present(path, files, [] if files else [pictures], TINY_IMAGENET_SOURCE)
        label_of = _tiny_imagenet_labels(split, files, lines)
        ordered = sorted(files, key=lambda name: (_picture_number(name), label_of[name]))[:limit]
        images = np.empty((len(ordered), _TINY_IMAGENET_SIDE, _TINY_IMAGENET_SIDE), np.float32)
        for image, name in zip(images, ordered, strict=True):
            picture = _decode_published_picture(name, files[name]())
            image[:] = _choose_channel(picture, channel)
    return images, np.array([label_of[name] for name in ordered], dtype=np.int64)


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
    ValueError
        If an argument is out of range, a photograph is not (H, W), or none is large enough.

    """
    height, width = _height_width("size", size)
    _check_whole("count", count, 1)
    _check_whole("seed", seed, 0)
    shapes = {name: np.shape(photograph) for name, photograph in sorted(photographs.items())}
    for name, shape in shapes.items():
        if len(shape) != 2:
            received = f"photographs[{name!r}] of shape {shape}"
            raise _refusal(received, "must be (H, W)", "turn it into grey levels with grey()")
    large = [name for name, shape in shapes.items() if shape[0] >= height and shape[1] >= width]
    if not large:
        rule = f"at least one photograph must be that large, but their shapes are {shapes}"
        raise _refusal(f"size={size!r}", rule, "ask for a smaller size or add larger photographs")
    generator = np.random.default_rng(seed)
    rounds = -(-count // len(large))
    turns = np.concatenate([generator.permutation(large) for _ in range(rounds)])[:count]
    pieces = np.empty((count, height, width), dtype=np.float32)
    for piece, name in zip(pieces, turns, strict=True):
        top = generator.integers(shapes[name][0] - height + 1)
        left = generator.integers(shapes[name][1] - width + 1)
        piece[:] = photographs[name][top : top + height, left : left + width]
    return pieces


def _choose_channel(image, channel):
    """Take one channel of (H, W) or (..., H, W, C) pictures as float32 in [0, 1]."""
    if image.ndim > 2 and image.shape[-1] not in (1, 2, 3, 4):
        rule = "the last axis must hold 1 to 4 channels"
        raise _refusal(f"image of shape {image.shape}", rule, "move the channels to the last axis")
    if image.ndim == 2:
        return _unit_range(image)
    if image.shape[-1] <= 2:
        return _unit_range(image[..., 0])
    if channel != "grey":
        return _unit_range(image[..., CHANNELS.index(channel)])
    return sum(
        np.float32(weight) * _unit_range(image[..., position])
        for position, weight in enumerate(BT601_WEIGHTS)
    )


def _unit_range(levels):
    kind, bytes_each = levels.dtype.kind, levels.dtype.itemsize
    if levels.size and kind == "b":
        return levels.astype(np.float32)
    if levels.size and kind == "u" and bytes_each <= 2:
        return levels.astype(np.float32) / np.float32(np.iinfo(levels.dtype).max)
    if levels.size and kind == "f" and levels.min() >= 0 and levels.max() <= 1:
        return levels.astype(np.float32)
    raise _refusal(
        f"image of shape {levels.shape} and type {levels.dtype}",
        "must be non-empty and bool, uint8, uint16, or floating point in [0, 1]",
        "divide the levels by their largest possible value",
    )


def _decode_picture(encoded):
    try:
        with Image.open(io.BytesIO(encoded)) as picture:
            # Pillow would clip the wide types to 8 bits; grey() scales or refuses them.
            if picture.mode in ("1", "L", "LA", "RGB", "RGBA", "F") or picture.mode[0] == "I":
                return np.asarray(picture)
            return np.asarray(picture.convert("RGB"))
    except UnidentifiedImageError:
        raise ValueError("not a picture in a format Pillow reads") from None


def _decode_published_picture(name, encoded):
    try:
        picture = _decode_picture(encoded)
    # Pillow's decoders raise many unrelated types on damaged files.
    except Exception as fault:
        raise _damaged(name, f"must be a whole JPEG ({fault})", TINY_IMAGENET_SOURCE) from fault
    side = _TINY_IMAGENET_SIDE
    if picture.shape[:2] != (side, side):
        rule = f"must be {side} x {side} pixels, not {picture.shape[:2]}"
        raise _damaged(name, rule, TINY_IMAGENET_SOURCE)
    return picture


def _packaged_photograph(name):
    try:
        if name in ("china", "flower"):
            from sklearn.datasets import load_sample_image

            return load_sample_image(f"{name}.jpg")
        from skimage import data
    except ImportError as fault:
        raise ImportError(
            f"photograph {name!r} ships with scikit-image or scikit-learn and both must be "
            f"installed ({fault}); run: pip install scikit-image scikit-learn"
        ) from fault
    if name == "motorcycle_left":
        return data.stereo_motorcycle()[0]
    return getattr(data, name)()


@contextmanager
def _published_files(path, folders, patterns):
    """Give {name: function that reads its bytes} for a folder or an archive alike.

    Names are relative to the published folder, one of `folders`, which may be `path`
    itself under any name, lie inside it, or lie inside the archive. Only the names that
    fit one of `patterns` are given.
    """
    place = Path(path)
    _check_exists(place, "pass the extracted folder, its parent or the published archive")
    if place.is_dir():
        root = next((place / name for name in folders if (place / name).is_dir()), place)
        found = [file for pattern in patterns for file in sorted(root.glob(pattern))]
        yield {file.relative_to(root).as_posix(): file.read_bytes for file in found}
        return
    try:
        is_tar = tarfile.is_tarfile(place)
        with tarfile.open(place) if is_tar else zipfile.ZipFile(place) as archive:
            if is_tar:
                readers = {m.name: archive.extractfile(m).read for m in archive if m.isfile()}
                # tarfile stops short of the checksum that ends a gzip file.
                while archive.fileobj.read(1 << 20):
                    pass
            else:
                readers = {name: partial(archive.read, name) for name in archive.namelist()}
            yield _inside_published_folder(readers, folders, patterns)
    except _ARCHIVE_FAULTS as fault:
        rule = f"must be a folder or a whole .tar.gz or .zip archive ({fault})"
        raise _refusal(f"path={str(path)!r}", rule, "download the archive again") from fault


def _inside_published_folder(readers, folders, patterns):
    inside = {}
    for name, reader in readers.items():
        place = PurePosixPath(name)
        if place.parts and place.parts[0] in folders:
            place = place.relative_to(place.parts[0])
        depth = len(place.parts)
        if any(place.match(rule) and rule.count("/") + 1 == depth for rule in patterns):
            inside[place.as_posix()] = reader
    return inside


class _ByteArrayUnpickler(pickle.Unpickler):
    """Read pickled NumPy arrays of bytes and built-in types, and refuse the rest.

    A pickle can name any function and have it called, so only the three names that the
    published CIFAR-10 batches use, under their NumPy 1 and 2 addresses, are resolved.
    """

    def find_class(self, module, name):
        if (module, name) == ("numpy", "ndarray"):
            return np.ndarray
        if (module, name) == ("numpy", "dtype"):
            return self._byte_type
        if name == "_reconstruct" and module in ("numpy.core.multiarray", "numpy._core.multiarray"):
            # Its address differs between NumPy versions; every array refers to it.
            return np.empty(0).__reduce__()[0]
        raise pickle.UnpicklingError(f"it asks for {module}.{name}, which is not allowed")

    @staticmethod
    def _byte_type(code, align, copy):
        # The published pickles hold 0 or 1 as flags, which NumPy 2.4 deprecates. A copy,
        # so that no pickle can alter the type that the whole process shares.
        dtype = np.dtype(code, align=bool(align), copy=True)
        if dtype != np.uint8:
            raise pickle.UnpicklingError(f"it asks for the type {dtype}, which is not allowed")
        return dtype


def _decode_binary_batch(name, content):
    record = 1 + _CIFAR10_PIXELS
    if not content or len(content) % record:
        rule = f"its {len(content)} bytes must be whole {record}-byte records"
        raise _damaged(name, rule, CIFAR10_SOURCE)
    records = np.frombuffer(content, dtype=np.uint8).reshape(-1, record)
    return records[:, 1:], records[:, 0]


def _decode_python_batch(name, content):
    try:
        batch = _ByteArrayUnpickler(io.BytesIO(content), encoding="bytes").load()
        pixels, labels = batch[b"data"], batch[b"labels"]
        whole = isinstance(pixels, np.ndarray) and pixels.dtype == np.uint8 and len(labels) > 0
        whole = whole and all(isinstance(label, int) for label in labels)
        whole = whole and pixels.shape == (len(labels), _CIFAR10_PIXELS)
    # A damaged pickle can break off in any operation.
    except Exception as fault:
        reason = f"must be a pickled CIFAR-10 batch ({type(fault).__name__}: {fault})"
        raise _damaged(name, reason, CIFAR10_SOURCE) from fault
    if not whole:
        reason = f"data must be (N, {_CIFAR10_PIXELS}) uint8 with N whole numbers in labels"
        raise _damaged(name, reason, CIFAR10_SOURCE)
    return pixels, labels


def _tiny_imagenet_labels(split, names, lines):
    if split == "test":
        return dict.fromkeys(names, -1)
    label_of_class = {line.strip(): number for number, line in enumerate(lines["wnids.txt"])}
    if split == "train":
        class_of = {name: name.split("/")[1] for name in names}
    else:
        rows = [line.split("\t") for line in lines["val/val_annotations.txt"] if line]
        class_of = {f"val/images/{row[0]}": row[1] for row in rows if len(row) > 1}
    for name in names:
        if class_of.get(name) not in label_of_class:
            rule = f"its class {class_of.get(name)!r} must be a line of wnids.txt"
            raise _damaged(name, rule, TINY_IMAGENET_SOURCE)
    return {name: label_of_class[class_of[name]] for name in names}


def _picture_number(name):
    found = re.search(r"_(\d+)\.JPEG$", name)
    if found is None:
        raise _damaged(name, "its name must end in _<number>.JPEG", TINY_IMAGENET_SOURCE)
    return int(found.group(1))


def _refusal(received, rule, remedy, kind=ValueError):
    return kind(f"{received}: {rule}; {remedy}.")


def _damaged(name, rule, source):
    return _refusal(f"file {name!r} in path", rule, f"get it again from {source}")


def _check_choice(argument, value, choices):
    if value not in choices:
        rule = f"must be one of {', '.join(repr(choice) for choice in choices)}"
        raise _refusal(f"{argument}={value!r}", rule, "pass one of these")


def _check_whole(argument, value, least):
    if isinstance(value, bool) or not isinstance(value, Integral) or value < least:
        rule = f"must be a whole number, at least {least}"
        raise _refusal(f"{argument}={value!r}", rule, f"pass {least} or more")


def _height_width(argument, value):
    pair = tuple(value) if isinstance(value, tuple | list) else (value, value)
    if len(pair) != 2:
        rule = "must be (height, width) or one number"
        raise _refusal(f"{argument}={value!r}", rule, "pass two whole numbers")
    for side in pair:
        _check_whole(argument, side, 1)
    return pair


def _check_exists(place, remedy):
    if not place.exists():
        raise _refusal(f"path={str(place)!r}", "must exist", remedy, FileNotFoundError)


def _check_present(path, files, names, source):
    missing = [name for name in names if name not in files]
    if missing:
        rule = f"must hold {', '.join(missing)}"
        remedy = f"pass the published folder, its parent or its archive, from {source}"
        raise _refusal(f"path={str(path)!r}", rule, remedy, FileNotFoundError)
