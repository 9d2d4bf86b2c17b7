#!/usr/bin/env python3
"""Instructions of one telemetry event, from the device's `send` to its outcome: device and emulator together.

    python3 benches/telemetry.py                     this tree
    python3 benches/telemetry.py --against COMMIT    also another commit, with the same program; fails where this tree
                                                     takes more

Counted by valgrind's callgrind within the function `measured` of crates/iothub-emulator/examples/telemetry.rs. Unlike the
cases of `performance.py` this passes through sockets and a runtime, so that a percent or two is noise.
"""

import argparse
import shutil
import subprocess
import sys
from pathlib import Path

from performance import ROOT, TARGET, Failure, cargo_build, instructions_within, run

EXAMPLE = Path("crates/iothub-emulator/examples/telemetry.rs")
EVENTS = 5000
# How many events are in flight.
TOGETHER = (1, 50)
TOLERANCE = 0.02


def measure(directory, target):
    cargo_build(directory, target, "release", "-p", "iothub-emulator", "--example", "telemetry")
    program = target / "release" / "examples" / "telemetry"
    return {
        together: instructions_within(program, str(EVENTS), str(together)) / EVENTS for together in TOGETHER
    }


def measure_commit(commit):
    """Another commit, in a work tree of its own, with this tree's program."""
    # In the same place each time, so that what is built can be used again.
    tree = TARGET / "against" / "tree"
    run(["git", "worktree", "add", "--force", "--detach", tree, commit], cwd=ROOT)
    try:
        (tree / EXAMPLE).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / EXAMPLE, tree / EXAMPLE)
        return measure(tree, TARGET / "against")
    finally:
        run(["git", "worktree", "remove", "--force", tree], cwd=ROOT)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--against", metavar="COMMIT", help="a commit to compare with")
    arguments = parser.parse_args()
    try:
        ours = measure(ROOT, TARGET)
        theirs = measure_commit(arguments.against) if arguments.against else {}
        grown = False
        for together, now in ours.items():
            then = theirs.get(together)
            change = f", {now / then - 1:+.1%} of {then:,.0f}" if then else ""
            grown = grown or then is not None and now > then * (1 + TOLERANCE)
            print(f"{together:3} in flight: {now:9,.0f} instructions an event{change}")
        if grown:
            raise Failure(f"more than at {arguments.against}")
    except (Failure, subprocess.CalledProcessError) as failure:
        print(f"error: {failure}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
