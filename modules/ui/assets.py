"""Style sheets and scripts of the page, each beside the tab it belongs to."""

from pathlib import Path

_HERE = Path(__file__).parent

STYLE_SHEETS = (
    _HERE / "style.css",
    _HERE / "embeddings.css",
    *(_HERE / "train" / name for name in ("train.css", "photos.css", "compare.css")),
    _HERE / "library.css",
)
SCRIPTS = (
    *(_HERE / name for name in ("page.js", "embeddings.js")),
    *(_HERE / "train" / name for name in ("train.js", "compare.js")),
    _HERE / "library.js",
)


def style() -> str:
    """All style sheets, one after the other."""
    return "\n".join(path.read_text(encoding="utf-8") for path in STYLE_SHEETS)


def script() -> str:
    """One function that calls each script, when the page has been built. Each file holds one function."""
    calls = [f"({path.read_text(encoding='utf-8').rstrip().rstrip(';')}\n)();" for path in SCRIPTS]
    return "() => {\n" + "\n".join(calls) + "\n}"
