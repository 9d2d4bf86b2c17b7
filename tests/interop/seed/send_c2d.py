#!/usr/bin/env python3
"""Sends one cloud-to-device message to /messages/devicebound and asks for full feedback."""
import uuid

import uamqp

import hub


def main():
    h = hub.settings("send_c2d", message_id=None, body="Message content goes here!", ack="full")
    message_id = h.message_id or str(uuid.uuid4())

    def work():
        uri = hub.service_uri(h, "/messages/devicebound")
        client = uamqp.SendClient(uri, auth=hub.plain_auth(h, uri))
        properties = uamqp.message.MessageProperties(message_id=message_id, to="/devices/%s/messages/devicebound" % h.device)
        message = uamqp.Message(h.body.encode(), properties=properties, application_properties={"iothub-ack": h.ack})
        client.queue_message(message)
        states = client.send_all_messages()
        client.close()
        sent = states == [uamqp.constants.MessageState.SendComplete]
        hub.finish(h, sent, message_id=message_id, states=[str(s) for s in states])

    hub.guarded(h, work)


main()
