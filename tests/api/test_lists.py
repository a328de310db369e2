import base64
import io
from pathlib import Path

import httpx
import pytest
from PIL import Image

from modules.api.machine import flags_told
from modules.flags import Flags
from modules.infotext import VERSION_VALUE
from modules.model.checkpoint import Checkpoint
from modules.model.vae import VaeFile
from modules.samplers.names import sampler_names, schedule_names
from tests.api.serving import SMALL, Served, sentence


def test_samplers_and_schedulers_with_all_their_names(served: Served) -> None:
    samplers = served.get("samplers").json()
    assert [sampler["name"] for sampler in samplers] == sampler_names()
    by_name = {sampler["name"]: sampler for sampler in samplers}
    assert by_name["DPM++ 2M"] == {"name": "DPM++ 2M", "aliases": ["k_dpmpp_2m"], "options": {"scheduler": "karras"}}
    assert by_name["DPM2 a"]["options"]["uses_ensd"] == "True"
    schedulers = served.get("schedulers").json()
    assert [schedule["label"] for schedule in schedulers] == schedule_names()
    assert schedulers[0]["name"] == "automatic"
    assert {"name", "label", "aliases", "default_rho", "need_inner_model"} == set(schedulers[0])


def test_models(served: Served) -> None:
    one, two = served.get("sd-models").json()
    assert (one["model_name"], two["model_name"]) == ("one", "two")
    assert set(one) == {"title", "model_name", "hash", "sha256", "filename", "config"}
    assert one["filename"].endswith("one.safetensors")
    assert one["hash"] in one["title"]
    assert one["sha256"].startswith(one["hash"])


def test_files_whose_names_are_no_text_are_listed(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """Linux takes any bytes for a name, Python reads them as halves of characters."""
    path = Path("/models/old-\udcff.safetensors")
    monkeypatch.setattr(served.app.models, "checkpoints", lambda: [Checkpoint(path, path.name, "")])
    monkeypatch.setattr(served.app.drawing, "vae_files", lambda: [VaeFile(path)])
    assert served.get("sd-models").json()[0]["filename"] == str(path)
    assert served.get("sd-vae").json() == [{"model_name": path.name, "filename": str(path)}]


def test_ways_to_enlarge(served: Served) -> None:
    assert [way["name"] for way in served.get("upscalers").json()][:3] == ["None", "Lanczos", "Nearest"]
    assert len(served.get("latent-upscale-modes").json()) == 6


@pytest.mark.parametrize("path", ["hypernetworks", "face-restorers", "realesrgan-models", "loras", "extensions"])
def test_what_there_is_none_of(served: Served, path: str) -> None:
    assert served.get(path).json() == []


@pytest.mark.parametrize("path", ["refresh-checkpoints", "refresh-vae", "refresh-embeddings", "refresh-loras"])
def test_refreshing(served: Served, path: str) -> None:
    assert (served.post(path).status_code, served.post(path).json()) == (200, None)


def test_memory(served: Served) -> None:
    ram = served.get("memory").json()["ram"]
    assert 0 < ram["used"] < ram["total"]
    assert "error" in served.get("memory").json()["cuda"]


def test_what_a_report_of_a_fault_should_say(served: Served) -> None:
    told = served.get("/internal/sysinfo").json()
    assert (told["Version"], told["Checkpoint"]) == (VERSION_VALUE, served.app.model_state.checkpoint)
    assert told["Packages"]["torch"].startswith("2.")
    assert told["RAM"]["total"] > told["RAM"]["used"] > 0
    assert str(served.app.paths.data) not in str(told)


def test_flags_without_secrets(served: Served) -> None:
    told = served.get("cmd-flags").json()
    assert (told["api"], told["nowebui"], told["gradio_auth"], told["api_auth"]) == (True, True, None, None)
    secret = Flags(logins=(("ann", "geheim"),), api_logins=(("bot", "geheim"),), api=True)
    assert "geheim" not in str(flags_told(secret))
    assert "ann" not in str(flags_told(secret))
    assert flags_told(Flags(styles_file=(Path("/a.csv"), Path("/b"))))["styles_file"] == ["/a.csv", "/b"]


def test_model_out_of_memory_and_back(served: Served) -> None:
    before = served.get("options").json()["sd_model_checkpoint"]
    assert served.post("unload-checkpoint").json() == {}
    assert served.app.models.conditioner is None
    assert served.get("embeddings").json() == {"loaded": {}, "skipped": {}}
    assert served.post("reload-checkpoint").json() == {}
    assert served.app.models.conditioner is not None
    assert served.get("options").json()["sd_model_checkpoint"] == before
    served.post("unload-checkpoint")
    assert served.post("unload-checkpoint").status_code == 200
    assert served.post("txt2img", SMALL).status_code == 200, "the next picture loads it again"


def test_parameters_of_a_picture(served: Served) -> None:
    encoded = served.post("txt2img", {**SMALL, "prompt": "a (cat:1.2)", "negative_prompt": "dog"}).json()["images"][0]
    for text in (encoded, f"data:image/png;base64,{encoded}"):
        told = served.post("png-info", {"image": text}).json()
        assert told["info"].startswith("a (cat:1.2)\nNegative prompt: dog\nSteps: 2")
        assert (told["parameters"]["Prompt"], told["parameters"]["Seed"]) == ("a (cat:1.2)", "1")
        assert told["items"] == {}


def test_a_picture_that_carries_none(served: Served) -> None:
    file = io.BytesIO()
    Image.new("RGB", (8, 8)).save(file, "JPEG")
    encoded = base64.b64encode(file.getvalue()).decode()
    assert served.post("png-info", {"image": encoded}).json() == {"info": "", "items": {}, "parameters": {}}


@pytest.mark.parametrize(
    ("image", "words"),
    [
        ("http://127.0.0.1/x.png", "not fetched"),
        ("file:///etc/passwd", "not fetched"),
        ("!!!", "no base64"),
        ("ä", "no base64"),
        ("", "not a picture"),
        (base64.b64encode(b"text").decode(), "not a picture"),
        (base64.b64encode(b"GIF89a\0\0").decode(), "picture"),
    ],
)
def test_what_is_no_picture_is_a_sentence(served: Served, image: str, words: str) -> None:
    answer = served.post("png-info", {"image": image})
    assert answer.status_code == 422
    assert words in sentence(answer)


def refused(served: Served, method: str, path: str, status: int, words: str) -> httpx.Response:
    """The answer, once it is the refusal that is expected, in the one form of all errors."""
    answer = served.client.request(method, path)
    assert answer.status_code == status
    assert words in sentence(answer)
    return answer


@pytest.mark.parametrize(
    ("method", "path", "status", "words"),
    [
        ("POST", "img2img", 501, "img2img"),
        ("POST", "extra-single-image", 501, "not there yet"),
        ("POST", "extra-batch-images", 501, "not there yet"),
        ("POST", "interrogate", 501, "not there yet"),
        ("POST", "create/hypernetwork", 501, "not there yet"),
        ("POST", "train/hypernetwork", 501, "not there yet"),
        ("POST", "preprocess", 501, "not there yet"),
        ("GET", "artists", 501, "no list of artists"),
        ("GET", "artist-categories", 501, "no list of artists"),
        ("GET", "no-such-thing", 404, "/docs"),
        ("GET", "txt2img", 405, "use POST"),
        ("DELETE", "options", 405, "use GET or POST."),
        ("PUT", "options", 405, "use GET or POST."),
        ("OPTIONS", "options", 405, "use GET or POST."),
        ("OPTIONS", "no-such-thing", 404, "/docs"),
        ("POST", "server-kill", 403, "--api-server-stop"),
        ("POST", "server-restart", 403, "--api-server-stop"),
        ("POST", "server-stop", 403, "--api-server-stop"),
    ],
)
def test_what_is_not_here_says_so_and_is_not_described(
    served: Served, method: str, path: str, status: int, words: str
) -> None:
    refused(served, method, f"/sdapi/v1/{path}", status, words)
    described = served.get("/openapi.json").json()["paths"].get(f"/sdapi/v1/{path}", {})
    assert method.lower() not in described
    assert not served.wishes


@pytest.mark.parametrize(
    ("method", "path", "status", "words"),
    [
        ("POST", "/internal/ping", 405, "POST is not for this address: use GET."),
        ("OPTIONS", "/internal/ping", 405, "use GET."),
        ("GET", "/internal/progress", 405, "use POST."),
        ("DELETE", "/docs", 405, "use GET."),
        ("PUT", "/openapi.json", 405, "use GET."),
        ("GET", "/docs/no-such-thing", 404, "There is no such file."),
        ("GET", "/internal/no-such-thing", 404, "There is nothing at this address"),
    ],
)
def test_addresses_beside_it_refuse_in_the_same_form(
    served: Served, method: str, path: str, status: int, words: str
) -> None:
    answer = refused(served, method, path, status, words)
    assert answer.headers.get("allow") == {405: words.rpartition("use ")[2].rstrip(".")}.get(status)


@pytest.mark.parametrize(("path", "status", "allowed"), [("options", 405, "GET, POST"), ("no-such-thing", 404, None)])
def test_head_is_answered_as_any_other_method_that_is_not_here(
    served: Served, path: str, status: int, allowed: str | None
) -> None:
    answer = served.client.request("HEAD", f"/sdapi/v1/{path}")
    assert (answer.status_code, answer.headers.get("allow")) == (status, allowed)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"{", "The body is no JSON: "),
        (b"", "The body: Field required"),
        (b'{"steps": NaN}', "NaN is no number of JSON"),
        (b"[" * 100_000, "nested"),
        (b'{"a":' * 70 + b"1" + b"}" * 70, "nested deeper than 64 levels"),
        (b"\xff", "UTF-8"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_a_body_that_is_no_json_is_told_as_it_is_described(served: Served, body: bytes, words: str) -> None:
    """422, as programs know it from A1111."""
    answer = served.client.post("/sdapi/v1/txt2img", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 422
    assert words in sentence(answer)
    told = served.get("/openapi.json").json()["paths"]["/sdapi/v1/txt2img"]["post"]["responses"]
    assert "no JSON" in told["422"]["description"]
    assert "JSON" not in told["400"]["description"]


def test_the_documentation_fetches_nothing_from_elsewhere(served: Served) -> None:
    page = served.get("/docs")
    assert page.status_code == 200
    assert "http://" not in page.text.replace(served.url, "")
    assert "https://" not in page.text
    for name, kind in (("swagger-ui-bundle.js", "text/javascript"), ("swagger-ui.css", "text/css")):
        file = served.get(f"/docs/{name}")
        assert file.headers["content-type"].startswith(kind)
        assert len(file.content) > 50_000
    assert served.get("/docs/../../secret").status_code == 404
    assert served.client.get("/").headers["location"] == "/docs", "there is no page here"


def test_every_route_is_described_with_what_it_answers(served: Served) -> None:
    document = served.get("/openapi.json").json()
    for path, methods in document["paths"].items():
        for method, described in methods.items():
            assert described["responses"].keys() & {"200", "202"}, (method, path)
            assert described.get("description"), (method, path)
    fields = document["components"]["schemas"]["Txt2ImgRequest"]["properties"]
    assert (fields["steps"]["minimum"], fields["steps"]["maximum"]) == (1, 1000)
    assert fields["width"]["title"] == "Width"
    assert {"sampler_name", "scheduler", "n_iter", "hr_scale", "subseed", "override_settings"} <= fields.keys()
