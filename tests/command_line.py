"""What tests of the commands share: running them in this process, and pictures for them."""

import numpy as np
from click.testing import CliRunner
from PIL import Image

from npscatter.cli.group import main

SIZE = (16, 24)


def run(*arguments, **settings):
    """Run ``npscatter`` with some arguments; settings are those of click's `invoke`."""
    return CliRunner().invoke(main, [str(argument) for argument in arguments], **settings)


def write(path, pixels, mode=None, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".pgm" and pixels.dtype == np.uint16:  # later versions of Pillow alone can
        header = f"P5 {pixels.shape[1]} {pixels.shape[0]} 65535\n"
        path.write_bytes(header.encode() + pixels.astype(">u2").tobytes())
        return path
    image = Image.fromarray(pixels)
    (image.convert(mode) if mode else image).save(path, **options)
    return path


def noise(*shape, seed=0, dtype=np.uint8):
    return np.random.default_rng(seed).integers(0, np.iinfo(dtype).max + 1, shape, dtype)


def grey(path, seed=0, shape=SIZE):
    """Write a grey picture and return what is read of it."""
    pixels = noise(*shape, seed=seed)
    write(path, pixels)
    return pixels / 255


def luminance(colour):
    return 0.299 * colour[..., 0] + 0.587 * colour[..., 1] + 0.114 * colour[..., 2]


def only(folder, *names):
    """Assert that nothing but `names` is in the folder: no output, no temporary file."""
    assert sorted(path.name for path in folder.iterdir()) == sorted(names)


def failed(result, status, *words):
    assert result.exit_code == status, result.output
    assert "Traceback" not in result.output
    for word in words:
        assert word in result.stderr
