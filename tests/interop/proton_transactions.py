#!/usr/bin/env python3
"""A client on python-qpid-proton that posts and takes messages within transactions, and commits, aborts, or leaves.

  proton_transactions.py HOST PORT

What is taken is settled before the discharge, or with it: proton does either. The last line is
{"cases":{NAME:{"log":[…],"got":[…],"left":[…]},…},"ok":true}: what was said of each transaction, what was taken within it,
and what another client finds afterwards."""
import json
import os
import sys
import threading

from proton import Message
from proton.handlers import MessagingHandler, TransactionHandler
from proton.reactor import Container
from proton.utils import BlockingConnection

URL = "amqp://%s:%s" % (sys.argv[1], sys.argv[2])


class Controller(MessagingHandler, TransactionHandler):
    """How it ends: commit, abort or leave."""

    def __init__(self, address, count, ends, settles=False):
        super().__init__(prefetch=0, auto_accept=False)
        self.address, self.count, self.ends, self.settles = address, count, ends, settles
        self.log, self.got, self.done, self.link = [], [], 0, None

    def on_start(self, event):
        self.connection = event.container.connect(URL, reconnect=False, allowed_mechs="ANONYMOUS")
        self.link = self.attach(event.container)
        event.container.declare_transaction(self.connection, handler=self, settle_before_discharge=self.settles)

    def on_transaction_declared(self, event):
        self.transaction = event.transaction
        self.begin()

    def worked(self):
        self.done += 1
        if self.done == self.count:
            {"commit": self.transaction.commit, "abort": self.transaction.abort, "leave": self.over}[self.ends]()

    def over(self, said="left"):
        self.log.append(said)
        self.connection.close()

    def on_transaction_committed(self, event):
        self.over("committed")

    def on_transaction_aborted(self, event):
        self.over("aborted")

    def on_transaction_commit_failed(self, event):
        self.over("commit failed")

    def on_transaction_declare_failed(self, event):
        self.over("declare failed")

    def on_link_error(self, event):
        self.over("link: %s" % event.link.remote_condition)

    def on_transport_error(self, event):
        self.log.append("transport: %s" % event.transport.condition)


class Post(Controller):
    SIZE = 0

    def attach(self, container):
        return container.create_sender(self.connection, self.address)

    def begin(self):
        for number in range(self.count):
            self.transaction.send(self.link, Message("m%d" % number + "x" * self.SIZE))

    def on_delivery(self, event):
        if event.delivery.link == self.link and event.delivery.updated:
            event.delivery.settle()
            self.worked()


class PostLarge(Post):
    SIZE = 1000000


class Take(Controller):
    def attach(self, container):
        return container.create_receiver(self.connection, self.address)

    def begin(self):
        self.link.flow(self.count)

    def on_message(self, event):
        self.got.append(event.message.body)
        self.transaction.accept(event.delivery)
        self.worked()


def left(address):
    """What another client finds, as far as that comes at once."""
    connection = BlockingConnection(URL, timeout=20, allowed_mechs="ANONYMOUS")
    receiver = connection.create_receiver(address, credit=100)
    found = []
    try:
        while True:
            found.append(receiver.receive(timeout=1).body[:2])
            receiver.accept()
    except Exception:
        connection.close()
    return found


def case(controller, address):
    Container(controller).run()
    return dict(log=controller.log, got=controller.got, left=left(address))


def run(controller):
    Container(controller).run()


def main():
    threading.Timer(120, lambda: os._exit(2)).start()
    cases = {}
    for ends in ["commit", "abort", "leave"]:
        cases["post, " + ends] = case(Post("post-" + ends, 3, ends), "post-" + ends)
    cases["post large, commit"] = case(PostLarge("large", 2, "commit"), "large")
    for settles in [False, True]:
        for ends in ["commit", "abort", "leave"]:
            name = "take%s, %s" % (" settled" if settles else "", ends)
            run(Post(name, 3, "commit"))
            cases[name] = case(Take(name, 2, ends, settles), name)
    print(json.dumps(dict(cases=cases, ok=True)), flush=True)
    os._exit(0)


main()
