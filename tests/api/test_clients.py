"""Programs that nobody here wrote: the client library `webuiapi` from PyPI, and the command that README shows, against
the running server."""

import itertools
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
import webuiapi
from PIL import Image

from modules.flags import Flags
from modules.infotext import parse_infotext
from modules.paths import PROGRAM
from modules.settings import Settings
from tests.api.serving import Served


@pytest.fixture(scope="module")
def api(served: Served) -> Any:  # its own annotations promise less than it gives
    return webuiapi.WebUIApi(host="127.0.0.1", port=served.port, sampler="Euler a", steps=2)


def test_txt2img(api: Any) -> None:
    result = api.txt2img(prompt="a (cat:1.2)", negative_prompt="ugly", seed=1003, cfg_scale=7, width=64, height=64)
    assert result.image.size == (64, 64)
    assert result.info["all_seeds"] == [1003]
    assert result.parameters["prompt"] == "a (cat:1.2)"
    assert parse_infotext(result.info["infotexts"][0])["Sampler"] == "Euler a"


def test_txt2img_with_hires_and_variation(api: Any) -> None:
    result = api.txt2img(
        prompt="a cat",
        seed=7,
        width=64,
        height=64,
        enable_hr=True,
        hr_scale=2,
        hr_upscaler=webuiapi.HiResUpscaler.Latent,
        hr_second_pass_steps=2,
        denoising_strength=0.7,
        subseed=9,
        subseed_strength=0.25,
        sampler_name="DPM++ 2M",
        scheduler="karras",
    )
    assert result.image.size == (128, 128)
    said = parse_infotext(result.info["infotexts"][0])
    assert (said["Hires upscale"], said["Hires upscaler"], said["Denoising strength"]) == ("2", "Latent", "0.7")
    assert (said["Variation seed"], said["Variation seed strength"]) == ("9", "0.25")
    assert (result.info["subseed"], result.info["subseed_strength"]) == (9, 0.25)


def test_batches(api: Any) -> None:
    result = api.txt2img(prompt="a cat", seed=5, width=64, height=64, batch_size=2, n_iter=2)
    assert len(result.images) == 5
    assert result.info["index_of_first_image"] == 1


def test_progress_while_nothing_runs(api: Any) -> None:
    assert api.get_progress()["progress"] == 0.0
    api.util_wait_for_ready()
    assert api.interrupt() == {}
    api.skip()


def test_options_and_models(api: Any) -> None:
    options = api.get_options()
    options["CLIP_stop_at_last_layers"] = 2
    api.set_options(options)
    assert api.get_options()["CLIP_stop_at_last_layers"] == 2
    api.set_options({"CLIP_stop_at_last_layers": 1})
    assert api.util_get_current_model().startswith("one")
    api.util_set_model("tow")
    assert api.util_get_current_model().startswith("two")
    api.util_set_model("one")
    assert [name.split(".")[0] for name in api.util_get_model_names()] == ["one", "two"]


def test_lists(api: Any) -> None:
    assert "Euler a" in api.util_get_sampler_names()
    assert "karras" in api.util_get_scheduler_names()
    assert api.get_cmd_flags()["api"] is True
    assert {upscaler["name"] for upscaler in api.get_upscalers()} >= {"None", "Lanczos", "Nearest"}
    assert api.get_latent_upscale_modes()[0] == {"name": "Latent"}
    assert api.get_hypernetworks() == api.get_face_restorers() == api.get_realesrgan_models() == api.get_loras() == []
    assert isinstance(api.get_prompt_styles(), list)
    assert isinstance(api.get_sd_vae(), list)
    assert api.get_embeddings() == {"loaded": {}, "skipped": {}}
    assert api.get_memory()["ram"]["total"] > 0
    assert "txt2img" in api.get_scripts()
    assert api.refresh_checkpoints() is None
    assert (api.has_controlnet, api.has_adetailer) == (False, False)


def test_png_info(api: Any) -> None:
    image = api.txt2img(prompt="a cat", seed=3, width=64, height=64).image
    assert api.png_info(image).info.startswith("a cat\nSteps: 2, Sampler: Euler a")


def test_what_is_not_there_is_an_error_of_the_client(api: Any) -> None:
    image = api.txt2img(prompt="a cat", seed=3, width=64, height=64).image
    with pytest.raises(RuntimeError, match="501"):
        api.img2img(images=[image], prompt="a cat")
    with pytest.raises(RuntimeError, match=r"400.*no sampler"):
        api.txt2img(prompt="a cat", sampler_name="Foo")


def test_login(begin: Callable[..., Served]) -> None:
    served = begin(Flags(use_cpu=True, api=True, nowebui=True, api_logins=(("bot", "a:b"),)))
    assert httpx.get(f"{served.url}/sdapi/v1/options").status_code == 401
    api: Any = webuiapi.WebUIApi(host="127.0.0.1", port=served.port, username="bot", password="a:b", steps=2)
    assert api.get_options()["sd_model_checkpoint"].startswith("one")
    served.app.change_settings(picture_names="[user]-[seed]")
    asked: dict[str, Any] = {"prompt": "a cat", "width": 64, "height": 64, "seed": 3}
    assert api.txt2img(**asked, save_images=True).image.size == (64, 64)
    [saved] = served.app.paths.txt2img_images.rglob("*.png")
    assert saved.name == "00000-bot-3.png"


def test_the_command_of_the_readme(begin: Callable[..., Served], tmp_path: Path) -> None:
    """Sent as curl sends it, which calls every `-d` a form."""
    served = begin(settings=Settings(longest_side=64))
    part = (PROGRAM / "README.md").read_text("utf-8").split("## For programs")[1].split("\n## ")[0]
    (block,) = re.findall(r"```sh\n(.*?)```", part, re.DOTALL)
    words = shlex.split(block.replace("\\\n", " "))
    cut = words.index("|")
    curl, then = words[:cut], words[cut + 1 :]
    assert (curl[0], then[:2]) == ("curl", ["python3", "-c"])
    url = next(word for word in curl if word.startswith("http://127.0.0.1:7860/")).replace(":7860", f":{served.port}")
    said = [word.split(": ", 1) for flag, word in itertools.pairwise(curl) if flag == "-H"]
    headers = {"content-type": "application/x-www-form-urlencoded", **{name.lower(): value for name, value in said}}
    answer = served.client.post(url, content=curl[curl.index("-d") + 1], headers=headers)
    assert answer.status_code == 200, answer.text
    subprocess.run([sys.executable, *then[1:]], input=answer.content, cwd=tmp_path, check=True)
    (picture,) = tmp_path.iterdir()
    with Image.open(picture) as opened:
        assert opened.info["parameters"].startswith("a (happy:1.2) panda\nSteps: 20")
