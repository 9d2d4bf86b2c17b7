"""What the seed scripts share: where the hub is, who asks, SAS tokens, and how a result is told.

Every setting is an option, and an environment variable of the same name after IOTHUB_: --policy-key is
IOTHUB_POLICY_KEY. Each script prints one JSON line, {"step":…,"ok":true,…}, and ends with exit code 0, or with 1."""
import argparse
import base64
import hashlib
import hmac
import json
import os
import sys
import threading
import time
from urllib.parse import quote_plus, unquote_plus

import uamqp
import uamqp.address
import uamqp.authentication

SETTINGS = dict(host="localhost", port="5671", ca=None, policy="service", policy_key=None, device="device1", device_key=None, timeout="60")


def settings(step, **more):
    """Reads the options; `more` are the script's own, with their defaults. Also sets the time limit."""
    p = argparse.ArgumentParser()
    for name, default in {**SETTINGS, **more}.items():
        p.add_argument("--" + name.replace("_", "-"), default=os.environ.get("IOTHUB_" + name.upper(), default))
    hub = p.parse_args()
    hub.step, hub.port, hub.timeout = step, int(hub.port), float(hub.timeout)
    if not hub.ca:
        p.error("--ca is needed: the server's certificate is always checked")

    def expired():
        print(json.dumps(dict(step=step, ok=False, error="no end within %g s" % hub.timeout)), flush=True)
        os._exit(1)

    limit = threading.Timer(hub.timeout, expired)
    limit.daemon = True
    limit.start()
    return hub


def finish(hub, ok, **facts):
    print(json.dumps(dict(step=hub.step, ok=bool(ok), **facts)), flush=True)
    sys.stdout.flush()
    # not sys.exit: uamqp's destructors may wait for a connection that is gone
    os._exit(0 if ok else 1)


def guarded(hub, work):
    """Runs `work`, and tells an exception as a result."""
    try:
        work()
    except Exception as error:  # the outermost handler of a test script
        finish(hub, False, error="%s: %s" % (type(error).__name__, error))


def sas_token(resource, key, policy=None, lifetime=3600):
    """A shared access signature; without a policy it is a device's own."""
    resource, expiry = quote_plus(resource), int(time.time()) + lifetime
    digest = hmac.new(base64.b64decode(key), ("%s\n%d" % (resource, expiry)).encode(), hashlib.sha256).digest()
    signature = quote_plus(base64.b64encode(digest))
    token = "SharedAccessSignature sr=%s&sig=%s&se=%d" % (resource, signature, expiry)
    return token + ("&skn=" + policy if policy else "")


def plain_uri(hub, user, token, path):
    """The address with user and password in it, each percent-encoded."""
    return "amqps://%s:%s@%s%s" % (quote_plus(user), quote_plus(token), hub.host, path)


def service_uri(hub, path):
    user = "%s@sas.root.%s" % (hub.policy, hub.host.split(".")[0])
    return plain_uri(hub, user, sas_token(hub.host, hub.policy_key, hub.policy), path)


def device_uri(hub, path):
    user = "%s@sas.%s" % (hub.device, hub.host.split(".")[0])
    return plain_uri(hub, user, sas_token("%s/devices/%s" % (hub.host, hub.device), hub.device_key), path)


def plain_auth(hub, uri):
    """What uamqp makes of the user and password in a URI, with a port and a CA of one's own added."""
    address = uamqp.address.Address(uri)
    return uamqp.authentication.SASLPlain(
        address.hostname, unquote_plus(address.username), unquote_plus(address.password), port=hub.port, verify=hub.ca
    )
