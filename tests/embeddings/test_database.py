"""A folder of embeddings: what each file can do, and how changes are seen."""

import os
import shutil
from pathlib import Path

import pytest
import torch
from PIL import Image

from modules.embeddings import database as database_module
from modules.embeddings.card import save_card
from modules.embeddings.database import EmbeddingDatabase, Entry, State
from modules.embeddings.writing import save_pt, save_safetensors
from modules.odd_pictures import JPEG_XL
from modules.prompts.tokenizer import clip_tokenizer
from tests import foreign
from tests.embeddings.reference import FILES, FOLDER, random_embedding

TOKENIZER = clip_tokenizer()


def put(folder: Path, file: str, *, age: int = 0, seed: int = 0, width: int = 72) -> Path:
    """Write an embedding that was last changed `age` seconds before the others."""
    path = folder / file
    save = save_pt if path.suffix == ".pt" else save_safetensors
    save(random_embedding(path.stem, seed=seed, width=width), path)
    os.utime(path, (1_700_000_000 - age, 1_700_000_000 - age))
    return path


def opened(*folders: Path) -> EmbeddingDatabase:
    database = EmbeddingDatabase(folders)
    database.refresh()
    return database


def states(database: EmbeddingDatabase, width: int = 72) -> dict[str, State]:
    return {entry.path.name: entry.state for entry in database.entries(width, TOKENIZER)}


def entry(database: EmbeddingDatabase, file: str) -> Entry:
    [found] = [entry for entry in database.entries(72, TOKENIZER) if entry.path.name == file]
    return found


class TestReferenceFolder:
    @pytest.mark.parametrize("width", [72, 768])
    def test_what_fits_is_in_use_and_the_rest_is_told(self, width: int):
        database = opened(FOLDER / "width72", FOLDER / "width768")
        expected = {f["name"] for f in FILES if f["width"] == width and "case-collision" not in f["file"]} - {"vec80"}
        assert set(database.for_width(width)) == expected
        in_use = [e for e in database.entries(width, TOKENIZER) if e.state is State.IN_USE]
        assert {e.name for e in in_use} == expected
        others = [e for e in database.entries(width, TOKENIZER) if e.state is not State.IN_USE]
        assert {e.state for e in others} == {State.OTHER_FAMILY, State.DAMAGED}  # damaged: 80 vectors
        assert all(e.reason for e in others)

    def test_bad_files_do_not_hinder_the_others(self, tmp_path: Path):
        shutil.copytree(FOLDER / "bad", tmp_path / "bad")
        put(tmp_path, "good.pt")
        found = states(opened(tmp_path))
        assert found.pop("good.pt") is State.IN_USE
        hostile = {name: State.UNSAFE for name in found if name.startswith("malicious")}
        foreign_families = dict.fromkeys(["sdxl.safetensors", "sd2-1024.pt"], State.OTHER_FAMILY)
        damaged = dict.fromkeys(
            [
                *(f"truncated.{suffix}" for suffix in ("pt", "bin", "safetensors", "png")),
                *("empty.pt", "garbage.pt", "list.pt", "two-terms.pt", "two-concepts.bin"),
            ],
            State.DAMAGED,
        )
        assert len(hostile) == 4
        assert found == hostile | foreign_families | damaged  # pictures and notes are passed over

    @pytest.mark.parametrize("start", JPEG_XL)
    def test_a_card_in_jpeg_xl_is_named_with_a_way_out(self, tmp_path: Path, start: bytes):
        for name in ("zwx.jxl", "other.JXL", "zwx.preview.jxl"):
            (tmp_path / name).write_bytes(start + bytes(99))
        database = opened(tmp_path)
        assert states(database) == {"zwx.jxl": State.UNREADABLE, "other.JXL": State.UNREADABLE}
        assert "Skipped (not readable here): “zwx.jxl” is a JPEG XL picture" in database.report(72, TOKENIZER)
        assert "as a .safetensors file" in entry(database, "zwx.jxl").reason
        [notice] = database.notices("a portrait of zwx", 72, TOKENIZER)
        assert "JPEG XL" in notice

    def test_the_twin_is_shadowed(self, tmp_path: Path):
        (tmp_path / "other").mkdir()  # not every file system keeps both in one folder
        shutil.copy(FOLDER / "width72" / "benny.pt", tmp_path)
        shutil.copy(FOLDER / "case-collision" / "Benny.pt", tmp_path / "other")
        os.utime(tmp_path / "benny.pt", (1, 1))
        assert states(opened(tmp_path)) == {"Benny.pt": State.IN_USE, "benny.pt": State.SHADOWED}


class TestStates:
    def test_other_family_names_both(self, tmp_path: Path):
        put(tmp_path, "two.pt", width=1024)
        found = entry(opened(tmp_path), "two.pt")
        assert found.state is State.OTHER_FAMILY
        assert "Stable Diffusion 2 (vectors of 1024, the model in use has 72)" in found.reason

    def test_of_equal_names_the_newest_acts(self, tmp_path: Path):
        put(tmp_path, "a.pt", age=10, seed=1)
        put(tmp_path / "sub", "a.safetensors", age=5, seed=2)
        put(tmp_path, "A.safetensors", age=20, seed=3)
        database = opened(tmp_path)
        assert states(database) == {
            "a.safetensors": State.IN_USE,
            "a.pt": State.SHADOWED,
            "A.safetensors": State.SHADOWED,
        }
        assert "“a.pt” and the newer “a.safetensors”" in entry(database, "a.pt").reason
        acting = database.vocabulary(72, TOKENIZER).embeddings["a"]
        assert torch.equal(acting.vectors, random_embedding(seed=2).vectors)
        assert torch.equal(database.for_width(72)["a"].vectors, acting.vectors)

    def test_a_twin_of_another_family_shadows_nothing(self, tmp_path: Path):
        put(tmp_path, "a.pt", age=10)
        put(tmp_path, "a.safetensors", width=768)
        assert states(opened(tmp_path)) == {"a.pt": State.IN_USE, "a.safetensors": State.OTHER_FAMILY}
        assert states(opened(tmp_path), 768) == {"a.pt": State.OTHER_FAMILY, "a.safetensors": State.IN_USE}

    @pytest.mark.parametrize("form", foreign.HOSTILE)
    @pytest.mark.parametrize("name", ["x.pt", "x.ckpt", "x.bin", "x.pth", "x.safetensors", "x.SAFETENSORS", "x"])
    def test_unsafe_files_are_shown_and_do_not_run(self, tmp_path: Path, form: str, name: str):
        (tmp_path / "e").mkdir()
        foreign.HOSTILE[form](foreign.Canary(tmp_path / "canary"), tmp_path / "e" / name)
        assert states(opened(tmp_path / "e")) == {name: State.UNSAFE}
        assert not (tmp_path / "canary").exists()

    def test_origin_is_there(self, tmp_path: Path):
        put(tmp_path, "a.safetensors")
        found = entry(opened(tmp_path), "a.safetensors")
        assert found.embedding is not None
        assert (found.embedding.step, found.embedding.checkpoint_name) == (1200, "tiny")
        assert found.modified == 1_700_000_000


class TestFolder:
    def test_newest_first_ties_by_name(self, tmp_path: Path):
        for file, age in (("b.pt", 0), ("c.pt", 9), ("A.pt", 0), ("d.pt", 5)):
            put(tmp_path, file, age=age)
        assert [e.name for e in opened(tmp_path).entries(72, TOKENIZER)] == ["A", "b", "d", "c"]

    def test_what_is_passed_over(self, tmp_path: Path):
        for name in (".hidden.pt", "notes.txt", "README", "photo.jpg"):
            (tmp_path / name).write_bytes(b"text")
        Image.new("RGB", (9, 9), "teal").save(tmp_path / "photo.png")
        save_card(random_embedding(), Image.new("RGB", (9, 9), "teal"), tmp_path / "a.preview.png")
        assert opened(tmp_path).entries(72, TOKENIZER) == []

    def test_only_pictures_can_be_previews(self, tmp_path: Path):
        put(tmp_path, "a.preview.safetensors")
        assert list(opened(tmp_path).for_width(72)) == ["a.preview"]

    def test_cards_answer_to_the_name_inside(self, tmp_path: Path):
        save_card(random_embedding("inner"), Image.new("RGB", (99, 99), "teal"), tmp_path / "outer.png")
        assert list(opened(tmp_path).for_width(72)) == ["inner"]

    def test_links_are_followed_and_loops_end(self, tmp_path: Path):
        put(tmp_path / "elsewhere", "a.pt")
        (tmp_path / "e").mkdir()
        (tmp_path / "e" / "linked").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
        (tmp_path / "elsewhere" / "back").symlink_to(tmp_path / "e", target_is_directory=True)
        (tmp_path / "e" / "broken.pt").symlink_to(tmp_path / "nowhere.pt")
        assert states(opened(tmp_path / "e")) == {"a.pt": State.IN_USE}

    def test_missing_folders_are_empty(self, tmp_path: Path):
        assert opened(tmp_path / "none").entries(72, TOKENIZER) == []


class TestRefresh:
    def test_nothing_is_read_before_the_first(self, tmp_path: Path):
        put(tmp_path, "a.pt")
        assert EmbeddingDatabase([tmp_path]).entries(72, TOKENIZER) == []

    def test_only_changes_are_read(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
        read: list[str] = []

        def counted(path: Path):
            read.append(path.name)
            return read_embedding(path)

        read_embedding = database_module.read_embedding
        monkeypatch.setattr(database_module, "read_embedding", counted)
        for file in ("a.pt", "b.pt"):
            put(tmp_path, file)
        (tmp_path / "bad.pt").write_bytes(b"")
        Image.new("RGB", (9, 9)).save(tmp_path / "photo.png")
        database = EmbeddingDatabase([tmp_path])
        assert database.refresh()
        assert sorted(read) == ["a.pt", "b.pt", "bad.pt", "photo.png"]
        assert not database.refresh()
        put(tmp_path, "b.pt", age=-1, seed=1)
        assert database.refresh()
        assert read[4:] == ["b.pt"]

    def test_new_changed_and_gone(self, tmp_path: Path):
        put(tmp_path, "a.pt")
        database = opened(tmp_path)
        before = database.for_width(72)["a"]
        put(tmp_path, "a.pt", age=-1, seed=1)  # in place: the folder's own time may not move
        put(tmp_path / "sub", "b.pt")
        assert database.for_width(72) == {"a": before}
        assert database.refresh()
        assert set(database.for_width(72)) == {"a", "b"}
        assert not torch.equal(database.for_width(72)["a"].vectors, before.vectors)
        (tmp_path / "a.pt").unlink()
        assert database.refresh()
        assert set(database.for_width(72)) == {"b"}

    def test_what_was_handed_out_stays(self, tmp_path: Path):
        put(tmp_path, "a.pt")
        database = opened(tmp_path)
        vocabulary = database.vocabulary(72, TOKENIZER)
        (tmp_path / "a.pt").unlink()
        database.refresh()
        assert list(vocabulary.embeddings) == ["a"]
        assert vocabulary.index.find(TOKENIZER.encode_with_offsets("a"), 0) is not None
        assert database.index(72, TOKENIZER).find(TOKENIZER.encode_with_offsets("a"), 0) is None

    def test_a_repaired_file_comes_back(self, tmp_path: Path):
        (tmp_path / "a.pt").write_bytes(b"torn")
        database = opened(tmp_path)
        assert states(database) == {"a.pt": State.DAMAGED}
        put(tmp_path, "a.pt")
        database.refresh()
        assert states(database) == {"a.pt": State.IN_USE}


class TestReport:
    def test_the_articles_two_lines(self, tmp_path: Path):
        put(tmp_path, "realbenny-t1.pt", age=60)
        put(tmp_path, "realbenny-t2.pt")
        assert opened(tmp_path).report(72, TOKENIZER) == (
            "Loaded a total of 2 textual inversion embeddings.\nEmbeddings: realbenny-t2, realbenny-t1"
        )

    def test_skipped_ones_follow_with_reasons(self, tmp_path: Path):
        put(tmp_path, "a.pt")
        put(tmp_path, "two.pt", width=1024, age=1)
        (tmp_path / "torn.pt").write_bytes(b"")
        lines = opened(tmp_path).report(72, TOKENIZER).splitlines()
        assert lines[:2] == ["Loaded a total of 1 textual inversion embeddings.", "Embeddings: a"]
        assert sorted(line.split(":")[0] for line in lines[2:]) == ["Skipped (damaged)", "Skipped (other model family)"]

    def test_none(self, tmp_path: Path):
        assert opened(tmp_path).report(72, TOKENIZER) == "Loaded a total of 0 textual inversion embeddings."


class TestNotices:
    def test_a_name_that_cannot_act(self, tmp_path: Path):
        put(tmp_path, "realbenny-t2.pt", width=1024)
        put(tmp_path, "realbenny-t1.pt")
        (tmp_path / "torn-x.pt").write_bytes(b"")
        database = opened(tmp_path)
        prompt = "half (RealBenny-t2:1.2) and realbenny-t1, torn-x, realbenny-t2"
        family, torn = database.notices(prompt, 72, TOKENIZER)
        assert family.startswith("“realbenny-t2” had no effect: “realbenny-t2” was made for Stable Diffusion 2")
        assert torn.startswith("“torn-x” had no effect: ")
        assert database.notices("realbenny-t22, a realbenny", 72, TOKENIZER) == []

    def test_a_longer_name_that_acts_is_no_short_one_that_cannot(self, tmp_path: Path):
        put(tmp_path, "benny.pt", width=1024)
        put(tmp_path, "benny-cat.pt")
        database = opened(tmp_path)
        assert database.notices("a benny-cat", 72, TOKENIZER) == []
        assert len(database.notices("a benny", 72, TOKENIZER)) == 1

    def test_a_twin_that_acts_needs_none(self, tmp_path: Path):
        put(tmp_path / "other", "Benny.pt", width=1024)
        put(tmp_path, "benny.safetensors")
        assert opened(tmp_path).notices("benny", 72, TOKENIZER) == []


def test_names_of_files_neither_break_a_line_nor_steer_the_terminal(tmp_path):
    put(tmp_path, "good\x1b[31m.pt")
    (tmp_path / "bad\nEmbeddings: forged.pt").write_bytes(b"nothing")
    report = opened(tmp_path).report(72, TOKENIZER)
    assert len(report.splitlines()) == 3
    assert "\x1b" not in report
    assert "good?[31m" in report
