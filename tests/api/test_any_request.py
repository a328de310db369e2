"""Requests that nobody thought of: made by schemathesis from the description, and types confused on purpose (W6)."""

import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import schemathesis
from hypothesis.errors import Unsatisfiable

from modules.api.route import MAX_BODY
from modules.settings import Settings
from tests.api.serving import PATIENCE, Served, over

SMALL_SERVER = Settings(most_steps=2, longest_side=64, most_pictures=2)
EXAMPLES = 6  # of each operation: 40 operations in less than two minutes on an idle machine


@pytest.fixture(scope="module")
def small(begin: Any) -> Served:
    """A server whose limits keep every picture tiny."""
    return begin(settings=SMALL_SERVER)


@pytest.fixture
def nothing_written(small: Served) -> Iterator[None]:
    """Fails a test that made a file outside the data folder, seen from its parent."""
    parent = small.app.paths.data.parent
    before = _files(parent, small)
    yield
    assert _files(parent, small) == before


def _files(parent: Path, small: Served) -> set[str]:
    inside = str(small.app.paths.data)
    return {
        path
        for folder, _, names in os.walk(parent)
        for path in (os.path.join(folder, name) for name in names)
        if not path.startswith(inside)
    }


def test_no_request_that_the_description_allows_meets_an_inner_error(small: Served) -> None:
    """And none that it forbids: schemathesis makes both."""
    document = small.get("/openapi.json").json()
    schema = schemathesis.openapi.from_dict(document)
    schema.config.update(base_url=small.url)
    settings = hypothesis.settings(
        max_examples=EXAMPLES,
        derandomize=True,
        deadline=None,
        database=None,
        phases=[hypothesis.Phase.generate],
        suppress_health_check=[hypothesis.HealthCheck.too_slow, hypothesis.HealthCheck.filter_too_much],
    )
    asked: dict[str, set[int]] = {}
    for result in schema.get_all_operations():
        operation: Any = result.ok()  # pyright: ignore[reportAttributeAccessIssue] -- anything else ends the test
        for mode in (schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE):

            @hypothesis.given(case=operation.as_strategy(generation_mode=mode))
            @settings
            def ask(case: schemathesis.Case) -> None:
                response = case.call(timeout=PATIENCE)
                asked.setdefault(case.operation.label, set()).add(response.status_code)
                assert response.status_code < 500 or response.status_code == 503, (
                    case.as_curl_command(),
                    response.text,
                )
                _finish(small)

            try:
                ask()
            except Unsatisfiable:  # nothing of that kind can be made: an operation without input
                continue
    described = {f"{m.upper()} {path}" for path, methods in document["paths"].items() for m in methods}
    assert set(asked) == described
    assert 200 in asked["POST /sdapi/v1/txt2img"], "some of it was drawn"


def _finish(small: Served) -> None:
    """Work that nobody waits for ends before the next request."""
    for job in small.app.jobs.jobs():
        if not job.is_over:
            job.interrupt()
            over(job)


CONFUSED = [
    None,
    0,
    -1,
    2**63,
    2**64,
    1.5,
    "",
    "x",
    [],
    [[]],
    {},
    {"a": {}},
    True,
    "1e309",
    "\ud800",
    "a\0b",
    "9" * 400,
]
JSON = {"content-type": "application/json"}
BODIES = ["null", "1", "-1", '"x"', "[]", "[[]]", "1e309", "NaN", "", "{", "[" * 100_000, '{"a":' * 100_000, "\xff"]


def _posts(small: Served) -> list[str]:
    document = small.get("/openapi.json").json()
    return [path for path, methods in document["paths"].items() if "post" in methods]


@pytest.mark.usefixtures("nothing_written")
def test_bodies_of_any_kind_to_every_route(small: Served) -> None:
    for path in _posts(small):
        for body in BODIES:
            answer = small.client.post(path, content=body.encode("latin-1"), headers=JSON)
            assert answer.status_code < 500, (path, body[:20], answer.text)
            if answer.status_code >= 400:
                assert answer.json()["detail"], (path, body[:20])
    _finish(small)


@pytest.mark.usefixtures("nothing_written")
def test_types_confused_in_every_field_of_every_route(small: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether a value is refused is told before anything is drawn, so nothing is."""
    monkeypatch.setattr(small.app, "_txt2img", lambda *_: (event for event in ()))
    document = small.get("/openapi.json").json()
    for path in _posts(small):
        for field in _fields(document, path):
            for value in CONFUSED:
                body = json.dumps({**_tiny(path), field: value})
                answer = small.client.post(path, content=body, headers=JSON)
                assert answer.status_code < 500, (path, field, value, answer.text)
    _finish(small)


@pytest.mark.usefixtures("nothing_written")
def test_the_largest_and_smallest_numbers_that_are_taken_can_be_drawn(small: Served) -> None:
    """Of every number of a txt2img request."""
    document = small.get("/openapi.json").json()
    path, drawn = "/sdapi/v1/txt2img", 0
    for field, described in document["components"]["schemas"]["Txt2ImgRequest"]["properties"].items():
        kinds = {kind.get("type") for kind in described.get("anyOf", [described])}
        if not kinds & {"integer", "number"}:
            continue
        for value in {described.get("minimum", -(2**63)), described.get("maximum", 2**63)}:
            answer = small.post(path, {**_tiny(path), "sampler_name": "Euler a", field: value})
            assert answer.status_code < 500, (field, value, answer.text)
            drawn += answer.status_code == 200
    assert drawn > 40, "most of them are taken"


def _tiny(path: str) -> dict[str, Any]:
    return {"width": 64, "height": 64, "steps": 1, "sampler_name": "Euler"} if path.endswith("txt2img") else {}


def _fields(document: dict[str, Any], path: str) -> list[str]:
    body = document["paths"][path]["post"].get("requestBody")
    reference = body and body["content"]["application/json"]["schema"].get("$ref", "")
    return list(document["components"]["schemas"][reference.split("/")[-1]]["properties"]) if reference else []


def test_a_body_one_byte_too_long_is_refused(small: Served) -> None:
    start, end = b'{"image": "', b'"}'
    fits = start + b"A" * (MAX_BODY - len(start) - len(end)) + end
    assert small.client.post("/sdapi/v1/png-info", content=fits, headers=JSON).status_code == 422
    answer = small.client.post("/sdapi/v1/png-info", content=fits + b" ", headers=JSON)
    assert answer.status_code == 413
    assert "64 MB" in answer.json()["detail"]


def test_a_body_of_unknown_length_is_counted(small: Served) -> None:
    part = b"A" * 2**20
    with socket.create_connection(("127.0.0.1", small.port)) as line:
        head = f"POST /sdapi/v1/png-info HTTP/1.1\r\nHost: 127.0.0.1:{small.port}\r\nTransfer-Encoding: chunked\r\n"
        line.sendall(head.encode() + b"Content-Type: application/json\r\n\r\n")
        for _ in range(MAX_BODY // len(part) + 1):
            line.sendall(f"{len(part):x}\r\n".encode() + part + b"\r\n")
        assert b" 413 " in line.recv(100)
