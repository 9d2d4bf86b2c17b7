#!/usr/bin/env python3
"""What the codec's cases cost, in instructions and heap allocations, which are the same on a loaded machine.

    python3 benches/performance.py check     compares with benches/baseline.json; fails where something grew
    python3 benches/performance.py record    writes benches/baseline.json
    python3 benches/performance.py table     also measures other libraries, and prints the tables of the README

Instructions are counted by valgrind's callgrind within the function `measured` of each program, and divided by how
often the case was done there.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

BENCHES = Path(__file__).resolve().parent
ROOT = BENCHES.parent
PEERS = BENCHES / "peers"
BASELINE = BENCHES / "baseline.json"
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
COUNT = 2000
# A case may grow by this part before it fails.
TOLERANCE = 0.03

# Names for people, and the instructions and allocations that are wanted at least (reach) and at best (aim).
CASES = {
    "encode-transfer": ("transfer frame with a message, encode", 1700, 1000, 0),
    "decode-transfer-view": ("transfer frame with a message, decode; properties and one more read", 2500, 1200, 0),
    "decode-transfer-full": ("the same, every section read in place", 5000, 3000, None),
    "decode-transfer-owned": ("the same, every section as a value of its own", None, None, None),
    "encode-flow": ("flow, encode", 250, 150, 0),
    "decode-flow": ("flow, decode", 350, 200, 0),
    "encode-disposition": ("disposition, encode", 250, 150, 0),
    "decode-disposition": ("disposition, decode", 350, 200, 0),
    "encode-attach": ("attach with source and target, encode", 800, 600, None),
    "decode-attach": ("attach with source and target, decode", 1500, 1000, None),
}


class Failure(Exception):
    """Something that a person has to mend."""


def run(command, **options):
    """The output of a command; its own words if it fails."""
    done = subprocess.run(command, capture_output=True, text=True, **options)
    if done.returncode != 0:
        words = (done.stdout + done.stderr).strip()
        raise Failure(f"{' '.join(map(str, command))} failed:\n{words[-2000:]}")
    return done.stdout + done.stderr


def version(command):
    return run(command).strip().splitlines()[0]


def build():
    """Our two programs: one to count instructions of, and one that counts allocations."""
    run(["cargo", "build", "--release", "--locked", "-p", "amqp1-benches", "--bins"], cwd=ROOT)
    return TARGET / "release" / "cases", TARGET / "release" / "allocations"


def instructions(program, case):
    """Instructions of one operation."""
    output = run([
        "valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", "--collect-atstart=no",
        "--toggle-collect=*measured*", program, case, str(COUNT),
    ])
    collected = re.search(r"Collected\s*:\s*(\d+)", output)
    if not collected or int(collected[1]) == 0:
        raise Failure(f"callgrind counted nothing in {program}:\n{output[-1000:]}")
    return round(int(collected[1]) / COUNT)


def report(program, case):
    """The line of JSON that a program prints."""
    return json.loads(run([program, case, str(COUNT)]).strip().splitlines()[-1])


def allocations(program, case):
    """Allocations of one operation; what is done once is less than one and no part of it."""
    return report(program, case)["allocations"] // COUNT


def measure():
    cases, allocating = build()
    return {case: {"instructions": instructions(cases, case), "allocations": allocations(allocating, case)}
            for case in CASES}


def tools():
    libc = os.confstr("CS_GNU_LIBC_VERSION") if "CS_GNU_LIBC_VERSION" in os.confstr_names else "unknown"
    return {"rustc": version(["rustc", "--version"]), "valgrind": version(["valgrind", "--version"]), "libc": libc}


def record():
    BASELINE.write_text(json.dumps({"tools": tools(), "cases": measure()}, indent=2) + "\n")
    print(f"written: {BASELINE.relative_to(ROOT)}")


def check():
    if not BASELINE.exists():
        raise Failure("there is no baseline: record one")
    baseline = json.loads(BASELINE.read_text())
    for name, now in tools().items():
        then = baseline["tools"].get(name)
        if now != then:
            print(f"note: the baseline was recorded with {then}, this is {now}; it is judged all the same")
    measured, failed = measure(), []
    for case, now in measured.items():
        then = baseline["cases"].get(case)
        if then is None:
            failed.append(case)
            print(f"{case:24} {now['instructions']:8} instructions, not in the baseline")
            continue
        growth = now["instructions"] / then["instructions"] - 1
        verdict = "ok"
        if growth > TOLERANCE or now["allocations"] > then["allocations"]:
            verdict = "GREW"
            failed.append(case)
        elif growth < -TOLERANCE or now["allocations"] < then["allocations"]:
            verdict = "shrank: record the baseline again"
        print(f"{case:24} {now['instructions']:8} instructions ({growth:+.1%})  {now['allocations']} allocations  {verdict}")
    if failed:
        raise Failure(f"more than the baseline allows: {', '.join(failed)}")


def locked(package):
    """The version of a package in the lock file of the other libraries."""
    found = re.search(rf'name = "{package}"\nversion = "([^"]+)"', (PEERS / "Cargo.lock").read_text())
    return found[1] if found else "?"


def peer_build(target, *features):
    command = ["cargo", "build", "--release", "--locked", "--ignore-rust-version", "--target-dir", target]
    run(command + (["--features", ",".join(features)] if features else []), cwd=PEERS)
    return Path(target) / "release"


def peers():
    """Name, program for instructions and program for allocations of each library that is at hand."""
    plain, counting = peer_build(TARGET / "peers"), peer_build(TARGET / "peers-allocations", "allocations")
    found = [
        (f"ntex-amqp-codec {locked('ntex-amqp-codec')}", plain / "ntex", counting / "ntex"),
        (f"fe2o3-amqp {locked('fe2o3-amqp')}", plain / "fe2o3", counting / "fe2o3"),
    ]
    proton = TARGET / "peers" / "proton"
    try:
        run(["cc", "-O2", "-Wall", "-o", proton, PEERS / "proton.c", "-lqpid-proton"])
        try:
            number = version(["pkg-config", "--modversion", "libqpid-proton"])
        except (Failure, FileNotFoundError):
            number = ""
        found.append((f"qpid-proton C {number}".strip(), proton, proton))
    except (Failure, FileNotFoundError):
        print("note: libqpid-proton is not here (Debian: libqpid-proton11-dev), so it has no column", file=sys.stderr)
    return found


def table():
    ours, others = measure(), peers()
    print("| instructions / allocations | amqp1 | " + " | ".join(name for name, _, _ in others) + " |")
    print("|---|---" + "|---" * len(others) + "|")
    for case, (name, *_) in CASES.items():
        mine = ours[case]
        cells = [f"**{mine['instructions']:,}** / {mine['allocations']}"]
        for _, plain, counting in others:
            if case == "decode-transfer-owned":
                cells.append("")
                continue
            said = report(counting, case)
            if "unsupported" in said:
                cells.append(said["unsupported"])
                continue
            cost = instructions(plain, case)
            ratio = cost / mine["instructions"]
            note = f", {said['note']}" if "note" in said else ""
            cells.append(f"{cost:,} / {said['allocations'] // COUNT} ({ratio:.1f}×{note})")
        print(f"| {name} | " + " | ".join(cells) + " |")
    print()
    print("| instructions | amqp1 | reach | aim | |")
    print("|---|---|---|---|---|")
    for case, (name, reach, aim, most) in CASES.items():
        if reach is None:
            continue
        mine = ours[case]
        within = most is None or mine["allocations"] <= most
        verdict = "aims" if mine["instructions"] <= aim and within else "reaches"
        if mine["instructions"] > reach or not within:
            verdict = "neither"
        print(f"| {name} | {mine['instructions']:,} | {reach:,} | {aim:,} | {verdict} |")
    said = tools()
    print(f"\n{said['rustc']}, {said['valgrind']}, {said['libc']}; cargo's release profile; {COUNT} operations each.")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("command", choices=["check", "record", "table"])
    command = parser.parse_args().command
    try:
        if not shutil.which("valgrind"):
            raise Failure("valgrind is needed (Debian: valgrind)")
        {"check": check, "record": record, "table": table}[command]()
    except Failure as failure:
        print(f"error: {failure}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
