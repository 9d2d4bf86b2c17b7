#!/usr/bin/env python3
"""A server built with python-qpid-proton. Every address is a queue: what is sent there is kept in order until a
receiver of the same address has accepted it; what a receiver releases, modifies or leaves unsettled goes back.
Messages are kept as the bytes that came, never decoded.

  proton_server.py [--port P] [--tls-port P --cert FILE --key FILE] [--credit N] [--max-frame BYTES]

Listens on 127.0.0.1 (port 0, the default: a free one). SASL: ANONYMOUS only (proton built without Cyrus SASL has no
other as a server). First line on stdout: {"event":"ready","amqp":PORT,"amqps":PORT or null}; last one:
{"event":"end",…} with what it saw. Ends at SIGTERM or when stdin is closed."""
import argparse
import collections
import json
import os
import signal
import threading

from proton import Condition, Delivery, Endpoint, SSLDomain
from proton.handlers import MessagingHandler
from proton.reactor import Container


class Queue:
    def __init__(self):
        self.waiting = collections.deque()
        self.takers = collections.deque()


class Server(MessagingHandler):
    def __init__(self, options):
        super().__init__(prefetch=0, auto_accept=False, auto_settle=True)
        self.options = options
        self.queues = collections.defaultdict(Queue)
        self.outstanding = {}  # by sending link: what is not settled yet, by delivery tag, in order
        self.tags = 0
        self.seen = collections.Counter(connections=0, received=0, settled_by_sender=0, delivered=0, accepted=0, rejected=0, requeued=0)
        self.errors = []
        self.ended = threading.Lock()

    def on_start(self, event):
        o, ports = self.options, dict(amqp=None, amqps=None)
        ports["amqp"] = port_of(event.container.listen("127.0.0.1:%d" % o.port))
        if o.cert:
            domain = SSLDomain(SSLDomain.MODE_SERVER)
            domain.set_credentials(o.cert, o.key, None)
            ports["amqps"] = port_of(event.container.listen("amqps://127.0.0.1:%d" % o.tls_port, ssl_domain=domain))
        print(json.dumps(dict(event="ready", **ports)), flush=True)

    def on_selectable_init(self, event):
        # the transport exists here and has written nothing: the last moment to limit its frames
        transport = getattr(event.selectable, "_transport", None)
        if transport is not None and self.options.max_frame:
            transport.max_frame_size = self.options.max_frame

    def on_connection_opening(self, event):
        self.seen["connections"] += 1

    # -- attaching
    def on_link_opening(self, event):
        link = event.link
        link.snd_settle_mode, link.rcv_settle_mode = link.remote_snd_settle_mode, link.remote_rcv_settle_mode
        link.source.copy(link.remote_source)
        link.target.copy(link.remote_target)
        address = (link.remote_source if link.is_sender else link.remote_target).address
        if not address:
            link.open()
            link.condition = Condition("amqp:not-found", "an address is needed")
            link.close()
            return
        link.open()
        if link.is_sender:
            self.outstanding[link] = {}
            self.queues[address].takers.append(link)
        else:
            link.flow(self.options.credit)

    # -- messages in
    def on_delivery(self, event):
        delivery, link = event.delivery, event.delivery.link
        if link.is_sender:
            if delivery.updated:
                self.concluded(link, delivery)
        elif delivery.aborted:
            link.advance()
            delivery.settle()
        elif delivery.readable and not delivery.partial:
            content = link.recv(delivery.pending) or b""
            link.advance()
            self.seen["received"] += 1
            self.seen["settled_by_sender"] += delivery.settled
            delivery.update(Delivery.ACCEPTED)
            delivery.settle()
            if link.credit <= self.options.credit // 2:
                link.flow(self.options.credit - link.credit)
            address = link.remote_target.address
            self.queues[address].waiting.append(content)
            self.pump(address)

    # -- messages out
    def on_link_flow(self, event):
        if event.link.is_sender:
            self.pump(event.link.remote_source.address)
            if event.link.drain_mode and event.link.credit > 0:
                event.link.drained()

    def pump(self, address):
        queue, passed = self.queues[address], 0
        while queue.waiting and passed < len(queue.takers):
            link = queue.takers[0]
            queue.takers.rotate(-1)
            if link.credit <= 0 or not link.state & Endpoint.LOCAL_ACTIVE:
                passed += 1
                continue
            passed = 0
            content = queue.waiting.popleft()
            self.tags += 1
            delivery = link.delivery(str(self.tags))
            link.send(content)
            self.seen["delivered"] += 1
            if link.snd_settle_mode == link.SND_SETTLED:
                delivery.settle()
            else:
                self.outstanding[link][delivery.tag] = content
            link.advance()

    def concluded(self, link, delivery):
        state = delivery.remote_state
        if not (delivery.settled or state):
            return
        content = self.outstanding[link].pop(delivery.tag, None)
        delivery.settle()
        if content is None:
            return
        if state == Delivery.ACCEPTED:
            self.seen["accepted"] += 1
        elif state == Delivery.REJECTED:
            self.seen["rejected"] += 1
        else:
            self.put_back(link.remote_source.address, [content])

    def put_back(self, address, contents):
        self.seen["requeued"] += len(contents)
        self.queues[address].waiting.extendleft(reversed(contents))
        self.pump(address)

    # -- going away
    def forget(self, concerned):
        for link in [link for link in self.outstanding if concerned(link)]:
            address = link.remote_source.address
            back = list(self.outstanding.pop(link).values())
            self.queues[address].takers = collections.deque(l for l in self.queues[address].takers if l != link)
            if back:
                self.put_back(address, back)

    def on_link_closing(self, event):
        gone = event.link
        self.forget(lambda link: link == gone)

    def on_connection_closing(self, event):
        gone = event.connection
        self.forget(lambda link: link.connection == gone)

    def on_disconnected(self, event):
        self.on_connection_closing(event)

    def note(self, scope, condition):
        if condition:
            self.errors.append("%s: %s: %s" % (scope, condition.name, condition.description))

    def on_transport_error(self, event):
        self.note("transport", event.transport.condition)

    def on_connection_error(self, event):
        self.note("connection", event.connection.remote_condition)
        event.connection.close()

    def on_session_error(self, event):
        self.note("session", event.session.remote_condition)
        event.session.close()

    def on_link_error(self, event):
        self.note("link", event.link.remote_condition)
        event.link.close()

    def end(self, *_):
        if self.ended.acquire(blocking=False):
            waiting = sum(len(q.waiting) for q in self.queues.values())
            line = json.dumps(dict(event="end", **self.seen, waiting=waiting, errors=self.errors))
            try:
                os.write(1, line.encode() + b"\n")
            finally:
                os._exit(0)


def port_of(acceptor):
    return acceptor._selectable._delegate.getsockname()[1]


def stdin_closed(then):
    while os.read(0, 4096):
        pass
    then()


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--port", type=int, default=0)
    p.add_argument("--tls-port", type=int, default=0)
    p.add_argument("--cert")
    p.add_argument("--key")
    p.add_argument("--credit", type=int, default=500)
    p.add_argument("--max-frame", type=int, default=65536)
    server = Server(p.parse_args())
    signal.signal(signal.SIGTERM, server.end)
    signal.signal(signal.SIGINT, server.end)
    threading.Thread(target=stdin_closed, args=(server.end,), daemon=True).start()
    Container(server).run()


main()
