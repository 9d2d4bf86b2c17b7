#!/usr/bin/env python3
"""Plays the scenarios of `amqp-conformance client` with the AMQP client inside azure-eventhub:
azure_driver.py URL ADDRESS SCENARIO COUNT.

The client has no transactions, and requests only to a management node.
"""

import queue
import sys
import time
from urllib.parse import urlsplit

import azure.eventhub._pyamqp as amqp
from azure.eventhub._pyamqp.authentication import SASLPlainAuth
from azure.eventhub._pyamqp.error import RetryPolicy
from azure.eventhub._pyamqp.message import Message


def main(url, address, scenario, count):
    server = urlsplit(url)
    common = {
        "auth": SASLPlainAuth("anonymous", "anonymous"),
        "custom_endpoint_address": f"sb://{server.hostname}:{server.port}",
        "use_tls": False,
        "retry_policy": RetryPolicy(retry_total=0),
    }
    if scenario == "send":
        with amqp.SendClient(server.hostname, address, **common) as client:
            for number in range(count):
                client.send_message(Message(data=[b"message %d" % number]), timeout=30)
    elif scenario == "receive":
        arrived = queue.Queue()
        client = amqp.ReceiveClient(server.hostname, address, link_credit=count, **common)
        client._message_received = lambda frame, message: arrived.put(frame)
        client.open()
        for _ in range(count):
            while arrived.empty():
                client.do_work()
            frame = arrived.get()
            client.settle_messages(frame[1], frame[2], "accepted")
        client.do_work()
        client.close()
    elif scenario == "idle":
        client = amqp.AMQPClient(server.hostname, **common)
        client.open()
        deadline = time.monotonic() + count
        while time.monotonic() < deadline:
            client._connection.listen(wait=0.1)
        client.close()
    else:
        sys.exit(f"azure-eventhub has no scenario {scenario}")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]))
