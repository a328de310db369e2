"""What a request leaves out, with a model whose file recommends something beside one whose file does not."""

import json
from collections.abc import Callable

import pytest

from modules.api import asked_for
from modules.jobs import Job, JobState
from modules.params import Txt2ImgParams
from tests import tiny
from tests.api.serving import Served, over
from tests.hosted import until_sampled

ADVICE = {
    "architecture.native_size": "128x64",
    "recommended.steps": "3",
    "recommended.cfg_scale": "4",
    "recommended.sampler": "DPM++ 2M",
    "recommended.schedule": "Karras",
}
BY_SMALL = {"override_settings": {"sd_model_checkpoint": "small"}}
SLOW = {"prompt": "a cat", "width": 64, "height": 64, "steps": 150, "sampler_name": "Euler"}


@pytest.fixture(scope="module")
def served(begin: Callable[..., Served]) -> Served:
    """One server for a module: “one” is in use, “small” recommends something."""
    served = begin()
    tiny.checkpoint(served.app.paths.checkpoint_folders[0] / "small.safetensors", seed=2, metadata=ADVICE)
    assert served.app.model_state.checkpoint.startswith("one")
    return served


def meant(served: Served, **asked: object) -> Txt2ImgParams:
    return asked_for.read(served.app, asked).params


def advised(params: Txt2ImgParams) -> tuple[object, ...]:
    return params.width, params.height, params.steps, params.cfg_scale, params.sampler, params.schedule


SMALL_SAYS = (128, 64, 3, 4.0, "DPM++ 2M", "Karras")
A1111_SAYS = (512, 512, 50, 7.0, "Euler", "Automatic")


def test_the_checkpoint_that_a_request_names_recommends(served: Served) -> None:
    assert advised(meant(served)) == A1111_SAYS
    assert advised(meant(served, **BY_SMALL)) == SMALL_SAYS
    answer = served.post("txt2img", {"prompt": "a cat", "seed": 1, **BY_SMALL})
    told = json.loads(answer.json()["info"])
    assert (told["sd_model_name"], told["steps"], told["width"], told["height"]) == ("small", 3, 128, 64)


def test_what_is_sent_counts_and_a_schedule_belongs_to_its_sampler(served: Served) -> None:
    assert advised(meant(served, **BY_SMALL, steps=9, width=256)) == (256, 64, 9, 4.0, "DPM++ 2M", "Karras")
    for name in ("sampler_name", "sampler_index"):
        assert advised(meant(served, **BY_SMALL, **{name: "Euler a"}))[4:] == ("Euler a", "Automatic")
    assert advised(meant(served, **BY_SMALL, scheduler="Exponential"))[4:] == ("DPM++ 2M", "Exponential")


def test_the_checkpoint_that_is_chosen_meanwhile_recommends(served: Served) -> None:
    """What is queued behind the change to another checkpoint is drawn by that one."""
    running = served.app.jobs.find(served.post("txt2img", SLOW, wait=False).json()["job"])
    assert isinstance(running, Job)
    until_sampled(running)
    chosen = served.app.models.select("small")
    assert advised(meant(served)) == SMALL_SAYS
    chosen.interrupt()
    assert advised(meant(served)) == A1111_SAYS, "the change was taken back"
    staying = {**SLOW, **BY_SMALL, "override_settings_restore_afterwards": False}
    stays = served.app.jobs.find(served.post("txt2img", staying, wait=False).json()["job"])
    assert isinstance(stays, Job)
    assert advised(meant(served)) == SMALL_SAYS
    stays.interrupt()
    running.interrupt()
    over(running)


@pytest.mark.parametrize("script", [{}, {"prompt": "a cat|red", "script_name": "prompt matrix"}])
def test_a_model_that_does_not_come_after_all_recommends_nothing(served: Served, script: dict[str, object]) -> None:
    """Its file is damaged once requests are queued behind it: they are drawn by the other one, as that one is used."""
    file = served.app.paths.checkpoint_folders[0] / "later.safetensors"
    tiny.checkpoint(file, seed=3, metadata=ADVICE)
    running = served.app.jobs.find(served.post("txt2img", SLOW, wait=False).json()["job"])
    assert isinstance(running, Job)
    until_sampled(running)
    chosen = served.app.models.select("later")
    asked = {"prompt": "a cat", "width": 64, "steps": 1, **script}
    answer = served.post("txt2img", asked, wait=False)
    assert answer.status_code == 202, answer.text
    behind = answer.json()["job"]
    file.write_bytes(b"damaged")
    running.interrupt()
    assert over(chosen).state is JobState.FAILED
    over(served.app.jobs.find(behind) or running)
    told = json.loads(served.get(f"jobs/{behind}/result").json()["info"])
    assert (told["sd_model_name"], told["width"], told["height"]) == ("one", 64, 512)
    assert (told["steps"], told["sampler_name"], told["cfg_scale"]) == (1, "Euler", 7.0)
    file.unlink()


def test_a_model_lent_to_another_request_recommends_nothing_to_this_one(served: Served) -> None:
    lent = served.app.jobs.find(served.post("txt2img", {**SLOW, **BY_SMALL}, wait=False).json()["job"])
    assert isinstance(lent, Job)
    until_sampled(lent)
    assert served.app.model_state.checkpoint.startswith("small")
    assert advised(meant(served)) == A1111_SAYS, "“one” comes back before that is drawn"
    lent.interrupt()
    over(lent)
    assert served.app.model_state.checkpoint.startswith("one")


def test_a_model_that_was_put_away_recommends_still(served: Served) -> None:
    served.post("options", {"sd_model_checkpoint": "small"})
    size = served.app.model_state.native_size
    served.post("unload-checkpoint")
    assert advised(meant(served)) == SMALL_SAYS
    assert served.app.model_state.native_size == size == (128, 64), "the page's form follows it"
    served.post("options", {"sd_model_checkpoint": "one"})
