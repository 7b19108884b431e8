"""Pictures of every kind, as numbers; and files that hold none."""

import io
import itertools
import os
import struct
import tracemalloc
import warnings
import zlib

import numpy as np
import pytest
from command_line import SIZE, grey, luminance, noise, write
from PIL import Image, ImageOps

from npscatter.cli import images
from npscatter.cli.images import LUMINANCE, ImageError, Reading, read_header, read_image
from npscatter.errors import ArgumentError

# Of two pages or frames; lossless where their format lets them be.
SAVED = {
    "a.png": {},
    "a.jpg": {"quality": 95},
    "a.tif": {},
    "lzw.tif": {"compression": "tiff_lzw"},
    "a.bmp": {},
    "a.gif": {},
    "a.webp": {"lossless": True},
    "a.ppm": {},
    "a.pgm": {},
    "a.jp2": {},
}
if ".avif" in images._readable_suffixes():
    SAVED["a.avif"] = {"quality": 90}


def png(width, height, bits=8, colour=0, pixels=b""):
    """Return a PNG file with some bytes for its pixels, right or wrong."""

    def chunk(name, content):
        checksum = struct.pack(">I", zlib.crc32(name + content))
        return struct.pack(">I", len(content)) + name + content + checksum

    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        chunk(name, content)
        for name, content in ((b"IHDR", header), (b"IDAT", zlib.compress(pixels)), (b"IEND", b""))
    )


def tiff(shape, bits, pixels, sample_format=1, photometric=1, compression=1):
    """Return a grey TIFF file, little-endian and as a rule not compressed."""
    tags = [
        *((256, shape[1]), (257, shape[0]), (258, bits), (259, compression), (262, photometric)),
        *((273, 8 + 2 + 9 * 12 + 4), (277, 1), (278, shape[0]), (339, sample_format)),
    ]
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + b"\0\0\0\0" + pixels


def packed(pixels, bits):
    """Return samples of some bits, rows after each other, each of whole bytes."""
    if bits > 8:
        return pixels.astype("<u2").tobytes()
    places = np.arange(bits - 1, -1, -1)
    single = (pixels[..., None] >> places & 1).reshape(len(pixels), -1)
    return np.packbits(single.astype(np.uint8), axis=1).tobytes()


# What numbers become


@pytest.mark.parametrize("suffix", ["png", "tif", "pgm", "jp2"])
def test_sixteen_bits_are_divided_by_65535(tmp_path, suffix):
    pixels = noise(*SIZE, dtype=np.uint16)
    path = write(tmp_path / f"deep.{suffix}", pixels)
    picture = read_image(path)
    assert picture.dtype == np.float64
    np.testing.assert_array_equal(picture, pixels / 65535)


def test_twelve_bits_of_tiff_are_divided_by_4095(tmp_path):
    pixels = noise(4, 6, dtype=np.uint16) >> 4
    pairs = pixels.reshape(-1, 2).astype(int)
    packed = [(a >> 4, (a & 15) << 4 | b >> 8, b & 255) for a, b in pairs]
    (tmp_path / "a.tif").write_bytes(tiff((4, 6), 12, bytes(itertools.chain(*packed))))
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif"), pixels / 4095)
    picture = read_image(tmp_path / "a.tif", Reading(levels=(100, 1100)))
    np.testing.assert_array_equal(picture, (pixels - 100.0) / 1000)


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
@pytest.mark.parametrize("how", [Reading(), Reading(levels=(0, 10))])
def test_tiff_in_which_zero_is_white_is_inverted(tmp_path, bits, how):
    white = 2**bits - 1
    pixels = noise(4, 8, dtype=np.uint16) & white
    stored = packed(white - pixels, bits)
    (tmp_path / "a.tif").write_bytes(tiff((4, 8), bits, stored, photometric=0))
    expected = pixels / (10 if how.levels else white)
    np.testing.assert_allclose(read_image(tmp_path / "a.tif", how), expected, rtol=1e-15)


def test_floats_in_which_zero_is_white_are_what_the_range_says(tmp_path):
    pixels = np.random.default_rng(0).random((4, 6), np.float32)
    (tmp_path / "a.tif").write_bytes(tiff((4, 6), 32, pixels.tobytes(), 3, photometric=0))
    picture = read_image(tmp_path / "a.tif", Reading(levels=(0, 1)))
    np.testing.assert_array_equal(picture, pixels)


@pytest.mark.parametrize("levels", [None, (-128, 127)])
def test_signed_eight_bits_are_refused_not_wrapped(tmp_path, levels):
    pixels = noise(4, 6).view(np.int8)
    (tmp_path / "a.tif").write_bytes(tiff((4, 6), 8, pixels.tobytes(), sample_format=2))
    for read in (read_image, read_header):
        with pytest.raises(ImageError, match=r"signed samples of 8 bits.*; convert to 16 bits or"):
            read(tmp_path / "a.tif", Reading(levels=levels))


def test_transparency_is_ignored_and_grey_is_the_bt601_luminance(tmp_path):
    pixels = noise(*SIZE, 4)
    picture = read_image(write(tmp_path / "a.png", pixels))
    np.testing.assert_allclose(picture, luminance(pixels / 255), rtol=1e-14, atol=0)


def test_luminance_weights_sum_to_one():
    assert sum(LUMINANCE) == pytest.approx(1, abs=1e-15)


@pytest.mark.parametrize("index, channel", [(0, "red"), (1, "green"), (2, "blue")])
def test_single_channels(tmp_path, index, channel):
    pixels = noise(*SIZE, 3)
    path = write(tmp_path / "a.png", pixels)
    picture = read_image(path, Reading(channel=channel))
    np.testing.assert_array_equal(picture, pixels[..., index] / 255)
    picture = read_image(path, Reading(channel="all"))
    np.testing.assert_array_equal(picture[index], pixels[..., index] / 255)


@pytest.mark.parametrize("channel", ["grey", "red", "blue"])
def test_grey_pictures_have_three_equal_channels(tmp_path, channel):
    pixels = grey(tmp_path / "a.png")
    picture = read_image(tmp_path / "a.png", Reading(channel=channel))
    np.testing.assert_array_equal(picture, pixels)
    picture = read_image(tmp_path / "a.png", Reading(channel="all"))
    np.testing.assert_array_equal(picture, [pixels] * 3)


def test_palette_pictures_show_their_colours_not_their_indices(tmp_path):
    indices = noise(*SIZE) % 4
    palette = np.array([[255, 0, 0], [0, 255, 0], [10, 20, 250], [7, 7, 7]], np.uint8)
    image = Image.fromarray(indices).convert("P")
    image.putdata(indices.ravel().tolist())
    image.putpalette(palette.ravel().tolist())
    image.save(tmp_path / "a.png")
    assert Image.open(tmp_path / "a.png").mode == "P"
    expected = luminance(palette[indices] / 255)
    np.testing.assert_allclose(read_image(tmp_path / "a.png"), expected, rtol=1e-14, atol=0)


def test_black_and_white_pictures(tmp_path):
    pixels = noise(*SIZE) > 127
    path = write(tmp_path / "a.png", pixels)
    assert Image.open(path).mode == "1"
    np.testing.assert_array_equal(read_image(path), pixels)


@pytest.mark.parametrize("dtype", [np.float32, np.int32])
def test_samples_without_a_fixed_range_are_refused(tmp_path, dtype):
    path = write(tmp_path / "a.tif", np.ones(SIZE, dtype))
    for read in (read_image, read_header):
        with pytest.raises(ImageError, match="no fixed range; give it by --range"):
            read(path)


# --range


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.pgm"])
def test_twelve_bits_in_sixteen_are_given_their_range(tmp_path, name):
    pixels = noise(*SIZE, dtype=np.uint16) >> 4
    path = write(tmp_path / name, pixels)
    picture = read_image(path, Reading(levels=(0, 4095)))
    np.testing.assert_array_equal(picture, pixels / 4095)
    assert 0.9 < picture.max() <= 1


@pytest.mark.parametrize("dtype", [np.float32, np.int32])
def test_floats_and_integers_of_32_bits_are_read_with_a_range(tmp_path, dtype):
    pixels = (noise(*SIZE) * 300.0 - 5000).astype(dtype)
    path = write(tmp_path / "a.tif", pixels)
    picture = read_image(path, Reading(levels=(-5000, 60_000)))
    np.testing.assert_array_equal(picture, (pixels.astype(float) + 5000) / 65_000)
    assert picture.min() == 0 and picture.max() > 1  # nothing is clipped


def test_large_numbers_without_a_sign(tmp_path):
    pixels = noise(4, 6, dtype=np.uint32)
    assert pixels.max() > 2**31
    (tmp_path / "a.tif").write_bytes(tiff((4, 6), 32, pixels.tobytes()))
    picture = read_image(tmp_path / "a.tif", Reading(levels=(0, 2**32)))
    np.testing.assert_array_equal(picture, pixels / 2**32)


@pytest.mark.parametrize("largest", [100, 4095, 65535])
@pytest.mark.parametrize("plain", [False, True])
def test_range_counts_in_a_pgm_as_the_file_does(tmp_path, largest, plain):
    pixels = noise(4, 6, dtype=np.uint32) % (largest + 1)
    kind, content = b"P5", pixels.astype(">u2" if largest > 255 else "u1").tobytes()
    if plain:
        kind, content = b"P2", " ".join(map(str, pixels.ravel())).encode() + b"\n"
    (tmp_path / "a.pgm").write_bytes(kind + b" 6 4 %d\n" % largest + content)
    picture = read_image(tmp_path / "a.pgm", Reading(levels=(0, 50)))
    np.testing.assert_array_equal(picture, pixels / 50)
    step = 1 / 255 if largest < 256 else 1 / 65535
    np.testing.assert_allclose(read_image(tmp_path / "a.pgm"), pixels / largest, atol=step)


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_range_counts_in_few_bits_as_the_file_does(tmp_path, bits, suffix):
    pixels = noise(4, 8, dtype=np.uint16) & (2**bits - 1)
    content = tiff((4, 8), bits, packed(pixels, bits))
    if suffix == "png":
        big = pixels.astype(">u2") if bits == 16 else pixels
        rows = [b"\0" + (row.tobytes() if bits == 16 else packed(row[None], bits)) for row in big]
        content = png(8, 4, bits, 0, b"".join(rows))
    (tmp_path / f"a.{suffix}").write_bytes(content)
    picture = read_image(tmp_path / f"a.{suffix}", Reading(levels=(1, 4)))
    np.testing.assert_array_equal(picture, (pixels - 1.0) / 3)
    picture = read_image(tmp_path / f"a.{suffix}")
    np.testing.assert_array_equal(picture, pixels / (2**bits - 1))
    kind = "1 bit" if bits == 1 else f"{bits} bits"
    assert read_header(tmp_path / f"a.{suffix}").kind == kind


@pytest.mark.parametrize("suffix", ["jp2", "avif"])
@pytest.mark.parametrize("shape", [SIZE, (*SIZE, 3)])
def test_range_is_refused_where_pillow_hides_the_stored_numbers(tmp_path, suffix, shape):
    if f".{suffix}" not in images._readable_suffixes():
        pytest.skip("Pillow lacks this format")
    path = write(tmp_path / f"a.{suffix}", noise(*shape))
    assert read_header(path).shape == read_image(path).shape == SIZE
    for read in (read_image, read_header):
        with pytest.raises(ImageError, match=r"--range cannot.*; convert to PNG or TIFF"):
            read(path, Reading(levels=(0, 255)))


@pytest.mark.parametrize("content", [b"P1 3 1 0 1 1\n", b"P4 3 1\n\x60"])
def test_black_and_white_of_pbm(tmp_path, content):
    (tmp_path / "a.pbm").write_bytes(content)
    np.testing.assert_array_equal(read_image(tmp_path / "a.pbm"), [[1, 0, 0]])
    np.testing.assert_array_equal(
        read_image(tmp_path / "a.pbm", Reading(levels=(0, 2))), [[0.5, 0, 0]]
    )


@pytest.mark.skipif(".pfm" not in images.picture_suffixes(), reason="Pillow lacks this format")
def test_floats_of_pfm(tmp_path):
    pixels = np.random.default_rng(0).standard_normal((4, 6)).astype("<f4")
    (tmp_path / "a.pfm").write_bytes(b"Pf\n6 4\n-1.0\n" + pixels[::-1].tobytes())
    picture = read_image(tmp_path / "a.pfm", Reading(levels=(-2, 2)))
    np.testing.assert_array_equal(picture, (pixels.astype(float) + 2) / 4)


def test_range_of_eight_bits_and_colours(tmp_path):
    pixels = noise(*SIZE, 3)
    picture = read_image(write(tmp_path / "a.png", pixels), Reading("all", levels=(50, 100)))
    np.testing.assert_array_equal(np.moveaxis(picture, 0, -1), (pixels - 50.0) / 50)


@pytest.mark.parametrize("name", ["colour.png", "grey and transparency.png", "colour.ppm"])
def test_deep_colour_is_read_with_eight_bits_and_refused_with_a_range(tmp_path, name):
    channels, colour = (2, 4) if "grey" in name else (3, 2)
    pixels = noise(2, 3, channels, dtype=np.uint16)
    rows = [row.astype(">u2").tobytes() for row in pixels]
    content = b"P6 3 2 65535\n" + b"".join(rows)
    if name.endswith("png"):
        content = png(3, 2, 16, colour, b"".join(b"\0" + row for row in rows))
    (tmp_path / name).write_bytes(content)
    picture = read_image(tmp_path / name, Reading("all"))
    expected = pixels[..., :1] if "grey" in name else pixels
    expected = np.broadcast_to(expected / 65535, (2, 3, 3))
    np.testing.assert_allclose(np.moveaxis(picture, 0, -1), expected, atol=1 / 255)
    assert read_header(tmp_path / name).reduced
    for read in (read_image, read_header):
        with pytest.raises(ImageError, match="colour of 16 bits, or grey of 16 with transparency"):
            read(tmp_path / name, Reading("all", levels=(0, 4095)))


def test_colour_of_five_bits_is_refused_with_a_range(tmp_path):
    header = struct.pack("<IIIIiiHHIIiiII", 70, 0, 54, 40, 2, 2, 1, 16, 0, 8, 0, 0, 0, 0)
    (tmp_path / "a.bmp").write_bytes(b"BM" + header + noise(8).tobytes())
    assert not read_header(tmp_path / "a.bmp").reduced
    assert read_image(tmp_path / "a.bmp").shape == (2, 2)
    with pytest.raises(ImageError, match="5 and 6 bits"):
        read_header(tmp_path / "a.bmp", Reading(levels=(0, 1)))


def test_deep_colour_with_its_channels_apart_is_refused(tmp_path):
    """Pillow reads the halves of numbers for numbers."""
    first, count = 8 + 2 + 9 * 12 + 4, 12
    bits, places = first, first + 6
    data = places + 12
    tags = [
        *((256, 4, 1, 3), (257, 4, 1, 2), (258, 3, 3, bits), (259, 4, 1, 1), (262, 4, 1, 2)),
        *((273, 4, 3, places), (277, 4, 1, 3), (278, 4, 1, 2), (284, 4, 1, 2)),
    ]
    entries = b"".join(struct.pack("<HHII", *tag) for tag in tags)
    content = b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + b"\0\0\0\0"
    content += struct.pack("<3H", 16, 16, 16)
    content += struct.pack("<3I", *(data + count * channel for channel in range(3)))
    (tmp_path / "a.tif").write_bytes(content + noise(3 * count).tobytes())
    for read in (read_image, read_header):
        with pytest.raises(ImageError, match="channels lie apart is not read; save"):
            read(tmp_path / "a.tif")


def test_numbers_that_are_not_finite_are_refused(tmp_path):
    pixels = np.ones(SIZE, np.float32)
    pixels[3, 4] = np.nan
    path = write(tmp_path / "a.tif", pixels)
    with pytest.raises(ImageError, match="not finite"):
        read_image(path, Reading(levels=(0, 1)))


@pytest.mark.parametrize(
    "settings",
    [
        {"levels": (1, 0)},
        {"levels": (1, 1)},
        {"levels": (0, np.inf)},
        {"levels": (np.nan, 1)},
        {"size": (2**20, 2**20)},
        {"pad": (2**20, 2**20)},
        {"crop": (9, 8), "pad": (8, 8)},
    ],
)
def test_contradictions_are_refused(settings):
    with pytest.raises(ArgumentError, match=r"^--(range|size|pad|crop)="):
        Reading(**settings)


# Sizes


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.tif", "lzw.tif", "a.webp", "a.avif"])
@pytest.mark.parametrize("orientation", range(10))
def test_exif_orientation_is_followed_and_known_from_the_header(tmp_path, name, orientation):
    if name not in SAVED or (name == "lzw.tif" and orientation in (0, 9)):
        pytest.skip("Pillow does not write this")
    # Quarters of four greys, which no compression confuses.
    pixels = np.kron(np.array([[0, 80], [160, 240]], np.uint8), np.ones((16, 24), np.uint8))
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = write(tmp_path / name, pixels, exif=exif, **SAVED[name])
    turned = {
        2: pixels[:, ::-1],
        3: pixels[::-1, ::-1],
        4: pixels[::-1],
        5: pixels.T,
        6: np.rot90(pixels, -1),
        7: pixels[::-1, ::-1].T,
        8: np.rot90(pixels),
    }
    expected = turned.get(orientation, pixels)
    picture = read_image(path)
    assert read_header(path).shape == picture.shape == expected.shape
    np.testing.assert_allclose(picture, expected / 255, atol=0.04)


@pytest.mark.parametrize("name", SAVED)
def test_headers_tell_what_is_read(tmp_path, name):
    pixels = noise(*SIZE) if name.endswith("pgm") else noise(*SIZE, 3)
    path = write(tmp_path / name, pixels, **SAVED[name])
    assert read_header(path).shape == read_image(path).shape == SIZE


def test_size_resizes_by_antialiased_bicubic(tmp_path):
    stripes = np.tile(np.array([0, 255], np.uint8), (32, 16))
    path = write(tmp_path / "a.png", stripes)
    smaller = read_image(path, Reading(size=(8, 8)))
    assert smaller.shape == (8, 8)
    # Stripes beyond the new resolution average out; sampling alone would keep black or white.
    np.testing.assert_allclose(smaller[:, 1:-1], 0.5, atol=0.05)
    np.testing.assert_array_equal(read_image(path, Reading(size=(32, 32))), stripes / 255)
    colour = write(tmp_path / "b.png", noise(*SIZE, 3))
    larger = read_image(colour, Reading("all", size=(40, 50)))
    assert larger.shape == (3, 40, 50)
    assert larger.min() >= 0 and larger.max() <= 1


@pytest.mark.parametrize("shape", [(16, 24), (17, 23)])
@pytest.mark.parametrize("crop", [(8, 8), (7, 24), (16, 9), (3, 99)])
def test_crop_cuts_about_the_centre(tmp_path, shape, crop):
    pixels = noise(*shape, 3)
    how = Reading("all", crop=crop)
    picture = read_image(write(tmp_path / "a.png", pixels), how)
    height, width = (min(a, b) for a, b in zip(shape, crop, strict=True))
    top, left = (shape[0] - height) // 2, (shape[1] - width) // 2
    expected = pixels[top : top + height, left : left + width] / 255
    np.testing.assert_array_equal(np.moveaxis(picture, 0, -1), expected)
    assert how.framed(shape) == (height, width)


@pytest.mark.parametrize("pad", [(16, 31), (20, 24), (100, 101), (5, 30)])
def test_pad_fills_up_with_the_mirrored_picture(tmp_path, pad):
    pixels = noise(16, 24)
    how = Reading(pad=pad)
    picture = read_image(write(tmp_path / "a.png", pixels), how)
    assert picture.shape == how.framed((16, 24)) == (max(16, pad[0]), max(24, pad[1]))
    top, left = (picture.shape[0] - 16) // 2, (picture.shape[1] - 24) // 2
    for y, x in np.ndindex(picture.shape):
        # The pixel before the first is the second, as in Kymatio's padding.
        row, column = (y - top) % 30, (x - left) % 46
        assert picture[y, x] == pixels[min(row, 30 - row), min(column, 46 - column)] / 255


def test_crop_pad_and_size_in_this_order(tmp_path):
    path = write(tmp_path / "a.png", noise(20, 10))
    whole = read_image(path)
    sides = {"crop": (16, 16), "pad": (16, 16)}
    framed = np.pad(whole[2:18], [(0, 0), (3, 3)], mode="reflect")
    np.testing.assert_array_equal(read_image(path, Reading(**sides)), framed)
    resized = read_image(path, Reading(**sides, size=(8, 8)))
    write(tmp_path / "b.png", np.rint(255 * framed).astype(np.uint8))
    np.testing.assert_array_equal(resized, read_image(tmp_path / "b.png", Reading(size=(8, 8))))


def test_resizing_floats_is_not_clipped_to_one(tmp_path):
    path = write(tmp_path / "a.tif", np.full(SIZE, 7, np.float32))
    picture = read_image(path, Reading(levels=(0, 1), size=(8, 8)))
    np.testing.assert_allclose(picture, 7, rtol=1e-6)


@pytest.mark.parametrize("name", ["a.tif", "a.gif", "a.webp"])
def test_frames(tmp_path, name):
    # GIF leaves frames out that equal those before.
    first, *more = (Image.fromarray(noise(*SIZE, seed=seed)) for seed in range(3))
    first.save(tmp_path / name, save_all=True, append_images=more, **SAVED[name])
    for frame, image in enumerate((first, *more)):
        picture = read_image(tmp_path / name, Reading(frame=frame))
        np.testing.assert_allclose(picture, np.asarray(image) / 255, atol=1e-12)
    for read in (read_image, read_header):
        with pytest.raises(ImageError, match="has no frame 3; the first is 0"):
            read(tmp_path / name, Reading(frame=3))
    write(tmp_path / "single.png", noise(*SIZE))
    with pytest.raises(ImageError, match="has no frame 1"):
        read_header(tmp_path / "single.png", Reading(frame=1))


def test_further_frames_are_known_from_the_header(tmp_path):
    first, second = (Image.fromarray(noise(*SIZE, seed=seed)) for seed in range(2))
    for name in ("a.tif", "a.gif", "a.webp", "a.png"):
        first.save(tmp_path / name)
        assert not read_header(tmp_path / name).frames
        first.save(tmp_path / name, save_all=True, append_images=[second])
        assert read_header(tmp_path / name).frames, name
    first.save(tmp_path / "a.bmp")
    assert not read_header(tmp_path / "a.bmp").frames


def test_pages_have_sizes_of_their_own(tmp_path):
    pages = [Image.fromarray(noise(*shape)) for shape in (SIZE, (9, 7))]
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:])
    assert read_header(tmp_path / "a.tif", Reading(frame=1)).shape == (9, 7)


@pytest.mark.parametrize("orientation", [1, 6])
def test_large_jpegs_are_decoded_at_a_reduced_scale(tmp_path, monkeypatch, orientation):
    # Smooth, so that what is lost is noise alone: no more than the resizing itself takes away.
    coarse = Image.fromarray(noise(12, 16, 3))
    exif = Image.Exif()
    exif[0x0112] = orientation
    smooth = coarse.resize((640, 480), Image.Resampling.BICUBIC)
    smooth.save(tmp_path / "a.jpg", quality=95, exif=exif)
    decoded = []
    turn = ImageOps.exif_transpose
    monkeypatch.setattr(
        ImageOps,
        "exif_transpose",
        lambda image, **named: decoded.append(image.size) or turn(image, **named),
    )
    size = (60, 80) if orientation == 1 else (80, 60)
    reduced = read_image(tmp_path / "a.jpg", Reading(size=size))
    framed = read_image(tmp_path / "a.jpg", Reading(size=size, pad=(480, 480)))
    larger = read_image(tmp_path / "a.jpg", Reading(size=(240, 320)))
    assert decoded == [(160, 120), (640, 480), (640, 480)]
    assert reduced.shape == framed.shape == size and larger.shape == (240, 320)
    monkeypatch.setattr(images, "DRAFT_FACTOR", 100)
    np.testing.assert_allclose(
        reduced, read_image(tmp_path / "a.jpg", Reading(size=size)), atol=0.01
    )


# Files that are none


def test_files_that_no_picture_is_in(tmp_path):
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "a.png").write_bytes(b"no picture at all")
    (tmp_path / "empty.png").touch()
    (tmp_path / "cut.png").write_bytes(png(8, 8)[:8] + b"?" * 40)
    for name, words in (
        ("missing.png", "no such file"),
        ("folder.png", "not a regular file"),
        ("a.png", "not a picture in a format that is read: PNG, JPEG"),
        ("empty.png", "is empty"),
        ("cut.png", "a PNG file, but broken"),
        ("a" * 300 + ".png", "cannot be read (File name too long)"),
    ):
        for read in (read_image, read_header):
            with pytest.raises(ImageError) as caught:
                read(tmp_path / name)
            assert str(caught.value).startswith(words)


@pytest.mark.parametrize(
    "bits, sample_format, compression", [(64, 3, 1), (16, 3, 1), (64, 6, 1), (8, 1, 34712)]
)
def test_samples_that_are_not_read_are_told_with_what_to_do(
    tmp_path, bits, sample_format, compression
):
    """Floats of 64 and 16 bits, complex numbers, and TIFF whose pixels are JPEG 2000."""
    content = tiff((4, 6), bits, bytes(24 * bits // 8), sample_format, 1, compression)
    (tmp_path / "a.tif").write_bytes(content)
    for read in (read_image, read_header):
        with pytest.raises(ImageError, match=r"a TIFF file of samples.*; save it as"):
            read(tmp_path / "a.tif", Reading(levels=(0, 1)))


def test_jpeg_of_twelve_bits_is_told_with_what_to_do(tmp_path):
    content = bytearray(write(tmp_path / "a.jpg", noise(*SIZE)).read_bytes())
    frame = content.index(b"\xff\xc0")
    content[frame + 4] = 12
    (tmp_path / "a.jpg").write_bytes(content)
    for read in (read_image, read_header):
        with pytest.raises(ImageError, match=r"a JPEG file of more than 8 bits.*; save it with 8"):
            read(tmp_path / "a.jpg")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no FIFOs here")
def test_a_fifo_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.png")
    for read in (read_image, read_header):
        with pytest.raises(ImageError, match="not a regular file"):
            read(tmp_path / "a.png")


@pytest.mark.parametrize("format", ["EPS", "PDF", "PSD", "FITS", "WMF", "TGA", "PCX", "SGI"])
def test_formats_that_are_not_meant_never_reach_their_decoder(tmp_path, monkeypatch, format):
    content = io.BytesIO()
    try:
        Image.fromarray(noise(*SIZE)).save(content, format)
    except (KeyError, OSError):  # not written by Pillow
        magic = {"PSD": b"8BPS\0\1", "FITS": b"SIMPLE  =  T", "WMF": b"\xd7\xcd\xc6\x9a\0\0"}
        content = io.BytesIO(magic[format] + bytes(2000))
    (tmp_path / "a.png").write_bytes(content.getvalue())
    Image.init()
    if format in Image.OPEN:
        monkeypatch.setitem(Image.OPEN, format, (pytest.fail, None))
    with pytest.raises(ImageError, match="not a picture in a format that is read"):
        read_image(tmp_path / "a.png")


@pytest.mark.parametrize(
    "name, words",
    [
        ("a.heic", "HEIF"),
        ("a.HEIF", "HEIF"),
        ("a.CR2", "camera raw"),
        ("a.nef", "camera raw"),
        ("a.arw", "camera raw"),
        ("a.dng", "camera raw"),
        ("a.raw", "camera raw"),
        ("a.fits", "astropy"),
        ("a.dcm", "pydicom"),
        ("a.svg", "draw it as PNG"),
        ("a.psd", "convert to PNG"),
    ],
)
def test_other_formats_are_told_by_their_suffix_with_what_to_do(tmp_path, name, words):
    # As camera raw is: a TIFF file, whose first picture is a thumbnail.
    Image.fromarray(noise(*SIZE)).save(tmp_path / name, "TIFF")
    assert "." + name.rpartition(".")[2].lower() in images.picture_suffixes()
    for read in (read_image, read_header):
        with pytest.raises(ImageError) as caught:
            read(tmp_path / name)
        assert words in str(caught.value) and caught.value.remedy


def test_suffixes_are_read_or_told_never_both():
    assert {".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp", ".pgm", ".jp2", ".mpo"} <= set(
        images._readable_suffixes()
    )
    assert not images._readable_suffixes() & set(images._foreign_suffixes())
    assert ".avif" in images.picture_suffixes()
    every = [suffix for suffixes, *_ in images._FOREIGN for suffix in suffixes.split()]
    assert len(every) == len(set(every)) and all(suffix[0] == "." for suffix in every)


def test_decompression_bombs_are_told_in_a_line(tmp_path):
    for side in (13_378, 60_000):
        (tmp_path / "a.png").write_bytes(png(side, side))
        for read in (read_image, read_header):
            with pytest.raises(ImageError, match="more than 178,956,970 pixels") as caught:
                read(tmp_path / "a.png")
            assert "\n" not in str(caught.value)


def test_pillow_warns_of_nothing(tmp_path):
    """Neither of sizes below the limit nor of what it mends."""
    (tmp_path / "a.png").write_bytes(png(13_000, 13_000))
    exif = b"Exif\0\0II*\0\x08\0\0\0\x05\0" + bytes(8)  # five entries, and then nothing
    write(tmp_path / "b.jpg", noise(*SIZE), exif=exif)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_header(tmp_path / "a.png").shape == (13_000, 13_000)
        assert read_header(tmp_path / "b.jpg").shape == read_image(tmp_path / "b.jpg").shape == SIZE


# Memory


def test_no_memory_for_pixels_is_no_fault_of_the_file(tmp_path, monkeypatch):
    path = write(tmp_path / "a.png", noise(*SIZE))

    def refuse(*_, **__):
        raise MemoryError("cannot allocate")

    for place in ("PIL.PngImagePlugin.PngImageFile.load", "npscatter.cli.images._fit"):
        with monkeypatch.context() as patched:
            patched.setattr(place, refuse)
            with pytest.raises(MemoryError):
                read_image(path)


def test_a_header_that_asks_for_too_much_memory_is_broken(tmp_path):
    box = struct.pack(">I4sQ", 1, b"jp2h", 2**62)
    (tmp_path / "a.jp2").write_bytes(b"\0\0\0\x0cjP  \r\n\x87\n" + box + bytes(99))
    for read in (read_image, read_header):
        with pytest.raises(ImageError, match="asks for too much memory"):
            read(tmp_path / "a.jp2")


def test_faults_of_our_own_are_none_of_the_file(tmp_path, monkeypatch):
    path = write(tmp_path / "a.png", noise(*SIZE, 3))

    def fail(*_):
        raise TypeError("a fault")

    for place in ("_fit", "_channel", "luminance"):
        with monkeypatch.context() as patched, pytest.raises(TypeError, match="a fault"):
            patched.setattr(images, place, fail)
            read_image(path)


@pytest.mark.parametrize("name", ["a.jpg", "deep.png", "a.tif"])
def test_only_what_is_asked_for_becomes_floats(tmp_path, name):
    kind = np.uint16 if name == "deep.png" else np.uint8
    pixels = np.zeros((1500, 2000, 3)[: 2 if name == "deep.png" else 3], kind)
    path = write(tmp_path / name, pixels)

    def most_memory(how):
        tracemalloc.start()
        try:
            read_image(path, how)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    assert most_memory(Reading("all", crop=(64, 64))) < 2**20
    plane = 8 * 1500 * 2000
    assert most_memory(Reading("red")) < 2.8 * plane


# Broken files


def broken(content, random, count):
    """Yield a file's content cut off, overwritten, shifted and repeated."""
    for _ in range(count):
        at = int(random.integers(len(content)))
        kind = random.integers(4)
        changed = bytearray(content)
        if kind == 0:
            changed = changed[:at]
        elif kind == 1:
            # Headers matter most.
            places = random.integers(min(len(content), 200), size=3) if at % 2 else [at]
            for place in places:
                changed[place] = random.integers(256)
        elif kind == 2:
            until = at + int(random.integers(1, 20))
            changed[at:until] = bytes([255 * (at % 2)]) * len(changed[at:until])
        else:
            changed[at:at] = changed[: int(random.integers(1, 40))]
        yield bytes(changed)


@pytest.mark.parametrize("name", [*SAVED, "float.tif", "deep.png", "tiles.tif", "pages.gif"])
def test_broken_files_of_every_format_raise_image_errors_alone(tmp_path, monkeypatch, name):
    monkeypatch.setattr(images, "MOST_PIXELS", 2**18)
    rng = np.random.default_rng(sum(name.encode()))
    if name == "float.tif":
        write(tmp_path / name, rng.random(SIZE, np.float32))
    elif name == "deep.png":
        write(tmp_path / name, noise(*SIZE, dtype=np.uint16))
    elif name == "tiles.tif":
        write(tmp_path / name, noise(*SIZE, 4), compression="tiff_deflate", exif=Image.Exif())
    elif name == "pages.gif":
        first, *more = (Image.fromarray(noise(*SIZE, seed=seed)) for seed in range(3))
        first.save(tmp_path / name, save_all=True, append_images=more)
    else:
        pixels = noise(*SIZE) if name.endswith("pgm") else noise(*SIZE, 3)
        write(tmp_path / name, pixels, **SAVED[name])
    settings = [
        Reading(),
        Reading("all", levels=(0, 1)),
        Reading("red", crop=(5, 5), pad=(8, 8), size=(3, 4)),
        Reading(frame=1),
        Reading(size=(4, 4)),
    ]
    path = tmp_path / f"broken{name}"
    outcomes = {True: 0, False: 0}
    for number, content in enumerate(broken((tmp_path / name).read_bytes(), rng, 60)):
        path.write_bytes(content)
        how = settings[number % len(settings)]
        try:
            assert len(read_header(path, how).shape) == 2
            picture = read_image(path, how)
            assert picture.dtype == np.float64 and np.isfinite(picture).all()
        except ImageError as error:
            assert str(error).isprintable() and len(str(error)) < 400
            outcomes[False] += 1
        else:
            outcomes[True] += 1
    assert outcomes[False] > 3
