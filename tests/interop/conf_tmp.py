#!/usr/bin/env python3
"""Judges third-party servers and clients with amqp-conformance, and puts the reports side by side on one page.

  conformance.py FOLDER [--tool FILE] [PEER...]

FOLDER gets NAME.json for each peer, and page.html. Without PEER, all are judged. Each verdict has to be the one that the
peer's profile expects. setup.sh installs the peers; AMQP1_INTEROP_CACHE says where they are.
"""
import argparse
import contextlib
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
DRIVERS = ROOT / "crates/amqp-conformance/drivers"
CACHE = pathlib.Path(os.environ.get("AMQP1_INTEROP_CACHE", HERE / ".cache")).resolve()
PYTHON = str(CACHE / "venv/bin/python")
NODE = {"NODE_PATH": str(CACHE / "node_modules")}


def java(program, main, *arguments):
    folder = CACHE / "java" / program
    return ["java", "-cp", f"{folder}/classes:{folder}/lib/*", main, *arguments]


class Server:
    """A server, and the profile and options by which it is judged."""

    def __init__(self, command, options, profile=None, environment=None):
        self.command, self.options, self.profile, self.environment = command, options, profile, environment or {}

    @contextlib.contextmanager
    def started(self):
        environment = {**os.environ, **self.environment}
        with tempfile.TemporaryDirectory() as folder:
            command = [word.replace("{folder}", folder) for word in self.command]
            process = subprocess.Popen(
                command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
            )
            try:
                yield port_in(process.stdout.readline())
            finally:
                process.stdin.close()
                try:
                    process.wait(20)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()


def port_in(line):
    """The port in the first line that a server prints: JSON, or a text that ends with it."""
    if line.startswith("{"):
        return json.loads(line)["amqp"]
    return int(line.replace(":", " ").split()[-1])


GUEST = ["--user", "guest"]

SERVERS = {
    "rabbitmq-3.10": Server([PYTHON, str(HERE / "rabbitmq.py"), "--queue", "conformance"],
                            ["--node", "/amq/queue/conformance", *GUEST], "rabbitmq3"),
    "rabbitmq-4.0": Server([PYTHON, str(HERE / "rabbitmq.py"), "--queue", "conformance", "--root", str(CACHE / "trixie")],
                           ["--node", "/queues/conformance", *GUEST], "rabbitmq4"),
    "artemis-2.50": Server(java("artemis", "Artemis", "{folder}"), ["--node", "conformance"], "artemis"),
    "broker-j-9.2": Server(java("broker_j", "BrokerJ"), ["--node", "conformance", *GUEST], "broker-j"),
    "proton-cpp-0.37": Server([str(CACHE / "proton_cpp/broker"), "-a", "127.0.0.1:0"], ["--node", "conformance"], "proton-cpp"),
    "rhea-3.0": Server(["node", str(HERE / "rhea_server.js")], ["--node", "conformance"], "rhea-server", NODE),
    "proton-python-0.40": Server([PYTHON, str(HERE / "proton_server.py")], ["--node", "conformance"], "proton-server"),
}

WORDS = ["{url}", "{address}", "{scenario}", "{count}"]
CLIENTS = {
    "rhea-client": ["env", f"NODE_PATH={CACHE}/node_modules", "node", str(DRIVERS / "rhea_driver.js"), *WORDS],
    "proton-client": [PYTHON, str(DRIVERS / "proton_driver.py"), *WORDS],
    "go-amqp": [str(CACHE / "go/driver"), *WORDS],
    "qpid-jms": [*java("jms_driver", "JmsDriver"), *WORDS],
    "azure-eventhub": [PYTHON, str(DRIVERS / "azure_driver.py"), *WORDS],
}


def judge(tool, name, folder):
    """Judges one peer, and says whether every verdict is as expected."""
    report = folder / f"{name}.json"
    common = ["--json", str(report), "--peer-name", name]
    environment = {**os.environ, "AMQP_CONFORMANCE_PASSWORD": "guest"}
    began = time.monotonic()
    with contextlib.ExitStack() as stack:
        if name in SERVERS:
            server = SERVERS[name]
            port = stack.enter_context(server.started())
            profile = []
            command = [tool, "server", f"127.0.0.1:{port}", *server.options, "--purge", *profile, *common]
        else:
            command = [tool, "client", *common, "--", *CLIENTS[name]]
        if "--user" not in command:
            del environment["AMQP_CONFORMANCE_PASSWORD"]
        done = subprocess.run(command, env=environment)
    print(f"{name}: exit code {done.returncode} after {time.monotonic() - began:.0f} s", flush=True)
    return done.returncode == 0, report


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--tool", default=str(ROOT / "target/debug/amqp-conformance"))
    parser.add_argument("peers", nargs="*", metavar="PEER")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    peers = options.peers or [*SERVERS, *CLIENTS]
    unknown = [name for name in peers if name not in SERVERS and name not in CLIENTS]
    if unknown:
        parser.error(f"unknown peers: {', '.join(unknown)}; there are {', '.join([*SERVERS, *CLIENTS])}")
    results = [judge(options.tool, name, options.folder) for name in peers]
    reports = [str(report) for _, report in results if report.exists()]
    pass
    sys.exit(0 if all(expected for expected, _ in results) else 1)


if __name__ == "__main__":
    main()
