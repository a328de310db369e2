"""What programs may not reach: files outside the data folder (W1), other machines (W6)."""

import os
import socket
from pathlib import Path
from typing import Any

import pytest

from tests.api.serving import SMALL, Served

OUTSIDE = [
    "../out",
    "..\\out",
    "/tmp/studio-out",
    "%2e%2e/out",
    "C:\\out",
    "\\\\server\\share",
    "a\0b",
    "CON",
    "x" * 300,
    "\u202eout",
    ".hidden",
    "trailing.",
]
NAMES = [  # every field of every route that names a file or a folder
    ("create/embedding", "name", {}),
    ("train/embedding", "embedding_name", {}),
    ("train/embedding", "log_directory", {"embedding_name": "there"}),
    ("train/embedding", "template_filename", {"embedding_name": "there"}),
    ("train/embedding", "data_root", {"embedding_name": "there"}),
    ("options", "sd_model_checkpoint", {}),
    ("options", "sd_vae", {}),
    ("txt2img", "hr_upscaler", {**SMALL, "enable_hr": True, "hr_scale": 1.0}),
    ("txt2img", "sampler_name", SMALL),
    ("png-info", "image", {}),
]


def _files(folder: Path) -> set[str]:
    return {os.path.join(at, name) for at, _, names in os.walk(folder) for name in names if "webui.log" not in name}


@pytest.mark.parametrize(("path", "field", "body"), NAMES, ids=lambda value: value if isinstance(value, str) else "")
def test_no_name_leads_out_of_the_data_folder(served: Served, path: str, field: str, body: dict[str, Any]) -> None:
    data = served.app.paths.data
    before, own = _files(data.parent), _files(data)
    for name in OUTSIDE:
        answer = served.post(path, {**body, field: name})
        if answer.status_code == 200:  # a name of a file that may be, or of what is not there and does not matter
            continue
        assert 400 <= answer.status_code < 500, (name, answer.text)
        assert str(data) not in answer.text, "told by its place in the data folder"
    assert not Path("/tmp/studio-out").exists()
    assert _files(data.parent) - before == _files(data) - own


def test_nothing_is_fetched_and_nobody_is_called(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[object] = []
    connect = socket.socket.connect

    def noted(self: socket.socket, address: Any) -> None:
        called.append(address)
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", noted)
    for image in ("http://192.0.2.1/x.png", "https://192.0.2.1/x.png", "ftp://192.0.2.1/x", "//192.0.2.1/share/x.png"):
        assert served.post("png-info", {"image": image}).status_code == 422
    assert served.post("txt2img", SMALL).status_code == 200
    assert (
        served.post("txt2img", {**SMALL, "script_name": None, "init_images": ["http://192.0.2.1/x"]}).status_code == 200
    )
    served.post("train/embedding", {"embedding_name": "http://192.0.2.1/", "data_root": "http://192.0.2.1/"})
    for path in ("sd-models", "upscalers", "options", "/docs", "/openapi.json"):
        assert served.get(path).status_code == 200
    elsewhere = [address for address in called if not (isinstance(address, tuple) and address[0] == "127.0.0.1")]
    assert elsewhere == []
