#!/usr/bin/env python3
"""A client on python-qpid-proton that settles each message in its own way, on links of receiver-settle-mode first or
second.

  proton_outcomes.py HOST PORT ADDRESS DEAD_LETTERS COUNT first|second

Sends messages; takes them and rejects every third with info; takes those from DEAD_LETTERS; and drains ADDRESS, in
which nothing is left. In mode second each delivery is settled by the other end. The last line is
{"sent":…,"accepted":…,"received":…,"rejected":…,"settled":…,"ok":true}."""
import json
import os
import sys
import threading

from proton import Condition, Delivery, Link, Message, symbol
from proton.handlers import MessagingHandler
from proton.reactor import Container, LinkOption

HOST, PORT, ADDRESS, DEAD, COUNT, MODE = sys.argv[1:7]
COUNT, SECOND = int(COUNT), MODE == "second"
seen = dict(sent=0, accepted=0, received=0, rejected=0, settled=0)
ALL = list(range(COUNT))
REJECTED = [number for number in ALL if number % 3 == 0]


def finish(error=None):
    print(json.dumps(dict(seen, **(dict(error=str(error)[:500]) if error else {}), ok=not error)), flush=True)
    os._exit(1 if error else 0)


class Mode(LinkOption):
    def apply(self, link):
        link.snd_settle_mode = Link.SND_UNSETTLED
        link.rcv_settle_mode = Link.RCV_SECOND if SECOND else Link.RCV_FIRST


class Client(MessagingHandler):
    def __init__(self):
        super().__init__(prefetch=0, auto_accept=False, auto_settle=False)
        self.step, self.receiver, self.numbers, self.open = 0, None, [], 0

    def on_start(self, event):
        self.container = event.container
        self.connection = event.container.connect("amqp://%s:%s" % (HOST, PORT), reconnect=False, allowed_mechs="ANONYMOUS")
        self.sender = event.container.create_sender(self.connection, ADDRESS, options=Mode())

    def on_sendable(self, event):
        while seen["sent"] < COUNT and event.sender.credit:
            event.sender.send(Message(id=seen["sent"], body=b"message %d" % seen["sent"], inferred=True))
            seen["sent"] += 1

    def on_accepted(self, event):
        seen["accepted"] += 1
        # in mode second this end settles, and then the other
        event.delivery.settle()
        if seen["accepted"] == COUNT:
            self.take()

    def on_rejected(self, event):
        finish("what was sent is rejected")

    on_released = on_rejected

    def take(self):
        """The next queue: first ADDRESS, then DEAD_LETTERS, then a drain of ADDRESS."""
        self.step += 1
        self.numbers, self.unsettled = [], 0
        address = DEAD if self.step == 2 else ADDRESS
        self.receiver = self.container.create_receiver(self.connection, address, options=Mode(), name="step %d" % self.step)
        if self.step == 3:
            self.receiver.drain(10)
        else:
            self.receiver.flow(COUNT)

    def on_message(self, event):
        number = event.message.id
        self.numbers.append(number)
        seen["received"] += 1
        if self.step == 3:
            finish("message %d is left" % number)
        if self.step == 1 and number in REJECTED:
            seen["rejected"] += 1
            info = {symbol("reason"): "colour", symbol("code"): 7}
            event.delivery.local.condition = Condition("example:colour", "not that", info)
            event.delivery.update(Delivery.REJECTED)
        else:
            event.delivery.update(Delivery.ACCEPTED)
        if SECOND:
            self.unsettled += 1
        else:
            event.delivery.settle()
        self.check()

    def on_settled(self, event):
        if event.link.is_receiver:
            seen["settled"] += 1
            self.unsettled -= 1
            event.delivery.settle()
            self.check()

    def check(self):
        wanted = ALL if self.step == 1 else REJECTED
        if len(self.numbers) == len(wanted) and not self.unsettled:
            if self.numbers != wanted:
                finish("%s came, not %s" % (self.numbers, wanted))
            self.receiver.close()

    def on_link_closed(self, event):
        if event.link == self.receiver and self.step < 3:
            self.take()

    def on_link_flow(self, event):
        if self.step == 3 and event.link == self.receiver and not event.link.draining():
            self.connection.close()

    def failed(self, scope, condition):
        finish("%s: %s" % (scope, condition))

    def on_link_error(self, event):
        self.failed("link", event.link.remote_condition)

    def on_session_error(self, event):
        self.failed("session", event.session.remote_condition)

    def on_connection_error(self, event):
        self.failed("connection", event.connection.remote_condition)

    def on_transport_error(self, event):
        self.failed("transport", event.transport.condition)


limit = threading.Timer(60, lambda: finish("no end within 60 s"))
limit.daemon = True
limit.start()
Container(Client()).run()
finish()
