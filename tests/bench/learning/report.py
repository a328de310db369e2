"""The tables of docs/learning.md, from results; nothing is computed by hand."""

import statistics
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from modules.files import write_atomically
from tests.bench.learning.methods import DEFAULT, PLAIN, SPOILING
from tests.bench.learning.records import Point, Record
from tests.bench.learning.scores import interval

FIGURES = "<!-- figures: python -m tests.bench learning --report --write FILE -->"
SPOILED = "<!-- figures: python -m tests.bench learning --spoil --report --write FILE -->"
END = "<!-- end of figures -->"
WITHIN = 2.0  # points between the recommended step and the best snapshot


def tables(records: Sequence[Record]) -> str:
    """Everything that is known, as Markdown."""
    final = [record for record in records if not record.tuning]
    parts = [_comparison(final), _recommendation(final), _tuning([record for record in records if record.tuning])]
    return "\n\n".join(part for part in parts if part) or "Nothing is measured yet."


def write(document: Path, text: str, begin: str = FIGURES) -> None:
    """Put the tables between the two marks of a document.

    Raises:
        ValueError: it has no such marks.
    """
    whole = document.read_text("utf-8")
    before, _, rest = whole.partition(begin)
    _, mark, after = rest.partition(END)
    if not mark:
        raise ValueError(f"{document} lacks the marks {begin} and {END}.")
    write_atomically(document, f"{before}{begin}\n\n{text}\n\n{END}{after}")


def spoiled(records: Sequence[Record]) -> str:
    """Whether the program's own measure of obedience sees what the judge sees, where there is something to see."""
    runs = [record for record in records if record.method in SPOILING]
    points = [(record, point) for record in runs for point in record.points if point.obeys is not None]
    if len(points) < 3:
        return "Nothing is measured yet."
    told = [
        "| method | runs | at the end: identity | obedience by the judge | by the program |",
        "|---|---|---|---|---|",
    ]
    for method in SPOILING:
        ends = [record.last for record in runs if record.method == method]
        if ends:
            identity = statistics.fmean(value for point in ends for value in point.identity)
            its = statistics.fmean(value for point in ends for value in point.obedience)
            ours = statistics.fmean(point.obeys or 0 for point in ends)
            told.append(f"| {method} | {len(ends)} | {identity:.1f} | {its:.1f} | {ours:.2f} |")
    judged = [statistics.fmean(point.obedience) for _, point in points]
    whole = spearman([point.obeys or 0 for _, point in points], judged)
    told += [
        "",
        f"Rank correlation (Spearman) of the two over {len(points)} snapshots of {len(runs)} runs: **{whole:.2f}**. By "
        f"the judge they obey from {min(judged):.0f} to {max(judged):.0f} points of 100.",
    ]
    return "\n".join(told)


def is_complete(records: Sequence[Record], runs: int) -> bool:
    """Whether the program and the plain algorithm have done that many runs on persons of the table."""
    final = [record for record in records if not record.tuning]
    counts = [sum(record.method.startswith(name) for record in final) for name in (DEFAULT, PLAIN)]
    return min(counts) >= runs


def best_plain(records: Sequence[Record]) -> str:
    """The plain method whose rate did best on the tuning persons; empty before they are measured."""
    found = defaultdict(list)
    for record in records:
        if record.tuning and record.method.startswith(PLAIN):
            found[record.method].append(statistics.fmean(record.last.identity))
    return max(found, key=lambda method: statistics.fmean(found[method]), default="")


def spearman(first: Sequence[float], second: Sequence[float]) -> float:
    """Rank correlation; equal values share their rank. 0 if all are equal on one side: that is no order."""
    if len({*first}) < 2 or len({*second}) < 2:
        return 0.0
    return statistics.correlation(_ranks(first), _ranks(second))


def _ranks(values: Sequence[float]) -> list[float]:
    order = sorted(range(len(values)), key=values.__getitem__)
    ranks, start = [0.0] * len(values), 0
    while start < len(order):
        end = start
        while end + 1 < len(order) and values[order[end + 1]] == values[order[start]]:
            end += 1
        for place in order[start : end + 1]:
            ranks[place] = (start + end) / 2
        start = end + 1
    return ranks


def _comparison(records: Sequence[Record]) -> str:
    """One line for each method: means over persons and seeds with 95 % intervals by person."""
    lines = []
    for method in sorted({record.method for record in records}, key=_rank):
        some = [record for record in records if record.method == method]
        lines.append(_line(method, some, [record.last for record in some]))
        halves = [(record, half) for record in some if (half := _half(record))]
        if halves and len(some[0].points) > 1:
            lines.append(_line(f"{method}, half of the samples", [r for r, _ in halves], [p for _, p in halves]))
    if not lines:
        return ""
    head = (
        "| method | runs (persons) | pictures | identity (95 %) | obedience | steps | UNet samples | seconds |\n"
        "|---|---|---|---|---|---|---|---|"
    )
    return "\n".join([head, *lines, *_differences(records)])


def _line(name: str, records: Sequence[Record], points: Sequence[Point]) -> str:
    by_person: dict[str, list[float]] = defaultdict(list)
    for record, point in zip(records, points, strict=True):
        by_person[record.person] += point.identity
    mean, low, high = interval(list(by_person.values()))
    obedience = statistics.fmean(value for point in points for value in point.obedience)
    step, samples = statistics.fmean(p.step for p in points), statistics.fmean(p.samples for p in points)
    share = samples / statistics.fmean(record.last.samples or 1 for record in records) if samples else 0
    seconds = statistics.fmean(record.seconds for record in records) * share
    pictures = sum(len(point.identity) for point in points)
    return (
        f"| {name} | {len(records)} ({len(by_person)}) | {pictures} | {mean:.1f} ({low:.1f} … {high:.1f}) "
        f"| {obedience:.1f} | {step:.0f} | {samples:.0f} | {seconds:.0f} |"
    )


def _differences(records: Sequence[Record]) -> list[str]:
    """The program against the plain algorithm, run by run: same person, same seed."""
    plain = {(r.person, r.seed): r for r in records if r.method.startswith(PLAIN)}
    pairs = [(r, plain[r.person, r.seed]) for r in records if r.method == DEFAULT and (r.person, r.seed) in plain]
    if not pairs:
        return []
    told = []
    for name, point_of in (("as many", lambda r: r.last), ("half as many", _half)):
        by_person: dict[str, list[float]] = defaultdict(list)
        for ours, theirs in pairs:
            point = point_of(ours)
            if point:
                gained = statistics.fmean(point.identity) - statistics.fmean(theirs.last.identity)
                by_person[ours.person].append(gained)
        if by_person:
            mean, low, high = interval(list(by_person.values()))
            count = sum(map(len, by_person.values()))
            told.append(
                f"Default with {name} samples, minus plain at its end, in {count} pairs of runs: "
                f"{mean:+.1f} points of identity (95 %: {low:+.1f} … {high:+.1f})."
            )
    return ["", "\n\n".join(told)]


def _recommendation(records: Sequence[Record]) -> str:
    """Whether what the program measures without a judge agrees with the judge."""
    runs = [record for record in records if record.method == DEFAULT and record.recommended is not None]
    if not runs:
        return ""
    lost = []
    for record in runs:
        scores = {point.step: _worth(point) for point in record.points}
        lost.append(max(scores.values()) - scores[record.recommended or 0])
    within = sum(value <= WITHIN for value in lost)
    points = [(record, point) for record in runs for point in record.points if point.obeys is not None]
    told = [
        f"**The recommended step**, {len(runs)} runs: on average {statistics.fmean(lost):.1f} points of identity and "
        f"obedience (their mean) below the best snapshot by the judge; within {WITHIN:g} points in {within} runs."
    ]
    identities = [statistics.fmean(point.identity) for _, point in points]
    measures = {
        "likeness against identity": [point.likeness for _, point in points],
        "fall of the held-out loss against identity": [_learned(record, point) for record, point in points],
    }
    parts = [
        f"{name} {spearman([value for value in values if value is not None], identities):.2f}"
        for name, values in measures.items()
        if len(points) > 2 and None not in values
    ]
    if len(points) > 2:
        judged = [statistics.fmean(point.obedience) for _, point in points]
        parts.append(f"obedience {spearman([point.obeys or 0 for _, point in points], judged):.2f}")
        told.append(f"Rank correlation (Spearman) with the judge over {len(points)} snapshots: {'; '.join(parts)}.")
    inside = [
        spearman([point.likeness or 0 for point in run.points], [statistics.fmean(p.identity) for p in run.points])
        for run in runs
        if all(point.likeness is not None for point in run.points)
    ]
    if inside:
        told.append(
            f"Inside of a run, where steps are chosen, likeness against identity: {statistics.fmean(inside):.2f} on "
            f"average, {statistics.median(inside):.2f} in the middle, over {len(inside)} runs."
        )
    return "\n\n".join(told)


def _worth(point: Point) -> float:
    return (statistics.fmean(point.identity) + statistics.fmean(point.obedience)) / 2


def _learned(record: Record, point: Point) -> float | None:
    """Fall of the held-out loss since the start, as a share: losses of different persons cannot be compared."""
    first = record.points[0].held_out
    return None if not first or point.held_out is None else (first - point.held_out) / first


def _tuning(records: Sequence[Record]) -> str:
    if not records:
        return ""
    persons = len({record.person for record in records})
    lines = [f"On {persons} tuning persons:", "", "| method | runs | identity | obedience |", "|---|---|---|---|"]
    for method in sorted({record.method for record in records}, key=_rank):
        some = [record.last for record in records if record.method == method]
        identity = statistics.fmean(value for point in some for value in point.identity)
        obedience = statistics.fmean(value for point in some for value in point.obedience)
        lines.append(f"| {method} | {len(some)} | {identity:.1f} | {obedience:.1f} |")
    return "\n".join(lines)


def _half(record: Record) -> Point | None:
    """The last point with at most half of the samples; None if there is none but the start."""
    found = [point for point in record.points if 0 < point.samples <= record.last.samples / 2]
    return found[-1] if found else None


def _rank(method: str) -> tuple[int, str]:
    order = ("words", "description", PLAIN, DEFAULT)
    return next((place for place, name in enumerate(order) if method.startswith(name)), len(order)), method
