#!/usr/bin/env python3
"""azure-iot-hub (PyPI) reads a device over HTTPS.

  python_get_device.py CONNECTION_STRING DEVICE     IOTHUB_CA names the CA

Prints a line: the device."""
import json
import os
import sys

os.environ["REQUESTS_CA_BUNDLE"] = os.environ["IOTHUB_CA"]

from azure.iot.hub import IoTHubRegistryManager

device = IoTHubRegistryManager.from_connection_string(sys.argv[1]).get_device(sys.argv[2])
print(json.dumps(dict(device=device.device_id, status=device.status)))
