#!/usr/bin/env python3
"""A sender built with uamqp, which asks for receiver-settle-mode second and never settles. Ends with one JSON line
{"sent":N,"accepted":N,"ok":true}.

  uamqp_send.py HOST PORT ADDRESS --ca FILE [--count N] [--timeout SECONDS]"""
import argparse
import json
import os
import sys
import threading

import uamqp
from uamqp import authentication, constants


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("host")
    p.add_argument("port", type=int)
    p.add_argument("address")
    p.add_argument("--ca", required=True)
    p.add_argument("--count", type=int, default=50)
    p.add_argument("--timeout", type=float, default=60)
    o = p.parse_args()
    accepted = 0

    def report(error=None):
        line = dict(sent=o.count, accepted=accepted, ok=accepted == o.count and error is None)
        if error:
            line["errors"] = [error]
        print(json.dumps(line), flush=True)
        return 0 if line["ok"] else 1

    def expired():
        os._exit(report("no end within %g s" % o.timeout))

    limit = threading.Timer(o.timeout, expired)
    limit.daemon = True
    limit.start()
    auth = authentication.SASLAnonymous(o.host, port=o.port, verify=o.ca)
    client = uamqp.SendClient(
        "amqps://%s:%d/%s" % (o.host, o.port, o.address),
        auth=auth,
        receive_settle_mode=constants.ReceiverSettleMode.PeekLock,
    )
    try:
        for _ in range(o.count):
            client.queue_message(uamqp.Message(b"x"))
        states = client.send_all_messages(close_on_done=True)
        accepted = sum(state == constants.MessageState.SendComplete for state in states)
        sys.exit(report())
    except Exception as error:  # whatever it is, it is reported
        sys.exit(report(repr(error)))


main()
