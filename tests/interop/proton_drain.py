#!/usr/bin/env python3
"""A pull consumer built with python-qpid-proton: puts messages into a queue, and takes them with credit and drain in one
flow. Ends with one JSON line {"sent":N,"received":N,"empty":0,"again":1,"ok":true}: what the drain brought, what the next
one brought from the empty queue, and one more message that it brought after that.

  proton_drain.py HOST PORT ADDRESS [--count N] [--timeout SECONDS]"""
import argparse
import json
import os
import sys
import threading

from proton import Message
from proton.handlers import MessagingHandler
from proton.reactor import Container

EXTRA = 3


class Puller(MessagingHandler):
    def __init__(self, options):
        super().__init__(prefetch=0, auto_accept=True)
        self.options = options
        self.accepted = self.sent = 0
        # Of each drain, how many messages came; none but the first is asked for before the one before is answered.
        self.came = []
        self.pulling = False
        self.errors = []

    def on_start(self, event):
        o = self.options
        url = "amqp://%s:%d" % (o.host, o.port)
        self.connection = event.container.connect(url=url, reconnect=False, allowed_mechs="ANONYMOUS")
        self.sender = event.container.create_sender(self.connection, o.address)
        self.receiver = event.container.create_receiver(self.connection, o.address)

    def send(self, count):
        for _ in range(count):
            self.sender.send(Message(body="x"))
            self.sent += 1

    def on_sendable(self, event):
        if self.sent == 0:
            self.send(self.options.count)

    def on_accepted(self, event):
        self.accepted += 1
        if self.accepted == self.sent:
            self.pull()

    def pull(self):
        self.came.append(0)
        self.pulling = True
        self.receiver.drain(self.options.count + EXTRA)

    def on_message(self, event):
        self.came[-1] += 1

    def on_link_flow(self, event):
        if event.link != self.receiver or not self.pulling or event.link.draining():
            return
        self.pulling = False
        if len(self.came) == 1:
            self.pull()
        elif len(self.came) == 2:
            self.send(1)
        else:
            self.connection.close()

    def failed(self, scope, condition):
        self.errors.append("%s: %s" % (scope, condition))
        self.connection.close()

    def on_link_error(self, event):
        self.failed("link", event.link.remote_condition)

    def on_session_error(self, event):
        self.failed("session", event.session.remote_condition)

    def on_connection_error(self, event):
        self.failed("connection", event.connection.remote_condition)

    def on_transport_error(self, event):
        self.failed("transport", event.transport.condition)

    def report(self):
        line = dict(sent=self.options.count, **dict(zip(["received", "empty", "again"], self.came)))
        expected = [self.options.count, 0, 1]
        if self.came != expected:
            self.errors.append("the drains brought %s instead of %s" % (self.came, expected))
        if self.errors:
            line["errors"] = self.errors
        line["ok"] = not self.errors
        print(json.dumps(line), flush=True)
        return 0 if line["ok"] else 1


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("host")
    p.add_argument("port", type=int)
    p.add_argument("address")
    p.add_argument("--count", type=int, default=5)
    p.add_argument("--timeout", type=float, default=60)
    puller = Puller(p.parse_args())

    def expired():
        puller.errors.append("no end within %g s" % puller.options.timeout)
        os._exit(puller.report())

    limit = threading.Timer(puller.options.timeout, expired)
    limit.daemon = True
    limit.start()
    Container(puller).run()
    sys.exit(puller.report())


main()
