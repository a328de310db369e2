"""Many programs at once, while an embedding is trained."""

import threading
from collections.abc import Callable
from pathlib import Path

import httpx

from modules.events import Trained
from modules.infotext import parse_infotext
from tests.api.serving import PATIENCE, SMALL, Served, image, over
from tests.api.test_embeddings import wish
from tests.training.tiny_run import make_photos


def test_many_programs_while_training_runs(begin: Callable[..., Served], tmp_path: Path) -> None:
    """L1 and L6: 8 programs, 4 pictures each; nothing is mixed up, and a seed draws what it draws alone."""
    served = begin()
    created = served.post("create/embedding", {"name": "learned-t1"})
    assert created.status_code == 200, created.text
    alone = served.post("txt2img", SMALL).json()["images"]
    still = wish(make_photos(tmp_path / "p", 3), steps=100_000)
    started = served.post("train/embedding", still, wait=False)
    assert started.status_code == 202, started.text
    id = started.json()["job"]
    job = served.app.jobs.find(id)
    assert job
    while not job.progress:
        threading.Event().wait(0.02)
    told: dict[tuple[int, int], httpx.Response] = {}

    def ask(program: int) -> None:
        with httpx.Client(base_url=served.url, timeout=PATIENCE) as client:
            for turn in range(4):
                body = {**SMALL, "steps": 1, "prompt": f"cat {program} {turn}", "seed": 10 * program + turn}
                told[program, turn] = client.post("/sdapi/v1/txt2img", json=body)

    before = job.progress
    programs = [threading.Thread(target=ask, args=[number]) for number in range(8)]
    for program in programs:
        program.start()
    for program in programs:
        program.join(PATIENCE)
    assert len(told) == 32
    for (program, turn), answer in told.items():
        assert answer.status_code == 200, answer.text
        (encoded,) = answer.json()["images"]
        written = parse_infotext(image(encoded).text["parameters"])  # type: ignore[attr-defined]
        assert (written["Prompt"], written["Seed"]) == (f"cat {program} {turn}", str(10 * program + turn))
    assert served.post("txt2img", SMALL).json()["images"] == alone
    assert not job.is_over, [event for event in job.events_since()[0] if not isinstance(event, Trained)]
    assert job.progress > before, "training went on meanwhile"
    job.interrupt()
    over(job)
