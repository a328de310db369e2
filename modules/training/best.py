"""Which snapshot of a run to keep when nobody has compared them: told by the run's own log. Knows no torch."""

from modules.training.run_folder import RunFolder
from modules.training.whereabouts import longest, loss_changes


def best_snapshot(folder: RunFolder) -> int | None:
    """The step of the trained snapshot with the lowest held-out loss; without any measurement, of the newest one.

    A snapshot counts with the last loss measured at or before it. If the photos that it is measured on changed, the
    longest stretch counts. None if nothing trained was saved.
    """
    steps = [step for step in folder.snapshots() if step > 0]
    measured = [(int(row[0]), row[1]) for row in longest(folder.held_out_log.rows(), loss_changes(folder))]
    losses = {}
    for step in steps:
        before = [loss for at, loss in measured if 0 < at <= step]
        if before:
            losses[step] = before[-1]
    return min(losses, key=losses.__getitem__) if losses else max(steps, default=None)
