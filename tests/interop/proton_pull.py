#!/usr/bin/env python3
"""A consumer on python-qpid-proton that pulls: each pull is one flow with credit and drain, as a JMS client asks for what
there is without waiting. It ends when the credit of the last pull is used up or given back.

  proton_pull.py HOST PORT ADDRESS CREDIT...

The last line is {"pulled":[…],"bodies":[…],"ok":true}: how many messages each pull brought, and what was in them."""
import json
import os
import sys
import threading

from proton.handlers import MessagingHandler
from proton.reactor import AtLeastOnce, Container

HOST, PORT, ADDRESS = sys.argv[1:4]
CREDITS = [int(credit) for credit in sys.argv[4:]]


class Puller(MessagingHandler):
    def __init__(self):
        super().__init__(prefetch=0)
        self.pulled, self.bodies, self.error = [], [], None

    def on_start(self, event):
        connection = event.container.connect("amqp://%s:%s" % (HOST, PORT), reconnect=False, allowed_mechs="ANONYMOUS")
        self.receiver = event.container.create_receiver(connection, ADDRESS, options=AtLeastOnce())

    def on_link_opened(self, event):
        self.pull()

    def pull(self):
        if len(self.pulled) == len(CREDITS):
            self.receiver.close()
            return
        credit = CREDITS[len(self.pulled)]
        self.pulled.append(0)
        self.receiver.drain(credit)

    def on_message(self, event):
        self.pulled[-1] += 1
        self.bodies.append(bytes(event.message.body).decode())
        self.end_of_pull()

    def on_link_flow(self, event):
        self.end_of_pull()

    def end_of_pull(self):
        # nothing is left of the credit, whichever way
        if self.pulled and self.receiver.credit == 0 and not self.receiver.queued:
            self.pull()

    def on_link_closed(self, event):
        event.connection.close()

    def failed(self, event, condition):
        self.error = "%s: %s" % (condition.name, condition.description) if condition else "disconnected"
        event.container.stop()

    def on_link_error(self, event):
        self.failed(event, event.link.remote_condition)

    def on_connection_error(self, event):
        self.failed(event, event.connection.remote_condition)

    def on_transport_error(self, event):
        self.failed(event, event.transport.condition)


puller = Puller()


def finish(error=None):
    error = error or puller.error
    report = dict(pulled=puller.pulled, bodies=puller.bodies, ok=error is None)
    print(json.dumps(dict(report, error=error) if error else report), flush=True)
    os._exit(0 if error is None else 1)


limit = threading.Timer(40, lambda: finish("no end within 40 s"))
limit.daemon = True
limit.start()
Container(puller).run()
finish()
