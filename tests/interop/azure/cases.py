"""What the programs on Azure's SDKs share: cases that print a line each, and questions to the process that started it."""
import json
import os
import sys
import threading
import time
import traceback

ONLY = os.environ.get("AMQP1_INTEROP_CASE")


def ask(event):
    """Has the driver do something, such as cutting all connections, and waits until it has."""
    print(json.dumps(dict(event=event)), flush=True)
    sys.stdin.readline()


def run(sdk, name, work, seconds=60):
    """Runs a case, unless others are asked for: it gives how many messages or answers it has checked, or raises."""
    if ONLY and ONLY not in name:
        return
    began, line = time.time(), dict(sdk=sdk, case=name)

    def working():
        try:
            line["messages"] = work()
            assert line["messages"] > 0, "nothing was checked"
        except BaseException as error:
            line.pop("messages", None)
            at = [frame for frame in traceback.extract_tb(error.__traceback__) if "interop/azure" in frame.filename]
            places = " ".join("%s:%s" % (os.path.basename(frame.filename), frame.lineno) for frame in at)
            line["failure"] = ("%s: %s | %s" % (type(error).__name__, error, places))[:900]

    worker = threading.Thread(target=working, daemon=True)
    worker.start()
    worker.join(seconds)
    seen = dict(line) if not worker.is_alive() else dict(sdk=sdk, case=name, failure="the case: not within %s s" % seconds)
    print(json.dumps(dict(seen, seconds=round(time.time() - began, 3))), flush=True)


def equal(found, expected):
    assert found == expected, "found %r, expected %r" % (found, expected)


def finish():
    """Without waiting for threads of SDKs."""
    sys.stdout.flush()
    os._exit(0)
