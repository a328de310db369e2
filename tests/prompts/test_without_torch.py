"""The page starts on prompts and tokenizer alone: they must stay light."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
HEAVY = ("torch", "transformers", "diffusers", "gradio")


def loaded_by(statement: str) -> set[str]:
    code = f"import sys; {statement}; print(*{{name.partition('.')[0] for name in sys.modules}})"
    answer = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )
    return set(answer.stdout.split())


def test_parsers_and_tokenizer_load_no_torch():
    loaded = loaded_by(
        "from modules.prompts import reading, tokenizer, matching; clip = tokenizer.clip_tokenizer();"
        "reading.read_prompt('a [b|c] cat', 20, clip, matching.EmbeddingIndex({'cat': 1}, clip))"
    )
    assert {"lark", "tokenizers"} <= loaded
    assert not loaded & set(HEAVY)


def test_importing_reads_no_vocabulary():
    assert "tokenizers" not in loaded_by("import modules.prompts")
