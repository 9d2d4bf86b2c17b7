#!/usr/bin/env python3
"""A client built with python-qpid-proton: sends, receives or does both at once, checks every body, and ends with
one JSON line {"sent":…,"accepted":…,"received":…,"ok":true} and exit code 0, or "ok":false, what went wrong, and 1.

  proton_client.py send|receive|both HOST PORT ADDRESS [--count N] [--size BYTES] [--settled] [--ca FILE]
    [--user U --password P] [--sasl anonymous|plain] [--credit N] [--max-frame BYTES] [--timeout SECONDS] [--json]

--ca means TLS, with the certificate checked against that CA and HOST's name. --json leaves only the JSON line.
The program has a time limit of its own and never hangs."""
import argparse
import json
import os
import sys
import threading
import time

from proton import Message, SSLDomain, ulong
from proton.handlers import MessagingHandler
from proton.reactor import AtLeastOnce, AtMostOnce, Container

from bodies import Ledger, body


class Client(MessagingHandler):
    def __init__(self, options):
        super().__init__(prefetch=options.credit, auto_accept=not options.settled)
        self.options = options
        self.ledger = Ledger(options.count, options.size)
        self.outcomes = dict(accepted=0, rejected=0, released=0, modified=0)
        self.sent = self.settled = 0
        self.errors = []
        self.open = {}  # connections whose work is not done yet
        self.began = time.monotonic()

    def connect(self, container, part):
        o = self.options
        settings = dict(reconnect=False, allow_insecure_mechs=True)
        # without Cyrus SASL (a wheel has none) proton prefers ANONYMOUS to PLAIN wherever both are offered
        settings["allowed_mechs"] = o.sasl.upper()
        if o.user:
            settings.update(user=o.user, password=o.password)
        if o.max_frame:
            settings["max_frame_size"] = o.max_frame
        if o.ca:
            domain = SSLDomain(SSLDomain.MODE_CLIENT)
            domain.set_trusted_ca_db(o.ca)
            domain.set_peer_authentication(SSLDomain.VERIFY_PEER_NAME)
            settings["ssl_domain"] = domain
        url = "%s://%s:%d" % ("amqps" if o.ca else "amqp", o.host, o.port)
        connection = container.connect(url=url, **settings)
        connection.container = "proton-client-%s-%d" % (part, os.getpid())
        self.open[part] = connection
        return connection

    def on_start(self, event):
        o = self.options
        mode = AtMostOnce if o.settled else AtLeastOnce
        if o.operation != "send":
            event.container.create_receiver(self.connect(event.container, "receiver"), o.address, options=mode())
        if o.operation != "receive":
            event.container.create_sender(self.connect(event.container, "sender"), o.address, options=mode())

    def done(self, part, link):
        # the link first: a broker may take the close of a connection before the dispositions that came before it
        if self.open.pop(part, None) is not None:
            link.close()

    def on_link_closed(self, event):
        if event.connection in self.open.values():
            self.refused(event, "link", None)
        else:
            event.connection.close()

    def on_link_remote_detach(self, event):
        # RabbitMQ answers a closing detach with one that does not say closed
        self.on_link_closed(event)

    # -- sending
    def on_sendable(self, event):
        o, sender = self.options, event.sender
        while sender.credit and self.sent < o.count:
            content = body(self.sent, o.size)
            sender.send(Message(id=ulong(self.sent), body=content, durable=True, inferred=True, content_type="application/octet-stream"))
            self.sent += 1
        if o.settled and self.sent == o.count:
            self.done("sender", event.link)

    def on_accepted(self, event):
        self.outcomes["accepted"] += 1

    def on_rejected(self, event):
        self.outcomes["rejected"] += 1
        condition = event.delivery.remote.condition
        if condition:
            self.note("rejected: %s: %s" % (condition.name, condition.description))

    def on_released(self, event):
        modified = event.delivery.remote_state == event.delivery.MODIFIED
        self.outcomes["modified" if modified else "released"] += 1

    def on_settled(self, event):
        if event.link.is_sender:
            self.settled += 1
            if self.settled == self.options.count:
                self.done("sender", event.link)

    # -- receiving
    def on_message(self, event):
        self.ledger.take(event.message.id, event.message.body)
        if self.ledger.complete:
            self.done("receiver", event.link)

    # -- going wrong
    def note(self, text):
        if text not in self.errors:
            self.errors.append(text)

    def refused(self, event, scope, condition):
        self.note("%s closed: %s" % (scope, "%s: %s" % (condition.name, condition.description) if condition else "no error given"))
        self.open.clear()
        event.container.stop()

    def on_link_error(self, event):
        self.refused(event, "link", event.link.remote_condition)

    def on_session_error(self, event):
        self.refused(event, "session", event.session.remote_condition)

    def on_connection_error(self, event):
        self.refused(event, "connection", event.connection.remote_condition)

    def on_transport_error(self, event):
        self.refused(event, "transport", event.transport.condition)

    def on_disconnected(self, event):
        if event.connection in self.open.values() and not self.errors:
            self.refused(event, "transport", None)

    # -- the end
    def report(self):
        o, ledger = self.options, self.ledger
        if o.operation != "receive" and self.sent != o.count:
            self.note("sent %d of %d" % (self.sent, o.count))
        if o.operation != "receive" and not o.settled and self.outcomes["accepted"] != o.count:
            self.note("accepted %d of %d" % (self.outcomes["accepted"], o.count))
        if o.operation != "send" and not ledger.faultless:
            self.note("received %d of %d, %d wrong, %d twice" % (len(ledger.seen), o.count, ledger.wrong, ledger.duplicates))
        line = dict(client="proton", operation=o.operation, count=o.count, size=o.size, sent=self.sent, **self.outcomes)
        line.update(settled=self.settled, received=ledger.received, duplicates=ledger.duplicates, wrong=ledger.wrong, checksum=ledger.checksum)
        line["seconds"] = round(time.monotonic() - self.began, 3)
        if self.errors:
            line["errors"] = self.errors
        line["ok"] = not self.errors
        print(json.dumps(line), flush=True)
        return 0 if line["ok"] else 1


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("operation", choices=["send", "receive", "both"])
    p.add_argument("host")
    p.add_argument("port", type=int)
    p.add_argument("address")
    p.add_argument("--count", type=int, default=1)
    p.add_argument("--size", type=int, default=1024)
    p.add_argument("--settled", action="store_true")
    p.add_argument("--ca")
    p.add_argument("--user")
    p.add_argument("--password", default="")
    p.add_argument("--sasl", choices=["anonymous", "plain"])
    p.add_argument("--credit", type=int, default=500)
    p.add_argument("--max-frame", type=int)
    p.add_argument("--timeout", type=float, default=120)
    p.add_argument("--json", action="store_true")
    options = p.parse_args()
    options.sasl = options.sasl or ("plain" if options.user else "anonymous")
    client = Client(options)

    def expired():
        client.note("no end within %g s" % options.timeout)
        os._exit(client.report())

    limit = threading.Timer(options.timeout, expired)
    limit.daemon = True
    limit.start()
    Container(client).run()
    sys.exit(client.report())


main()
