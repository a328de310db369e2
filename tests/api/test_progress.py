"""Following and stopping work while it is under way: sampling waits at each step until the test lets it go on."""

import base64
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from modules.events import Sampled, Work
from modules.jobs import Job, JobState
from modules.params import Txt2ImgParams
from tests.api.serving import PATIENCE, SMALL, Served, image, info, over, until

IDLE = {
    "skipped": False,
    "interrupted": False,
    "stopping_generation": False,
    "job": "",
    "job_count": 0,
    "job_timestamp": "0",
    "job_no": 0,
    "sampling_step": 0,
    "sampling_steps": 0,
}


class Paced:
    """Requests whose jobs stop before each step.

    Attributes:
        steps: released once for each step that may be done.
    """

    def __init__(self, served: Served, monkeypatch: pytest.MonkeyPatch):
        self.served = served
        self.steps = threading.Semaphore(0)
        self._threads: list[threading.Thread] = []
        draw = served.app._txt2img

        def paced(params: Txt2ImgParams, *others: Any) -> Work:
            work, request = draw(params, *others), None
            while True:
                try:
                    event = work.send(request)
                except StopIteration:
                    return
                if isinstance(event, Sampled):
                    assert self.steps.acquire(timeout=PATIENCE)
                request = yield event

        monkeypatch.setattr(served.app, "_txt2img", paced)

    def ask(self, **body: Any) -> tuple[Job, list[httpx.Response]]:
        """Start a request; its job, and a list that will hold the answer."""
        known = {job.id for job in self.served.app.jobs.jobs()}
        answers: list[httpx.Response] = []
        client = httpx.Client(base_url=self.served.url, timeout=PATIENCE)
        thread = threading.Thread(
            target=lambda: answers.append(client.post("/sdapi/v1/txt2img", json={**SMALL, **body})), daemon=True
        )
        thread.start()
        self._threads.append(thread)
        new: list[Job] = []
        while not new:
            new = [job for job in self.served.app.jobs.jobs() if job.id not in known]
            threading.Event().wait(0.01)
        return new[0], answers

    def step(self, job: Job, number: int, count: int = 1) -> None:
        """Let some steps be done and wait until the last of them, `number` of its batch, is told."""
        self.steps.release(count)
        until(job, lambda: any(isinstance(e, Sampled) and e.step == number for e in job.events_since()[0]))

    def end(self) -> None:
        """Let everything go on to its end."""
        self.steps.release(10_000)
        for thread in self._threads:
            thread.join(PATIENCE)
            assert not thread.is_alive()


@pytest.fixture
def paced(served: Served, monkeypatch: pytest.MonkeyPatch) -> Iterator[Paced]:
    paced = Paced(served, monkeypatch)
    yield paced
    paced.end()


def test_nothing_runs(served: Served) -> None:
    told = served.get("progress").json()
    assert (told["progress"], told["eta_relative"], told["current_image"]) == (0.0, 0.0, None)
    assert told["state"] == IDLE
    assert served.post("interrupt").json() == {}
    assert served.post("skip").json() is None
    assert served.get("/internal/pending-tasks").json() == {"size": 0, "tasks": []}


def test_progress_of_the_second_batch(served: Served, paced: Paced) -> None:
    job, _ = paced.ask(steps=4, n_iter=2, force_task_id="task(a)")
    for number in (1, 2, 3, 4):
        paced.step(job, number)
    paced.steps.release()
    until(job, lambda: any(isinstance(e, Sampled) and (e.batch, e.step) == (2, 1) for e in job.events_since()[0]))
    told = served.get("progress").json()
    assert told["progress"] == pytest.approx(0.01 + 1 / 2 + 1 / (4 * 2))
    state = told["state"]
    assert (state["job"], state["job_count"], state["job_no"]) == ("task(a)", 2, 1)
    assert (state["sampling_step"], state["sampling_steps"]) == (1, 4)
    assert len(state["job_timestamp"]) == 14
    assert told["eta_relative"] > 0
    preview = image(told["current_image"])
    assert (preview.format, preview.size) == ("PNG", (8, 8))
    assert served.get("progress", skip_current_image=True).json()["current_image"] is None


def test_interrupt_keeps_the_last_guess(served: Served, paced: Paced) -> None:
    job, answers = paced.ask(steps=20)
    paced.step(job, 1)
    assert served.post("interrupt").status_code == 200
    assert served.get("progress").json()["state"]["interrupted"]
    paced.end()
    (answer,) = answers
    assert job.state is JobState.INTERRUPTED
    assert answer.status_code == 200
    assert len(answer.json()["images"]) == 1
    assert "Interrupted: step" in info(answer)["infotexts"][0]


def test_skip_leaves_one_batch(served: Served, paced: Paced) -> None:
    job, answers = paced.ask(steps=4, n_iter=2)
    paced.step(job, 1)
    served.post("skip")
    assert served.get("progress").json()["state"]["skipped"]
    paced.end()
    assert info(answers[0])["all_seeds"] == [2]
    assert job.state is JobState.FINISHED


def test_one_job_by_its_name(served: Served, paced: Paced) -> None:
    first, _ = paced.ask(steps=4, force_task_id="task(first)")
    paced.ask(force_task_id="task(second)")
    third, _ = paced.ask()
    paced.step(first, 2, count=2)
    assert served.get("/internal/pending-tasks").json() == {
        "size": 3,
        "tasks": ["task(first)", "task(second)", third.id],
    }
    told = served.post("/internal/progress", {"id_task": "task(first)", "id_live_preview": -1}).json()
    assert (told["active"], told["queued"], told["completed"]) == (True, False, False)
    assert told["progress"] == pytest.approx(0.01 + 2 / 4)
    head, encoded = told["live_preview"].split(",")
    assert head == "data:image/png;base64"
    assert base64.b64decode(encoded).startswith(b"\x89PNG")
    seen = told["id_live_preview"]
    again = served.post("/internal/progress", {"id_task": "task(first)", "id_live_preview": seen}).json()
    assert (again["live_preview"], again["id_live_preview"]) == (None, seen)
    without = served.post("/internal/progress", {"id_task": "task(first)", "live_preview": False}).json()
    assert without["live_preview"] is None
    waiting = served.post("/internal/progress", {"id_task": "task(second)"}).json()
    assert (waiting["active"], waiting["queued"], waiting["textinfo"]) == (False, True, "In queue: 1/2")
    by_id = served.post("/internal/progress", {"id_task": third.id}).json()
    assert by_id["textinfo"] == "In queue: 2/2"
    paced.end()
    ended = served.post("/internal/progress", {"id_task": "task(first)"}).json()
    assert (ended["active"], ended["completed"]) == (False, True)
    unknown = served.post("/internal/progress", {"id_task": "task(none)"}).json()
    assert (unknown["active"], unknown["queued"], unknown["completed"]) == (False, False, False)


def test_jobs_with_their_events(served: Served, paced: Paced) -> None:
    job, _ = paced.ask(steps=4, force_task_id="task(events)")
    paced.step(job, 2, count=2)
    listed = served.get("jobs").json()
    assert listed[-1]["id"] == job.id
    assert (listed[-1]["task_id"], listed[-1]["state"]) == ("task(events)", "running")
    told = served.get(f"jobs/{job.id}").json()
    sampled = [event for event in told["events"] if event["event"] == "sampled"]
    assert [(event["step"], event["steps"]) for event in sampled] == [(2, 4)]
    assert "preview" not in sampled[0]
    assert served.get(f"jobs/{job.id}", since=told["next"]).json()["events"] == []
    paced.step(job, 3)
    later = served.get("jobs/task(events)", since=told["next"]).json()
    assert [event["step"] for event in later["events"] if event["event"] == "sampled"] == [3]
    assert served.get(f"jobs/{job.id}/result").status_code == 409


def test_cancelling_a_job_that_waits(served: Served, paced: Paced) -> None:
    first, _ = paced.ask(steps=4)
    second, answers = paced.ask()
    assert served.post(f"jobs/{second.id}/cancel").json()["state"] == "cancelled"
    over(second)
    while not answers:
        threading.Event().wait(0.01)
    assert answers[0].status_code == 409
    assert "taken out of the queue" in answers[0].json()["detail"]
    assert first.state is JobState.RUNNING


def test_cancelling_the_job_that_runs(served: Served, paced: Paced) -> None:
    job, answers = paced.ask(steps=4)
    paced.step(job, 1)
    assert served.post(f"jobs/{job.id}/cancel").status_code == 200
    paced.end()
    assert job.state is JobState.INTERRUPTED
    assert answers[0].status_code == 200
    assert served.post("jobs/none/cancel").status_code == 404


def test_a_full_queue_says_so_at_once_and_later_requests_work(served: Served, paced: Paced) -> None:
    """40 programs, room for 16 behind the one that runs."""
    paced.ask()
    answers: list[httpx.Response] = []

    def ask() -> None:
        with httpx.Client(base_url=served.url, timeout=PATIENCE) as client:
            answers.append(client.post("/sdapi/v1/txt2img", json={**SMALL, "steps": 1}))

    threads = [threading.Thread(target=ask) for _ in range(40)]
    for thread in threads:
        thread.start()
    refused = 40 - 16
    _wait(lambda: len(answers) >= refused)
    assert [answer.status_code for answer in answers] == [503] * refused, "nobody waits for a refusal"
    assert all("queue is full" in answer.json()["detail"] for answer in answers)
    assert served.get("progress").status_code == 200, "the others wait in threads that block nobody"
    paced.steps.release(10_000)
    for thread in threads:
        thread.join(PATIENCE)
    assert sorted(answer.status_code for answer in answers) == [200] * 16 + [503] * refused
    assert served.post("txt2img", SMALL).status_code == 200


def _wait(reached: Any) -> None:
    for _ in range(int(PATIENCE / 0.02)):
        if reached():
            return
        threading.Event().wait(0.02)
    raise AssertionError("nothing happened")
