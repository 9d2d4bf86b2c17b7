#!/usr/bin/env python3
"""A device sends telemetry to /devices/<id>/messages/events."""
import uamqp

import hub


def main():
    h = hub.settings("send_telemetry", count="10", prefix="telemetry")

    def work():
        path = "/devices/%s/messages/events" % h.device
        uri = hub.device_uri(h, path)
        client = uamqp.SendClient(uri, auth=hub.plain_auth(h, uri))
        bodies = ["%s %d" % (h.prefix, n) for n in range(int(h.count))]
        for n, body in enumerate(bodies):
            properties = uamqp.message.MessageProperties(message_id="%s-%d" % (h.prefix, n), to=path, content_type="text/plain")
            client.queue_message(uamqp.Message(body.encode(), properties=properties, application_properties={"n": str(n)}))
        states = client.send_all_messages()
        client.close()
        sent = states == [uamqp.constants.MessageState.SendComplete] * len(bodies)
        hub.finish(h, sent, sent=len(states), bodies=bodies)

    hub.guarded(h, work)


main()
