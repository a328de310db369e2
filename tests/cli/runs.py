"""Command lines for training on the tiny model. No fixtures."""

import json
from pathlib import Path
from typing import Any

import pytest

from modules import cli
from modules.embeddings.embedding import Embedding
from modules.embeddings.reading import read_embedding
from tests.prompts.prompt_vectors import REFERENCE

NAME = "realbenny-t2"
MODEL = REFERENCE / "models" / "tiny-sd15.safetensors"
SMALL = {
    "learning-rate": "0.005",
    "width": "64",
    "height": "64",
    "steps": "6",
    "batch-size": "2",
    "gradient-step": "1",
    "seed": "7",
    "create-image-every": "0",
    "save-embedding-every": "2",
    "save-state-every": "2",
    "held-out-every": "0",
    "held-out": "0",
}


def server(data: Path) -> list[str]:
    return ["--data-dir", str(data), "--ckpt", str(MODEL), "--use-cpu", "all"]


def training(data: Path, photos: Path, **changed: str) -> list[str]:
    """The words of a training of six steps, behind `webui.sh`."""
    flags = {**SMALL, "init-text": "face", "vectors-per-token": "2", **changed}
    words = [word for name, value in flags.items() for word in ("--" + name.replace("_", "-"), value)]
    return ["train", NAME, str(photos), *words, *server(data)]


def told(capsys: pytest.CaptureFixture[str]) -> tuple[list[dict[str, Any]], str]:
    """What a command printed: its JSON lines, and what it said to people."""
    printed = capsys.readouterr()
    return [json.loads(line) for line in printed.out.splitlines()], printed.err


def events(lines: list[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    return [line for line in lines if line["event"] == name]


def trained(data: Path) -> Embedding:
    embedding = read_embedding(data / "embeddings" / f"{NAME}.safetensors")
    assert embedding
    return embedding


def run(words: list[str]) -> int:
    return cli.main(words)
