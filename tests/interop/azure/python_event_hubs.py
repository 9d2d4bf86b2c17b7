#!/usr/bin/env python3
"""A reader on azure-eventhub (PyPI) at the Event-Hubs-compatible endpoint: the properties of the entity and of its
partitions, then every event of every partition from the start.

  python_event_hubs.py EVENTS ENDPOINT   EVENT_HUBS_CONNECTION_STRING; ENDPOINT is where to connect, as sb://host:port;
                                         IOTHUB_CA names the CA

The last line is {"created":…,"partitions":[…],"received":…,"distinct":…,"ok":true}."""
import json
import os
import sys
import threading

from azure.eventhub import EventHubConsumerClient, TransportType

EVENTS, ENDPOINT = int(sys.argv[1]), sys.argv[2]
seen = dict(received=0)


def finish(error=None):
    if error is not None:
        seen["error"] = "%s: %s" % (type(error).__name__, str(error)[:500])
    print(json.dumps(dict(seen, ok=error is None)), flush=True)
    os._exit(0 if error is None else 1)


def client():
    return EventHubConsumerClient.from_connection_string(
        os.environ["EVENT_HUBS_CONNECTION_STRING"],
        consumer_group="$Default",
        custom_endpoint_address=ENDPOINT,
        transport_type=TransportType.Amqp,
        connection_verify=os.environ["IOTHUB_CA"],
        retry_total=0,
    )


def receive(reader, on_events, on_error, **position):
    """In the background, until the reader is closed."""
    # in batches: else the SDK takes one event in turn, and waits at each empty partition before the next
    work = lambda: reader.receive_batch(on_event_batch=on_events, max_batch_size=50, on_error=on_error, **position)
    threading.Thread(target=work, daemon=True).start()


def main():
    limit = threading.Timer(60, lambda: finish(TimeoutError("no end within 60 s")))
    limit.daemon = True
    limit.start()
    reader = client()
    properties = reader.get_eventhub_properties()
    seen["created"] = properties["created_at"].isoformat()
    seen["partitions"] = []
    for number in properties["partition_ids"]:
        of = reader.get_partition_properties(number)
        seen["partitions"].append(
            dict(
                id=number,
                is_empty=of["is_empty"],
                last_sequence_number=of["last_enqueued_sequence_number"],
                last=of["last_enqueued_time_utc"].isoformat(),
            )
        )
    numbers, complete = set(), threading.Event()

    def on_events(_, events):
        seen["received"] += len(events)
        numbers.update(event.body_as_json()["number"] for event in events)
        if seen["received"] >= EVENTS:
            complete.set()

    receive(reader, on_events, lambda _, error: finish(error), starting_position="-1")
    complete.wait()
    reader.close()
    seen["distinct"] = len(numbers)

    # A checkpoint of a log that is gone: refused in the service's words, not waited for.
    refused = threading.Event()

    def on_error(_, error):
        seen["beyond"] = str(error)[:500]
        refused.set()

    reader = client()
    receive(reader, lambda *_: None, on_error, partition_id="0", starting_position=1000000)
    refused.wait()
    finish()


try:
    main()
except Exception as error:
    finish(error)
