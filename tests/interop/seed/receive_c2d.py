#!/usr/bin/env python3
"""A device takes its cloud-to-device messages from /devices/<id>/messages/devicebound and accepts them."""
import time

import uamqp

import hub


def main():
    h = hub.settings("receive_c2d", count="1")

    def work():
        uri = hub.device_uri(h, "/devices/%s/messages/devicebound" % h.device)
        client = uamqp.ReceiveClient(uri, auth=hub.plain_auth(h, uri), auto_complete=False)
        taken, end = [], time.monotonic() + h.timeout - 5
        while len(taken) < int(h.count) and time.monotonic() < end:
            for message in client.receive_message_batch(max_batch_size=int(h.count) - len(taken), timeout=2000):
                message.accept()
                taken.append({
                    "message_id": text(message.properties.message_id),
                    "to": text(message.properties.to),
                    "body": b"".join(message.get_data()).decode(),
                    "properties": {text(k): text(v) for k, v in (message.application_properties or {}).items()},
                    "annotations": sorted(text(k) for k in message.annotations or {}),
                })  # fmt: skip
        client.close()
        hub.finish(h, len(taken) == int(h.count), messages=taken)

    hub.guarded(h, work)


def text(value):
    return value.decode() if isinstance(value, bytes) else str(value)


main()
