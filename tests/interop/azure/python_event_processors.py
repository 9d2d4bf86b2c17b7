#!/usr/bin/env python3
"""Readers on azure-eventhub (PyPI), synchronous and asynchronous, directly and through WebSocket: every event, two
processors that share partitions by a checkpoint store, one that starts again, connections that are cut, tokens that are
renewed, and what is refused.

  python_event_processors.py     EVENT_HUBS: a connection string; IOTHUB_CA names the CA

Prints a line for each case, and what it asks for: {"event":"events"} are 40 more events, which are numbered and spread
over the partitions, {"event":"cut"} cuts every connection."""
import asyncio
import os
import threading
import time
import uuid

from azure.eventhub import CheckpointStore, EventData, EventHubConsumerClient, EventHubProducerClient, TransportType
from azure.eventhub import aio
from azure.core.credentials import AccessToken
from azure.eventhub._pyamqp.utils import generate_sas_token
from azure.eventhub.exceptions import AuthenticationError, EventHubError
from cases import ask, equal, finish, run

SDK = "azure-eventhub (Python)"
TEXT = os.environ["EVENT_HUBS"]
OPTIONS = dict(connection_verify=os.environ["IOTHUB_CA"], retry_total=2, retry_backoff_factor=0.1)
PARTS = dict(part.split("=", 1) for part in TEXT.split(";"))
NAMESPACE = PARTS["Endpoint"].removeprefix("sb://").rstrip("/")
ENTITY, POLICY, KEY = PARTS["EntityPath"], PARTS["SharedAccessKeyName"], PARTS["SharedAccessKey"]
MORE = 40
appended = 0


def more():
    """Has events appended, and gives how many there are now."""
    global appended
    ask("events")
    appended += MORE
    return appended


class Seen:
    """Events that were seen, and by whom."""

    def __init__(self, tolerant=False):
        self.numbers, self.by, self.error, self.tolerant = [], {}, None, tolerant

    def add(self, name, events):
        for event in events:
            self.numbers.append(event.body_as_json()["number"])
            self.by[name] = self.by.get(name, 0) + 1

    def complete(self, count):
        assert self.error is None or self.tolerant, self.error
        return len(set(self.numbers)) >= count

    def check(self, count):
        equal(sorted(set(self.numbers)), list(range(count)))


class Store:
    """Checkpoints and ownerships in memory."""

    def __init__(self):
        self.lock, self.ownerships, self.checkpoints = threading.Lock(), {}, {}

    def owned(self):
        with self.lock:
            return [dict(each) for each in self.ownerships.values()]

    def claim(self, wanted):
        claimed = []
        with self.lock:
            for each in wanted:
                current = self.ownerships.get(each["partition_id"])
                if current is None or current["etag"] == each.get("etag"):
                    each = dict(each, etag=str(uuid.uuid4()), last_modified_time=time.time())
                    self.ownerships[each["partition_id"]] = each
                    claimed.append(dict(each))
        return claimed

    def keep(self, checkpoint):
        with self.lock:
            self.checkpoints[checkpoint["partition_id"]] = checkpoint

    def kept(self):
        with self.lock:
            return list(self.checkpoints.values())


class Synchronous(CheckpointStore):
    def __init__(self, store):
        self.store = store

    def list_ownership(self, *_, **__):
        return self.store.owned()

    def claim_ownership(self, ownership_list, **_):
        return self.store.claim(ownership_list)

    def update_checkpoint(self, checkpoint, **_):
        self.store.keep(checkpoint)

    def list_checkpoints(self, *_, **__):
        return self.store.kept()


class Asynchronous(aio.CheckpointStore):
    def __init__(self, store):
        self.store = store

    async def list_ownership(self, *_, **__):
        return self.store.owned()

    async def claim_ownership(self, ownership_list, **_):
        return self.store.claim(ownership_list)

    async def update_checkpoint(self, checkpoint, **_):
        self.store.keep(checkpoint)

    async def list_checkpoints(self, *_, **__):
        return self.store.kept()


BALANCING = dict(load_balancing_interval=0.5, partition_ownership_expiration_interval=3)


class Thread:
    """A reader of its own, in the background, until it is stopped; with a store it shares partitions with others."""

    def __init__(self, name, seen, transport, store=None, credential=None):
        shared = dict(BALANCING, **(dict(checkpoint_store=Synchronous(store)) if store else {}))
        shared.update(consumer_group="$Default", transport_type=transport, **OPTIONS)
        if credential:
            self.client = EventHubConsumerClient(NAMESPACE, ENTITY, credential=credential(), **shared)
        else:
            self.client = EventHubConsumerClient.from_connection_string(TEXT, **shared)

        def on_events(partition, events):
            seen.add(name, events)
            if store and events:
                partition.update_checkpoint(events[-1])

        def on_error(_, error):
            seen.error = seen.error or error

        work = lambda: self.client.receive_batch(
            on_event_batch=on_events, on_error=on_error, max_wait_time=0.3, starting_position="-1")
        self.thread = threading.Thread(target=work, daemon=True)
        self.thread.start()

    def stop(self):
        self.client.close()
        self.thread.join(10)


class Task:
    """The same on the asynchronous client, in an event loop of its own."""

    def __init__(self, name, seen, transport, store=None, credential=None):
        shared = dict(BALANCING, **(dict(checkpoint_store=Asynchronous(store)) if store else {}))
        shared.update(consumer_group="$Default", transport_type=transport, **OPTIONS)
        self.loop, self.ended = asyncio.new_event_loop(), None

        async def on_events(partition, events):
            seen.add(name, events)
            if store and events:
                await partition.update_checkpoint(events[-1])

        async def on_error(_, error):
            seen.error = seen.error or error

        async def work():
            self.ended = asyncio.Event()
            if credential:
                client = aio.EventHubConsumerClient(NAMESPACE, ENTITY, credential=credential(), **shared)
            else:
                client = aio.EventHubConsumerClient.from_connection_string(TEXT, **shared)
            receiving = asyncio.create_task(client.receive_batch(
                on_event_batch=on_events, on_error=on_error, max_wait_time=0.3, starting_position="-1"))
            await self.ended.wait()
            await client.close()
            await receiving

        self.thread = threading.Thread(target=lambda: self.loop.run_until_complete(work()), daemon=True)
        self.thread.start()

    def stop(self):
        self.loop.call_soon_threadsafe(self.ended.set)
        self.thread.join(15)
        assert not self.thread.is_alive(), "it does not end"


def until(what, seen, true, seconds=40):
    end = time.time() + seconds
    while not true():
        assert time.time() < end, "%s: not within %s s; seen %s by %s, error %s" % (what, seconds, len(seen.numbers), seen.by, seen.error)
        time.sleep(0.02)


def reading(Reader, transport):
    def work():
        count, seen = more(), Seen()
        reader = Reader("reader", seen, transport)
        until("all events", seen, lambda: seen.complete(count))
        reader.stop()
        equal(sorted(seen.numbers), list(range(count)))
        return count

    return work


def processors(Reader):
    def work():
        count, seen, store = more(), Seen(), Store()
        first = Reader("first", seen, TransportType.Amqp, store)
        until("the first", seen, lambda: seen.complete(count))
        second = Reader("second", seen, TransportType.Amqp, store)
        until("their shares", seen, lambda: len({each["owner_id"] for each in store.owned()}) == 2)
        count = more()
        until("both", seen, lambda: seen.complete(count) and seen.by.get("second", 0) > 0)
        # The first is gone: the second takes over where the checkpoints are.
        first.stop()
        count = more()
        until("the second alone", seen, lambda: seen.complete(count))
        second.stop()
        seen.check(count)
        # All of them are gone, and one starts again.
        count = more()
        third = Reader("third", seen, TransportType.Amqp, store)
        until("the third", seen, lambda: seen.complete(count))
        time.sleep(1)
        third.stop()
        seen.check(count)
        equal(seen.by["third"], MORE)
        return count

    return work


def cut(Reader, transport):
    """A processor goes on behind what it has read, whatever it says of the connection that is gone."""

    def work():
        count, seen, store = more(), Seen(tolerant=True), Store()
        reader = Reader("reader", seen, transport, store)
        until("all events before", seen, lambda: seen.complete(count))
        for _ in range(2):
            ask("cut")
            count = more()
            until("all events behind a cut", seen, lambda: seen.complete(count), 60)
        reader.stop()
        seen.check(count)
        return count

    return work


def brief(uri):
    """A token for 20 s, of which the SDK renews the last two."""
    expiry = int(time.time()) + 20
    return AccessToken(generate_sas_token(uri, POLICY, KEY, expiry), expiry)


class Brief:
    token_type = b"servicebus.windows.net:sastoken"
    asked = 0

    def get_token(self, *scopes, **_):
        Brief.asked += 1
        return brief(scopes[0])


class AsynchronousBrief(Brief):
    async def get_token(self, *scopes, **_):
        return Brief.get_token(self, *scopes)


def renewed():
    """The hub ends a link whose token has run out: reading goes on for more than two lives of a token, on renewed ones."""
    began, seen = time.time(), [Seen(), Seen()]
    readers = [
        Thread("sync", seen[0], TransportType.Amqp, credential=Brief),
        Task("async", seen[1], TransportType.Amqp, credential=AsynchronousBrief),
    ]
    while time.time() < began + 45:
        count = more()
        for each in seen:
            until("all events", each, lambda: each.complete(count))
        time.sleep(2)
    for reader in readers:
        reader.stop()
    for each in seen:
        equal(sorted(each.numbers), list(range(count)))
    # Three for each of four partitions, and both readers.
    assert Brief.asked >= 24, "tokens were asked for %s times" % Brief.asked
    return 2 * count


def producer_refused(error):
    """For this SDK a link that is refused is a connection that is lost, whatever the condition."""
    text = str(error)
    assert "amqp:unauthorized-access" in text and "/devices/{id}/messages/events" in text, text
    return 1


def producer():
    client = EventHubProducerClient.from_connection_string(TEXT, **OPTIONS)
    try:
        client.send_batch([EventData("x")])
    except EventHubError as error:
        return producer_refused(error)
    raise AssertionError("taken")


def asynchronous_producer():
    async def send():
        async with aio.EventHubProducerClient.from_connection_string(TEXT, **OPTIONS) as client:
            await client.send_batch([EventData("x")])

    try:
        asyncio.run(send())
    except EventHubError as error:
        return producer_refused(error)
    raise AssertionError("taken")


def wrong_key():
    forged = TEXT.replace("SharedAccessKey=", "SharedAccessKey=x")
    client = EventHubConsumerClient.from_connection_string(forged, "$Default", **OPTIONS)
    try:
        client.get_eventhub_properties()
    except AuthenticationError:
        return 1
    raise AssertionError("taken")


CASES = {
    "all events, sync, AMQP": reading(Thread, TransportType.Amqp),
    "all events, sync, WebSocket": reading(Thread, TransportType.AmqpOverWebsocket),
    "all events, async, AMQP": reading(Task, TransportType.Amqp),
    "all events, async, WebSocket": reading(Task, TransportType.AmqpOverWebsocket),
    "two processors and a restart, sync": processors(Thread),
    "two processors and a restart, async": processors(Task),
    "connection cut, sync, AMQP": cut(Thread, TransportType.Amqp),
    "connection cut, sync, WebSocket": cut(Thread, TransportType.AmqpOverWebsocket),
    "connection cut, async, AMQP": cut(Task, TransportType.Amqp),
    "connection cut, async, WebSocket": cut(Task, TransportType.AmqpOverWebsocket),
    "tokens renewed, sync and async": renewed,
    "producer refused, sync": producer,
    "producer refused, async": asynchronous_producer,
    "wrong key": wrong_key,
}
for case, work in CASES.items():
    run(SDK, case, work, 150)
finish()
