#!/usr/bin/env python3
"""A private RabbitMQ node with its AMQP 1.0 plug-in: own state in a temporary folder, own epmd, every port on
loopback only and free when it starts; nothing of the machine's own RabbitMQ is touched.

  rabbitmq.py [--port P] [--tls-port P --cert FILE --key FILE --ca FILE] [--queue NAME]... [--log FILE] [--root FOLDER]

First line on stdout: {"event":"ready","amqp":PORT,"amqps":PORT or null,"address":"/amq/queue/{}","queues":[…],
"user":"guest","password":"guest"}; the queues are durable and declared. SASL: PLAIN guest/guest and ANONYMOUS.
The user "nobody" has the password "nobody" and no permissions; "other" is a second vhost. With --root, RabbitMQ 4 is run in the Debian 13 there
(setup.sh rabbitmq4), with STOMP as well: "stomp":PORT; "address" is "/queues/{}" then.
Ends at SIGTERM or when stdin is closed: the node and the epmd that it started are stopped by their process ids
and the state is removed."""
import argparse
import base64
import glob
import hashlib
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time

SERVER = "/usr/lib/rabbitmq/bin/rabbitmq-server"  # not the wrapper in PATH, which changes to another user
QUEUES = ["interop", "interop.settled", "interop.large"]


def free_ports(count):
    """Free ports of loopback. All are held at once, so that no two are the same."""
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [s.getsockname()[1] for s in held]
    for s in held:
        s.close()
    return ports


def user(name, tags):
    salt = os.urandom(4)
    digest = base64.b64encode(salt + hashlib.sha256(salt + name.encode()).digest()).decode()
    return {"name": name, "password_hash": digest, "hashing_algorithm": "rabbit_password_hashing_sha256", "tags": tags}


def definitions(queues):
    return {
        "users": [user("guest", "administrator"), user("nobody", "")],
        "vhosts": [{"name": "/"}, {"name": "other"}],
        "permissions": [{"user": "guest", "vhost": vhost, "configure": ".*", "write": ".*", "read": ".*"} for vhost in ("/", "other")],
        "queues": [{"name": q, "vhost": "/", "durable": True, "auto_delete": False, "arguments": {}} for q in queues],
        "exchanges": [],
        "bindings": [],
    }


class Node:
    def __init__(self, options):
        self.options = options
        self.queues = QUEUES + [q for q in options.queue if q not in QUEUES]
        self.root = os.path.abspath(options.root) if options.root else ""
        self.state = tempfile.mkdtemp(prefix="interop-rabbitmq-", dir=self.root + "/tmp" if self.root else None)
        self.epmd_port, self.dist_port, amqp, amqps, self.stomp = free_ports(5)
        self.amqp = options.port or amqp
        self.amqps = (options.tls_port or amqps) if options.cert else None
        self.processes = []
        self.log = open(options.log or os.path.join(self.state, "log"), "w+b")

    def path(self, name):
        """As the node sees it."""
        return os.path.join(self.state[len(self.root) :], name)

    def configure(self):
        lines = [
            "listeners.tcp.1 = 127.0.0.1:%d" % self.amqp,
            "load_definitions = %s" % self.path("definitions.json"),
            *(
                ["anonymous_login_user = guest", "anonymous_login_pass = guest", "auth_mechanisms.1 = PLAIN", "auth_mechanisms.2 = ANONYMOUS"]
                + ["stomp.listeners.tcp.1 = 127.0.0.1:%d" % self.stomp]
                if self.root
                else ["amqp1_0.default_user = guest"]
            ),
            "loopback_users = none",
            "disk_free_limit.absolute = 50MB",
            "vm_memory_high_watermark.absolute = 1GB",
            "log.console = true",
            "log.file = false",
        ]
        if self.amqps:
            lines += ["listeners.ssl.1 = 127.0.0.1:%d" % self.amqps, "ssl_options.verify = verify_none"]
            for key, option in (("cacertfile", "ca"), ("certfile", "cert"), ("keyfile", "key")):
                shutil.copy(getattr(self.options, option), os.path.join(self.state, option))
                lines.append("ssl_options.%s = %s" % (key, self.path(option)))
        files = {
            "rabbitmq.conf": "\n".join(lines) + "\n",
            "enabled_plugins": "[rabbitmq_stomp].\n" if self.root else "[rabbitmq_amqp1_0].\n",
            "definitions.json": json.dumps(definitions(self.queues)),
        }
        for name, text in files.items():
            with open(os.path.join(self.state, name), "w") as f:
                f.write(text)
        os.mkdir(os.path.join(self.state, "home"))

    def environment(self):
        env = {k: v for k, v in os.environ.items() if not k.startswith(("RABBITMQ_", "ERL_"))}
        env.update(
            HOME=self.path("home"),
            **(dict(PATH="/usr/sbin:/usr/bin:/sbin:/bin", LANG="C.UTF-8") if self.root else {}),
            ERL_EPMD_PORT=str(self.epmd_port),
            ERL_EPMD_ADDRESS="127.0.0.1",
            RABBITMQ_NODENAME="interop@localhost",
            RABBITMQ_DIST_PORT=str(self.dist_port),
            RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS="-kernel inet_dist_use_interface {127,0,0,1}",
            RABBITMQ_CONF_ENV_FILE=self.path("none"),
            RABBITMQ_CONFIG_FILE=self.path("rabbitmq.conf"),
            RABBITMQ_ADVANCED_CONFIG_FILE=self.path("none.config"),
            RABBITMQ_ENABLED_PLUGINS_FILE=self.path("enabled_plugins"),
            RABBITMQ_FEATURE_FLAGS_FILE=self.path("feature_flags"),
            RABBITMQ_GENERATED_CONFIG_DIR=self.path("generated"),
            RABBITMQ_MNESIA_BASE=self.path("mnesia"),
            RABBITMQ_LOG_BASE=self.path("logs"),
            RABBITMQ_LOGS="-",
        )
        return env

    def spawn(self, *command):
        if self.root:
            # what is mounted goes with the processes, whose mounts are their own
            mount = 'mount -t proc proc "$0/proc" && mount --rbind /dev "$0/dev" && exec chroot "$0" "$@"'
            command = ("unshare", "--mount", "--propagation", "private", "sh", "-c", mount, self.root) + command
        # a process group of its own: what it starts is stopped with it
        p = subprocess.Popen(
            command, env=self.environment(), cwd=self.state, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log, start_new_session=True
        )
        self.processes.append(p)
        return p

    def start(self, deadline):
        self.configure()
        found = glob.glob(self.root + "/usr/lib/erlang/erts-*/bin/epmd")
        epmd = found[0][len(self.root) :] if found else None if self.root else shutil.which("epmd")
        if not epmd or not os.path.exists(self.root + SERVER):
            raise SystemExit("rabbitmq.py: RabbitMQ is not installed (setup.sh rabbitmq, or rabbitmq4)")
        self.spawn(epmd, "-address", "127.0.0.1", "-port", str(self.epmd_port))
        # a node that finds no epmd ends
        while not self.listens(self.epmd_port):
            if time.monotonic() > deadline:
                raise SystemExit("rabbitmq.py: epmd did not come up:\n" + self.tail())
            time.sleep(0.05)
        node = self.spawn(SERVER)
        for port in [self.amqp] + ([self.amqps] if self.amqps else []) + ([self.stomp] if self.root else []):
            while not self.listens(port):
                if node.poll() is not None or time.monotonic() > deadline:
                    raise SystemExit("rabbitmq.py: the node did not come up:\n" + self.tail())
                time.sleep(0.1)

    @staticmethod
    def listens(port):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return True
        except OSError:
            return False

    def tail(self):
        self.log.flush()
        with open(self.log.name, "rb") as f:
            return b"\n".join(f.read().splitlines()[-25:]).decode(errors="replace")

    def stop(self):
        for p in reversed(self.processes):
            for sig, seconds in ((signal.SIGTERM, 20), (signal.SIGKILL, 5)):
                try:
                    os.killpg(p.pid, sig)
                except ProcessLookupError:
                    pass
                try:
                    p.wait(seconds)
                    break
                except subprocess.TimeoutExpired:
                    continue
        shutil.rmtree(self.state, ignore_errors=True)


def stdin_closed(then):
    # the descriptor itself: Python may not exit while another thread holds sys.stdin
    while os.read(0, 4096):
        pass
    then()


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--port", type=int, default=0)
    p.add_argument("--tls-port", type=int, default=0)
    p.add_argument("--cert")
    p.add_argument("--key")
    p.add_argument("--ca")
    p.add_argument("--queue", action="append", default=[])
    p.add_argument("--log")
    p.add_argument("--root")
    p.add_argument("--start-timeout", type=float, default=90)
    options = p.parse_args()
    ended = threading.Event()

    def end(*_):
        ended.set()
        raise SystemExit(0)

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    node = Node(options)
    try:
        # a parent that goes away while the node starts is noticed as well
        threading.Thread(target=stdin_closed, args=(lambda: ended.is_set() or os.kill(os.getpid(), signal.SIGTERM),), daemon=True).start()
        began = time.monotonic()
        node.start(began + options.start_timeout)
        address = "/queues/{}" if node.root else "/amq/queue/{}"
        ready = dict(event="ready", amqp=node.amqp, amqps=node.amqps, address=address, queues=node.queues, user="guest", password="guest")
        ready.update(stomp=node.stomp if node.root else None)
        print(json.dumps(dict(ready, seconds=round(time.monotonic() - began, 1))), flush=True)
        while node.processes[-1].poll() is None:
            time.sleep(0.5)
        raise SystemExit("rabbitmq.py: the node ended by itself:\n" + node.tail())
    finally:
        # a second signal must not cut the stopping short
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        node.stop()


main()
