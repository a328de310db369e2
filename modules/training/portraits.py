"""The picture that shows an embedding: its own, one beside its file, or the sample of the run that made it.

Knows no torch.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from modules.training.run_folder import RunFolder, find_runs

CARRIERS = (".png", ".webp", ".avif")  # files that are a picture themselves
_BESIDE = (".preview.png", ".preview.webp", ".preview.jpg", ".png", ".webp", ".jpg")  # as in A1111


def runs_by_name(root: Path) -> dict[str, list[RunFolder]]:
    """The folders of all runs below a log directory by the embedding they are of, newest first."""
    runs: dict[str, list[RunFolder]] = {}
    for run in find_runs(root):
        runs.setdefault(run.folder.name, []).append(run.folder)
    return runs


def portraits(path: Path, name: str, step: int | None, runs: Mapping[str, Sequence[RunFolder]]) -> Iterator[Path]:
    """Files that show an embedding, the one that shows it best first. Whether they can be opened is not known.

    Args:
        path: of the embedding's file.
        step: steps that it has learned; None or 0: no sample shows it.
        runs: as `runs_by_name` finds them.
    """
    own = [path] if path.suffix.lower() in CARRIERS else []
    beside = [path.with_name(path.stem + ending) for ending in _BESIDE]
    samples = [folder.sample(step) for folder in runs.get(name, ())] if step else []
    if (path.parent.parent / "run.json").is_file():  # it is a snapshot itself
        samples.insert(0, path.parent.with_name("images") / f"{path.stem}.png")
    yield from (found for found in (*own, *beside, *samples) if found.is_file())
