"""`python -m tests.bench [name …]`: run benches and print one table; `learning …` is a bench of its own, of hours."""

import argparse
import os
import sys

from tests.bench import benches, learning, results


def main() -> int:
    """0 if every goal was met, 1 otherwise."""
    if sys.argv[1:2] == ["learning"]:
        return learning.main(sys.argv[2:])
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description="Measure on an idle machine.")
    parser.add_argument("names", nargs="*", choices=[[], *benches()], help=f"default: all of {', '.join(benches())}")
    names = parser.parse_args().names or benches()
    busy = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    if busy > 0.5:
        print(f"This machine is busy (load {busy:.1f}): the figures will say little.")
    print(f"{'bench':<10} {'what':<58} {'median':>9}  {'goal':>9}")
    missed = 0
    for name in names:
        for result in results(name):
            goal = "" if result.goal is None else f"< {result.goal:g} {result.unit}"
            met = result.goal is None or result.value < result.goal
            missed += not met
            mark = "" if met else "  missed"
            print(f"{name:<10} {result.what:<58} {result.value:>7.2f} {result.unit:<2} {goal:>9}{mark}", flush=True)
    return int(missed > 0)


if __name__ == "__main__":
    raise SystemExit(main())
