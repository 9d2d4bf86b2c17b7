#!/usr/bin/env python3
"""Proves the peers against each other: each third-party client against each third-party server, at-least-once,
settled, and with a large message. When an interop test with the Rust side fails, this says whether the peers
themselves still agree.

  self_check.py [--count N] [--large BYTES] [--only TEXT]

Needs what setup.sh installs; prints one line a case and ends with exit code 0 only if all of them passed."""
import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
CACHE = os.environ.get("AMQP1_INTEROP_CACHE") or os.path.join(HERE, ".cache")
PYTHON = os.path.join(CACHE, "venv", "bin", "python")
ENV = dict(os.environ, NODE_PATH=os.path.join(CACHE, "node_modules"), PYTHONDONTWRITEBYTECODE="1")


def command(script, *args):
    return [shutil.which("node") if script.endswith(".js") else PYTHON, os.path.join(HERE, script), *args]


class Server:
    def __init__(self, script, certs):
        args = ["--tls-port", "0", "--cert", certs + "/server.pem", "--key", certs + "/server.key"]
        if script == "rabbitmq.py":
            args += ["--ca", certs + "/ca.pem"]
        self.process = subprocess.Popen(command(script, *args), env=ENV, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit("%s did not start" % script)
        self.ready = json.loads(line)

    def address(self, name):
        return self.ready.get("address", "{}").format(name)

    def close(self):
        """Closes its stdin, and gives back what it said at the end."""
        self.process.stdin.close()
        end = self.process.stdout.read()
        code = self.process.wait(30)
        return code, end.strip()


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--count", type=int, default=10_000)
    p.add_argument("--large", type=int, default=10 * 1024 * 1024)
    p.add_argument("--only", default="")
    o = p.parse_args()
    failed = 0
    with tempfile.TemporaryDirectory() as certs:
        subprocess.run([os.path.join(HERE, "certs.sh"), certs], check=True)
        for script in ("rhea_server.js", "proton_server.py", "rabbitmq.py"):
            if o.only and o.only not in script:
                continue
            server = Server(script, certs)
            print(script, json.dumps(server.ready), flush=True)
            sasls = [["--sasl", "anonymous"]]
            if script != "proton_server.py":
                sasls.append(["--sasl", "plain", "--user", "guest", "--password", "guest"])
            tls = ["localhost", str(server.ready["amqps"]), "--ca", certs + "/ca.pem"]
            plain = ["127.0.0.1", str(server.ready["amqp"])]
            many, large = ["--count", str(o.count)], ["--count", "1", "--size", str(o.large)]
            cases = [
                ("at least once", "both", "interop", plain, many),
                ("settled", "both", "interop.settled", plain, [*many, "--settled"]),
                ("large", "both", "interop.large", plain, large),
                ("large, small frames", "both", "interop.large", plain, [*large, "--max-frame", "16384"]),
                ("send over TLS", "send", "interop", tls, many),
                ("receive over TLS", "receive", "interop", tls, many),
                ("large over TLS", "both", "interop.large", tls, large),
            ]
            for client in ("rhea_client.js", "proton_client.py"):
                for number, (name, operation, queue, where, args) in enumerate(cases):
                    run = command(client, operation, where[0], where[1], server.address(queue), *where[2:], *args, *sasls[number % len(sasls)], "--json")
                    done = subprocess.run(run, env=ENV, stdin=subprocess.DEVNULL, capture_output=True, text=True)
                    failed += done.returncode != 0
                    try:
                        result = json.loads(done.stdout)
                        text = "{seconds:6.2f} s  sent {sent} accepted {accepted} received {received} {errors}".format(**{"errors": "", **result})
                    except ValueError:
                        text = (done.stdout + done.stderr)[-400:]
                    print("  %-4s %-16s %-20s %s %s" % ("ok" if done.returncode == 0 else "FAIL", client, name, text, done.stderr[-200:]), flush=True)
            code, end = server.close()
            failed += code != 0
            print("  ended with code %d %s" % (code, end[:600]), flush=True)
    sys.exit(1 if failed else 0)


main()
