"""Decoding."""

from __future__ import annotations

import contextlib
import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageOps

from alexnet_jax.data.images import UnreadableImageError, decode_image, fit_pixels
from alexnet_jax.errors import AlexNetError


def encode(image, kind, **options):
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("kind", "mode"),
    [
        *(("JPEG", mode) for mode in ("RGB", "L", "CMYK")),
        *(("PNG", mode) for mode in ("RGB", "L", "RGBA", "P", "LA")),
        *(("WEBP", mode) for mode in ("RGB", "RGBA")),
    ],
)
def test_decode_converts_every_mode(kind, mode):
    image = Image.new("RGB", (50, 40), (200, 100, 50)).convert(mode)
    for channels in (1, 3):
        pixels = decode_image(encode(image, kind), 24, channels)
        assert pixels.shape == (24, 24, channels)
        grey = 0.299 * 200 + 0.587 * 100 + 0.114 * 50
        expected = [grey] * 3 if mode in ("L", "LA") else [200, 100, 50]
        np.testing.assert_allclose(pixels[12, 12], expected if channels == 3 else [grey], atol=6)


def test_decode_scales_the_shorter_side_and_crops_the_centre():
    pixels = np.zeros((40, 80, 3), np.uint8)
    pixels[:, 20:60] = 255  # exactly the central square
    assert decode_image(encode(Image.fromarray(pixels), "PNG"), 20, 3)[1:-1, 1:-1].min() == 255


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_decode_squash_scales_both_sides(kind, channels):
    """The left quarter of the photo stays the left quarter."""
    pixels = np.zeros((40, 80, 3), np.uint8)
    pixels[:, :20] = 255
    found = decode_image(encode(Image.fromarray(pixels), kind), 20, channels, "squash")
    assert found.shape == (20, 20, channels)
    assert found[:, :4].min() > 240
    assert found[:, 6:].max() < 15


def test_decode_keeps_images_of_the_right_size():
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    np.testing.assert_array_equal(decode_image(encode(Image.fromarray(pixels), "PNG"), 32, 3), pixels)


def test_decode_rotates_a_photo_as_its_metadata_say():
    pixels = np.zeros((32, 32, 3), np.uint8)
    pixels[:16] = 255  # the upper half
    exif = Image.Exif()
    exif[0x0112] = 6  # rotate by 90 degrees clockwise
    rotated = decode_image(encode(Image.fromarray(pixels), "JPEG", exif=exif), 32, 3)
    assert rotated[:, 20:].min() > 200
    assert rotated[:, :12].max() < 50


def test_unreadable_file_is_named(tmp_path):
    file = tmp_path / "cat.jpg"
    file.write_bytes(b"not an image")
    with pytest.raises(AlexNetError) as raised:
        decode_image(file, 32, 3)
    assert str(raised.value) == f"{file}: not a readable image (cannot identify the format); remove or replace it"


def test_truncated_jpeg_is_refused():
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    intact = encode(Image.fromarray(pixels), "JPEG")
    with pytest.raises(UnreadableImageError, match="not a readable image"):
        decode_image(intact[: len(intact) // 2], 32, 3)


@pytest.mark.filterwarnings("ignore")
def test_damaged_metadata_raise_no_other_error():
    exif = Image.Exif()
    exif[0x0112], exif[0x010F], exif[0x011A] = 6, "maker", (72, 1)
    intact = encode(Image.new("RGB", (32, 24)), "JPEG", exif=exif)
    start, rng = intact.find(b"Exif\0\0") + 6, np.random.default_rng(0)
    for _ in range(600):
        damaged = bytearray(intact)
        for place in rng.integers(start, start + len(exif.tobytes()) - 6, 3):
            damaged[place] = rng.integers(256)
        with contextlib.suppress(UnreadableImageError):
            decode_image(bytes(damaged), 16, 3)


def photo(seed, size=24):
    coarse = np.random.default_rng(seed).integers(0, 256, (5, 5, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((size, size), Image.Resampling.BICUBIC)


def decode_with_pillow(content):
    with Image.open(io.BytesIO(content)) as opened:
        return np.asarray(ImageOps.exif_transpose(opened).convert("RGB"))


@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:2", "4:2:0"])
@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize(("quality", "size"), [(100, 64), (75, 63), (20, 17), (95, 1)])
def test_jpeg_is_decoded_as_by_pillow_bit_for_bit(subsampling, progressive, quality, size):
    content = encode(photo(0, size), "JPEG", subsampling=subsampling, progressive=progressive, quality=quality)
    np.testing.assert_array_equal(decode_image(content, size, 3), decode_with_pillow(content))


def orientation(value):
    exif = Image.Exif()
    exif[0x0112] = value
    return exif


XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><r tiff:Orientation="6"/></x:xmpmeta>'
UNUSUAL_JPEG = {
    "grey": encode(photo(1).convert("L"), "JPEG"),
    "cmyk": encode(photo(1).convert("CMYK"), "JPEG"),
    "rgb": encode(photo(1), "JPEG", keep_rgb=True),
    "rotated": encode(photo(1), "JPEG", exif=orientation(6)),
    "rotated in XMP": encode(photo(1), "JPEG", xmp=XMP),
    "extra bytes": encode(photo(1), "JPEG").replace(b"\xff\xda", b"\x00\x00\xff\xda", 1),
}


@pytest.mark.parametrize("kind", UNUSUAL_JPEG)
def test_unusual_jpeg_is_decoded_as_by_pillow(kind):
    np.testing.assert_array_equal(decode_image(UNUSUAL_JPEG[kind], 24, 3), decode_with_pillow(UNUSUAL_JPEG[kind]))


@pytest.mark.parametrize("length", [0, 3, 300, -40, -2])
def test_truncated_jpeg_file_is_named_in_one_line(tmp_path, length):
    file = tmp_path / "cat.jpg"
    file.write_bytes(encode(photo(2, 80), "JPEG")[:length])
    with pytest.raises(AlexNetError, match=r"cat\.jpg: not a readable image \(.+\); remove or replace it$"):
        decode_image(file, 24, 3)


def png(pixels, colour_type):
    """A PNG of 16-bit channels, which Pillow does not write: 0 is grey, 2 RGB, 4 grey and 6 RGB with transparency."""
    height, width = pixels.shape[:2]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    header = struct.pack(">IIBBBBB", width, height, 16, colour_type, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    parts = [
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


@pytest.mark.parametrize(("colour_type", "planes"), [(0, 1), (2, 3), (4, 2), (6, 4)])
def test_sixteen_bit_png_is_scaled_to_eight_bits(colour_type, planes):
    wide = np.random.default_rng(0).integers(0, 2**16, (24, 24, planes), dtype=np.uint16)
    colours = wide[..., :1] if planes <= 2 else wide[..., :3]
    expected = np.broadcast_to(colours >> 8, (24, 24, 3))
    np.testing.assert_array_equal(decode_image(png(wide, colour_type), 24, 3), expected)
    if planes <= 2:
        np.testing.assert_array_equal(decode_image(png(wide, colour_type), 24, 1), colours >> 8)


@pytest.mark.parametrize(
    ("pixels", "reason"),
    [(np.full((24, 24), 70_000, np.int32), "more than 16 bits"), (np.ones((24, 24), np.float32), "floating-point")],
)
def test_pixels_of_unknown_range_are_refused(pixels, reason):
    with pytest.raises(UnreadableImageError, match=reason):
        decode_image(encode(Image.fromarray(pixels), "TIFF"), 24, 3)


def test_transparency_is_dropped():
    colours = np.asarray(photo(3))
    layered = np.dstack([colours, np.zeros((24, 24), np.uint8)])
    for kind, options in (("PNG", {}), ("WEBP", {"lossless": True, "exact": True})):
        content = encode(Image.fromarray(layered), kind, **options)
        np.testing.assert_array_equal(decode_image(content, 24, 3), colours)
    palette = photo(3).quantize(16)
    content = encode(palette, "PNG", transparency=bytes(range(16)))  # Pillow warns if it converts such an image to RGB
    np.testing.assert_array_equal(decode_image(content, 24, 3), np.asarray(palette.convert("RGB")))


@pytest.mark.parametrize(("kind", "options"), [("PNG", {}), ("WEBP", {"lossless": True}), ("GIF", {})])
def test_the_first_frame_of_an_animation_is_read(kind, options):
    frames = [Image.new("RGB", (24, 24), (value, value, value)) for value in (40, 200)]
    content = encode(frames[0], kind, save_all=True, append_images=frames[1:], **options)
    assert (decode_image(content, 24, 3) == 40).all()


@pytest.mark.parametrize("channels", [2, 4])
def test_raw_pixels_of_other_channels_are_refused(channels):
    with pytest.raises(AlexNetError, match=rf"has {channels} channels: store 3 \(RGB\) or 1 \(grey\)$"):
        fit_pixels(np.zeros((24, 24, channels), np.uint8), 24, 3)


def test_a_lack_of_memory_is_no_damage(monkeypatch):
    def fail(*_):
        raise MemoryError

    monkeypatch.setattr(Image, "open", fail)
    with pytest.raises(MemoryError):
        decode_image(encode(photo(1), "PNG"), 24, 3)
