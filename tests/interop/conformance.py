#!/usr/bin/env python3
"""Judges third-party servers and clients with amqp-conformance, and puts the reports side by side on one page.

  conformance.py FOLDER [--tool FILE] [--at-once N] [--once] [--show] [--raw FOLDER] [PEER...]

FOLDER gets page.html and summary.md. Without PEER, all are judged. Each verdict has to be the one that the peer's profile
expects. How a peer can be stopped is in neither file, and on no output: the number of such results is. A server that has
ended is started again, so that the cases after it are judged. --raw keeps the report of each peer, with all results.
setup.sh installs the peers; AMQP1_INTEROP_CACHE says where they are.
"""
import argparse
import collections
import concurrent.futures
import contextlib
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import threading
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

    def __init__(self, command, at_port, options, profile, environment=None, patience=2):
        """Once it has ended, the server is started again with the words `at_port` as well."""
        self.command, self.at_port, self.options = command, at_port, ["--patience", str(patience), *options]
        self.profile, self.environment = profile, environment or {}

    def start(self, folder, port=None):
        words = self.command if port is None else [*self.command, *self.at_port]
        command = [word.replace("{folder}", folder).replace("{port}", str(port or 0)) for word in words]
        process = subprocess.Popen(
            command,
            env={**os.environ, **self.environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        return process, process.stdout.readline()

    @contextlib.contextmanager
    def started(self):
        with tempfile.TemporaryDirectory() as folder:
            certificates(folder)
            process, line = self.start(folder)
            port = port_in(line)
            is_over = threading.Event()

            def watch():
                """Starts the server again whenever it has ended."""
                nonlocal process
                while not is_over.wait(0.05):
                    if process.poll() is not None:
                        process, _ = self.start(folder, port)

            watcher = threading.Thread(target=watch)
            watcher.start()
            try:
                yield port
            finally:
                is_over.set()
                watcher.join()
                end(process)


def end(process):
    process.stdin.close()
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def certificates(folder):
    """Makes what Artemis wants in one file."""
    subprocess.run([str(HERE / "certs.sh"), folder], check=True, stdout=subprocess.DEVNULL)
    pem = pathlib.Path(folder, "server.pem")
    pem.write_text(pathlib.Path(folder, "server.key").read_text() + pem.read_text())


def port_in(line):
    """The port in the first line that a server prints: JSON, or a text that ends with it."""
    if line.startswith("{"):
        return json.loads(line)["amqp"]
    return int(line.replace(":", " ").split()[-1])


GUEST = ["--user", "guest"]
QUEUES = ["conformance-1", "conformance-2", "conformance-3", "conformance-4"]


def nodes(template="{}", jobs=len(QUEUES)):
    """The options for a queue for each of the cases that run at the same time: one at a time where a case may stop the
    server, so that no other case is blamed."""
    return ["--jobs", str(jobs), *(word for queue in QUEUES[:jobs] for word in ("--node", template.format(queue)))]


def rabbitmq(*options):
    return [PYTHON, str(HERE / "rabbitmq.py"), *(word for queue in QUEUES for word in ("--queue", queue)), *options]


PORT = ["--port", "{port}"]
SERVERS = {
    "rabbitmq-3.10": Server(rabbitmq(), PORT, [*nodes("/amq/queue/{}"), *GUEST], "rabbitmq3"),
    "rabbitmq-4.0": Server(
        rabbitmq("--root", str(CACHE / "trixie")), PORT, [*nodes("/queues/{}"), *GUEST], "rabbitmq4"
    ),
    "artemis-2.50": Server(java("artemis", "Artemis", "{folder}"), ["{port}"], [*nodes(), *GUEST], "artemis"),
    "broker-j-9.2": Server(java("broker_j", "BrokerJ"), ["{port}"], [*nodes(), *GUEST], "broker-j"),
    "proton-cpp-0.37": Server(
        [str(CACHE / "proton_cpp/broker"), "-a", "127.0.0.1:0"],
        ["-a", "127.0.0.1:{port}"],
        nodes(jobs=1),
        "proton-cpp-broker",
        patience=1,
    ),
    "rhea-server": Server(["node", str(HERE / "rhea_server.js")], PORT, nodes(jobs=1), "rhea-server", NODE, patience=1),
    "python-qpid-proton-server": Server(
        [PYTHON, str(HERE / "proton_server.py")], PORT, nodes(jobs=1), "python-qpid-proton-server", patience=1
    ),
}

class Client:
    """A client: the command of its driver, and the program that the driver leaves the work to."""

    def __init__(self, *command, program=None):
        self.command, self.program = command, program

    @contextlib.contextmanager
    def started(self):
        """Yields the command."""
        words = [*self.command, "{url}", "{address}", "{scenario}", "{count}"]
        if self.program is None:
            yield words
            return
        process = subprocess.Popen(
            self.program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        try:
            port = str(port_in(process.stdout.readline()))
            yield [word.replace("{port}", port) for word in words]
        finally:
            end(process)


CLIENTS = {
    "rhea": Client("env", f"NODE_PATH={CACHE}/node_modules", "node", str(DRIVERS / "rhea_driver.js")),
    "python-qpid-proton": Client(PYTHON, str(DRIVERS / "proton_driver.py")),
    "go-amqp": Client(str(CACHE / "go/driver")),
    # A virtual machine for each case would take longer to start than the case.
    "qpid-jms": Client(
        str(DRIVERS / "jms_driver/play.sh"), "{port}", program=java("jms_driver", "JmsDriver", "--serve")
    ),
    "azure-eventhub": Client(PYTHON, str(DRIVERS / "azure_driver.py")),
}


def judge(tool, name, folder, once=False):
    """Judges one peer, and returns what was not expected, and its report. Cases that fail although they should not are
    judged once more, alone and with more patience: the machine may be busy."""
    report = folder / f"{name}.json"
    report.unlink(missing_ok=True)
    began = time.monotonic()
    with contextlib.ExitStack() as stack:
        # The port of a server, or the command of a client.
        peer = stack.enter_context((SERVERS | CLIENTS)[name].started())
        errors = run(tool, name, peer, report)
        if not report.exists():
            return [f"no report: {errors.strip()}"], None
        judged = json.loads(report.read_text())
        again = failures(judged)
        # More than these are no accident.
        if 0 < len(again) <= 40 and not once:
            second = folder / f"{name}.second.json"
            only = ",".join(case["id"] for case in again)
            run(tool, name, peer, second, "--patience", "8", "--only", only, "--jobs", "1")
            if second.exists():
                replace(judged, json.loads(second.read_text()))
                second.unlink()
                report.write_text(json.dumps(judged))
    shown = {verdict: count for verdict, count in judged["summary"].items() if verdict not in WITHHELD}
    print(f"{name}: {shown} after {time.monotonic() - began:.0f} s", flush=True)
    for entry in judged["stale"]:
        print(f"{name}: {entry} is expected to fail, but passes", flush=True)
    return [f"{case['verdict']} {case['id']}: {case['reason']}" for case in failures(judged)], report


def run(tool, name, peer, report, *options):
    """Runs the tool against a peer, and returns its errors. Its output names every result, those that are withheld too."""
    environment = dict(os.environ)
    common = ["--json", str(report), "--quiet", "--keep-going", "--peer-name", name]
    if name in CLIENTS:
        words = last_of(["--jobs", "3", "--patience", "2", *options])
        command = [tool, "client", "--profile", name, *common, *words, "--", *peer]
    else:
        server = SERVERS[name]
        environment["AMQP_CONFORMANCE_PASSWORD"] = "guest"
        if "--user" not in server.options:
            del environment["AMQP_CONFORMANCE_PASSWORD"]
        words = last_of([*server.options, *options])
        command = [tool, "server", f"127.0.0.1:{peer}", "--purge", "--profile", server.profile, *common, *words]
    return subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True).stderr


def last_of(words):
    """The words, without the first of each option that may be given once and is given twice."""
    for option in ["--jobs", "--patience"]:
        if words.count(option) > 1:
            first = words.index(option)
            words = words[:first] + words[first + 2 :]
    return words


def failures(judged):
    return [case for case in judged["cases"] if case["verdict"] == "fail" and "expected" not in case]


def replace(judged, second):
    """Puts the results of a second run into the report of the first."""
    results = {case["id"]: case for case in second["cases"]}
    judged["cases"] = [results.get(case["id"], case) for case in judged["cases"]]
    judged["summary"] = dict(collections.Counter(case["verdict"] for case in judged["cases"]))


# These verdicts say how a peer can be stopped.
WITHHELD = ["crashed", "hung"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--tool", default=str(ROOT / "target/debug/amqp-conformance"))
    parser.add_argument("--at-once", type=int, default=3, help="the number of peers that are judged at the same time")
    parser.add_argument("--raw", type=pathlib.Path, help="keeps the report of each peer in this folder")
    parser.add_argument("--once", action="store_true", help="judges no case a second time")
    parser.add_argument("--show", action="store_true", help="shows unexpected failures, and does not fail for them")
    parser.add_argument("peers", nargs="*", metavar="PEER")
    options = parser.parse_intermixed_args()
    peers = options.peers or [*SERVERS, *CLIENTS]
    unknown = [name for name in peers if name not in SERVERS and name not in CLIENTS]
    if unknown:
        parser.error(f"unknown peers: {', '.join(unknown)}; there are {', '.join([*SERVERS, *CLIENTS])}")
    options.folder.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        raw = options.raw or pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()))
        raw.mkdir(parents=True, exist_ok=True)
        with concurrent.futures.ThreadPoolExecutor(options.at_once) as pool:
            results = list(pool.map(lambda name: judge(options.tool, name, raw, options.once), peers))
        reports = [str(report) for _, report in results if report]
        files = ["--html", str(options.folder / "page.html"), "--markdown", str(options.folder / "summary.md")]
        subprocess.run([options.tool, "report", "merge", "--withhold", *reports, *files], check=True)
    for name, (unexpected, _) in zip(peers, results):
        for line in unexpected:
            print(f"{name}: {line}")
    sys.exit(1 if any(report is None or (unexpected and not options.show) for unexpected, report in results) else 0)


if __name__ == "__main__":
    main()
