"""What was recorded from A1111 v1.10.1, for the tests beside this file."""

import json
from pathlib import Path

REFERENCE = Path(__file__).parents[1] / "data" / "reference"


def records(family: str) -> list[dict]:
    """The records of one family: prompts, tokenizer, conds."""
    return json.loads((REFERENCE / f"{family}.json").read_text(encoding="utf-8"))["records"]


def embeddings_width72() -> dict[str, int]:
    """Vectors of each embedding that the recording program had loaded, in its order of names."""
    manifest = json.loads((REFERENCE / "embeddings" / "manifest.json").read_text(encoding="utf-8"))
    vectors = {file["name"]: file["vectors"] for file in manifest["files"] if file.get("width") == 72}
    return {name: vectors[name] for name in manifest["peer_listing_width72"]}
