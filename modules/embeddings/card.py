"""Embeddings carried by a picture: as PNG text, and as noise beside the picture that survives stripped metadata.

The noise does not survive lossy recompression. Formats: textual-inversion cards as AUTOMATIC1111's web UI makes them.
"""

import base64
import json
import zlib
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from PIL.PngImagePlugin import PngInfo

from modules.embeddings.embedding import Embedding
from modules.embeddings.layout import a1111_layout
from modules.errors import EmbeddingError
from modules.files import write_atomically

TEXT_KEY = "sd-ti-embedding"
MOST_PIXELS = 25_000_000  # a card is one preview picture with two margins: anything larger is a photograph
MOST_JSON = 8 << 20  # 75 vectors of 2048 values take 3.5 MB as decimal numbers
_ZLIB_HEADER = 0x78  # first byte of any zlib stream with the usual 32 KiB window


def read_card(path: Path) -> dict[str, Any] | None:
    """What a picture carries, in the layout of an A1111 `.pt` file, tensors included.

    Returns:
        None if the picture carries no embedding.

    Raises:
        EmbeddingError: the picture or its embedding is damaged.
    """
    try:
        with Image.open(path) as picture:
            if picture.width * picture.height > MOST_PIXELS:
                return None
            pixels = np.asarray(picture.convert("RGB"))
            text = picture.info.get(TEXT_KEY)  # known only now: the chunk may stand behind the pixels
            content = read_pixels(pixels) if text is None else base64.b64decode(text)
    except Image.DecompressionBombError:
        return None
    except (OSError, SyntaxError, ValueError, TypeError) as error:  # Pillow raises all four on damaged files
        raise EmbeddingError(f"“{path.name}” is a damaged picture: {error}.") from error
    return None if content is None else _parse(content, path)


def save_card(embedding: Embedding, picture: Image.Image, path: Path) -> None:
    """Write `card_bytes`.

    Raises:
        StorageError: the file cannot be written.
    """
    write_atomically(path, card_bytes(embedding, picture))


def card_bytes(embedding: Embedding, picture: Image.Image) -> bytes:
    """A PNG that shows `picture` with a caption and carries the embedding twice, as text and in its pixels."""
    content = _serialise(embedding)
    margins = write_pixels(content, np.asarray(_captioned(picture, embedding)), embedding.vectors[0].abs().numpy())
    text = PngInfo()
    text.add_text(TEXT_KEY, base64.b64encode(content).decode("ascii"))
    file = BytesIO()
    Image.fromarray(margins).save(file, "PNG", pnginfo=text)
    return file.getvalue()


def write_pixels(content: bytes, picture: np.ndarray, shades: np.ndarray) -> np.ndarray:
    """Put `content` into two margins of noise beside a picture.

    Args:
        content: what to carry.
        picture: uint8 [height, width, 3].
        shades: any row of non-negative numbers; they colour the discs that decorate the margins.

    Returns:
        uint8 [height, wider, 3]: low half-bytes, one black column, picture, one black column, high half-bytes.
    """
    height = picture.shape[0]
    packed = np.frombuffer(zlib.compress(content, 9), dtype=np.uint8)
    length = packed.size + height - packed.size % height
    length += 3 * height - length % (3 * height)
    low, high = (
        np.resize(half, length).reshape(height, -1, 3) ^ (_noise(length).reshape(height, -1, 3) & 0x0F)
        for half in (packed & 0x0F, packed >> 4)
    )
    shades = (shades[:1024] / max(float(shades[:1024].max()), 1e-12) * 255).astype(np.uint8)
    black = np.zeros((height, 1, 3), dtype=np.uint8)
    discs = _discs(height, low.shape[1], shades)
    reversed_discs = _discs(height, low.shape[1], shades[::-1])
    return np.concatenate([low ^ discs, black, picture, black, high ^ reversed_discs], axis=1)


def read_pixels(picture: np.ndarray) -> bytes | None:
    """What `write_pixels` put into a picture, or None if there is nothing.

    Args:
        picture: uint8 [height, width, 3].

    Raises:
        EmbeddingError: there is something, but damaged or larger than any embedding.
    """
    lit: np.ndarray = np.all(picture > 0, axis=2)
    rows, columns = np.flatnonzero(np.any(lit, axis=-1)), np.flatnonzero(np.any(lit, axis=0))
    if not rows.size:
        return None
    nibbles = picture[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] & 0x0F
    black = np.flatnonzero(np.all(nibbles == 0, axis=(0, 2)))
    if black.size < 2:
        return None
    low, high = nibbles[:, : black[0]].reshape(-1), nibbles[:, black[-1] + 1 :].reshape(-1)
    if not low.size or low.size != high.size:
        return None
    noise = _noise(low.size) & 0x0F
    packed = ((high ^ noise) << 4 | (low ^ noise)).tobytes()
    if packed[0] != _ZLIB_HEADER:
        return None  # an ordinary picture with two black columns
    stream = zlib.decompressobj()
    try:
        content = stream.decompress(packed, MOST_JSON)
    except zlib.error as error:
        raise EmbeddingError(
            "The embedding in the picture's pixels is damaged: was the picture recompressed?"
        ) from error
    if not stream.eof:
        raise EmbeddingError("The data in the picture's pixels is larger than any embedding, or its end is missing.")
    return content


def _noise(length: int) -> np.ndarray:
    """uint8 [length]: the linear congruential generator of Numerical Recipes from 0, each state modulo 255."""
    multiplier, increment = 1664525, 1013904223
    states = np.array([increment], dtype=np.uint32)
    while states.size < length:  # the jump over all states so far is affine too: double the row each time
        ahead = states * np.uint32(multiplier) + np.uint32(increment)
        states = np.concatenate([states, ahead])
        multiplier, increment = multiplier * multiplier % 2**32, (multiplier * increment + increment) % 2**32
    return (states[:length] % 255).astype(np.uint8)


def _discs(height: int, width: int, shades: np.ndarray) -> np.ndarray:
    """uint8 [height, width, 3] with empty low half-bytes: discs of 6 pixels on a shifted lattice of 8."""
    canvas = Image.new("L", (width, height))
    draw = ImageDraw.Draw(canvas)
    count = 0
    for row, y in enumerate(range(-6, height, 8)):
        for x in range(-6 + row % 2 * 4, width, 8):
            draw.ellipse((x, y, x + 6, y + 6), fill=int(shades[count % shades.size]))
            count += 1
    return np.asarray(canvas)[:, :, None] & 0xF0


def _captioned(picture: Image.Image, embedding: Embedding) -> Image.Image:
    """A copy of the picture, darkened at top and bottom, with name, model, hash, vectors and steps written on it."""
    picture = picture.convert("RGB")
    width, height = picture.size
    distance = np.abs(np.linspace(-1, 1, height)) ** 4
    pixels = np.asarray(picture) * (1 - 0.8 * distance)[:, None, None]
    picture = Image.fromarray(pixels.astype(np.uint8))
    draw = ImageDraw.Draw(picture)
    size = max(width / 24, 8)
    small, edge = ImageFont.load_default(size), size / 2
    large, room = ImageFont.load_default(size * 1.5), width - 2 * edge
    draw.text((edge, edge), _shortened(f"<{embedding.name}>", large, room), "white", large)
    footers = (
        (edge, "ls", embedding.checkpoint_name or ""),
        (width / 2, "ms", f"[{embedding.checkpoint_hash}]" if embedding.checkpoint_hash else ""),
        (width - edge, "rs", f"{embedding.vectors_per_token}v {embedding.step or 0}s"),
    )
    taken = max(small.getlength(text) for _, _, text in footers) * len(footers)  # the middle one stands in the middle
    if taken <= room:
        for x, anchor, text in footers:
            draw.text((x, height - edge), text, "white", small, anchor)
        return picture
    lines = [_shortened(text, small, room) for _, _, text in footers if text]
    for line, text in enumerate(reversed(lines)):  # a small picture: one above the other
        draw.text((edge, height - edge - line * 1.25 * size), text, "white", small, "ls")
    return picture


def _shortened(text: str, font: ImageFont.ImageFont | ImageFont.FreeTypeFont, room: float) -> str:
    while len(text) > 2 and font.getlength(text) > room:
        text = f"{text[:-2]}…"
    return text


def _serialise(embedding: Embedding) -> bytes:
    layout = a1111_layout(embedding, lambda tensor: {"TORCHTENSOR": tensor.tolist()})
    return json.dumps(layout).encode("utf-8")


def _parse(content: bytes, path: Path) -> dict[str, Any]:
    if len(content) > MOST_JSON:
        raise EmbeddingError(f"“{path.name}” carries {len(content)} bytes of data: more than any embedding needs.")
    try:
        data = json.loads(content, object_hook=_tensor)
    except (ValueError, TypeError, ArithmeticError, RuntimeError) as error:  # json and torch, on odd and deep lists
        raise EmbeddingError(f"The embedding carried by “{path.name}” is damaged: {type(error).__name__}.") from error
    if not isinstance(data, dict):
        raise EmbeddingError(f"The data carried by “{path.name}” is no embedding.")
    return data


def _tensor(value: Mapping[str, Any]) -> object:
    return torch.tensor(value["TORCHTENSOR"], dtype=torch.float32) if "TORCHTENSOR" in value else value
