#!/usr/bin/env python3
"""Plays the scenarios of `amqp-conformance client` with python-qpid-proton: proton_driver.py URL ADDRESS SCENARIO COUNT."""

import sys
import time

from proton import Handler, Message
from proton.handlers import MessagingHandler, TransactionHandler
from proton.reactor import Container
from proton.utils import BlockingConnection, SyncRequestResponse


class Drains(Handler):
    """Ends a drain, which the library leaves to the application."""

    def on_link_flow(self, event):
        if event.link.is_sender and event.link.drain_mode:
            event.link.drained()


class Transaction(MessagingHandler, TransactionHandler):
    """Posts messages in one transaction and commits it."""

    def __init__(self, url, address, count):
        super().__init__(prefetch=0, auto_settle=False)
        self.url, self.address, self.count, self.error = url, address, count, None

    def on_start(self, event):
        self.container = event.container
        self.connection = event.container.connect(self.url, reconnect=False)
        self.sender = event.container.create_sender(self.connection, self.address)
        event.container.declare_transaction(self.connection, handler=self)

    def on_transaction_declared(self, event):
        for number in range(self.count):
            event.transaction.send(self.sender, Message(body=f"message {number}"))
        event.transaction.commit()

    def on_transaction_committed(self, event):
        self.connection.close()

    def on_transaction_declare_failed(self, event):
        self.fail("the declare failed")

    def on_transaction_commit_failed(self, event):
        self.fail("the commit failed")

    def on_transaction_aborted(self, event):
        self.fail("the transaction was rolled back")

    def on_link_error(self, event):
        self.fail(str(event.link.remote_condition))

    def on_transport_error(self, event):
        self.fail(str(event.transport.condition))

    def fail(self, error):
        self.error = error
        self.connection.close()


def main(url, address, scenario, count):
    if scenario == "transaction":
        handler = Transaction(url, address, count)
        Container(handler).run()
        if handler.error:
            sys.exit(handler.error)
        return
    connection = BlockingConnection(url, timeout=30, heartbeat=None)
    try:
        if scenario == "idle":
            deadline = time.monotonic() + count
            while (left := deadline - time.monotonic()) > 0:
                connection.container.timeout = left
                connection.container.process()
        elif scenario == "send":
            sender = connection.create_sender(address, handler=Drains())
            for number in range(count):
                sender.send(Message(body=f"message {number}"))
            sender.close()
        elif scenario == "receive":
            receiver = connection.create_receiver(address, credit=count)
            for _ in range(count):
                receiver.receive()
                # What came settled needs no outcome.
                if receiver.fetcher.unsettled:
                    receiver.accept()
            receiver.close()
        elif scenario == "request":
            requester = SyncRequestResponse(connection, address)
            for number in range(count):
                requester.call(Message(body=f"request {number}"))
    finally:
        connection.close()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]))
