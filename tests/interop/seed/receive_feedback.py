#!/usr/bin/env python3
"""The service reads the feedback on its messages from /messages/serviceBound/feedback."""
import json
import time

import uamqp

import hub

CONTENT_TYPE = b"application/vnd.microsoft.iothub.feedback.json"


def main():
    h = hub.settings("receive_feedback", message_id=None)

    def work():
        uri = hub.service_uri(h, "/messages/serviceBound/feedback")
        client = uamqp.ReceiveClient(uri, auth=hub.plain_auth(h, uri))
        records, unknown, end = [], [], time.monotonic() + h.timeout - 5
        while not any(wanted(h, r) for r in records) and not unknown and time.monotonic() < end:
            for message in client.receive_message_batch(max_batch_size=10, timeout=2000):
                if message.properties.content_type == CONTENT_TYPE:
                    records += json.loads(b"".join(message.get_data()))
                else:
                    unknown.append(str(message.properties.content_type))
        client.close()
        hub.finish(h, any(wanted(h, r) for r in records) and not unknown, records=records, unknown=unknown)

    hub.guarded(h, work)


def wanted(h, record):
    return h.message_id is None or record["originalMessageId"] == h.message_id


main()
