#!/usr/bin/env python3
"""A publisher on pika (PyPI), which speaks AMQP 0-9-1: three messages that RabbitMQ hands on to AMQP 1.0 receivers, the
last two with properties that its plug-in writes in a form that the specification does not have.

  amqp_0_9_1_publisher.py HOST PORT QUEUE ROUNDS

In each round: plain; with a user-id; with a content-type that is not ASCII. The body is the number of the message.
The last line is {"sent":…,"ok":true}."""
import json
import sys

import pika

host, port, queue, rounds = sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4])
connection = pika.BlockingConnection(
    pika.ConnectionParameters(host, port, credentials=pika.PlainCredentials("guest", "guest"))
)
channel = connection.channel()
channel.confirm_delivery()
sent = 0
for _ in range(rounds):
    for properties in (
        pika.BasicProperties(),
        pika.BasicProperties(user_id="guest"),
        pika.BasicProperties(content_type="text/plain; name=\u00e9t\u00e9"),
    ):
        properties.message_id = "m%d" % sent
        channel.basic_publish("", queue, b"message %d" % sent, properties, mandatory=True)
        sent += 1
connection.close()
print(json.dumps(dict(sent=sent, ok=True)))
