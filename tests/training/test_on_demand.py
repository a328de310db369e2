"""What a page asks of training: a sample now, an estimate before the start, a curve that a chart can show."""

import pytest

from modules.errors import DatasetError
from modules.events import Estimated, Previewed, Request, Status, Trained
from modules.training import loop
from modules.training.train import estimate
from tests.training.tiny_run import NAME, database, make_embedding, make_photos, pull, pull_resumed, small


def test_a_sample_is_drawn_when_it_is_asked_for_and_changes_nothing(model, paths, photos):
    quiet = pull(model, paths, small(photos))
    make_embedding(paths)
    asked = pull(
        model,
        paths,
        small(photos),
        ask=lambda event: Request.SAMPLE if isinstance(event, Trained) and event.step == 3 else None,
    )
    assert [event.step for event in asked.of(Previewed)] == [3]
    assert asked.events.index(asked.of(Previewed)[0]) < asked.events.index(asked.of(Trained)[3])
    assert asked.losses == quiet.losses


def test_the_curve_goes_on_after_a_stop(model, paths, photos):
    whole = pull(model, paths, small(photos))
    assert [row[0] for row in whole.folder.curve_log.rows()] == [1, 2, 3, 4]
    last = whole.of(Trained)[-1]
    assert whole.folder.curve_log.rows()[-1][1:] == pytest.approx(
        (last.smoothed_loss, 0.005, last.vector_norm), rel=1e-4
    )
    assert last.prompt.count(NAME) == 1
    make_embedding(paths)
    killed = pull(model, paths, small(photos), close_after=3)
    rest = pull_resumed(model, paths, killed.folder.path)
    assert rest.folder.curve_log.path.read_bytes() == whole.folder.curve_log.path.read_bytes()


def test_a_curve_has_as_many_points_as_a_chart_can_show(model, paths, photos, monkeypatch):
    monkeypatch.setattr(loop, "CURVE_POINTS", 3)
    run = pull(model, paths, small(photos, steps=7, save_embedding_every=0, save_state_every=100))
    assert [row[0] for row in run.folder.curve_log.rows()] == [3, 6, 7]


def test_an_estimate_passes_over_photos_that_cannot_be_used(model, paths, tmp_path):
    photos = make_photos(tmp_path / "some", 2)
    for name in ("000.png", "001.png"):
        (photos / name).write_bytes(b"no picture")
    wanted = small(photos, steps=50, batch_size=1)
    assert isinstance(list(estimate(model, database(paths), wanted, paths))[-1], Estimated)
    for path in photos.glob("*wave*"):
        path.unlink()
    with pytest.raises(DatasetError, match="No photo in"):
        list(estimate(model, database(paths), wanted, paths))


def test_an_estimate_leaves_no_trace(model, paths, photos):
    file = paths.embeddings / f"{NAME}.safetensors"
    before = file.read_bytes()
    events = list(estimate(model, database(paths), small(photos, steps=50, batch_size=2), paths))
    told = events[-1]
    assert isinstance(told, Estimated)
    assert told.seconds == pytest.approx(50 * told.seconds_per_step)
    assert Status("encoding photo 2 of 2") in events
    assert not paths.textual_inversion.exists()
    assert file.read_bytes() == before
