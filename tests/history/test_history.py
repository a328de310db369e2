import json
import os
import sqlite3
import threading
import time

import pytest
from PIL import Image

from modules.errors import ImageError, ParameterError, StorageError
from modules.history import history as module
from modules.history.history import History
from modules.history.index import Index, Query
from tests.history.conftest import LINE, look, save

GUARD = 30.0  # seconds; a guard: it takes milliseconds


def seeds(history: History, **query: object) -> list[str]:
    return [record.seed for record in history.search(Query(**{"grids": False, **query})).records]


def test_everything_is_found_newest_first(root, make):
    history = make()
    assert seeds(history) == ["3", "2", "1"]
    assert history.search(Query()).total == 4
    record = history.search(Query()).records[0]
    assert (record.prompt, record.negative_prompt) == ("benny-t1 in the sun", "pixar")
    assert (record.model, record.model_hash, record.sampler, record.steps) == ("cosy", "1234567890", "LMS", 20)
    assert (record.width, record.height, record.embeddings) == (64, 64, ())


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"text": "pixar"}, ["1"]),  # of the prompt: the negative prompt is what somebody did not want
        ({"text": "PIX"}, ["1"]),
        ({"text": "cat hat"}, ["1"]),
        ({"text": '"red hat"'}, ["1"]),
        ({"text": '"hat red"'}, []),
        ({"text": "benny-t1 -sun"}, ["2"]),
        ({"text": "-benny-t1"}, ["1"]),
        ({"text": '"; DROP TABLE pictures; --'}, []),
        ({"text": '((( * " ^ NEAR( OR'}, []),
        ({"text": "*** ((("}, ["3", "2", "1"]),  # signs are no words
        ({"embedding": "benny-t1"}, ["3", "2"]),  # one lists it, in the other it stands in the prompt alone
        ({"embedding": "benny"}, ["3", "2"]),
        ({"sampler": "LMS"}, ["3"]),
        ({"model": "cosy"}, ["3", "2", "1"]),
        ({"model": "other"}, []),
        ({"since": 1_800_000_030.0}, ["3", "2"]),
        ({"until": 1_800_000_030.0}, ["1"]),
        ({"since": 1_800_000_030.0, "until": 1_800_000_090.0, "text": "half"}, ["2"]),
        ({"starred": True}, []),
    ],
)
@pytest.mark.parametrize("full_text", [True, False])
def test_queries(root, make, monkeypatch, query, found, full_text):
    if not full_text:
        monkeypatch.setattr("modules.history.index._WORDS_TABLE", "CREATE VIRTUAL TABLE words USING no_such_module()")
        if query.get("text") == '((( * " ^ NEAR( OR':
            found = []
    history = make()
    assert seeds(history, **query) == found
    assert history._index.full_text is full_text


def test_scripts_without_spaces_and_emoji_are_searched_anywhere(root, make):
    save(root, "a.png", f"可愛い猫の写真\n{LINE.format(seed=9)}")
    save(root, "b.png", f"a 🐼bear, ☀\n{LINE.format(seed=10)}")
    history = make()
    for text, found in (("猫", ["9"]), ("🐼", ["10"]), ("☀", ["10"]), ("bear -🐼", []), ("🦊", [])):
        assert seeds(history, text=text) == found


def test_facets_count_what_there_is_to_choose(root, make):
    facets = make().facets()
    assert facets.models == (("cosy", 4),)
    assert facets.samplers == (("Euler a", 3), ("LMS", 1))
    assert facets.embeddings == (("benny-t1", 1),)
    assert [(month[:4], count) for month, count in facets.months] == [("2027", 1), ("2027", 3)]


def test_a_second_look_reads_only_what_changed(root, make, monkeypatch):
    history = make()
    read = []
    original = module.read_record
    monkeypatch.setattr(module, "read_record", lambda *given: (read.append(given[1]), original(*given))[1])
    look(history)
    assert read == []
    save(root, "txt2img-images/2027-02-20/00000-3.png", f"changed\n{LINE.format(seed=4)}")
    (root / "txt2img-images/2027-01-15/00000-1.png").unlink()
    save(root, "elsewhere/new.png", f"new\n{LINE.format(seed=5)}", 2_000_000_000.0)
    look(history)
    assert sorted(read) == ["elsewhere/new.png", "txt2img-images/2027-02-20/00000-3.png"]
    assert set(seeds(history)) == {"5", "4", "2"}


def test_a_new_picture_is_found_at_once(root, make):
    history = make()
    version = history.version
    history.add(save(root, "txt2img-images/2027-03-01/00000-8.png", f"brand new\n{LINE.format(seed=8)}"))
    assert seeds(history, text="brand") == ["8"]
    assert history.version > version
    history.add(root.parent / "somewhere else.png")  # not ours


def test_damaged_files_are_passed_over_and_named(root, make):
    (root / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(50))
    (root / "text.jpg").write_text("no picture")
    (root / "notes.txt").write_text("not looked at")
    (root / ".hidden.png").write_bytes(b"")
    history = make()
    assert [record.name for record in history.damaged()] == ["broken.png", "text.jpg"]
    assert "text.jpg" in history.damaged()[1].damage
    assert len(seeds(history)) == 3
    with pytest.raises(ImageError):
        history.thumbnail("text.jpg")


def test_texts_and_names_that_no_database_takes(root, make):
    save(root, "odd.png", f'"\\ud800" nul\n{LINE.format(seed=6)}, Model: "\\ud800\\u0000"')
    save(root, "<img src=x onerror=alert(1)>.png", f"<b>\n{LINE.format(seed=7)}")
    if os.name == "posix":
        os.link(root / "odd.png", os.fsencode(root) + b"/\xff.png")
    assert {"6", "7"} < set(seeds(make()))


def test_links_to_folders_are_followed_and_circles_end(root, make, tmp_path):
    save(tmp_path / "disk", "far/00000-77.png", f"far\n{LINE.format(seed=77)}")
    os.symlink(tmp_path / "disk", root / "more")
    os.symlink(root, tmp_path / "disk" / "back")
    history = make()
    assert seeds(history, text="far") == ["77"]
    assert history.search(Query()).total == 5


@pytest.mark.parametrize("damage", ["gone", "torn", "garbage", "other schema", "other tables"])
def test_the_index_is_only_an_index(root, make, tmp_path, damage):
    file = tmp_path / "cache" / "history.sqlite3"
    history = make()
    history.star("txt2img-images/2027-01-15/00001-2.png", True)
    history.stop()
    match damage:
        case "gone":
            file.unlink()
        case "torn":
            file.write_bytes(file.read_bytes()[:5000] + bytes(3000))
        case "garbage":
            file.write_bytes(b"no database at all" * 500)
        case "other schema":
            with sqlite3.connect(file) as db:
                db.execute("PRAGMA user_version = 99")
        case "other tables":
            with sqlite3.connect(file) as db:
                db.execute("DROP TABLE pictures")
    history = make()
    assert seeds(history) == ["3", "2", "1"]
    assert seeds(history, starred=True) == ["2"]


def test_an_index_deleted_while_the_program_runs_is_filled_again(root, make, tmp_path):
    history = make()
    history.start()
    for path in (tmp_path / "cache").glob("history.sqlite3*"):
        path.unlink()
    deadline = time.monotonic() + GUARD
    while seeds(history) != ["3", "2", "1"] and time.monotonic() < deadline:
        time.sleep(0.02)
    assert seeds(history) == ["3", "2", "1"]


def test_the_background_look_tells_how_far_it_is(root, make, monkeypatch):
    history = History(root, root.parent / "cache2", root.parent / "stars.json")
    reached, go_on = threading.Event(), threading.Event()
    original = module.read_record

    def slow(*given):
        reached.set()
        go_on.wait(GUARD)
        return original(*given)

    monkeypatch.setattr(module, "read_record", slow)
    history.start()
    assert reached.wait(GUARD)
    assert (history.scan.total, history.scan.running) == (4, True)
    assert history.search(Query()).total == 0  # and nobody waits for it
    go_on.set()
    deadline = time.monotonic() + GUARD
    while history.scan.running and time.monotonic() < deadline:
        time.sleep(0.02)
    assert (history.scan.done, history.scan.error, history.search(Query()).total) == (4, "", 4)
    history.stop()


def test_stars_outlive_everything_but_their_own_file(root, make, tmp_path):
    history = make()
    name = "txt2img-images/2027-01-15/00000-1.png"
    history.star(name, True)
    assert seeds(history, starred=True) == ["1"]
    assert json.loads((tmp_path / "stars.json").read_text()) == {"stars": [name]}
    history.star(name, False)
    assert seeds(history, starred=True) == []
    (tmp_path / "stars.json").write_text("{")
    again = make()
    assert "stars.damaged-" in again.notice
    assert seeds(again, starred=True) == []


def test_the_trash_gives_back_what_it_took(root, make):
    history = make()
    name = "txt2img-images/2027-01-15/00000-1.png"
    history.star(name, True)
    content = (root / name).read_bytes()
    thrown = history.delete(name)
    assert thrown == f"trash/{name}"
    assert (root / thrown).read_bytes() == content
    assert not (root / name).exists()
    assert seeds(history) == ["3", "2"]
    assert seeds(history, in_trash=True) == ["1"]
    assert history.delete(thrown) == thrown
    look(history)
    assert seeds(history, in_trash=True) == ["1"]
    assert history.put_back(thrown) == name
    assert (root / name).read_bytes() == content
    assert seeds(history, starred=True) == ["1"]


def test_a_picture_that_others_took_away_is_no_more(root, make):
    history = make()
    name = "txt2img-images/2027-01-15/00000-1.png"
    (root / name).unlink()
    for ask in (history.delete, lambda name: history.star(name, True)):
        with pytest.raises(ParameterError, match="not there any more"):
            ask(name)
    assert name not in history._starred()
    look(history)
    assert seeds(history) == ["3", "2"]
    thrown = history.delete("txt2img-images/2027-01-15/00001-2.png")
    (root / thrown).unlink()
    with pytest.raises(ParameterError, match="not there any more"):
        history.put_back(thrown)


def test_a_name_that_is_taken_meanwhile_is_never_overwritten(root, make):
    history = make()
    name = "txt2img-images/2027-01-15/00000-1.png"
    thrown = history.delete(name)
    save(root, name, f"another\n{LINE.format(seed=11)}")
    assert history.put_back(thrown) == "txt2img-images/2027-01-15/00000-1-2.png"
    look(history)
    assert history.delete(name) == f"trash/{name}"
    save(root, name, f"a third\n{LINE.format(seed=12)}")
    look(history)
    assert history.delete(name) == "trash/txt2img-images/2027-01-15/00000-1-2.png"


def test_emptying_the_trash_leaves_everything_else(root, make):
    history = make()
    history.delete("txt2img-images/2027-01-15/00000-1.png")
    history.delete("txt2img-images/2027-01-15/00001-2.png")
    assert history.empty_trash() == 2
    assert list((root / "trash").rglob("*.png")) == []
    assert (seeds(history), seeds(history, in_trash=True)) == (["3"], [])
    assert history.empty_trash() == 0


@pytest.mark.parametrize("name", ["", "../stars.json", "/etc/passwd", "no such.png", "txt2img-images", "a\0b"])
def test_only_pictures_of_the_index_can_be_asked_for(root, make, name):
    history = make()
    for ask in (history.find, history.thumbnail, history.delete, history.put_back):
        with pytest.raises(ParameterError):
            ask(name)
    with pytest.raises(ParameterError):
        history.star(name, True)


def test_a_thumbnail_is_made_once(root, make, tmp_path, monkeypatch):
    history = make()
    name = "txt2img-images/2027-01-15/00000-1.png"
    (root / name).unlink()
    Image.linear_gradient("L").resize((800, 400)).save(root / name)
    look(history)
    first = history.thumbnail(name)
    monkeypatch.setattr("modules.history.thumbnails._made", lambda picture: pytest.fail("made twice"))
    assert history.thumbnail(name) == first
    assert len(list((tmp_path / "cache" / "thumbnails").rglob("*.webp"))) == 1
    path = tmp_path / "thumbnail.webp"
    path.write_bytes(first)
    with Image.open(path) as image:
        assert image.size == (320, 160)


def test_a_folder_that_cannot_be_written_is_one_sentence(root, tmp_path):
    (tmp_path / "cache").write_text("in the way")
    history = History(root, tmp_path / "cache", tmp_path / "stars.json")
    with pytest.raises(StorageError, match="cannot be"):
        history.search(Query())
    history.add(root / "txt2img-images/2027-01-15/00000-1.png")  # a run must not fail for it


def test_pages_hold_all_pictures_once(tmp_path):
    index = Index(tmp_path / "index.sqlite3")
    index.put(module.Record(f"{number}.png", 1, 1, prompt="same second") for number in range(130))
    pages = [index.search(Query(text="same"), page) for page in range(4)]
    assert [len(page.records) for page in pages] == [60, 60, 10, 0]
    assert {page.total for page in pages} == {130}
    assert len({record.name for page in pages for record in page.records}) == 130
