"""The desk at which pictures are drawn: what is refused before a run waits, and the VAE a run is drawn with."""

from dataclasses import replace
from pathlib import Path

import pytest
from safetensors.torch import save_file

from modules.desks.drawing import DrawingDesk, Place
from modules.errors import ModelMissing, ParameterError
from modules.events import ImageDone, Noticed, Status, Work
from modules.flags import Flags
from modules.generation.beside import Beside
from modules.generation.naming import Naming
from modules.images import read_infotext
from modules.infotext import parse_infotext
from modules.model.checkpoint import Checkpoint
from modules.model.hashes import HashCache, sha256_of
from modules.params import Txt2ImgParams
from modules.paths import Paths
from modules.settings import Settings
from modules.styles import Style
from tests import tiny

SMALL = {"prompt": "a cat", "width": 64, "height": 64, "steps": 1, "sampler": "Euler", "seed": 1}


@pytest.fixture(scope="module")
def conditioner(tmp_path_factory):
    from modules.embeddings.database import EmbeddingDatabase
    from modules.model.conditioning import Conditioner
    from modules.model.device import DevicePolicy
    from modules.model.loader import load_model

    path = tiny.checkpoint(tmp_path_factory.mktemp("model") / "cosy.safetensors", "sd1")
    model = load_model(Checkpoint(path, path.name), DevicePolicy.chosen(Flags(no_half=True, use_cpu=True)))
    return Conditioner(model, EmbeddingDatabase([]))


@pytest.fixture
def desk(tmp_path, conditioner):
    return desk_of(tmp_path, conditioner)


class OneModel:
    """Where the desk gets its only model from; None: there is none. `sha256` is known when somebody waits for it."""

    def __init__(self, conditioner, sha256: str = ""):
        self.conditioner, self.sha256 = conditioner, sha256

    def in_use(self):
        if self.conditioner is None:
            raise ModelMissing("There is no model.")
        return self.conditioner

    def find(self, title: str) -> Checkpoint:
        raise ParameterError("checkpoint", f"There is no checkpoint “{title}”.")

    def lend(self, checkpoint: Checkpoint) -> Work:
        assert checkpoint == self.in_use().model.checkpoint
        yield from ()

    def with_hash(self):
        if self.sha256:
            model = self.conditioner.model
            hashed = replace(model, checkpoint=replace(model.checkpoint, sha256=self.sha256))
            self.conditioner = self.conditioner.with_model(hashed)
        yield from ()
        return True

    def back_after(self, work: Work, lent: bool = False) -> Work:
        assert lent
        return work


def desk_of(
    folder: Path, conditioner, settings: Settings | None = None, paths: Paths | None = None, sha256: str = ""
) -> DrawingDesk:
    """A desk with one model."""
    paths, model = paths or Paths(folder), OneModel(conditioner, sha256)
    return DrawingDesk(paths, lambda: settings or Settings(), HashCache(paths.hash_cache), model)


def vae(path: Path, seed: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(tiny.random_parts("sd1", seed=seed).vae, path)
    return path


def draw(desk: DrawingDesk, **values) -> tuple[ImageDone, list[str]]:
    params = desk.checked(Txt2ImgParams(**{**SMALL, **values}))
    events = list(desk.draw(params, desk.outputs()))
    (done,) = [event for event in events if isinstance(event, ImageDone)]
    return done, [event.text for event in events if isinstance(event, Status)]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("sampler", "Guess"),
        ("schedule", "Guess"),
        ("vae", "gone.pt"),
        ("styles", ("Gone",)),
        ("refiner_checkpoint", "gone"),
    ],
)
def test_what_does_not_exist_is_refused(desk, field, value):
    with pytest.raises(ParameterError) as caught:
        desk.checked(Txt2ImgParams(**{field: value}))
    assert caught.value.field == field


def test_a_hires_fix_is_judged_only_if_it_is_on(desk):
    assert desk.checked(Txt2ImgParams(hr_upscaler="Guess")).hr_upscaler == "Guess"
    with pytest.raises(ParameterError) as caught:
        desk.checked(Txt2ImgParams(hr_upscaler="Guess", enable_hr=True))
    assert caught.value.field == "hr_upscaler"
    with pytest.raises(ParameterError):
        desk.checked(Txt2ImgParams(hr_sampler="Guess", enable_hr=True))


def test_styles_are_in_the_prompt_and_in_the_infotext(desk):
    desk.styles.save(Style("Oil", "oil paint"))
    done, _ = draw(desk, styles=("Oil",))
    assert done.infotext.startswith("a cat, oil paint\n")


def test_a_chosen_vae_draws_and_is_told_with_its_hash(desk, tmp_path):
    path = vae(tmp_path / "models" / "VAE" / "soft.safetensors", seed=9)
    assert desk.vaes() == ["Automatic", "None", "soft.safetensors"]
    plain, said = draw(desk)
    assert "VAE" not in plain.infotext
    assert "loading soft.safetensors" not in said
    other, said = draw(desk, vae="soft.safetensors")
    assert "loading soft.safetensors" in said
    written = parse_infotext(other.infotext)
    assert (written["VAE"], written["VAE hash"]) == ("soft.safetensors", sha256_of([path])[:10])
    assert other.path.read_bytes() != plain.path.read_bytes()
    again, _ = draw(desk)
    assert again.infotext == plain.infotext


def test_the_first_picture_by_a_model_names_its_hash(tmp_path, conditioner):
    done, _ = draw(desk_of(tmp_path, conditioner, sha256="ab" * 32))
    assert parse_infotext(done.infotext)["Model hash"] == "ababababab"


def test_a_vae_stays_loaded_until_another_is_asked_for(desk, tmp_path, monkeypatch):
    import modules.model.vae

    loaded = []
    with_vae = modules.model.vae.with_vae
    monkeypatch.setattr(
        modules.model.vae, "with_vae", lambda model, file: loaded.append(file.name) or with_vae(model, file)
    )
    for name in ("soft", "hard"):
        vae(tmp_path / "models" / "VAE" / f"{name}.safetensors", seed=9)
    for name in ("soft", "soft", "hard", "soft", "None", "soft"):
        draw(desk, vae=name)
    assert loaded == [f"{name}.safetensors" for name in ("soft", "hard", "soft", "soft")]


def test_the_vae_beside_a_checkpoint_is_taken_by_itself(desk, tmp_path):
    vae(tmp_path / "models" / "Stable-diffusion" / "cosy.vae.safetensors", seed=9)
    assert parse_infotext(draw(desk)[0].infotext)["VAE"] == "cosy.vae.safetensors"
    assert "VAE" not in draw(desk, vae="None")[0].infotext


def test_the_vae_of_a_checkpoint_comes_before_the_chosen_one_if_the_settings_say_so(desk, tmp_path):
    vae(tmp_path / "models" / "VAE" / "soft.safetensors", seed=9)
    rules = Settings(vae_overrides=False)
    for beside, taken, told in ((False, "soft.safetensors", 0), (True, "cosy.vae.safetensors", 1)):
        if beside:
            vae(tmp_path / "models" / "Stable-diffusion" / "cosy.vae.safetensors", seed=8)
        params = desk.checked(Txt2ImgParams(**SMALL, vae="soft"))
        events = list(desk.draw(params, desk.outputs(), settings=rules))
        (done,) = [event for event in events if isinstance(event, ImageDone)]
        assert parse_infotext(done.infotext)["VAE"] == taken
        assert len([event for event in events if isinstance(event, Noticed) and "of its own" in event.text]) == told


@pytest.mark.parametrize("asked", [True, False])
def test_who_is_logged_in_is_written_into_pictures_on_request(desk, asked):
    outputs = desk.outputs(Place(user="bo, b"), Settings(sign_pictures=asked))
    (done,) = [event for event in desk.draw(Txt2ImgParams(**SMALL), outputs) if isinstance(event, ImageDone)]
    assert done.infotext.endswith(', User: "bo, b"') == asked


def test_the_vae_of_the_command_line_comes_before_every_choice(tmp_path, conditioner):
    vae(tmp_path / "models" / "VAE" / "cosy.safetensors", seed=9)
    path = vae(tmp_path / "prescribed.pt", seed=8)
    desk = desk_of(tmp_path, conditioner, paths=Paths(tmp_path, only_vae=path, extra_vaes=tmp_path / "more"))
    vae(tmp_path / "more" / "further.safetensors", seed=7)
    assert desk.vaes() == ["Automatic", "None", "prescribed.pt", "cosy.safetensors", "further.safetensors"]
    assert desk.stock(conditioner.model.checkpoint)[1] == "prescribed.pt"
    for name, told in (("Automatic", 0), ("prescribed.pt", 0), ("None", 1), ("cosy.safetensors", 1)):
        params = desk.checked(Txt2ImgParams(**{**SMALL, "vae": name}))
        events = list(desk.draw(params, desk.outputs()))
        (done,) = [event for event in events if isinstance(event, ImageDone)]
        assert parse_infotext(done.infotext)["VAE"] == "prescribed.pt"
        notices = [event.text for event in events if isinstance(event, Noticed) and "--vae-path" in event.text]
        assert len(notices) == told, name


def test_without_a_model_nothing_is_drawn(tmp_path):
    with pytest.raises(ModelMissing):
        draw(desk_of(tmp_path, None))


def test_a_vae_of_the_settings_that_has_gone_is_passed_over(tmp_path, conditioner):
    gone = desk_of(tmp_path, conditioner, Settings(vae="gone.pt", clip_skip=2))
    assert gone.missing_vae() == "gone.pt"
    assert gone.form_defaults()["clip_skip"] == 2
    assert "vae" not in gone.form_defaults()
    vae(tmp_path / "models" / "VAE" / "gone.pt", seed=1)
    assert not gone.missing_vae()
    assert gone.form_defaults()["vae"] == "gone.pt"


def test_a_sheet_that_is_not_to_be_kept_lies_aside(tmp_path, conditioner):
    kept, passing = (desk_of(tmp_path, conditioner, Settings(save_grid=save)) for save in (True, False))
    assert kept.script_outputs().grids == tmp_path / "outputs" / "txt2img-grids"
    assert passing.script_outputs().grids == tmp_path / "cache" / "sheets"
    assert not passing.script_outputs().grids_sorted
    assert passing.script_outputs().pictures == tmp_path / "outputs" / "txt2img-images"
    own = Place(tmp_path / "mine", tmp_path / "sheets")
    assert kept.script_outputs(own).grids == tmp_path / "sheets"
    assert passing.script_outputs(own).grids == tmp_path / "cache" / "sheets"
    taken_away = replace(own, passing=True)
    assert passing.script_outputs(taken_away).grids == tmp_path / "sheets"


def test_the_settings_say_what_is_written_beside_pictures(tmp_path, conditioner):
    own = Settings(save_text=True, jpg_copies=False, jpg_copy_above=2.5, jpg_copy_side=100, quality=50)
    desk = desk_of(tmp_path, conditioner, own)
    chosen = Beside(text=True, above=2.5 * 1024 * 1024, side=100, quality=50)
    assert (desk.outputs().beside, desk.outputs().grids_beside) == (chosen, chosen)
    usual = desk_of(tmp_path, conditioner).outputs().beside
    assert usual == Beside(copies=True, above=4 * 1024 * 1024, side=4000, quality=80)
    mine = desk.outputs(Place(tmp_path / "mine", tmp_path / "mine"))
    assert (mine.beside, mine.grids_beside) == (chosen, chosen)
    taken_away = desk.outputs(Place(grids=tmp_path / "asked", passing=True))
    assert (taken_away.beside, taken_away.grids_beside) == (chosen, Beside()), "nobody would take these away"
    passing = desk_of(tmp_path, conditioner, Settings(save_text=True, save_grid=False)).script_outputs()
    assert (passing.beside.text, passing.grids_beside) == (True, Beside())


def test_a_run_writes_what_the_settings_say(tmp_path, conditioner):
    done, _ = draw(desk_of(tmp_path, conditioner, Settings(save_text=True, jpg_copy_side=64, jpg_copy_above=0.001)))
    assert done.path.with_suffix(".txt").read_text("utf-8") == f"{done.infotext}\n"
    assert read_infotext(done.path.with_suffix(".jpg")) == done.infotext


def test_the_settings_say_how_files_are_called(tmp_path, conditioner):
    usual = desk_of(tmp_path, conditioner, Settings()).outputs()
    assert (usual.naming, usual.sorted, usual.grids_sorted) == (Naming("[seed]", "[date]"), True, True)
    flat = desk_of(tmp_path, conditioner, Settings(save_to_folders=False, long_grid_names=True)).outputs()
    assert (flat.naming.name, flat.sorted, flat.grids_sorted) == ("[seed]-[prompt_spaces]", False, True)
    own = Settings(picture_names="[steps]", folder_names="", number_pictures=False, grids_to_folders=False)
    chosen = desk_of(tmp_path, conditioner, own)
    assert chosen.outputs().naming == Naming("[steps]", "[prompt_words]", numbered=False)
    assert not chosen.outputs().grids_sorted
    elsewhere = chosen.outputs(Place(tmp_path / "mine"))
    assert (elsewhere.naming.name, elsewhere.naming.numbered, elsewhere.sorted) == ("[seed]", True, False)
