"""How well an embedding learns a person whom the model never saw: `python -m tests.bench learning`.

Persons are held out by the rule of `tools/demo_model`; of each, twenty pictures are rendered (Node and `npm ci` in
tools/demo_model; kept, so that it happens once). An embedding is trained, pictures are drawn with it from prompts that
training never used, and the judge of `tools/demo_model` says how much of the person is there (identity) and how much
of the prompt (obedience). Beside it: the initial words alone, the whole description in words, and textual inversion
as its paper and diffusers' example describe it.

Every result is a file in the work folder, so a stopped bench goes on where it was. Settings were chosen on the
tuning persons only; the table is about the others.

people    who is learned, their photos, captions      drawing  pictures from vectors, in batches
scores    identity, obedience, intervals              plain    the algorithm to beat
methods   what is compared                            records  results on the disk
bench     the work list, in processes                 report   the tables of docs/learning.md
"""

from collections.abc import Sequence


def main(arguments: Sequence[str]) -> int:
    """See `bench.main`, which brings torch."""
    from tests.bench.learning import bench

    return bench.main(arguments)
