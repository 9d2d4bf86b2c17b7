#!/usr/bin/env python3
"""Writes the test vectors of the codec and of the engine from a larger collection.

    make.py COLLECTION CODEC_DATA ENGINE_DATA

COLLECTION is a JSON file with "vectors" and "malformed". The tests read only what this writes:

* vectors.jsonl: one object a line. "value": the tagged value and its encodings, the canonical one first. "frame": the
  octets, and what they hold. "message": the octets, and the sections. "header": a protocol header.
* malformed.jsonl: octets that decoding alone must refuse, and how they are to be read.
* malformed_engine.json: octets that decode and are wrong where they arrive, with the set of the answers allowed.

Octets are hexadecimal, in pieces; a piece `7a*300` stands for 300 times that. The text of a long string is written
{"of": TEXT, "times": N}.
"""

import json
import pathlib
import re
import sys

CODES = {
    "open": 0x10, "begin": 0x11, "attach": 0x12, "flow": 0x13, "transfer": 0x14, "disposition": 0x15,
    "detach": 0x16, "end": 0x17, "close": 0x18, "sasl-mechanisms": 0x40, "sasl-init": 0x41,
    "sasl-challenge": 0x42, "sasl-response": 0x43, "sasl-outcome": 0x44,
}


def pack(octets):
    """Shortens runs of one to four octets, and of 256."""
    out, rest = [], octets
    run = re.compile(r"((?:[0-9a-f]{2}){1,4}?)\1{23,}|((?:[0-9a-f]{2}){256})\2{3,}")
    at = 0
    while at < len(rest):
        best = None
        for found in run.finditer(rest, at):
            if found.start() % 2 == 0:
                best = found
                break
        if best is None:
            out.append(rest[at:])
            break
        if best.start() > at:
            out.append(rest[at:best.start()])
        unit = best.group(1) or best.group(2)
        out.append(f"{unit}*{len(best.group(0)) // len(unit)}")
        at = best.end()
    return " ".join(piece for piece in out if piece)


def shorten(value):
    """A tagged value with its long texts and binaries shortened."""
    if isinstance(value, list):
        return [shorten(item) for item in value]
    if not isinstance(value, dict):
        return value
    short = {}
    for key, item in value.items():
        if key == "hex":
            short[key] = pack(item)
        elif key == "v" and isinstance(item, str) and len(item) > 60 and item == item[0] * len(item):
            short[key] = {"of": item[0], "times": len(item)}
        else:
            short[key] = shorten(item)
    return short


def described(name, fields):
    return {"t": "described", "descriptor": {"t": "ulong", "v": str(CODES[name])}, "value": {"t": "list", "v": fields}}


def vector(entry, values):
    common = {"id": entry["id"], "kind": entry["kind"], "group": entry["category"]}
    if entry["kind"] == "value":
        wire = [entry["canonical"]] + [form["hex"] for form in entry["encodings"] if form["hex"] != entry["canonical"]]
        return common | {"value": shorten(entry["value"]), "wire": [pack(octets) for octets in wire]}
    common["wire"] = pack(entry["hex"])
    if entry["kind"] == "message":
        sections = entry.get("decoded") or [values.get(name) or BODIES[name] for name in entry["sections"]]
        return common | {"sections": shorten(sections)}
    value = entry["value"]
    if "protocol_id" in value:
        return common | {"kind": "header", "protocol": value["protocol_id"], "version": value["version"]}
    body = described(value["performative"], value["fields"]) if value.get("performative") else value.get("body")
    return common | {
        "sasl": value["type"] == 1,
        "channel": value.get("channel", 0),
        "body": shorten(body),
        "payload": value.get("payload_len", 0),
    }


# Sections that messages name and that are not listed as values.
BODIES = {
    "amqp-value-null": {"t": "described", "descriptor": {"t": "ulong", "v": "119"}, "value": {"t": "null"}},
}

# Where the octets of an engine vector arrive, and what may be answered.
ENGINE = {
    "bad-open-mfs-511": ("header", ["close:amqp:invalid-field", "close:amqp:connection:framing-error"]),
    "bad-begin-remote-unknown": (
        "open", ["close:amqp:not-allowed", "close:amqp:invalid-field", "close:amqp:connection:framing-error"]),
    "bad-open-twice": ("open", ["close:amqp:illegal-state", "close:amqp:not-allowed"]),
    "bad-flow-before-begin": ("open", ["close"]),
    "bad-transfer-before-begin": ("open", ["close"]),
    "bad-detach-before-begin": ("open", ["close"]),
    "bad-disposition-before-begin": ("open", ["close"]),
    "bad-begin-twice": (
        "begin",
        ["close:amqp:illegal-state", "close:amqp:not-allowed", "end:amqp:illegal-state", "end:amqp:not-allowed"]),
    "bad-attach-sender-no-idc": ("begin", ["detach:amqp:invalid-field", "end:amqp:invalid-field"]),
    "bad-attach-dynamic-with-address": ("begin", ["detach:amqp:invalid-field"]),
    "bad-attach-dnp-without-dynamic": ("begin", ["detach:amqp:invalid-field"]),
    "bad-flow-credit-no-handle": ("begin", ["end:amqp:invalid-field"]),
    "bad-flow-drain-no-handle": ("begin", ["end:amqp:invalid-field"]),
    "bad-flow-unattached-handle": ("begin", ["end:amqp:session:unattached-handle"]),
    "bad-flow-handle-max": ("begin", ["end:amqp:session:unattached-handle", "close:amqp:connection:framing-error"]),
    "bad-transfer-unattached": ("begin", ["end:amqp:session:unattached-handle"]),
    "bad-detach-unattached": ("begin", ["end:amqp:session:unattached-handle"]),
    "bad-disposition-unknown-id": ("begin", ["ignored"]),
    "bad-disposition-huge-range": ("begin", ["ignored"]),
    "bad-transfer-no-delivery-id": (
        "attach",
        ["detach:amqp:invalid-field", "detach:amqp:not-allowed", "end:amqp:invalid-field", "end:amqp:not-allowed"]),
    "bad-frame-513-before-open": ("header", ["close:amqp:connection:framing-error"]),
    "bad-open-on-channel-1": ("header", ["close", "drop"]),
    "bad-empty-frame-before-open": ("header", ["close", "drop"]),
    "bad-bytes-after-close": ("open", ["closed"]),
    "bad-empty-frame-high-channel": ("open", ["close:amqp:connection:framing-error", "ignored"]),
    # No octets: the sentence is the test.
    "bad-transfer-no-credit-burst": ("attach", ["detach:amqp:link:transfer-limit-exceeded"]),
    "bad-transfer-delivery-id-mismatch": ("attach", ["detach", "end"]),
    "bad-transfer-interleaved-same-link": ("attach", ["detach", "end"]),
    "bad-transfer-dup-tag": ("attach", ["detach", "end"]),
}

ABOUT = {
    "after": "what came before: nothing (the octets begin with their own protocol header), header, open, begin (on "
    "channel 0), attach (handle 0, the peer of the engine sends and has credit)",
    "hex": "octets, in pieces; 7a*300 is 300 times 7a. Of level performative: a frame's body, on channel 0; of level "
    "stream: as they are. null: no octets, the reason says what is to be done",
    "allowed": "one of these is the answer: SCOPE:CONDITION, where SCOPE is close, end or detach, and a SCOPE alone "
    "allows any condition; ignored: no answer, and the connection stays; closed: a close without an error; "
    "drop: the connection ends without being opened, a sasl-outcome other than ok may come before",
    "strict": "whether only a strict engine answers so",
}


def main(collection, codec_data, engine_data):
    given = json.loads(pathlib.Path(collection).read_text())
    values = {entry["id"]: entry["value"] for entry in given["vectors"] if entry["kind"] == "value"}
    lines = [vector(entry, values) for entry in given["vectors"]]
    codec, engine = [], []
    for entry in given["malformed"]:
        name, octets = entry["id"], entry["hex"]
        common = {"id": name, "level": entry["level"], "reason": entry["reason"], "strict": entry.get("strict", False)}
        if entry["layer"] == "engine" or name in ENGINE:
            after, allowed = ENGINE.get(name, ("nothing", ["drop"]))
            hexed = pack(octets) if octets else None
            engine.append(common | {"after": after, "hex": hexed, "allowed": allowed})
            continue
        if octets is None:
            # Too long to be listed. The list's sizes differ from level to level, so the test makes it.
            octets = {"bad-described-marker-100k": "00" * 100_000}.get(name)
        codec.append(common | {"layer": entry["layer"], "hex": None if octets is None else pack(octets)})
    write = lambda where, rows: where.write_text(
        "".join(json.dumps(row, separators=(",", ":"), ensure_ascii=False) + "\n" for row in rows))
    write(pathlib.Path(codec_data) / "vectors.jsonl", lines)
    write(pathlib.Path(codec_data) / "malformed.jsonl", codec)
    pathlib.Path(engine_data, "malformed_engine.json").write_text(
        json.dumps({"about": ABOUT, "vectors": engine}, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
