"""Where the photos of a run lie by now, and which of them its loss is measured on. Knows no torch.

Photos may go, and come back, between a run's end and its going on. A loss on other photos is another loss: what was
measured before and what is measured then stand in one log, and are never compared.
"""

import itertools
from collections.abc import Collection, Sequence
from pathlib import Path

from modules.errors import FileFormatError, ParameterError
from modules.files import folder_of
from modules.training.run_folder import RunFolder

Rows = Sequence[tuple[float, ...]]


def photos_now(folder: RunFolder, was: str, data: Path, instead: str = "") -> str:
    """Where the photos of a run lie: it may have been carried to another machine.

    Args:
        was: where they were when it began.
        data: the data folder of this machine.
        instead: where somebody says that they are; empty: where they were, or there below this data folder.

    Raises:
        ParameterError: they are not there.
    """
    before = folder_of(was, "data_root")
    if instead or before.is_dir():
        return instead or was
    try:
        below = before.relative_to(str(folder.about().get("data_folder", "")))
    except ValueError:
        below = Path(before.name)
    moved = data / below
    if not moved.is_dir():
        raise ParameterError(
            "data_root",
            f"The photos are not in “{before}” any more: put them back, or resume the run with the folder they are in "
            "(chosen in step ③, or named by --data-root).",
        )
    return str(moved)


def found_in(folder: RunFolder, data: Path, chosen: str) -> str:
    """A folder chosen for new runs, if a run's own photos are nowhere and some of them lie there; else nothing.

    Args:
        data: the data folder of this machine.
    """
    try:
        about, root = folder.about(), folder_of(chosen, "data_root")
    except (FileFormatError, ParameterError):
        return ""
    try:
        photos_now(folder, str(about.get("params", {}).get("data_root", "")), data)
    except ParameterError:
        names = [str(name) for which in ("photos", "held_out") for name in about.get(which, [])]
        return chosen if any((root / name).is_file() for name in names) else ""
    return ""


def before_resuming(folder: RunFolder, data: Path, instead: str = "") -> str:
    """What will be otherwise if the run goes on now: the photos it learns from, those its held-out loss is measured on.

    Args: as for `photos_now`.

    Returns:
        empty if it goes on as it was.
    """
    try:
        about = folder.about()
    except FileFormatError:  # resuming will say so
        return ""
    params = about.get("params", {})
    if not (was := str(params.get("data_root", ""))):
        return ""
    try:
        root = folder_of(photos_now(folder, was, data, instead), "data_root")
    except ParameterError as error:
        return str(error)
    learned, aside = ([str(name) for name in about.get(which, [])] for which in ("photos", "held_out"))
    gone, aside_gone = ([name for name in names if not (root / name).is_file()] for names in (learned, aside))
    told = []
    if gone and len(gone) == len(learned):
        return "The photos it learned from are gone: put them back to resume it."
    if gone:
        are = "is" if len(gone) == 1 else "are"
        told.append(
            f"{len(gone)} of the {len(learned)} photos it learned from {are} gone ({listed(gone)}): resumed, it goes "
            "on without, unless they are put back before."
        )
    if aside_gone and params.get("held_out_every"):
        on = "the others" if len(aside_gone) < len(aside) else "training photos, which tells less"
        told.append(f"{_gone(len(aside_gone), len(aside))}: resumed, the held-out loss is measured on {on}.")
    return " ".join(told)


def listed(names: Sequence[str]) -> str:
    """Five names at most, and how many more there are."""
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def go_on(folder: RunFolder, step: int, learned: Sequence[str], aside: Sequence[str], others: Collection[str]) -> str:
    """Note in `run.json` which photos the loss is measured on from here on.

    Args:
        step: after which the run goes on.
        learned, aside: the photos that are there: to learn from, and set aside.
        others: those that were replaced by others of their names.

    Returns:
        a sentence if they are not those that it was measured on before; else nothing.

    Raises:
        StorageError: it cannot be written.
    """
    about = folder.about()
    set_aside = [str(name) for name in about.get("held_out", [])]
    before = about.get("loss_on") or set_aside or about.get("photos", [])
    now = list(aside or learned)
    changes = [change for change in loss_changes(folder) if change <= step]  # later ones are done again
    same = sorted(map(str, before)) == sorted(now) and not {*now} & {*others}
    if same and changes == loss_changes(folder):
        return ""
    if set_aside and not aside:
        note, on = "on training photos", "training photos, which tells less"
    elif len(aside) < len(set_aside):
        note, on = f"on {len(aside)} of {len(set_aside)} photos", "the others"
    elif set_aside:
        note, on = "on the photos set aside, as they are now", "the photos set aside, as they are now"
    else:
        note, on = "on the photos that are there now", "the photos that are there now"
    missing = len(set_aside) - len(aside)
    measured = any(row[0] == step for row in folder.held_out_log.rows())  # a run that was cut off may lack it
    changes = [*dict.fromkeys([*changes, step if measured else step - 1])]
    folder.describe({**about, "loss_on": now, "loss_changes": changes, "loss_note": f"since step {step} {note}"})
    why = f"{_gone(missing, len(set_aside))}. " if missing else ""
    name = "held-out loss" if set_aside else "loss on fixed noises"
    return f"{why}From step {step} on, the {name} is measured on {on}: do not compare it with what it was before."


def loss_changes(folder: RunFolder) -> list[int]:
    """The steps after which the loss was measured on other photos than before, in order."""
    found = folder.about().get("loss_changes", [])
    return [step for step in found if type(step) is int] if isinstance(found, list) else []


def stretches(rows: Rows, changes: Sequence[int]) -> list[Rows]:
    """Rows of the log of held-out losses, parted where the photos changed; there is one at least.

    Args:
        changes: a row of that step still belongs to what was before.
    """
    ends = [-1.0, *changes, float("inf")]
    parted = [[row for row in rows if low < row[0] <= high] for low, high in itertools.pairwise(ends)]
    return [part for part in parted if part] or [[]]


def longest(rows: Rows, changes: Sequence[int]) -> Rows:
    """The rows that can be compared, as many as there are."""
    return max(stretches(rows, changes), key=len)


def _gone(missing: int, count: int) -> str:
    if missing < count:
        return f"{missing} of the {count} photos that were set aside {'is' if missing == 1 else 'are'} gone"
    return "The photo that was set aside is gone" if count == 1 else f"The {count} photos that were set aside are gone"
