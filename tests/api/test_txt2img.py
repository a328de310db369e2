import base64
import errno
import io
import json
import os
import socket
import threading
from pathlib import Path

import pytest
from PIL import Image

from modules import images
from modules.api import asked_for
from modules.desks.drawing import Place
from modules.events import Sampled
from modules.infotext import parse_infotext
from modules.jobs import JobState
from modules.params import Txt2ImgParams
from modules.samplers import names
from modules.styles import Style
from tests.api.serving import SMALL, Served, image, info, over, sentence, until

JSON = {"content-type": "application/json"}
INFO_KEYS = """prompt all_prompts negative_prompt all_negative_prompts seed all_seeds subseed all_subseeds
    subseed_strength width height sampler_name cfg_scale steps batch_size restore_faces face_restoration_model
    sd_model_name sd_model_hash sd_vae_name sd_vae_hash seed_resize_from_w seed_resize_from_h denoising_strength
    extra_generation_params index_of_first_image infotexts styles job_timestamp clip_skip
    is_using_inpainting_conditioning version""".split()


OF_NAMES = ("picture_names", "folder_names", "number_pictures")
OUTDIRS = (
    "outdir_samples outdir_txt2img_samples outdir_img2img_samples outdir_extras_samples outdir_grids "
    "outdir_txt2img_grids outdir_img2img_grids outdir_save outdir_init_images"
).split()


def files(served: Served) -> set[Path]:
    return {path for path in served.app.paths.outputs.rglob("*") if path.is_file()}


def test_a_picture_with_its_parameters_inside(served: Served) -> None:
    before = files(served)
    answer = served.post("txt2img", {**SMALL, "negative_prompt": "blurry", "clip_skip": 2})
    assert answer.status_code == 200
    told = answer.json()
    (encoded,) = told["images"]
    picture = image(encoded)
    assert (picture.format, picture.size) == ("PNG", (64, 64))
    parameters = parse_infotext(picture.text["parameters"])  # type: ignore[attr-defined]
    assert (parameters["Prompt"], parameters["Negative prompt"]) == ("a cat", "blurry")
    assert (parameters["Seed"], parameters["Steps"], parameters["Sampler"]) == ("1", "2", "Euler")
    assert told["parameters"]["prompt"] == "a cat"
    assert files(served) == before, "nobody asked to save it"
    details = info(answer)
    assert list(details) == INFO_KEYS
    assert (details["seed"], details["all_seeds"], details["clip_skip"]) == (1, [1], 2)
    assert (details["sd_model_name"], details["index_of_first_image"]) == ("one", 0)
    assert details["infotexts"] == [picture.text["parameters"]]  # type: ignore[attr-defined]
    assert float(answer.headers["x-process-time"]) > 0


def test_it_is_the_picture_that_the_page_draws(served: Served, tmp_path: Path) -> None:
    asked = image(served.post("txt2img", SMALL).json()["images"][0])
    params = Txt2ImgParams(prompt="a cat", width=64, height=64, steps=2, seed=1, sampler="Euler")
    over(served.app.generate(params, place=Place(tmp_path, tmp_path)))
    (path,) = tmp_path.glob("*.png")
    assert images.open_image(path).tobytes() == asked.tobytes()


def test_batches_with_the_overview_first(served: Served) -> None:
    before = files(served)
    answer = served.post("txt2img", {**SMALL, "n_iter": 2, "batch_size": 2})
    pictures = [image(encoded) for encoded in answer.json()["images"]]
    assert [picture.size for picture in pictures] == [(128, 128)] + [(64, 64)] * 4
    details = info(answer)
    assert (details["index_of_first_image"], details["all_seeds"]) == (1, [1, 2, 3, 4])
    assert [picture.text["parameters"] for picture in pictures] == details["infotexts"]  # type: ignore[attr-defined]
    assert len(details["all_prompts"]) == 4
    assert files(served) == before


def test_without_the_overview_if_the_setting_says_so(served: Served) -> None:
    answer = served.post("txt2img", {**SMALL, "n_iter": 2, "override_settings": {"return_grid": False}})
    assert len(answer.json()["images"]) == 2
    assert info(answer)["index_of_first_image"] == 0


def test_pictures_come_in_the_format_of_the_settings(served: Served) -> None:
    answer = served.post("txt2img", {**SMALL, "override_settings": {"samples_format": "webp", "jpeg_quality": 50}})
    content = base64.b64decode(answer.json()["images"][0])
    with Image.open(io.BytesIO(content)) as picture:
        assert picture.format == "WEBP"
    told = served.post("png-info", {"image": answer.json()["images"][0]}).json()
    assert told["info"] == info(answer)["infotexts"][0]


@pytest.mark.parametrize("saved", [False, True])
@pytest.mark.parametrize("script", ["", "prompt matrix"])
def test_overviews_are_sent_in_the_format_of_pictures(served: Served, saved: bool, script: str) -> None:
    """As in A1111, whatever the file of the overview is."""
    formats = {"samples_format": "webp", "grid_format": "jpg"}
    body = {**SMALL, "prompt": "a|b", "n_iter": 1 if script else 2, "script_name": script or None}
    before = files(served)
    answer = served.post("txt2img", {**body, "save_images": saved, "override_settings": formats})
    first, *_ = answer.json()["images"]
    assert image(first).format == "WEBP"
    assert image(first).size == (128, 64) if not script else image(first).width > 64
    told = served.post("png-info", {"image": first}).json()["info"]
    assert told == info(answer)["infotexts"][0]
    assert {path.suffix for path in files(served) - before} == ({".webp", ".jpg"} if saved else set())


def test_files_beside_pictures_are_written_only_where_they_stay(served: Served) -> None:
    wanted = {**SMALL, "override_settings": {"save_txt": True, "target_side_length": 64, "img_downscale_threshold": 0}}
    before = files(served)
    served.post("txt2img", wanted)
    assert files(served) == before
    served.post("txt2img", {**wanted, "save_images": True})
    assert sorted(path.suffix for path in files(served) - before) == [".jpg", ".png", ".txt"]


def test_saving_is_asked_for(served: Served) -> None:
    before = files(served)
    answer = served.post("txt2img", {**SMALL, "n_iter": 2, "save_images": True, "send_images": False})
    assert answer.json()["images"] == []
    assert sorted(path.name[:4] for path in files(served) - before) == ["0000", "0000", "grid"]
    before = files(served)
    served.post("txt2img", {**SMALL, "n_iter": 2, "save_images": True, "do_not_save_grid": True})
    assert len(files(served) - before) == 2
    before = files(served)
    served.post("txt2img", {**SMALL, "save_images": True, "do_not_save_samples": True})
    assert files(served) == before


def test_a_full_disk_is_507_with_a_sentence_and_costs_nothing(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    before, settings = files(served), served.app.settings
    with monkeypatch.context() as disk:
        disk.setattr("os.fsync", full)
        drawn = served.post("txt2img", {**SMALL, "save_images": True})
        chosen = served.post("options", {"CLIP_stop_at_last_layers": 2})
    assert (drawn.status_code, chosen.status_code) == (507, 507)
    assert sentence(drawn).startswith("Disk full: ")
    assert "config.json" in sentence(chosen)
    assert (files(served), served.app.settings) == (before, settings)
    assert served.post("txt2img", SMALL).status_code == 200


def test_saved_pictures_are_called_as_the_settings_say(served: Served) -> None:
    names = {
        "samples_filename_pattern": "[seed] [hasprompt<CAT|none>]",
        "directories_filename_pattern": "../[model_name]/[steps] steps",
        "save_images_add_number": False,
    }
    before, settings = files(served), served.app.settings
    served.app.change_settings(picture_names=names["samples_filename_pattern"], number_pictures=False)
    served.app.change_settings(folder_names=names["directories_filename_pattern"])
    for _ in range(2):
        served.post("txt2img", {**SMALL, "save_images": True})
    served.app.change_settings(**{name: getattr(settings, name) for name in OF_NAMES})
    folder = served.app.paths.txt2img_images / "one" / "2 steps"
    assert files(served) - before == {folder / "1 CAT.png", folder / "1 CAT-1.png"}
    assert served.app.library.history.find("txt2img-images/one/2 steps/1 CAT-1.png").seed == "1"


def test_no_request_says_where_files_go(served: Served, tmp_path: Path) -> None:
    """As in A1111, where such settings cannot be overridden."""
    patterns = {"samples_filename_pattern": "/tmp/[seed]", "directories_filename_pattern": f"{tmp_path}/../elsewhere"}
    overrides = {**dict.fromkeys(OUTDIRS, str(tmp_path)), **patterns}
    settings = served.app.settings
    before = files(served)
    body = {**SMALL, "n_iter": 2, "save_images": True}
    answer = served.post("txt2img", {**body, "override_settings": overrides})
    assert answer.headers["x-without-effect"].split(", ") == [*patterns, *OUTDIRS]
    answer = served.post("options", overrides)
    assert set(answer.headers["x-without-effect"].split(", ")) == {*patterns, *OUTDIRS}
    assert (served.app.settings.picture_names, served.app.settings.folder_names) == ("", "[date]")
    served.post("txt2img", body)
    assert len(new := files(served) - before) == 6
    assert {path.parent.parent.name for path in new} == {"txt2img-images", "txt2img-grids"}
    assert [*tmp_path.iterdir()] == []
    same = {"samples_filename_pattern": settings.picture_names, "directories_filename_pattern": settings.folder_names}
    assert "x-without-effect" not in served.post("txt2img", {**SMALL, "override_settings": same}).headers
    served.app._settings.now = settings


@pytest.mark.parametrize(
    ("asked", "sampler", "schedule"),
    [
        ({"sampler_name": "DPM++ 2M Karras"}, "DPM++ 2M", "Karras"),
        ({"sampler_name": "k_euler_a"}, "Euler a", None),
        ({"sampler_name": "LMS", "scheduler": "karras"}, "LMS", "Karras"),
        ({"sampler_name": "LMS", "scheduler": "Exponential"}, "LMS", "Exponential"),
        ({"sampler_name": "LMS", "scheduler": "SGMUniform"}, "LMS", "SGM Uniform"),
        ({"sampler_name": "Heun", "sampler_index": "LMS", "scheduler": "automatic"}, "Heun", None),
        ({"sampler_name": None, "sampler_index": "LMS"}, "LMS", None),
        ({"sampler_name": None}, "Euler", None),
    ],
)
def test_samplers_by_all_their_names(served: Served, asked: dict, sampler: str, schedule: str | None) -> None:
    answer = served.post("txt2img", {**SMALL, **asked})
    (text,) = info(answer)["infotexts"]
    parameters = parse_infotext(text)
    assert parameters["Sampler"] == sampler == info(answer)["sampler_name"]
    assert parameters["Schedule type"] == (schedule or "Automatic")


def test_settings_of_one_request(served: Served) -> None:
    before = served.app.settings
    answer = served.post("txt2img", {**SMALL, "override_settings": {"CLIP_stop_at_last_layers": 2}})
    assert info(answer)["clip_skip"] == 2
    assert served.app.settings == before


def test_another_checkpoint_for_one_request(served: Served) -> None:
    before = served.app.model_state.checkpoint
    assert before.startswith("one")
    answer = served.post("txt2img", {**SMALL, "override_settings": {"sd_model_checkpoint": "two"}})
    assert info(answer)["sd_model_name"] == "two"
    assert served.app.model_state.checkpoint == before
    assert info(served.post("txt2img", SMALL))["sd_model_name"] == "one"


def test_another_checkpoint_that_stays(served: Served) -> None:
    body = {**SMALL, "override_settings": {"sd_model_checkpoint": "two"}, "override_settings_restore_afterwards": False}
    assert served.post("txt2img", body).status_code == 200
    assert served.get("options").json()["sd_model_checkpoint"].startswith("two")
    served.post("options", {"sd_model_checkpoint": "one"})
    assert served.app.model_state.checkpoint.startswith("one")


def test_the_model_before_comes_back_after_a_failure(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **named: object) -> None:
        raise MemoryError

    monkeypatch.setattr("modules.image_saving.write_atomically", fail)
    answer = served.post("txt2img", {**SMALL, "override_settings": {"sd_model_checkpoint": "two"}})
    assert answer.status_code == 422
    assert "Out of memory" in sentence(answer)
    monkeypatch.undo()
    assert served.app.model_state.checkpoint.startswith("one")
    assert info(served.post("txt2img", SMALL))["sd_model_name"] == "one"


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ({"sampler_name": "Foo"}, 400, "sampler_name: There is no sampler 'Foo'"),
        ({"scheduler": "Foo"}, 400, "scheduler: There is no schedule 'Foo'"),
        ({"steps": 1001}, 422, "steps"),
        ({"steps": "many"}, 422, "steps"),
        ({"width": 4}, 422, "width"),
        ({"batch_size": 129}, 422, "batch_size"),
        ({"width": 8000, "height": 8000}, 422, "width: Batch size 1 of 8000×8000"),
        ({"cfg_scale": 1e6}, 422, "cfg_scale"),
        ({"n_iter": 0}, 422, "n_iter"),
        ({"eta": -0.5}, 422, "eta: Eta -0.5"),
        ({"eta": 1.5, "sampler_name": "DDIM"}, 422, "eta: Eta for DDIM 1.5"),
        ({"override_settings": {"eta_ancestral": -0.5}}, 422, "eta_ancestral"),
        ({"script_name": "foo"}, 422, "no script 'foo'"),
        ({"alwayson_scripts": {"ControlNet": {"args": []}}}, 422, "ControlNet"),
        ({"alwayson_scripts": {"Seed": {"args": ["x"]}}}, 422, "seed"),
        ({"alwayson_scripts": {"Refiner": {"args": [True, "one", 0.5, 1]}}}, 422, "up to 3"),
        ({"alwayson_scripts": {"Refiner": 5}}, 422, "list"),
        ({"override_settings": {"use_old_karras_scheduler_sigmas": 3}}, 422, "true or false"),
        ({"refiner_checkpoint": "none of these"}, 422, "refiner_checkpoint: There is no checkpoint “none of these”"),
        ({"enable_hr": True, "hr_checkpoint_name": "none of these"}, 422, "hr_checkpoint_name: There is no checkpoint"),
        ({"enable_hr": True, "hr_upscaler": "none of these"}, 422, "hr_upscaler: There is no upscaler"),
        ({"sampler_name": None, "sampler_index": "Foo"}, 400, "sampler_index: There is no sampler 'Foo'"),
        ({"styles": "oil"}, 422, "styles: Input should be a valid list"),
        ({"styles": ["no such"]}, 422, "styles: There is no style “no such”"),
        ({"script_name": "x/y/z plot", "script_args": ["Steps", "x"]}, 422, "script_args: "),
        ({"override_settings": {"sd_noise_schedule": "Loud"}}, 422, "sd_noise_schedule"),
        ({"restore_faces": True}, 422, "restore_faces"),
        ({"override_settings": {"sd_model_checkpoint": "none of these"}}, 422, "sd_model_checkpoint: There is no"),
        ({"override_settings": {"CLIP_stop_at_last_layers": "x"}}, 422, "CLIP_stop_at_last_layers"),
        ({"prompt": ["a", "b"]}, 422, "prompt"),
        ({"cfg_scale": None, "steps": -1}, 422, "steps"),
    ],
    ids=str,
)
def test_what_cannot_be_done_is_a_sentence(served: Served, body: dict, status: int, words: str) -> None:
    jobs = len(served.app.jobs.jobs())
    answer = served.post("txt2img", {**SMALL, **body})
    assert answer.status_code == status
    assert words in sentence(answer)
    assert len(served.app.jobs.jobs()) == jobs, "refused before it was queued"


def test_sizes_are_those_of_whole_latents_as_in_a1111(served: Served) -> None:
    answer = served.post("txt2img", {**SMALL, "width": 101, "height": 79})
    told, (encoded,) = info(answer), answer.json()["images"]
    assert image(encoded).size == (96, 72)
    assert (told["width"], told["height"]) == (101, 79)
    assert "Size: 101x79," in told["infotexts"][0]
    whole = served.post("txt2img", {**SMALL, "width": 96, "height": 72}).json()["images"]
    assert image(encoded).tobytes() == image(whole[0]).tobytes()
    again = served.post("txt2img", {"infotext": told["infotexts"][0]})
    assert info(again)["infotexts"] == told["infotexts"]


def test_a_hires_fix_enlarges_the_size_that_was_asked_for(served: Served) -> None:
    """Not that of the latents: 2 × 68 is 136, which is a latent more than 2 × 64."""
    hires = {**SMALL, "width": 68, "height": 64, "enable_hr": True, "hr_scale": 2}
    for upscaler in ("Latent", "Lanczos"):
        answer = served.post("txt2img", {**hires, "hr_upscaler": upscaler})
        assert image(answer.json()["images"][0]).size == (136, 128)


@pytest.mark.parametrize("cfg_scale", [0, 0.5, -1.5, 31.25, 7.123456789])
def test_any_cfg_scale_that_a1111_takes(served: Served, cfg_scale: float) -> None:
    answer = served.post("txt2img", {**SMALL, "cfg_scale": cfg_scale})
    told = info(answer)
    assert told["cfg_scale"] == cfg_scale
    assert f"CFG scale: {cfg_scale}," in told["infotexts"][0]
    again = served.post("txt2img", {"infotext": told["infotexts"][0]})
    assert again.json()["images"] == answer.json()["images"]


def test_a_batch_larger_than_the_page_offers(served: Served) -> None:
    answer = served.post("txt2img", {**SMALL, "batch_size": 9, "steps": 1, "do_not_save_grid": True})
    assert info(answer)["all_seeds"] == list(range(1, 10))
    assert len(answer.json()["images"]) == 9
    ninth = served.post("txt2img", {**SMALL, "seed": 9, "steps": 1}).json()["images"][0]
    one, other = image(answer.json()["images"][8]), image(ninth)
    assert one.size == other.size
    assert max(abs(a - b) for a, b in zip(one.tobytes(), other.tobytes(), strict=True)) <= 2, "sums in another order"


def test_what_means_nothing_here_is_named(served: Served) -> None:
    body = {**SMALL, "disable_extra_networks": True, "x é": 1, "y" * 99: None, "send_images": False}
    body |= {"restore_faces": False}  # this asks for nothing
    overrides = {"face_restoration_unload": True, "randn_source": "NV", "studio_most_steps": 9}
    content = json.dumps({**body, "override_settings": overrides})
    named = "disable_extra_networks, x%20%C3%A9, studio_most_steps, face_restoration_unload"
    for query in ("", "?wait=false"):
        answer = served.client.post(f"/sdapi/v1/txt2img{query}", content=content, headers=JSON)
        assert answer.headers["x-without-effect"] == named
    over(served.app.jobs.jobs()[-1])
    assert "x-without-effect" not in served.post("txt2img", SMALL).headers


def test_a_setting_of_a1111_that_is_a_switch_of_the_form_here(served: Served) -> None:
    stretched = {"override_settings": {"sd_noise_schedule": "Zero Terminal SNR"}}
    (text,) = info(served.post("txt2img", {**SMALL, **stretched}))["infotexts"]
    assert parse_infotext(text)["Noise Schedule"] == "Zero Terminal SNR"
    assert "Noise Schedule" not in info(served.post("txt2img", SMALL))["infotexts"][0]
    assert served.get("options").json()["sd_noise_schedule"] == "Default"


def test_a_merging_ratio_of_zero_leaves_it_to_the_setting(served: Served) -> None:
    for sent, set_to, drawn in ((0, None, None), (0.25, 0.5, "0.25"), (0, 0.5, "0.5")):
        body = {**SMALL, "token_merging_ratio": sent, "override_settings": {"token_merging_ratio": set_to}}
        (text,) = info(served.post("txt2img", body))["infotexts"]
        assert parse_infotext(text).get("Token merging ratio") == drawn


def test_other_models_for_a_part_of_a_picture(served: Served) -> None:
    over(served.app.models.hash_all())
    hires = {**SMALL, "enable_hr": True, "hr_scale": 1.0, "hr_checkpoint_name": "two"}
    (text,) = info(served.post("txt2img", hires))["infotexts"]
    said = parse_infotext(text)
    assert (said["Model"], str(said["Hires checkpoint"]).partition(" ")[0]) == ("one", "two")
    assert info(served.post("txt2img", {"infotext": text}))["infotexts"] == [text]
    nobody = {"hr_checkpoint_name": "Use same checkpoint", "refiner_checkpoint": "", "refiner_switch_at": 0.5}
    (text,) = info(served.post("txt2img", {**hires, **nobody}))["infotexts"]
    assert "two" not in text
    assert served.app.model_state.checkpoint.startswith("one")


def test_a_refiner_begins_where_it_is_told_or_at_once(served: Served) -> None:
    """As A1111's interface: on its page the place is 0.8 if nobody chose another."""
    by_two = {**SMALL, "override_settings": {"sd_model_checkpoint": "two"}}
    whole = image(served.post("txt2img", by_two).json()["images"][0])
    refined = served.post("txt2img", {**SMALL, "refiner_checkpoint": "two"})
    assert image(refined.json()["images"][0]).tobytes() == whole.tobytes()
    said = parse_infotext(info(refined)["infotexts"][0])
    assert (said["Model"], said["Refiner switch at"]) == ("one", "0")
    later = served.post("txt2img", {**SMALL, "refiner_checkpoint": "two", "refiner_switch_at": 0.5})
    assert image(later.json()["images"][0]).tobytes() != whole.tobytes()
    never = served.post("txt2img", {**SMALL, "refiner_checkpoint": "two", "refiner_switch_at": 1})
    assert (
        image(never.json()["images"][0]).tobytes() == image(served.post("txt2img", SMALL).json()["images"][0]).tobytes()
    )


def test_null_says_nothing(served: Served) -> None:
    nothing = dict.fromkeys(served.get("/openapi.json").json()["components"]["schemas"]["Txt2ImgRequest"]["properties"])
    answer = served.post("txt2img", {**nothing, **SMALL})
    assert answer.status_code == 200, answer.text


def test_null_among_the_settings_of_a_request_says_nothing(served: Served) -> None:
    nothing = {"sd_model_checkpoint": None, "sd_vae": None, "CLIP_stop_at_last_layers": None, "foo": None}
    answer = served.post("txt2img", {**SMALL, "override_settings": nothing})
    assert answer.status_code == 200, answer.text
    assert "x-without-effect" not in answer.headers
    assert info(answer)["infotexts"] == info(served.post("txt2img", SMALL))["infotexts"]


def test_what_the_description_of_a1111_shows_can_be_sent(served: Served) -> None:
    """Programs are made from it; `comments` is an object there, and a switch of the form here."""
    answer = served.post("txt2img", {**SMALL, "prompt": "a cat # b", "comments": {}, "seed_enable_extras": True})
    assert answer.status_code == 200, answer.text
    assert "x-without-effect" not in answer.headers
    assert asked_for.read(served.app, {"comments": {"a": "b"}}).params.comments
    assert not asked_for.read(served.app, {"comments": False}).params.comments


def test_extras_of_a_seed_can_be_switched_off(served: Served) -> None:
    extras = {"subseed": 5, "subseed_strength": 0.5, "seed_resize_from_w": 128, "seed_resize_from_h": 128}
    off = served.post("txt2img", {**SMALL, **extras, "seed_enable_extras": False})
    assert off.json()["images"] == served.post("txt2img", SMALL).json()["images"]
    on = served.post("txt2img", {**SMALL, **extras, "seed_enable_extras": True})
    assert parse_infotext(info(on)["infotexts"][0])["Variation seed"] == "5"


def test_defaults_are_a1111s(served: Served) -> None:
    params = asked_for.read(served.app, {}).params
    assert (params.sampler, params.schedule, params.steps, params.cfg_scale) == ("Euler", "Automatic", 50, 7.0)
    assert (params.width, params.height) == served.app.model_state.native_size
    assert (params.denoising_strength, params.seed, params.batch_count) == (0.75, -1, 1)
    described = served.get("/openapi.json").json()["components"]["schemas"]["Txt2ImgRequest"]["properties"]
    assert [described[name]["default"] for name in ("sampler_name", "steps", "cfg_scale")] == ["Euler", 50, 7.0]


def test_a_client_that_goes_does_not_lose_its_job(served: Served) -> None:
    """It said how its job is to be called; the pictures wait for it."""
    body = {**SMALL, "steps": 20, "force_task_id": "task(gone)"}
    answers = []
    thread = threading.Thread(target=lambda: answers.append(_asked_and_left(served, body)))
    thread.start()
    thread.join()
    job = served.app.jobs.jobs()[-1]
    over(job)
    assert job.state is JobState.FINISHED
    told = served.get("jobs/task(gone)")
    assert told.json()["state"] == "finished"
    result = served.get("jobs/task(gone)/result")
    assert len(result.json()["images"]) == 1


def _asked_and_left(served: Served, body: dict) -> None:
    content = json.dumps(body).encode()
    count = len(served.app.jobs.jobs())
    with socket.create_connection(("127.0.0.1", served.port)) as line:
        head = f"POST /sdapi/v1/txt2img HTTP/1.1\r\nHost: 127.0.0.1:{served.port}\r\n"
        head += f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
        line.sendall(head.encode() + content)
        while len(served.app.jobs.jobs()) == count:
            threading.Event().wait(0.01)
        job = served.app.jobs.jobs()[-1]
        until(job, lambda: any(isinstance(event, Sampled) for event in job.events_since()[0]))


def test_a_job_at_once_and_its_pictures_later(served: Served) -> None:
    answer = served.post("txt2img", SMALL, wait=False)
    assert answer.status_code == 202
    id = answer.json()["job"]
    job = served.app.jobs.find(id)
    assert job
    over(job)
    result = served.get(f"jobs/{id}/result")
    assert image(result.json()["images"][0]).size == (64, 64)
    assert served.get(f"jobs/{id}/result").status_code == 200, "asking does not take it away"


def test_pictures_that_were_sent_are_gone(served: Served) -> None:
    served.post("txt2img", {**SMALL, "force_task_id": "task(sent)"})
    answer = served.get("jobs/task(sent)/result")
    assert answer.status_code == 404
    assert "may have been sent" in sentence(answer)


def test_styles_are_written_into_the_prompts(served: Served) -> None:
    served.app.drawing.styles.save(Style("oil", "{prompt}, oil painting", "photo"))
    served.app.drawing.styles.save(Style("sharp", "sharp", ""))
    assert served.get("prompt-styles").json()[0] == {
        "name": "oil",
        "prompt": "{prompt}, oil painting",
        "negative_prompt": "photo",
    }
    told = info(served.post("txt2img", {**SMALL, "styles": ["oil", "sharp"], "negative_prompt": "blurry"}))
    assert told["prompt"] == "a cat, oil painting, sharp"
    assert (told["negative_prompt"], told["styles"]) == ("blurry, photo", ["oil", "sharp"])
    names = {"samples_filename_pattern": "[styles] of [prompt_no_styles]"}
    served.app.change_settings(picture_names=names["samples_filename_pattern"])
    served.post("txt2img", {**SMALL, "styles": ["oil", "sharp"], "save_images": True})
    served.app.change_settings(picture_names="")
    assert len([*served.app.paths.outputs.rglob("*-oil, sharp of a cat.png")]) == 1
    answer = served.post("txt2img", {**SMALL, "styles": ["no such"]})
    assert answer.status_code == 422
    assert "no such" in sentence(answer)


def test_an_infotext_fills_what_the_request_does_not_say(served: Served) -> None:
    body = {**SMALL, "prompt": "a (dog:1.2)", "seed": 77, "cfg_scale": 5, "clip_skip": 2, "enable_hr": True}
    first = served.post("txt2img", {**body, "hr_scale": 1.5, "scheduler": "Karras", "eta": 0.5})
    (text,) = info(first)["infotexts"]
    again = served.post("txt2img", {"infotext": text})
    assert info(again)["infotexts"] == [text]
    assert image(again.json()["images"][0]).tobytes() == image(first.json()["images"][0]).tobytes()
    other = parse_infotext(
        info(served.post("txt2img", {"infotext": text, "seed": 78, "enable_hr": False}))["infotexts"][0]
    )
    assert (other["Prompt"], other["Seed"], other["CFG scale"]) == ("a (dog:1.2)", "78", "5")
    assert "Hires upscale" not in other
    overridden = {"infotext": text, "override_settings": {"CLIP_stop_at_last_layers": 3}}
    assert info(served.post("txt2img", overridden))["clip_skip"] == 3


def test_settings_that_are_fields_of_the_form_here(served: Served) -> None:
    override = {"eta_noise_seed_delta": 31337, "randn_source": "NV", "sd_vae": "None"}
    told = info(served.post("txt2img", {**SMALL, "sampler_name": "Euler a", "override_settings": override}))
    said = parse_infotext(told["infotexts"][0])
    assert (said["ENSD"], said["RNG"]) == ("31337", "NV")
    answer = served.post("txt2img", {**SMALL, "override_settings": {"randn_source": "TPU"}})
    assert answer.status_code == 422
    assert "randn_source" in sentence(answer)


def test_eta_is_that_of_the_sampler_that_is_used(served: Served) -> None:
    for sampler, key in (("Euler a", "Eta"), ("DDIM", "Eta DDIM")):
        told = info(served.post("txt2img", {**SMALL, "sampler_name": sampler, "eta": 0.5}))
        assert parse_infotext(told["infotexts"][0])[key] == "0.5"


@pytest.mark.parametrize("sampler", [s.name for s in names.SAMPLERS if s.eta == 1.0])
def test_more_eta_than_there_is_room_for_draws_a_picture(served: Served, sampler: str) -> None:
    told = info(served.post("txt2img", {**SMALL, "steps": 3, "sampler_name": sampler, "eta": 1.5}))
    assert parse_infotext(told["infotexts"][0])["Eta"] == "1.5"


@pytest.mark.parametrize("source", ["CPU", "NV"])
def test_seeds_below_minus_one_are_seeds(served: Served, source: str) -> None:
    body = {**SMALL, "sampler_name": "DPM++ SDE", "override_settings": {"randn_source": source}}
    first, again = (served.post("txt2img", {**body, "seed": -7, "n_iter": 2}) for _ in range(2))
    assert info(first)["all_seeds"] == [-7, -6]
    assert first.json()["images"] == again.json()["images"]
    other = served.post("txt2img", {**body, "infotext": info(first)["infotexts"][2], "seed": None})
    assert image(other.json()["images"][0]).tobytes() == image(first.json()["images"][2]).tobytes()
    assert image(first.json()["images"][1]).tobytes() != image(first.json()["images"][2]).tobytes()


def test_strengths_beyond_the_sliders_are_taken_as_in_a1111(served: Served) -> None:
    hires = {**SMALL, "enable_hr": True, "hr_scale": 1.5}
    one, more = (served.post("txt2img", {**hires, "denoising_strength": strength}) for strength in (1, 2.5))
    assert image(one.json()["images"][0]).tobytes() == image(more.json()["images"][0]).tobytes()
    leaning = [info(served.post("txt2img", {**SMALL, "n_iter": 2, "subseed": 5, "subseed_strength": s}))
               for s in (1.5, -0.5)]  # fmt: skip
    assert [one["all_seeds"] for one in leaning] == [[1, 1], [1, 1]]
    assert [parse_infotext(one["infotexts"][0])["Variation seed strength"] for one in leaning] == ["1.5", "-0.5"]


def test_what_is_empty_says_nothing(served: Served) -> None:
    names = ("scheduler", "hr_sampler_name", "hr_scheduler", "hr_upscaler", "hr_checkpoint_name", "refiner_checkpoint")
    empty = {**dict.fromkeys(names, ""), "enable_hr": True, "sampler_name": "", "sampler_index": "Euler a"}
    params = asked_for.read(served.app, {**SMALL, **empty}).params
    assert (params.sampler, params.schedule) == ("Euler a", "Automatic")
    assert (params.hr_upscaler, params.hr_sampler) == ("Latent", "Use same sampler")


def test_always_on_scripts_of_the_page_are_fields(served: Served) -> None:
    scripts = {
        "Sampler": {"args": [3, "DPM++ 2M", "Karras"]},
        "seed": {"args": [9, True, 4, 0.25, 0, 0]},
        "Refiner": {"args": [True, "two", "0.5"]},
    }
    params = asked_for.read(served.app, {**SMALL, "alwayson_scripts": scripts}).params
    assert (params.steps, params.sampler, params.schedule) == (3, "DPM++ 2M", "Karras")
    assert (params.seed, params.subseed, params.subseed_strength) == (9, 4, 0.25)
    assert (params.refiner_checkpoint, params.refiner_switch_at) == ("two", 0.5)
    off = {"Seed": {"args": [9, False, 4, 0.25]}, "Refiner": {"args": [False, "two", 0.5]}, "Sampler": {"args": []}}
    params = asked_for.read(served.app, {**SMALL, "alwayson_scripts": off}).params
    assert (params.seed, params.subseed_strength, params.refiner_checkpoint) == (9, 0.0, "None")


def test_old_karras_sigmas_by_their_setting(served: Served) -> None:
    old = {"sampler_name": "DPM++ 2M", "override_settings": {"use_old_karras_scheduler_sigmas": True}}
    said = parse_infotext(info(served.post("txt2img", {**SMALL, **old}))["infotexts"][0])
    assert (said["Schedule min sigma"], said["Schedule max sigma"]) == ("0.1", "10.0")


def test_no_overview_if_it_is_not_to_be(served: Served) -> None:
    answer = served.post("txt2img", {**SMALL, "n_iter": 2, "do_not_save_grid": True})
    assert (len(answer.json()["images"]), info(answer)["index_of_first_image"]) == (2, 0)


def test_a_hires_fix_of_a_given_picture(served: Served) -> None:
    """The second pass over what a first pass drew is that of the whole run, up to the bits of a PNG."""
    given = served.post("txt2img", SMALL).json()["images"][0]
    hires = {**SMALL, "enable_hr": True, "hr_scale": 2, "hr_upscaler": "Lanczos", "denoising_strength": 0.5}
    whole = image(served.post("txt2img", hires).json()["images"][0])
    drawn = served.post("txt2img", {**hires, "firstpass_image": f"data:image/png;base64,{given}", "steps": 2})
    assert image(drawn.json()["images"][0]).tobytes() == whole.tobytes()
    over_latents = served.post("txt2img", {**hires, "hr_upscaler": "Latent", "firstpass_image": given})
    assert image(over_latents.json()["images"][0]).size == (128, 128)
    ignored = served.post("txt2img", {**SMALL, "firstpass_image": given})
    assert ignored.headers["x-without-effect"] == "firstpass_image"
    assert ignored.json()["images"] == [given]


def test_a_given_picture_may_be_of_any_size_that_can_be_drawn_on(served: Served) -> None:
    hires = {**SMALL, "enable_hr": True, "hr_scale": 2, "hr_upscaler": "Latent", "batch_size": 2}
    answer = served.post("txt2img", {**hires, "firstpass_image": encoded(101, 70)})
    assert [image(one).size for one in answer.json()["images"][1:]] == [(128, 128)] * 2
    noise = base64.b64encode(os.urandom(900_000)).decode()  # longer than any other text may be
    script = {"script_name": "prompt matrix", "prompt": "a|b"}
    for body, words in (
        ({"firstpass_image": encoded(7, 64)}, "7×64"),
        ({"firstpass_image": "no picture!"}, "base64"),
        ({"firstpass_image": noise}, "picture"),
        ({"firstpass_image": encoded(64, 64), **script}, "script"),
    ):
        answer = served.post("txt2img", {**hires, **body})
        assert answer.status_code == 422
        assert words in sentence(answer)


def encoded(width: int, height: int) -> str:
    file = io.BytesIO()
    Image.new("RGB", (width, height), "red").save(file, "JPEG")
    return base64.b64encode(file.getvalue()).decode()


def test_the_first_pass_as_programs_of_2022_ask_for_it(served: Served) -> None:
    body = {**SMALL, "width": 128, "height": 128, "enable_hr": True, "firstphase_width": 64, "firstphase_height": 64}
    told = served.post("txt2img", body)
    assert image(told.json()["images"][0]).size == (128, 128)
