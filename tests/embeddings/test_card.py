"""Pictures that carry an embedding."""

import base64
import dataclasses
import itertools
import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw
from PIL.PngImagePlugin import PngInfo

from modules.embeddings import card
from modules.embeddings.card import TEXT_KEY, read_card, read_pixels, save_card, write_pixels
from modules.embeddings.reading import read_embedding
from modules.errors import EmbeddingError
from tests.embeddings.reference import FOLDER, random_embedding, read

SHADES = np.linspace(0, 1, 72)


def photo(width: int = 128, height: int = 128) -> Image.Image:
    noise = np.random.default_rng(0).integers(30, 220, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(noise)


def without_text(path: Path) -> Path:
    """What is left when a web site strips the metadata."""
    with Image.open(path) as picture:
        picture.copy().save(path, pnginfo=PngInfo())
    with Image.open(path) as picture:
        assert TEXT_KEY not in picture.info
    return path


def with_text(path: Path, text: str) -> Path:
    info = PngInfo()
    info.add_text(TEXT_KEY, text)
    Image.new("RGB", (8, 8)).save(path, pnginfo=info)
    return path


def encoded(content: object) -> str:
    return base64.b64encode(json.dumps(content).encode()).decode()


class TestSavedCard:
    @pytest.mark.parametrize("size", [(128, 128), (512, 768), (97, 61)])
    def test_both_carry_the_embedding(self, tmp_path: Path, size: tuple[int, int]):
        written = random_embedding("real benny", count=3)
        save_card(written, photo(*size), tmp_path / "card.png")
        for path in (tmp_path / "card.png", without_text(tmp_path / "card.png")):
            embedding = read(path)
            assert torch.equal(embedding.vectors, written.vectors)
            assert (embedding.name, embedding.step, embedding.checkpoint_name) == ("real benny", 1200, "tiny")

    def test_largest_embedding(self, tmp_path: Path):
        written = random_embedding(count=75, width=768)
        save_card(written, photo(512, 512), tmp_path / "card.png")
        assert torch.equal(read(without_text(tmp_path / "card.png")).vectors, written.vectors)

    def test_sdxl(self, tmp_path: Path):
        written = random_embedding(width=2048)
        save_card(written, photo(), tmp_path / "card.png")
        assert torch.equal(read(tmp_path / "card.png").vectors, written.vectors)

    def test_the_picture_shows_what_it_was_and_a_caption(self, tmp_path: Path):
        original = photo(256, 256)
        save_card(random_embedding(), original, tmp_path / "card.png")
        with Image.open(tmp_path / "card.png") as picture:
            pixels = np.asarray(picture)
        margin = (pixels.shape[1] - 256) // 2
        inner = pixels[:, margin : margin + 256]
        assert np.abs(inner[128].astype(int) - np.asarray(original)[128]).max() <= 1  # the middle is not darkened
        assert inner[0].mean() < 50 < np.asarray(original)[0].mean()
        assert (inner[:40] == 255).any()  # the name

    @pytest.mark.parametrize("width", [64, 128, 256, 512])
    def test_no_words_of_the_caption_stand_upon_others(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, width: int
    ):
        boxes, write = [], ImageDraw.ImageDraw.text

        def spy(draw: ImageDraw.ImageDraw, at: Any, words: str, fill: str, font: Any, anchor: str = "la") -> None:
            boxes.append(draw.textbbox(at, words, font, anchor))
            write(draw, at, words, fill, font, anchor)

        monkeypatch.setattr(ImageDraw.ImageDraw, "text", spy)
        named = dataclasses.replace(
            random_embedding("x" * 40), checkpoint_name="demo-portraits", checkpoint_hash="0123456789"
        )
        save_card(named, photo(width, width), tmp_path / "card.png")
        assert len(boxes) == 4
        assert all(box[0] >= 0 and box[2] <= width for box in boxes)
        for one, other in itertools.combinations(boxes, 2):
            beside = one[2] <= other[0] or other[2] <= one[0]
            assert beside or one[3] <= other[1] or other[3] <= one[1]

    @pytest.mark.parametrize("mode", ["L", "RGBA", "P", "1", "CMYK"])
    def test_any_picture_will_do(self, tmp_path: Path, mode: str):
        save_card(random_embedding(), photo().convert(mode), tmp_path / "card.png")
        assert read(tmp_path / "card.png").name == "zwx"

    @pytest.mark.parametrize("name", ["日本語 😀", "charturner! (v2)", "x" * 200])
    def test_any_name_that_a_file_can_bear_comes_back(self, tmp_path: Path, name: str):
        save_card(random_embedding(name), photo(64, 64), tmp_path / "card.png")
        assert read(tmp_path / "card.png").name == name

    @pytest.mark.parametrize("name", ["日本語 😀" * 20, "../elsewhere"])
    def test_a_name_that_no_file_can_bear_gives_way_to_the_file_s_own(self, tmp_path: Path, name: str):
        save_card(random_embedding(name), photo(64, 64), tmp_path / "card.png")
        assert read(tmp_path / "card.png").name == "card"


class TestOtherContainers:
    """Only what keeps every pixel can carry the noise."""

    def test_pixels_survive_in_lossless_webp(self, tmp_path: Path):
        save_card(random_embedding(), photo(), tmp_path / "card.png")
        with Image.open(tmp_path / "card.png") as picture:
            picture.save(tmp_path / "card.webp", lossless=True)
        assert torch.equal(read(tmp_path / "card.webp").vectors, random_embedding().vectors)

    @pytest.mark.parametrize("suffix", ["webp", "avif"])
    def test_photographs_are_no_cards(self, tmp_path: Path, suffix: str):
        photo().save(tmp_path / f"photo.{suffix}")
        assert read_embedding(tmp_path / f"photo.{suffix}") is None

    def test_lossy_recompression_is_told(self, tmp_path: Path):
        save_card(random_embedding(), photo(), tmp_path / "card.png")
        with Image.open(tmp_path / "card.png") as picture:
            pixels = np.asarray(picture).copy()
        pixels[40:80, :2] ^= 5  # beyond the first bytes, which tell that there is something
        Image.fromarray(pixels).save(tmp_path / "card.png")
        with pytest.raises(EmbeddingError, match="damaged"):
            read_card(tmp_path / "card.png")


class TestFormat:
    def test_noise_begins_as_specified(self):
        assert card._noise(8).tolist() == [253, 242, 127, 44, 157, 27, 239, 133]

    def test_noise_is_that_of_the_generator(self):
        state, expected = 0, []
        for _ in range(1000):
            state = (1664525 * state + 1013904223) % 2**32
            expected.append(state % 255)
        assert card._noise(1000).tolist() == expected

    @pytest.mark.parametrize("recorded", ["png-both.png", "png-pixels-file.png"])
    @pytest.mark.parametrize("width", [72, 768])
    def test_low_half_bytes_are_those_of_the_recorded_cards(self, recorded: str, width: int):
        """The decoration is free; what carries data must lie where A1111 puts it."""
        with Image.open(FOLDER / f"width{width}" / recorded) as picture:
            theirs = np.asarray(picture.convert("RGB"))
        content = read_pixels(theirs)
        assert content is not None
        ours = write_pixels(content, theirs[:, :1].repeat(9, axis=1), SHADES)
        columns = (ours.shape[1] - 11) // 2
        assert np.array_equal(ours[:, :columns] & 15, theirs[:, :columns] & 15)
        assert np.array_equal(ours[:, -columns:] & 15, theirs[:, -columns:] & 15)

    def test_length_rule(self):
        """n half-bytes, to a multiple of the height, to a multiple of three heights; each step adds something."""
        content = b"x"
        size = len(zlib.compress(content, 9))
        for height in (size, size - 1, size + 1, 64):
            length = size + height - size % height
            length += 3 * height - length % (3 * height)
            written = write_pixels(content, np.zeros((height, 5, 3), dtype=np.uint8), SHADES)
            assert written.shape == (height, 2 * length // (3 * height) + 7, 3)


class TestPicturesWithout:
    def test_black_columns_are_no_card(self):
        pixels = np.asarray(photo()).copy()
        pixels[:, [30, 90]] = 0
        assert read_pixels(pixels) is None

    @pytest.mark.parametrize("shade", [0, 255])
    def test_plain_pictures(self, shade: int):
        assert read_pixels(np.full((16, 16, 3), shade, dtype=np.uint8)) is None

    def test_photographs_are_not_decoded(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
        photo().save(tmp_path / "a.png")
        monkeypatch.setattr(card, "MOST_PIXELS", 100)
        monkeypatch.setattr(card, "read_pixels", lambda _: pytest.fail("it was decoded"))
        assert read_card(tmp_path / "a.png") is None


class TestHostile:
    @pytest.mark.parametrize(
        "text",
        [
            "no base64 ä",
            "====",
            base64.b64encode(b"\xff\xfe").decode(),
            base64.b64encode(b"{" * 100_000).decode(),
            base64.b64encode(b"[" * 100_000).decode(),
            base64.b64encode(b'{"TORCHTENSOR":' * 50_000).decode(),
            encoded([1, 2]),
            encoded({"string_to_param": {"*": {"TORCHTENSOR": [[1, 2], [3]]}}}),
            encoded({"string_to_param": {"*": {"TORCHTENSOR": [["a"]]}}}),
            encoded({"string_to_param": {"*": {"TORCHTENSOR": None}}}),
            encoded({"string_to_param": {"*": {"TORCHTENSOR": [[10**400]]}}}),
            encoded({"string_to_param": {"*": {"TORCHTENSOR": [[float("nan")]]}}}),
            encoded({"string_to_param": {"*": [[1.0]]}}),
            encoded({"string_to_param": 5}),
            encoded({}),
        ],
    )
    def test_texts_are_refused(self, tmp_path: Path, text: str):
        with pytest.raises(EmbeddingError):
            read(with_text(tmp_path / "a.png", text))

    def test_long_text_is_not_parsed(self, tmp_path: Path):
        with pytest.raises(EmbeddingError, match="more than any embedding"):
            read(with_text(tmp_path / "a.png", base64.b64encode(bytes(card.MOST_JSON + 1)).decode()))

    def test_a_bomb_in_the_pixels_is_not_unpacked(self):
        pixels = write_pixels(bytes(card.MOST_JSON * 2), np.asarray(photo()), SHADES)
        with pytest.raises(EmbeddingError, match="larger than any embedding"):
            read_pixels(pixels)

    def test_strange_names_give_way_to_the_files(self, tmp_path: Path):
        for name in ("", " ", "a\nb", "x" * 1000, 5, None):
            content = {"string_to_param": {"*": {"TORCHTENSOR": [[1.0, 2.0]]}}, "name": name}
            assert read(with_text(tmp_path / "stem.png", encoded(content))).name == "stem"

    def test_a_bomb_of_pixels(self, tmp_path: Path):
        Image.new("1", (20_000, 20_000)).save(tmp_path / "a.png")
        assert read_card(tmp_path / "a.png") is None
