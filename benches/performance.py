#!/usr/bin/env python3
"""What the cases of codec, engine and runtime cost, in instructions and heap allocations, which are the same on a loaded machine.

    python3 benches/performance.py check     compares with benches/baseline.json; fails where something grew
    python3 benches/performance.py record    writes benches/baseline.json
    python3 benches/performance.py table     also measures other libraries, and prints the tables of the README

Instructions are counted by valgrind's callgrind within the function `measured` of each program, and divided by how
often the case was done there. Allocations are counted in programs of their own, because counting costs instructions.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

BENCHES = Path(__file__).resolve().parent
ROOT = BENCHES.parent
PEERS = BENCHES / "peers"
BASELINE = BENCHES / "baseline.json"
TARGET = ROOT / os.environ.get("CARGO_TARGET_DIR", "target")
COUNT = 2000
# A case may grow by this part before it fails.
TOLERANCE = 0.03
# Profiles of cargo, as they are spelt in this workspace and in the peers'.
PROFILES = {"release": "cargo's own release profile", "bench": "fat LTO, one codegen unit"}


class Case(NamedTuple):
    """A name for people, the instructions that are wanted at least (reach) and at best (aim), and whether no
    allocation is part of what is wanted. A check fails where a case takes more than `most`, or allocates more than
    `most_allocations` where it has such a limit, whatever the baseline says."""

    title: str
    reach: int | None = None
    aim: int | None = None
    allocation_free: bool = False
    most: int | None = None
    most_allocations: int = 2

    def verdict(self, cost):
        if self.allocation_free and cost["allocations"] > 0:
            return "neither"
        if cost["instructions"] <= self.aim:
            return "aims"
        return "reaches" if cost["instructions"] <= self.reach else "neither"


CASES = {
    "encode-transfer": Case("transfer frame with a message, encode", 1700, 1000, True),
    "decode-transfer-view": Case(
        "transfer frame with a message, decode; then read the properties and one application property", 2500, 1200, True
    ),
    "decode-transfer-full": Case("the same, every section read in place", 5000, 3000),
    "decode-transfer-owned": Case("the same, every section as a value of its own"),
    "encode-flow": Case("flow, encode", 250, 150, True),
    "decode-flow": Case("flow, decode", 350, 200, True),
    "encode-disposition": Case("disposition, encode", 250, 150, True),
    "decode-disposition": Case("disposition, decode", 350, 200, True),
    "encode-attach": Case("attach with source and target, encode", 800, 600),
    "decode-attach": Case("attach with source and target, decode", 1500, 1000),
}
# What no other library has in this form: messages between two engines of ours, or between two connections.
OWN = {
    "build-message": Case("a message, encoded from its builder to be sent"),
    "engine-64": Case("a message of 64 octets through two engines, there and its outcome back"),
    "engine-1024": Case("a message of 1 KiB through two engines, there and its outcome back"),
    "runtime-settled": Case("a message of 1 KiB between two connections, sent settled", most=8800),
    "runtime-settled-unique-tags": Case("the same, where repeated delivery-tags are refused", most=8800),
    "runtime-unsettled": Case("a message of 1 KiB between two connections, there and its outcome back", most=10500),
    "runtime-unsettled-unique-tags": Case("the same, where repeated delivery-tags are refused", most=10500),
    "runtime-settled-fresh": Case("a message of 1 KiB between two connections, sent settled, from a clone of its builder"),
    "runtime-serial": Case("a message of 1 KiB between two connections, sent when the outcome of the last one is there"),
    "runtime-batch-settled": Case(
        "a message of 1 KiB between two connections, sent settled, received and accepted in batches",
        most=7000, most_allocations=1,
    ),
    "runtime-batch-unsettled": Case(
        "a message of 1 KiB between two connections, queued, received and accepted in batches, and its outcome back",
        most=9500, most_allocations=1,
    ),
}
# The others decode eagerly, so they have one case where we have two.
SAME_FOR_PEERS = {"decode-transfer-owned": "decode-transfer-full"}


class Failure(Exception):
    """Something that a person has to mend."""


def run(command, **options):
    """What a command printed, and what it said beside that; a failure with its own words if it failed."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, **options)
    except FileNotFoundError:
        raise Failure(f"{command[0]} is not installed") from None
    if done.returncode != 0:
        words = (done.stdout + done.stderr).strip()
        raise Failure(f"{' '.join(map(str, command))} failed:\n{words[-2000:]}")
    return done.stdout, done.stderr


def version(command):
    return run(command)[0].strip().splitlines()[0]


def cargo_build(directory, target, profile, *arguments):
    """Builds, with cargo's progress for all to see. Returns where the programs are."""
    command = ["cargo", "build", "--locked", "--profile", profile, "--target-dir", target, *arguments]
    try:
        subprocess.run(command, cwd=directory, check=True)
    except FileNotFoundError:
        raise Failure("cargo is not installed") from None
    except subprocess.CalledProcessError:
        raise Failure(f"{' '.join(map(str, command))} failed") from None
    return target / "release"  # where cargo puts the programs of both profiles


class Programs(NamedTuple):
    """A library's programs: one whose instructions are counted, and one that counts allocations."""

    plain: Path
    counting: Path

    def measure(self, case):
        """What one operation costs, with a note if the program has one."""
        said = json.loads(run([self.counting, case, str(COUNT)])[0])
        if "unsupported" in said:
            return said
        made = said["allocations"] / COUNT
        allocations = int(made) if made.is_integer() else made
        return {"instructions": instructions(self.plain, case), "allocations": allocations} | (
            {"note": said["note"]} if "note" in said else {}
        )


def instructions(program, case):
    """Instructions of one operation."""
    return round(instructions_within(program, case, str(COUNT)) / COUNT)


def instructions_within(program, *arguments):
    """Instructions within the function `measured` of a program."""
    output = "".join(run([
        "valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", "--collect-atstart=no",
        "--toggle-collect=*measured*", program, *arguments,
    ]))
    collected = re.search(r"Collected\s*:\s*(\d+)", output)
    if not collected or int(collected[1]) == 0:
        raise Failure(f"callgrind counted nothing in {program.name} {' '.join(arguments)}:\n{output[-1000:]}")
    return int(collected[1])


def measure(profile):
    """All cases of this project."""
    built = cargo_build(ROOT, TARGET, profile, "-p", "amqp1-benches", "--bins")
    programs = Programs(built / "cases", built / "allocations")
    return {case: programs.measure(case) for case in CASES | OWN}


def tools():
    try:
        libc = os.confstr("CS_GNU_LIBC_VERSION")
    except (ValueError, OSError):
        libc = None
    return {
        "rustc": version(["rustc", "--version"]),
        "valgrind": version(["valgrind", "--version"]),
        "libc": libc or "unknown",
    }


def record(profile):
    BASELINE.write_text(json.dumps({"profile": profile, "tools": tools(), "cases": measure(profile)}, indent=2) + "\n")
    print(f"written: {BASELINE.relative_to(ROOT)}")


def read_baseline():
    try:
        baseline = json.loads(BASELINE.read_text())
        return baseline.get("profile", "release"), baseline["tools"], baseline["cases"]
    except FileNotFoundError:
        raise Failure("there is no baseline; `performance.py record` writes one") from None
    except (ValueError, KeyError) as error:
        raise Failure(f"the baseline cannot be read ({error}); `performance.py record` writes another") from None


# By how many of a message the allocations of a runtime may differ: it has a clock.
SPARE = 0.02


def judge(now, then, case, spare=0):
    """Whether a case may pass, and what to say of it."""
    if then is None:
        return False, "is not in the baseline: record it again"
    growth = now["instructions"] / then["instructions"] - 1
    change = f"{growth:+.1%} of {then['instructions']:,} / {then['allocations']:g}"
    most, most_allocations = case.most, case.most_allocations
    if most is not None and (now["instructions"] > most or now["allocations"] > most_allocations):
        return False, f"{change}  MORE THAN {most:,} / {most_allocations}"
    if growth > TOLERANCE or now["allocations"] > then["allocations"] + spare:
        return False, f"{change}  GREW"
    if growth < -TOLERANCE or now["allocations"] < then["allocations"] - spare:
        return True, f"{change}  shrank: record the baseline again"
    return True, f"{change}  ok"


def check():
    profile, recorded, baseline = read_baseline()
    for name, now in tools().items():
        then = recorded.get(name)
        if now != then:
            print(f"note: the baseline was recorded with {then}, this is {now}; it is judged all the same")
    failed = []
    for case, now in measure(profile).items():
        passes, words = judge(
            now, baseline.get(case), (CASES | OWN)[case], SPARE if case.startswith("runtime-") else 0
        )
        print(f"{case:22} {now['instructions']:7,} instructions / {now['allocations']:g} allocations  {words}")
        if not passes:
            failed.append(case)
    if failed:
        raise Failure(f"more than the baseline allows: {', '.join(failed)}")


def locked(package):
    """The version of a package in the lock file of the other libraries."""
    found = re.search(rf'name = "{package}"\nversion = "([^"]+)"', (PEERS / "Cargo.lock").read_text())
    return found[1] if found else ""


def build_rust_peer(name, directory, profile):
    """The two builds of a Rust program, which have a name and a place of their own."""
    programs = Programs(directory / name, directory / f"{name}-allocations")
    for program, features in zip(programs, (name, f"{name},allocations")):
        built = cargo_build(
            PEERS, TARGET / "peers", profile,
            "--ignore-rust-version", "--no-default-features", "--features", features, "--bin", name,
        )
        shutil.copy2(built / name, program)
    return programs


def build_proton(directory):
    """The two builds of the C program."""
    programs = Programs(directory / "proton", directory / "proton-allocations")
    for program, defines in zip(programs, ([], ["-DCOUNT_ALLOCATIONS"])):
        run(["cc", "-O2", "-Wall", *defines, "-o", program, PEERS / "proton.c", "-lqpid-proton"])
    return programs


def proton_version():
    try:
        return version(["pkg-config", "--modversion", "libqpid-proton"])
    except Failure:
        return ""


def peers(profile):
    """The name of each library, and what its cases cost; nothing if the library is not here."""
    directory = TARGET / "performance"
    directory.mkdir(parents=True, exist_ok=True)
    builds = {
        f"ntex-amqp-codec {locked('ntex-amqp-codec')}": lambda: build_rust_peer("ntex", directory, profile),
        f"fe2o3-amqp {locked('fe2o3-amqp')}": lambda: build_rust_peer("fe2o3", directory, profile),
        f"qpid-proton-c {proton_version()}".strip(): lambda: build_proton(directory),
    }
    measured = {}
    for name, build in builds.items():
        try:
            programs = build()
        except Failure as failure:
            print(f"note: {name} is not here: {failure}", file=sys.stderr)
            measured[name] = None
            continue
        cases = dict.fromkeys(SAME_FOR_PEERS.get(case, case) for case in CASES)
        measured[name] = {case: programs.measure(case) for case in cases}
    return measured


def row(*cells):
    print(f"| {' | '.join(cells)} |")


def figures(cost):
    return f"{cost['instructions']:,} / {round(cost['allocations'], 1):g}"


def peer_cell(costs, case, ours):
    """What a case costs a peer, and how many times what it costs us."""
    if costs is None:
        return "not here"
    cost = costs[SAME_FOR_PEERS.get(case, case)]
    if "unsupported" in cost:
        return cost["unsupported"]
    note = f" ({cost['note']})" if "note" in cost else ""
    return f"{figures(cost)} ({cost['instructions'] / ours['instructions']:.1f}×){note}"


def table(profile):
    ours, others = measure(profile), peers(profile)
    row("instructions / allocations", "amqp1", *others)
    row(*["---"] * (2 + len(others)))
    for case, about in CASES.items():
        row(about.title, f"**{figures(ours[case])}**", *(peer_cell(costs, case, ours[case]) for costs in others.values()))
    print()
    row("case", "ours", "reach", "aim", "verdict")
    row(*["---"] * 5)
    for case, about in CASES.items():
        if about.reach is not None:
            bars = [f"{bar:,}" + (" / 0" if about.allocation_free else "") for bar in (about.reach, about.aim)]
            row(about.title, figures(ours[case]), *bars, about.verdict(ours[case]))
    print()
    row("instructions / allocations", "amqp1")
    row(*["---"] * 2)
    for case, about in OWN.items():
        row(about.title, figures(ours[case]))
    missing = [name for name, costs in others.items() if costs is None]
    if missing:
        print(f"\nNot here when this was measured: {', '.join(missing)}.")
    said = tools()
    print(f"\n{said['rustc']}, {said['valgrind']}, {said['libc']}; {PROFILES[profile]}; {COUNT:,} operations each.")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=["check", "record", "table"])
    parser.add_argument(
        "--profile", choices=PROFILES, default="release",
        help="cargo's profile for all Rust programs of `record` and `table`; `check` takes the baseline's (default: release)",
    )
    arguments = parser.parse_args()
    try:
        if not shutil.which("valgrind"):
            raise Failure("valgrind is needed to count instructions (Debian: apt-get install valgrind)")
        if arguments.command == "check":
            check()
        elif arguments.command == "record":
            record(arguments.profile)
        else:
            table(arguments.profile)
    except Failure as failure:
        print(f"error: {failure}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
