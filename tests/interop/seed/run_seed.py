#!/usr/bin/env python3
"""Starts `iothub emulator` and does with uamqp, an unmodified package, what Microsoft's article on IoT Hub and AMQP
shows: cloud-to-device, the device's settlement, feedback, telemetry, and the link redirect. Then what must fail.

  run_seed.py            IOTHUB_BIN names the `iothub` program (default: target/release/iothub of this repository)

Prints one JSON line a step; exit code 0 only if all of them came out as they must."""
import base64
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import uuid

HERE = os.path.dirname(os.path.abspath(__file__))
INTEROP = os.path.dirname(HERE)
REPOSITORY = os.path.dirname(os.path.dirname(INTEROP))
CACHE = os.environ.get("AMQP1_INTEROP_CACHE") or os.path.join(INTEROP, ".cache")
PYTHON = os.path.join(CACHE, "venv", "bin", "python")
DEVICE, PARTITIONS, EVENTS = "device1", 2, 10


class Failure(Exception):
    pass


def fail(text):
    raise Failure(text)


class Emulator:
    def __init__(self, folder):
        # keys are made anew in each run; only the emulator and the scripts of this run know them
        self.policy_key = base64.b64encode(os.urandom(32)).decode()
        self.device_key = base64.b64encode(os.urandom(32)).decode()
        self.other_key = base64.b64encode(os.urandom(32)).decode()
        program = os.environ.get("IOTHUB_BIN") or os.path.join(REPOSITORY, "target", "release", "iothub")
        if not shutil.which(program):
            raise Failure("no program at %s (IOTHUB_BIN names another)" % program)
        command = [program, "emulator", "--json", "--listen", "127.0.0.1:0", "--hostname", "localhost"]
        command += ["--policy", "service=" + self.policy_key, "--device", "%s=%s" % (DEVICE, self.device_key)]
        command += ["--device", "device2=" + self.other_key, "--partitions", str(PARTITIONS), "--ca-dir", folder]
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        line = self.first_line(30)
        try:
            self.ready = json.loads(line)
        except ValueError:
            self.stop()
            raise Failure("the emulator's first line is not JSON: %r" % line)
        # what else it says is read, so that it never waits for a reader
        threading.Thread(target=self.process.stdout.read, daemon=True).start()
        self.port = self.ready["amqps"].rsplit(":", 1)[1]

    def first_line(self, seconds):
        lines = []
        reader = threading.Thread(target=lambda: lines.append(self.process.stdout.readline()), daemon=True)
        reader.start()
        reader.join(seconds)
        if not lines or not lines[0]:
            self.stop()
            raise Failure("the emulator said nothing within %d s" % seconds)
        return lines[0]

    def stop(self):
        """Asks it to end as Ctrl-C does, and gives back its exit code; kills it if it does not."""
        self.process.send_signal(signal.SIGINT)
        try:
            return self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise Failure("the emulator did not end within 10 s of SIGINT")

    def step(self, script, *options, expect=True, **settings):
        known = dict(host="localhost", port=self.port, ca=self.ready["ca"], policy="service", policy_key=self.policy_key)
        known.update(device=DEVICE, device_key=self.device_key)
        known.update(settings)
        environment = dict(os.environ, PYTHONDONTWRITEBYTECODE="1", **{"IOTHUB_" + k.upper(): v for k, v in known.items()})
        run = subprocess.run(
            [PYTHON, os.path.join(HERE, script + ".py"), *options], env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120
        )
        lines = run.stdout.strip().splitlines()
        if not lines:
            raise Failure("%s said nothing: %s" % (script, run.stderr[-400:]))
        result = json.loads(lines[-1])
        print(json.dumps(dict(result, expected_to_work=expect)), flush=True)
        if result["ok"] != expect or (run.returncode == 0) != expect:
            raise Failure("%s %s" % (script, "failed" if expect else "was let through"))
        return result


def cloud_to_device(hub):
    message_id = str(uuid.uuid4())
    body = "C2D " + message_id
    hub.step("send_c2d", "--message-id", message_id, "--body", body)
    [message] = hub.step("receive_c2d")["messages"]
    message["message_id"] == message_id or fail("another message came: %s" % message)
    message["body"] == body or fail("another body came: %s" % message)
    message["properties"].get("iothub-ack") == "full" or fail("the application property is missing: %s" % message)
    records = hub.step("receive_feedback", "--message-id", message_id)["records"]
    mine = [r for r in records if r["originalMessageId"] == message_id]
    len(mine) == 1 or fail("%d records for one message" % len(mine))
    mine[0]["statusCode"] == "Success" or fail("feedback says %s" % mine[0])
    mine[0]["deviceId"] == DEVICE or fail("feedback names %s" % mine[0])


def telemetry(hub):
    bodies = hub.step("send_telemetry", "--count", str(EVENTS), "--prefix", uuid.uuid4().hex)["bodies"]
    events, partition = [], None
    for number in range(PARTITIONS):
        found = hub.step("read_telemetry", "--partition", str(number), "--count", str(EVENTS))["events"]
        if found:
            not events or fail("one device's events are in two partitions")
            events, partition = found, number
    [e["body"] for e in events] == bodies or fail("other bodies came back: %s" % events)
    all(e["device"] == DEVICE for e in events) or fail("an event names another device")
    # by sequence number, as the article's text has it: without quotes, and only what comes after
    after = events[3]["sequence_number"]
    selector = "amqp.annotation.x-opt-sequence-number > %d" % after
    later = hub.step("read_telemetry", "--partition", str(partition), "--selector", selector, "--count", str(EVENTS - 4))["events"]
    [e["body"] for e in later] == bodies[4:] or fail("the selector gave %s" % later)


def refused(hub):
    hub.step("send_c2d", policy_key=hub.other_key, expect=False)
    hub.step("receive_c2d", "--timeout", "20", device_key=hub.other_key, expect=False)
    # the certificate is checked: a CA that did not sign it, and no message goes out
    other = os.path.join(CACHE, "venv", "lib", "python3.11", "site-packages", "certifi", "cacert.pem")
    hub.step("send_c2d", "--timeout", "10", ca=other, expect=False)
    # none of that has harmed the hub
    hub.step("send_c2d", "--ack", "none")


def main():
    # a time limit around this script must not leave the emulator behind
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with tempfile.TemporaryDirectory() as folder:
        hub = None
        try:
            hub = Emulator(folder)
            for part in (cloud_to_device, telemetry, refused):
                part(hub)
            emulator, hub = hub, None
            code = emulator.stop()
            code == 0 or fail("the emulator ended with code %d" % code)
            print(json.dumps(dict(step="run_seed", ok=True)), flush=True)
        except Failure as failure:
            print(json.dumps(dict(step="run_seed", ok=False, error=str(failure))), flush=True)
            sys.exit(1)
        finally:
            if hub is not None:
                try:
                    hub.stop()
                except Failure:
                    pass


main()
