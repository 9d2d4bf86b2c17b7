#!/usr/bin/env python3
"""Makes tests/data/captures from recorded connections of real SDKs.

  make_captures.py FOLDER [OUTPUT]

FOLDER holds one *.jsonl a TCP connection, a line a chunk: {"ms":…,"dir":"c2s"|"s2c","hex":"…"}, TLS taken off. The
client's bytes are kept as they are; of the server's side only what was answered is kept, not its bytes, because
that server was a probe and no hub. The format is described in README.md beside the output."""
import base64
import glob
import hashlib
import hmac
import json
import os
import re
import struct
import sys
from urllib.parse import unquote_to_bytes

# the keys that the recorded clients were given
POLICIES = {"service": base64.b64encode(b"local-service-policy-key-0123456").decode()}
DEVICES = {"device1": base64.b64encode(b"local-device-primary-key-0123456").decode()}
CLIENTS = {
    "node_device": "azure-iot-device 1.18.4 with azure-iot-device-amqp 1.14.4 (npm)",
    "node_service": "azure-iothub 1.16.6 (npm)",
    "node_eventhub": "@azure/event-hubs 6.0.4 (npm)",
    "node_eventhub_epoch": "@azure/event-hubs 6.0.4 (npm), with an owner level",
    "python_service": "azure-iot-hub 2.7.0 (PyPI)",
    "python_eventhub": "azure-eventhub 5.15.1 (PyPI)",
    "python_eventhub_uamqp": "azure-eventhub 5.15.1 (PyPI) over uamqp",
    "uamqp_seed": "uamqp 1.6.11 (PyPI)",
    "uamqp_seed_redirect": "uamqp 1.6.11 (PyPI), following a link redirect",
}
NAMES = {
    0x10: "open", 0x11: "begin", 0x12: "attach", 0x13: "flow", 0x14: "transfer", 0x15: "disposition", 0x16: "detach",
    0x17: "end", 0x18: "close", 0x40: "sasl-mechanisms", 0x41: "sasl-init", 0x42: "sasl-challenge", 0x43: "sasl-response",
    0x44: "sasl-outcome", 0x24: "accepted", 0x25: "rejected", 0x26: "released", 0x27: "modified",
}  # fmt: skip


class Value:
    """Just enough of an AMQP decoder for performatives."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, n):
        piece = self.data[self.at : self.at + n]
        if len(piece) != n:
            raise ValueError("short value")
        self.at += n
        return piece

    def uint(self, n):
        return int.from_bytes(self.take(n), "big")

    def read(self):
        code = self.uint(1)
        if code == 0:
            return ("described", self.read(), self.read())
        if code in (0x40, 0x41, 0x42, 0x43, 0x44, 0x45):
            return {0x40: None, 0x41: True, 0x42: False, 0x43: 0, 0x44: 0, 0x45: []}[code]
        if code == 0x56:
            return bool(self.uint(1))
        kind = code >> 4
        if kind in (0x5, 0x6, 0x7, 0x8, 0x9):
            return int.from_bytes(self.take({5: 1, 6: 2, 7: 4, 8: 8, 9: 16}[kind]), "big")
        width = 1 if kind in (0xA, 0xC, 0xE) else 4
        if kind in (0xA, 0xB):
            piece = self.take(self.uint(width))
            return piece if code & 0xF == 0 else piece.decode()
        size = self.uint(width)
        inner = Value(self.take(size))
        count = inner.uint(width)
        if kind in (0xC, 0xD):
            items = [inner.read() for _ in range(count)]
            return items if code & 0xF == 0 else dict(zip((str(k) for k in items[::2]), items[1::2]))
        return ("array", inner.data)


class Frames:
    """Cuts one direction of a connection into protocol headers and frames, whatever its chunks are."""

    def __init__(self):
        self.rest = b""

    def feed(self, data):
        self.rest += data
        while len(self.rest) >= 8:
            if self.rest[:4] == b"AMQP":
                header, self.rest = self.rest[:8], self.rest[8:]
                yield ("header", header[4], None)
                continue
            size = struct.unpack(">I", self.rest[:4])[0]
            if len(self.rest) < size:
                return
            frame, self.rest = self.rest[:size], self.rest[size:]
            channel = struct.unpack(">H", frame[6:8])[0]
            if size > frame[4] * 4:
                _, descriptor, fields = Value(frame[frame[4] * 4 :]).read()
                yield (NAMES[descriptor], channel, fields)


def field(fields, n):
    return fields[n] if len(fields) > n else None


class Connection:
    """Follows both directions, so that every answer is told with the client's own channel and handle numbers."""

    def __init__(self):
        self.links = {}  # (client channel, link name) -> client handle
        self.sources = {}  # (client channel, client handle) -> source address of a receiver
        self.channels = {}  # server channel -> client channel
        self.handles = {}  # (client channel, server handle) -> client handle
        self.deliveries = {}  # source address -> transfers that the server sent

    def client(self, name, channel, fields):
        if name == "attach":
            handle = fields[1]
            self.links[channel, fields[0]] = handle
            source = field(fields, 5)
            if fields[2] and source:
                self.sources[channel, handle] = field(source[2], 0)

    def server(self, name, channel, fields):
        """The answer in one line: `NAME CHANNEL [HANDLE] …`, numbers as the client counts them."""
        if name == "header":
            return "header %d" % channel
        if name.startswith("sasl") or name in ("open", "close"):
            return name
        if name == "begin":
            self.channels[channel] = fields[0]
        own = self.channels[channel]
        if name == "attach":
            self.handles[own, fields[1]] = self.links[own, fields[0]]
            return "attach %d %d" % (own, self.links[own, fields[0]])
        if name in ("transfer", "detach", "flow"):
            handle = fields[{"transfer": 0, "detach": 0, "flow": 4}[name]] if name != "flow" else field(fields, 4)
            if handle is None:
                return "flow %d" % own
            handle = self.handles[own, handle]
            if name == "transfer":
                address = self.sources.get((own, handle), "?")
                self.deliveries[address] = self.deliveries.get(address, 0) + 1
            error = field(fields, 2) if name == "detach" else None
            return "%s %d %d%s" % (name, own, handle, " " + error[2][0] if error else "")
        if name == "disposition":
            last = fields[1] if field(fields, 2) is None else fields[2]
            state = field(fields, 4)
            return "disposition %d %d-%d %s" % (own, fields[1], last, NAMES.get(state[1], "?") if state else "none")
        return "%s %d" % (name, own)


def tokens_of(chunk):
    """SAS tokens in the client's bytes, with the key and the way of using it that their signatures prove."""
    for text in re.findall(rb"SharedAccessSignature [!-~]+", chunk):
        text = text.decode()
        parts = dict(p.split("=", 1) for p in text.split(" ", 1)[1].split("&"))
        signed = ("%s\n%s" % (parts["sr"], parts["se"])).encode()
        given = base64.b64decode(unquote_to_bytes(parts["sig"]))
        for name, key in {**POLICIES, **DEVICES}.items():
            for way, secret in (("base64", base64.b64decode(key)), ("text", key.encode())):
                if hmac.compare_digest(hmac.new(secret, signed, hashlib.sha256).digest(), given):
                    yield {"sr": parts["sr"], "se": int(parts["se"]), "policy": parts.get("skn"), "key_of": name, "key_as": way}
                    break
            else:
                continue
            break
        else:
            raise SystemExit("no known key made this token: %s" % parts["sr"])


def convert(path):
    connection, steps, tokens = Connection(), [], []
    readers = {"c2s": Frames(), "s2c": Frames()}
    with open(path) as f:
        lines = [json.loads(line) for line in f if line.strip()]
    for line in lines:
        chunk = bytes.fromhex(line["hex"])
        frames = list(readers[line["dir"]].feed(chunk))
        if line["dir"] == "c2s":
            tokens += [t for t in tokens_of(chunk) if t not in tokens]
            for frame in frames:
                connection.client(*frame)
            if not steps or "expect" in steps[-1]:
                steps.append({"send": []})
            steps[-1]["send"].append(line["hex"])
            continue
        for frame in frames:
            answer = connection.server(*frame)
            if not steps or "send" in steps[-1]:
                steps.append({"expect": []})
            # the probe repeated dispositions
            if not (answer.startswith("disposition") and any(answer in s.get("expect", ()) for s in steps)):
                steps[-1]["expect"].append(answer)
    assert not readers["c2s"].rest, "%s ends inside a frame of the client" % path
    return connection, [s for s in steps if s.get("send") or s.get("expect")], tokens


def main():
    if len(sys.argv) < 2:
        raise SystemExit(__doc__)
    here = os.path.dirname(os.path.abspath(__file__))
    output = sys.argv[2] if len(sys.argv) > 2 else os.path.join(here, "..", "data", "captures")
    os.makedirs(output, exist_ok=True)
    manifest = {"hostname": "localhost", "port": 5671, "policies": POLICIES, "devices": DEVICES, "partitions": 2, "captures": []}
    for path in sorted(glob.glob(os.path.join(sys.argv[1], "*.jsonl"))):
        name = os.path.basename(path)[: -len(".jsonl")]
        connection, steps, tokens = convert(path)
        with open(os.path.join(output, name + ".json"), "w") as f:
            lines = ",\n".join(" " + json.dumps(s) for s in steps)
            f.write('{"steps": [\n%s\n]}\n' % lines)
        entity = next((m for t in tokens for m in re.findall(r"^(?:sb|amqps)%3A%2F%2F[^%]*(?:%3A\d+)?%2F([^%]+)", t["sr"])), None)
        manifest["captures"].append({
            "file": name + ".json",
            "client": CLIENTS[name.rsplit(".", 1)[0]],
            # the second in which the client made its (first) token, which it made good for an hour
            "clock": min(t["se"] for t in tokens) - 3600,
            "entity": entity,
            "tokens": tokens,
            "deliveries": connection.deliveries,
        })  # fmt: skip
    with open(os.path.join(output, "manifest.json"), "w") as f:
        json.dump(manifest, f, indent=1)
        f.write("\n")


main()
