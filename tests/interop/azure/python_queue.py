#!/usr/bin/env python3
"""Senders and receivers on uamqp and on both copies of pyamqp (azure-servicebus, azure-eventhub), with the settle modes
that they have by default: each asks for rcv-settle-mode second.

  python_queue.py uamqp|servicebus|eventhub send|receive HOST PORT ADDRESS COUNT      IOTHUB_CA names the CA

Message i is the text "message i" and 1,000 octets more. The last line is {"sent":…,"accepted":…,"ok":true} or
{"received":…,"distinct":…,"ok":true}."""
import importlib
import json
import os
import queue
import sys
import threading

LIBRARY, OPERATION, HOST, PORT, ADDRESS, COUNT = sys.argv[1:7]
PORT, COUNT, CA = int(PORT), int(COUNT), os.environ["IOTHUB_CA"]
PADDING = b" " * 1000
CREDIT = 100
seen = dict(sent=0, accepted=0) if OPERATION == "send" else dict(received=0)


def finish(error=None):
    if error is not None:
        seen["error"] = "%s: %s" % (type(error).__name__, str(error)[:500])
    print(json.dumps(dict(seen, ok=error is None)), flush=True)
    os._exit(0 if error is None else 1)


def body(number):
    return b"message %d" % number + PADDING


def take(found, octets):
    number = octets[: -len(PADDING)]
    if octets[-len(PADDING) :] != PADDING:
        finish(ValueError("a body that has changed: %r" % octets[:40]))
    seen["received"] += 1
    found.add(bytes(number))


def uamqp_send():
    import uamqp

    auth = uamqp.authentication.SASLAnonymous(HOST, port=PORT, verify=CA)
    client = uamqp.SendClient("amqps://%s:%d/%s" % (HOST, PORT, ADDRESS), auth=auth)
    for number in range(COUNT):
        client.queue_message(uamqp.Message(body(number)))
        seen["sent"] += 1
    states = client.send_all_messages(close_on_done=True)
    seen["accepted"] = sum(state == uamqp.constants.MessageState.SendComplete for state in states)


def uamqp_receive():
    import uamqp

    auth = uamqp.authentication.SASLAnonymous(HOST, port=PORT, verify=CA)
    client = uamqp.ReceiveClient("amqps://%s:%d/%s" % (HOST, PORT, ADDRESS), auth=auth, prefetch=CREDIT)
    found = set()
    for message in client.receive_messages_iter():
        take(found, b"".join(message.get_data()))
        message.accept()
        if seen["received"] == COUNT:
            break
    # what was settled is written by the next turns of its loop
    for _ in range(20):
        client.do_work()
    client.close()
    seen["distinct"] = len(found)


def pyamqp():
    package = "azure.%s._pyamqp" % LIBRARY
    modules = [importlib.import_module(package + name) for name in ("", ".authentication", ".message")]
    common = dict(auth=modules[1].SASLPlainAuth("guest", "guest"), connection_verify=CA)
    common["custom_endpoint_address"] = "sb://%s:%d" % (HOST, PORT)
    return modules[0], modules[2].Message, common


def pyamqp_send():
    amqp, message, common = pyamqp()
    with amqp.SendClient(HOST, ADDRESS, **common) as client:
        for number in range(COUNT):
            seen["sent"] += 1
            # returns when the outcome is there, and raises if it is not accepted
            client.send_message(message(data=[body(number)]), timeout=20)
            seen["accepted"] += 1


def pyamqp_receive():
    amqp, _, common = pyamqp()
    found, arrived = set(), queue.Queue()
    client = amqp.ReceiveClient(HOST, ADDRESS, link_credit=CREDIT, **common)
    # as azure-servicebus does it: what settles a message is in its frame
    client._message_received = lambda frame, message: arrived.put((frame, message))
    client.open()
    while seen["received"] < COUNT:
        client.do_work()
        while not arrived.empty():
            frame, message = arrived.get()
            take(found, b"".join(bytes(part) for part in message.data))
            client.settle_messages(frame[1], frame[2], "accepted")
    client.close()
    seen["distinct"] = len(found)


limit = threading.Timer(60, lambda: finish(TimeoutError("no end within 60 s")))
limit.daemon = True
limit.start()
try:
    globals()["%s_%s" % ("uamqp" if LIBRARY == "uamqp" else "pyamqp", OPERATION)]()
    finish()
except Exception as error:
    finish(error)
