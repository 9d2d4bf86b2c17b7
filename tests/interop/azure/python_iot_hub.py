#!/usr/bin/env python3
"""A back end on azure-iot-hub (PyPI): registry, twins, queries, methods and feedback over HTTPS, cloud-to-device messages
over AMQP, directly and through WebSocket, also after connections were cut and after the emulator was started again. A
device on azure-iot-device for Node is at the other end.

  python_iot_hub.py     IOTHUB_OWNER, IOTHUB_SERVICE: connection strings; IOTHUB_KEPT: that of a device which the emulator
                        has from its start; IOTHUB_CA names the CA

Prints a line for each case, and what it asks for: {"event":"cut"}, {"event":"restart"}. It goes on at a line of input."""
import base64
import json
import os
import subprocess
import time

import certifi

# The SDK has no option for an authority: over HTTPS it is that of `requests`, over AMQP that of certifi.
os.environ["REQUESTS_CA_BUNDLE"] = os.environ["IOTHUB_CA"]
certifi.where = lambda: os.environ["IOTHUB_CA"]

from azure.iot.hub import IoTHubRegistryManager
from azure.iot.hub.models import (
    AuthenticationMechanism,
    CloudToDeviceMethod,
    ExportImportDevice,
    QuerySpecification,
    SymmetricKey,
    Twin,
    TwinProperties,
)
from cases import ask, equal, finish, run
from msrest.exceptions import HttpOperationError
from uamqp import TransportType
from uamqp.errors import LinkDetach, MessageHandlerError

SDK = "azure-iot-hub (Python)"
OWNER, SERVICE, KEPT = (os.environ[name] for name in ("IOTHUB_OWNER", "IOTHUB_SERVICE", "IOTHUB_KEPT"))
HOST = dict(part.split("=", 1) for part in OWNER.split(";"))["HostName"]
hub = IoTHubRegistryManager.from_connection_string(OWNER)


def create(device_id):
    return hub.create_device_with_sas(device_id, "", "", "enabled")


def refused(work, status, code):
    """What is refused, with this status and this code of the service."""
    try:
        work()
    except HttpOperationError as error:
        found = (error.response.status_code, error.response.headers.get("iothub-errorcode"))
        equal(found, (status, code))
        return error.response
    raise AssertionError("%s %s was expected, and nothing was refused" % (status, code))


def text(identity):
    module = "ModuleId=%s;" % identity.module_id if getattr(identity, "module_id", None) else ""
    key = identity.authentication.symmetric_key.primary_key
    return "HostName=%s;DeviceId=%s;%sSharedAccessKey=%s" % (HOST, identity.device_id, module, key)


class Echo:
    """Devices at the other end."""

    def __init__(self, *identities):
        """Each is an identity or a connection string."""
        program = os.path.join(os.path.dirname(os.path.abspath(__file__)), "node_echo_device.js")
        command = ["node", program] + [each if isinstance(each, str) else text(each) for each in identities]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def __enter__(self):
        assert b"ready" in self.process.stdout.readline(), "the device did not start"
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait(20)


def eventually(work, seconds=20):
    until = time.time() + seconds
    while True:
        found = work()
        if found:
            return found
        assert time.time() < until, "not within %s s" % seconds
        time.sleep(0.05)


def registry():
    made = create("one")
    equal((made.device_id, made.status, made.connection_state), ("one", "enabled", "Disconnected"))
    equal(len(base64.b64decode(made.authentication.symmetric_key.primary_key)), 32)
    given = [base64.b64encode(bytes([number]) * 32).decode() for number in (1, 2)]
    two = hub.create_device_with_sas("two", *given, "disabled", status_reason="not yet")
    equal((two.authentication.symmetric_key.primary_key, two.status, two.status_reason), (given[0], "disabled", "not yet"))
    thumbprint = "ab" * 20
    three = hub.create_device_with_x509("three", thumbprint, thumbprint, "enabled")
    equal((three.authentication.type, three.authentication.x509_thumbprint.primary_thumbprint.lower()), ("selfSigned", thumbprint))
    four = hub.create_device_with_certificate_authority("four", "enabled")
    equal(four.authentication.type, "certificateAuthority")
    listed = {device.device_id for device in hub.get_devices()}
    assert {"one", "two", "three", "four"} <= listed, listed
    updated = hub.update_device_with_sas("one", made.etag, *given, "disabled")
    equal((updated.status, updated.authentication.symmetric_key.secondary_key), ("disabled", given[1]))
    equal(hub.get_device("one").etag, updated.etag)
    refused(lambda: hub.delete_device("one", made.etag), 412, "PreconditionFailed")
    statistics = hub.get_device_registry_statistics()
    equal((statistics.disabled_device_count, statistics.total_device_count - statistics.enabled_device_count), (2, 2))
    for name in ("one", "two", "three", "four"):
        hub.delete_device(name)
    refused(lambda: hub.get_device("one"), 404, "DeviceNotFound")
    return 12


def bulk():
    many = [
        ExportImportDevice(id="bulk%s" % number, import_mode="create", status="enabled",
                           authentication=AuthenticationMechanism(type="sas", symmetric_key=SymmetricKey()))
        for number in range(100)
    ]
    result = hub.bulk_create_or_update_devices(many)
    equal((result.is_successful, result.errors), (True, []))
    again = hub.bulk_create_or_update_devices(many[:2] + [ExportImportDevice(id="bulk-new", import_mode="create", status="enabled")])
    equal((again.is_successful, [error.device_id for error in again.errors]), (False, ["bulk0", "bulk1"]))
    equal(hub.get_device("bulk-new").status, "enabled")
    gone = [ExportImportDevice(id=device.id, import_mode="delete") for device in many]
    equal(hub.bulk_create_or_update_devices(gone).is_successful, True)
    hub.delete_device("bulk-new")
    refused(lambda: hub.get_device("bulk7"), 404, "DeviceNotFound")
    return 5


def modules():
    create("parent")
    made = hub.create_module_with_sas("parent", "camera", "us", "", "")
    equal((made.module_id, made.managed_by), ("camera", "us"))
    hub.create_module_with_sas("parent", "motor", "us", "", "")
    equal(sorted(module.module_id for module in hub.get_modules("parent")), ["camera", "motor"])
    keys = made.authentication.symmetric_key
    updated = hub.update_module_with_sas("parent", "camera", "others", made.etag, keys.primary_key, keys.secondary_key)
    equal(hub.get_module("parent", "camera").managed_by, updated.managed_by)
    patch = Twin(properties=TwinProperties(desired={"zoom": 2}))
    equal(hub.update_module_twin("parent", "camera", patch).properties.desired["zoom"], 2)
    equal(hub.get_module_twin("parent", "camera").module_id, "camera")
    refused(lambda: hub.create_module_with_sas("parent", "camera", "us", "", ""), 409, "ModuleAlreadyExistsOnDevice")
    hub.delete_module("parent", "motor")
    refused(lambda: hub.get_module("parent", "motor"), 404, "ModuleNotFound")
    hub.delete_device("parent")
    return 7


def twins():
    create("twin")
    first = hub.get_twin("twin")
    equal((first.etag, first.version, first.properties.desired["$version"]), ("AAAAAAAAAAE=", 2, 1))
    patch = Twin(tags={"floor": 3}, properties=TwinProperties(desired={"fan": {"speed": 5, "mode": "auto"}}))
    patched = hub.update_twin("twin", patch, first.etag)
    equal((patched.tags, patched.properties.desired["fan"]["speed"]), ({"floor": 3}, 5))
    refused(lambda: hub.update_twin("twin", patch, first.etag), 412, "PreconditionFailed")
    # What was read, sent back.
    patched.properties.desired["fan"]["mode"] = None
    back = hub.update_twin("twin", patched, patched.etag)
    equal({key: value for key, value in back.properties.desired["fan"].items()}, {"speed": 5})
    replaced = hub.replace_twin("twin", Twin(tags={"room": 1}, properties=TwinProperties(desired={"on": True})))
    equal((replaced.tags, replaced.properties.desired.get("fan"), replaced.properties.desired["on"]), ({"room": 1}, None, True))
    hub.delete_device("twin")
    return 6


def queries():
    names = ["query%02d" % number for number in range(30)]
    for number, name in enumerate(names):
        create(name)
        hub.update_twin(name, Twin(tags={"floor": number % 2}))
    token, found, pages = None, [], 0
    while True:
        result = hub.query_iot_hub(QuerySpecification(query="SELECT * FROM devices WHERE tags.floor = 1 AND STARTSWITH(deviceId, 'query')"), token, 4)
        equal(result.type, "Twin")
        found += [twin.device_id for twin in result.items]
        pages, token = pages + 1, result.continuation_token
        if token is None:
            break
    equal((sorted(found), pages), (names[1::2], 4))
    refused(lambda: hub.query_iot_hub(QuerySpecification(query="SELECT nothing")), 400, "ArgumentInvalid")
    for name in names:
        hub.delete_device(name)
    return 31


def reflected(get, update, names):
    """The twin when the device has reported what is desired. What is written before it has subscribed is not notified."""
    for tries in range(10):
        patch = Twin(properties=TwinProperties(desired={"on": names, "tries": tries}))
        version = update(*names, patch).properties.desired["$version"]
        until = time.time() + 2
        while time.time() < until:
            twin = get(*names)
            if twin.properties.reported.get("seen") == version:
                return twin
            time.sleep(0.05)
    raise AssertionError("nothing was reported")


def methods():
    device = create("called")
    module = hub.create_module_with_sas("called", "m", "", "", "")
    call = lambda payload: CloudToDeviceMethod(
        method_name="echo", payload=payload, response_timeout_in_seconds=10, connect_timeout_in_seconds=10)
    with Echo(device, module):
        for payload in ({"a": [1, "ü"]}, "text", 7, [True, None]):
            answer = hub.invoke_device_method("called", call(payload))
            equal((answer.status, answer.payload), (200, payload))
        answer = hub.invoke_device_module_method("called", "m", call("module"))
        equal((answer.status, answer.payload), (200, "module"))
        equal(hub.get_service_statistics().connected_device_count, 1)
        # The twins of both, at both ends.
        for get, update, names in ((hub.get_twin, hub.update_twin, ["called"]), (hub.get_module_twin, hub.update_module_twin, ["called", "m"])):
            reported = reflected(get, update, names)
            equal((reported.properties.reported["on"], reported.connection_state), (names, "Connected"))
    hub.delete_device("called")
    return 8


def feedback():
    """A batch over HTTPS, if there is one, completed."""
    messages = hub.protocol.cloud_to_device_messages
    raw = messages.receive_feedback_notification(raw=True).response
    if raw.status_code == 204:
        return None
    token = raw.headers["ETag"].strip('"')
    messages.complete_feedback_notification(token)
    return json.loads(raw.content)


def messages(transport):
    def work():
        device = create("receiver")
        sender = IoTHubRegistryManager.from_connection_string(SERVICE, transport)
        with Echo(device):
            for body in ("take", "refuse"):
                properties = dict(messageId=body, correlationId="c", contentType="text/plain", expected="yes")
                properties["iothub-ack"] = "full"
                sender.send_c2d_message("receiver", body, properties)
            records = {}
            while len(records) < 2:
                for record in eventually(feedback):
                    records[record["originalMessageId"]] = record["statusCode"]
            equal(records, {"take": "Success", "refuse": "Rejected"})
        try:
            sender.send_c2d_message("no-such-device", "x")
        except Exception as error:
            assert "C2D message send failure" in str(error), error
        else:
            raise AssertionError("sent to nobody")
        hub.delete_device("receiver")
        return 3

    return work


def interrupted(event, rounds, transport=TransportType.Amqp):
    def work():
        def send(sender, round):
            sender.send_c2d_message("kept", round, {"messageId": round, "iothub-ack": "full"})

        def answered(round):
            with Echo(KEPT):
                records = eventually(feedback)
            equal([(record["originalMessageId"], record["statusCode"]) for record in records], [(round, "Success")])

        sender = IoTHubRegistryManager.from_connection_string(SERVICE, transport)
        send(sender, "before")
        answered("before")
        for round in rounds:
            ask(event)
            # The sender does not open itself again: it fails each time, and another is made.
            for _ in range(2):
                try:
                    send(sender, "lost")
                except (MessageHandlerError, LinkDetach):
                    continue
                raise AssertionError("sent on a connection that is gone")
            sender = IoTHubRegistryManager.from_connection_string(SERVICE, transport)
            send(sender, round)
            answered(round)
        return 1 + 2 * len(rounds)

    return work


def purge():
    create("purged")
    for number in range(3):
        hub.send_c2d_message("purged", "message %s" % number)
    equal(hub.get_device("purged").cloud_to_device_message_count, 3)
    result = hub.protocol.cloud_to_device_messages.purge_cloud_to_device_message_queue("purged")
    equal((result.device_id, result.total_messages_purged), ("purged", 3))
    equal(hub.get_device("purged").cloud_to_device_message_count, 0)
    hub.delete_device("purged")
    return 3


def unauthorised():
    key = base64.b64encode(b"wrong").decode()
    forged = IoTHubRegistryManager.from_connection_string(OWNER.split("SharedAccessKey=")[0] + "SharedAccessKey=" + key)
    refused(lambda: forged.get_device("any"), 401, "IotHubUnauthorizedAccess")
    service = IoTHubRegistryManager.from_connection_string(SERVICE)
    answer = refused(lambda: service.create_device_with_sas("any", "", "", "enabled"), 401, "IotHubUnauthorizedAccess")
    assert answer.json()["Message"].startswith("ErrorCode:IotHubUnauthorizedAccess;"), answer.json()
    return 2


def nobody():
    refused(lambda: hub.get_device("nobody"), 404, "DeviceNotFound")
    refused(lambda: hub.get_twin("nobody"), 404, "DeviceNotFound")
    refused(lambda: hub.delete_device("nobody"), 404, "DeviceNotFound")
    return 3


def offline():
    create("offline")
    call = CloudToDeviceMethod(method_name="x", payload=1, response_timeout_in_seconds=5, connect_timeout_in_seconds=0)
    answer = refused(lambda: hub.invoke_device_method("offline", call), 404, "DeviceNotOnline")
    equal(json.loads(answer.json()["Message"])["errorCode"], 404103)
    hub.delete_device("offline")
    return 1


def silent():
    call = CloudToDeviceMethod(method_name="never", payload=1, response_timeout_in_seconds=5, connect_timeout_in_seconds=0)
    with Echo(create("silent")):
        refused(lambda: hub.invoke_device_method("silent", call), 504, "GatewayTimeout")
    hub.delete_device("silent")
    return 1


def exists():
    create("twice")
    refused(lambda: create("twice"), 409, "DeviceAlreadyExists")
    hub.delete_device("twice")
    return 1


def changed():
    made = create("changed")
    hub.update_twin("changed", Twin(tags={"a": 1}))
    refused(lambda: hub.update_twin("changed", Twin(tags={"a": 2}), "AAAAAAAAAAE="), 412, "PreconditionFailed")
    hub.update_device_with_certificate_authority("changed", made.etag, "enabled")
    refused(lambda: hub.update_device_with_certificate_authority("changed", made.etag, "enabled"), 412, "PreconditionFailed")
    hub.delete_device("changed")
    return 2


def unsupported():
    refused(lambda: hub.protocol.configuration.get_configurations(), 501, "FeatureNotSupported")
    return 1


CASES = {
    "registry": registry,
    "bulk": bulk,
    "modules": modules,
    "twins": twins,
    "queries": queries,
    "methods, and twins at both ends": methods,
    "C2D with feedback": messages(TransportType.Amqp),
    "C2D with feedback, WebSocket": messages(TransportType.AmqpOverWebsocket),
    "purge": purge,
    "error 401": unauthorised,
    "error 404, no device": nobody,
    "error 404, offline": offline,
    "error 409": exists,
    "error 412": changed,
    "error 504, method": silent,
    "feature that is not built": unsupported,
    "connection cut": interrupted("cut", ["first", "second"]),
    "emulator restarted": interrupted("restart", ["after"]),
    "connection cut, WebSocket": interrupted("cut", ["first", "second"], TransportType.AmqpOverWebsocket),
    "emulator restarted, WebSocket": interrupted("restart", ["after"], TransportType.AmqpOverWebsocket),
}
for case, work in CASES.items():
    run(SDK, case, work)
finish()
