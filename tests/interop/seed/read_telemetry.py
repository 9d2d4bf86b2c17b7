#!/usr/bin/env python3
"""The service reads telemetry: it attaches at the hub to a partition's path, is redirected from there to the
Event-Hubs-compatible endpoint, authenticates there by a token for the redirected address, and reads.

--selector gives the filter, --count how many events to wait for; with --idle seconds without one it ends."""
import time

import uamqp

import hub


def main():
    h = hub.settings("read_telemetry", partition="0", group="$Default", selector="amqp.annotation.x-opt-offset > '-1'", count="10", idle="3")

    def work():
        path = "/messages/events/ConsumerGroups/%s/Partitions/%s" % (h.group, h.partition)
        uri = hub.service_uri(h, path)
        source = uamqp.address.Source(uri)
        source.set_filter(h.selector.encode())
        client = uamqp.ReceiveClient(source, auth=hub.plain_auth(h, uri))
        try:
            client.receive_message_batch(max_batch_size=1, timeout=5000)
            hub.finish(h, False, error="the hub sent no redirect")
        except uamqp.errors.LinkRedirect as redirect:
            client.close()
            moved = {k: text(getattr(redirect, k)) for k in ("hostname", "network_host", "port", "address")}
        source = uamqp.address.Source(moved["address"])
        source.set_filter(h.selector.encode())
        auth = uamqp.authentication.SASTokenAuth.from_shared_access_key(
            moved["address"], h.policy, h.policy_key, port=int(moved["port"]), verify=h.ca
        )
        client = uamqp.ReceiveClient(source, auth=auth)
        events, last = [], time.monotonic()
        while len(events) < int(h.count) and time.monotonic() - last < float(h.idle):
            for message in client.receive_message_batch(max_batch_size=int(h.count) - len(events), timeout=500):
                last = time.monotonic()
                notes = {text(k): text(v) for k, v in (message.annotations or {}).items()}
                events.append({
                    "body": b"".join(message.get_data()).decode(),
                    "sequence_number": int(notes["x-opt-sequence-number"]),
                    "offset": notes["x-opt-offset"],
                    "device": notes.get("iothub-connection-device-id"),
                })  # fmt: skip
        client.close()
        hub.finish(h, True, partition=h.partition, redirect=moved, events=events)

    hub.guarded(h, work)


def text(value):
    return value.decode() if isinstance(value, bytes) else str(value)


main()
