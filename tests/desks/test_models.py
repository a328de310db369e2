"""The model in use: how another takes its place, and what stays when that fails. Nothing is drawn here."""

import gc
import threading
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from modules.desks.checkpoints import CheckpointShelf
from modules.desks.models import ModelDesk
from modules.desks.settings import SettingsDesk
from modules.errors import JobBusy, OutOfMemory, ParameterError
from modules.events import Event, Failed, Noticed, Request, Status, Work
from modules.jobs import Job, JobQueue, JobState
from modules.model import loader
from modules.model.hashes import HashCache
from modules.model.model import SDModel
from modules.model_state import ModelStatus
from modules.paths import Paths
from tests import foreign, tiny
from tests.hosted import ON_CPU, PATIENCE, Isolated, ended, installation, wait_for_hashes


@dataclass
class Host:
    """A desk, and what an App would give it."""

    paths: Paths
    jobs: JobQueue = field(default_factory=JobQueue)
    notices: list[str] = field(default_factory=list)
    told: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.settings = SettingsDesk(self.paths.settings_file)
        self.desk = ModelDesk(
            CheckpointShelf(self.paths, ON_CPU, HashCache(self.paths.hash_cache)),
            self.paths.embeddings,
            self.settings,
            self.jobs,
            ON_CPU,
            notice=self.notices.append,
            on_load=lambda: self.told.append("loaded"),
            on_leave=lambda: self.told.append("left"),
        )

    def begin(self) -> list[Event]:
        """Load the first model."""
        events = ended(self.run(self.desk.first_work()))
        wait_for_hashes()
        return events

    def run(self, work: Work) -> Job:
        return self.jobs.submit("work", work)

    @property
    def model(self) -> SDModel:
        return self.desk.in_use().model

    @property
    def name(self) -> str:
        """Of the checkpoint in use."""
        return self.model.checkpoint.model_name


@pytest.fixture
def make(tmp_path: Path, two_models: Path) -> Iterator[Callable[..., Host]]:
    """`make()` makes the desk of an installation with two models; made again, it is a later start of the program."""
    made: list[Host] = []

    def make(paths: Paths | None = None) -> Host:
        if paths is None and not made:
            paths = installation(tmp_path / "data", two_models)
        made.append(Host(paths or made[0].paths))
        return made[-1]

    yield make
    for host in made:
        assert host.jobs.stop(PATIENCE)


@pytest.fixture
def host(make: Callable[..., Host]) -> Host:
    host = make()
    host.begin()
    return host


@pytest.fixture(scope="module")
def lasting(tmp_path_factory: pytest.TempPathFactory, two_models: Path) -> Iterator[Host]:
    """One that many tests use and leave as they found it: its model is loaded once."""
    host = Host(installation(tmp_path_factory.mktemp("lasting") / "data", two_models))
    host.begin()
    yield host
    assert host.jobs.stop(PATIENCE)


def test_only_a_file_that_another_has_to_go_for_is_judged_beforehand(
    make: Callable[..., Host], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The networks without weights, which both judging and loading make, take a third of the time of a small model."""
    host, made = make(), []
    build = loader.build_skeleton
    monkeypatch.setattr(loader, "build_skeleton", lambda architecture: made.append(1) or build(architecture))
    host.begin()
    assert len(made) == 2, "the first one is chosen by its header, then loaded"
    ended(host.desk.select("two"))
    assert (host.name, len(made)) == ("two", 4)


def test_the_choice_is_remembered(host: Host, make: Callable[..., Host]) -> None:
    assert host.name == "one"
    change = host.desk.select("two")
    assert host.desk.select("two") is change, "a list that tells of a choice twice has the model loaded once"
    assert not [event for event in ended(change) if isinstance(event, Failed)]
    assert host.name == "two"
    assert host.desk.state.checkpoint.startswith("two.safetensors")
    assert host.told == ["left", "loaded", "left", "loaded"]
    later = make()
    assert Status("loading two.safetensors") in later.begin()
    assert later.name == "two"


def test_the_choice_holds_even_if_it_cannot_be_written_down(host: Host) -> None:
    host.paths.settings_file.mkdir()
    (notice,) = [event for event in ended(host.desk.select("two")) if isinstance(event, Noticed)]
    assert "until the server ends" in notice.text
    assert host.name == "two"


def test_the_old_model_goes_before_the_new_one_comes(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    old = weakref.ref(host.model.unet)
    alive = []
    load = loader.load_model

    def look(*arguments: object) -> object:
        gc.collect()
        alive.append(old() is not None)
        return load(*arguments)  # type: ignore[arg-type] -- as they came

    monkeypatch.setattr(loader, "load_model", look)
    ended(host.desk.select("two"))
    assert alive == [False]


FOREIGN = {
    "LoRA": foreign.lora,
    "SDXL": foreign.sdxl,
    "VAE": foreign.vae_only,
    "text": lambda path: path.write_text("not a model"),
    "nothing": lambda path: path.write_bytes(b""),
    "truncated": lambda path: foreign.truncated(path, path.with_name("two.safetensors"), 0.6),
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_a_file_that_cannot_be_used_leaves_the_model_in_use(lasting: Host, kind: str) -> None:
    before, model = lasting.desk.state, lasting.model
    file = lasting.paths.checkpoint_folders[0] / "foreign.safetensors"
    FOREIGN[kind](file)
    failed = ended(lasting.desk.select("foreign.safetensors"))[-1]
    file.unlink()
    assert isinstance(failed, Failed)
    assert not failed.log_id
    assert "foreign.safetensors" in failed.text
    state = lasting.desk.state
    assert (state.status, state.checkpoint, state.sentence) == (ModelStatus.READY, before.checkpoint, failed.text)
    assert lasting.model is model
    assert lasting.settings.now.checkpoint == ""


def test_a_model_that_fails_while_loading_brings_the_old_one_back(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    load = loader.load_model
    loads = []

    def fail_for_two(checkpoint: object, policy: object) -> object:
        loads.append(checkpoint.name)  # type: ignore[attr-defined]
        if len(loads) == 1:
            raise OutOfMemory("“two.safetensors” does not fit into memory.")
        return load(checkpoint, policy)  # type: ignore[arg-type]

    monkeypatch.setattr(loader, "load_model", fail_for_two)
    ended(host.desk.select("two"))
    assert loads == ["two.safetensors", "one.safetensors"]
    assert (host.desk.state.status, host.name) == (ModelStatus.READY, "one")
    assert host.desk.state.checkpoint.startswith("one.safetensors")
    assert "does not fit" in host.desk.state.sentence


def test_unknown_checkpoints_are_refused(lasting: Host) -> None:
    with pytest.raises(ParameterError, match="no checkpoint"):
        lasting.desk.select("nowhere")
    with pytest.raises(ParameterError, match="no checkpoint"):
        lasting.desk.with_checkpoint("nowhere", names(lasting), stays=False)


def test_without_a_model_the_sentence_says_why_and_a_new_file_helps(make: Callable[..., Host], tmp_path: Path) -> None:
    host = make(Isolated(tmp_path / "foreign"))
    folder = host.paths.checkpoint_folders[0]
    folder.mkdir(parents=True)
    foreign.lora(folder / "a lora.safetensors")
    assert isinstance(host.begin()[-1], Failed)
    assert (host.desk.state.status, host.desk.conditioner) == (ModelStatus.FAILED, None)
    assert "a lora" in host.desk.state.sentence
    assert ["a lora" in notice for notice in host.notices] == [True]


def test_put_away_and_loaded_again_when_it_is_needed(lasting: Host) -> None:
    title = lasting.desk.state.checkpoint
    gone = weakref.ref(lasting.model.unet)
    for _ in range(2):  # the second time, there is nothing to put away
        ended(lasting.desk.unload())
    assert gone() is None
    assert lasting.desk.conditioner is None
    assert (lasting.desk.state.status, lasting.desk.state.checkpoint) == (ModelStatus.READY, title)
    ended(lasting.desk.reload())
    assert lasting.desk.state.checkpoint == title
    model = lasting.model
    assert ended(lasting.desk.reload()) == []
    assert lasting.model is model


def test_what_suits_the_first_model_is_told_while_it_is_loaded(make: Callable[..., Host], tmp_path: Path) -> None:
    host = make(Isolated(tmp_path))
    advice = {"architecture.native_size": "128x64", "recommended.steps": "3"}
    tiny.checkpoint(host.paths.checkpoint_folders[0] / "small.safetensors", metadata=advice)
    job = host.run(host.desk.first_work())
    found = host.desk.advice()
    assert found
    assert found.values == {"width": 128, "height": 64, "steps": 3}
    ended(job)
    wait_for_hashes()
    with pytest.raises(ParameterError, match="no checkpoint"):
        host.desk.advice("nowhere")


# --- for one piece of work --------------------------------------------------------------------------------------------


def names(host: Host, error: Exception | None = None) -> Work:
    """Work that tells which model it is done with."""
    yield Noticed(host.name)
    if error:
        raise error


def noticed(job: Job) -> list[str]:
    return [event.text for event in ended(job) if isinstance(event, Noticed)]


def test_another_model_for_one_piece_of_work(lasting: Host) -> None:
    assert noticed(lasting.run(lasting.desk.with_checkpoint("two", names(lasting), stays=False))) == ["two"]
    assert lasting.name == "one"
    model = lasting.model
    assert noticed(lasting.run(lasting.desk.with_checkpoint("one", names(lasting), stays=False))) == ["one"]
    assert lasting.model is model, "it was in use already"


def test_the_model_before_comes_back_after_a_failure(lasting: Host) -> None:
    work = lasting.desk.with_checkpoint("two", names(lasting, JobBusy("full")), stays=False)
    assert ended(lasting.run(work))[-1] == Failed("full", kind="JobBusy")
    assert lasting.name == "one"


def test_another_model_that_stays(host: Host) -> None:
    assert noticed(host.run(host.desk.with_checkpoint("two", names(host), stays=True))) == ["two"]
    assert host.name == "two"
    assert host.settings.now.checkpoint.startswith("two.safetensors")


def test_interrupted_while_it_would_be_loaded_nothing_changes(lasting: Host) -> None:
    model = lasting.model
    work = lasting.desk.with_checkpoint("two", names(lasting), stays=False)
    assert next(work) == Status("loading two.safetensors")
    with pytest.raises(StopIteration):
        work.send(Request.INTERRUPT)
    assert lasting.model is model


def test_work_that_names_the_model_waits_for_its_hash(
    make: Callable[..., Host], monkeypatch: pytest.MonkeyPatch
) -> None:
    host = make()
    go, ensure = threading.Event(), HashCache.ensure
    monkeypatch.setattr(HashCache, "ensure", lambda cache, files: ensure(cache, files) if go.wait(PATIENCE) else "")
    assert ended(host.run(host.desk.first_work()))
    work, left = host.desk.with_hash(), host.desk.with_hash()
    assert next(work) == next(left) == Status("computing the hash of the model")
    assert not host.model.checkpoint.sha256
    with pytest.raises(StopIteration) as end:
        left.send(Request.INTERRUPT)
    assert end.value.value is False
    go.set()
    assert set(work) <= {Status("computing the hash of the model")}
    assert host.model.checkpoint.sha256 == host.desk.find("one").sha256
    assert not list(host.desk.with_hash()), "known by now"


def test_a_hash_that_comes_while_another_model_is_loaded_is_not_that_ones(
    make: Callable[..., Host], monkeypatch: pytest.MonkeyPatch
) -> None:
    host = make()
    go, ensure = threading.Event(), HashCache.ensure

    def late(cache: HashCache, files: list[Path]) -> str:
        assert files[0].name == "two.safetensors" or go.wait(PATIENCE)
        return ensure(cache, files)

    monkeypatch.setattr(HashCache, "ensure", late)
    assert ended(host.run(host.desk.first_work()))
    assert host.run(host.desk.use(host.desk.find("two"))).wait(10_000, PATIENCE)
    go.set()
    wait_for_hashes()
    assert host.desk.state.checkpoint == host.desk.find("two").title
    assert host.model.checkpoint.sha256 == host.desk.find("two").sha256 != host.desk.find("one").sha256
    assert all(job.state is JobState.FINISHED for job in host.jobs.jobs())
