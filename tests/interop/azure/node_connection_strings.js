#!/usr/bin/env node
// The connection strings of an emulator's ready line, unchanged: azure-iothub reads a device over HTTPS and sends it a message
// over AMQP, which azure-iot-device receives.
//
//   node_connection_strings.js READY_LINE     NODE_EXTRA_CA_CERTS names the CA
//
// Prints a line: the device, and what it received.
'use strict';
const { Registry, Client } = require('azure-iothub');
const { Message } = require('azure-iot-common');
const iot = require('azure-iot-device');
const { Amqp } = require('azure-iot-device-amqp');

const ready = JSON.parse(process.argv[2]);
const [{ id, connection_string: text }] = ready.devices;

async function main() {
  const { deviceId } = (await Registry.fromConnectionString(ready.policies.registryReadWrite).get(id)).responseBody;
  const client = Client.fromConnectionString(ready.service_connection_string);
  await client.open();
  await client.send(id, new Message('hello'));
  await client.close();
  const device = iot.Client.fromConnectionString(text, Amqp);
  const received = new Promise((resolve) => {
    device.on('message', (message) => device.complete(message, () => resolve(message.data.toString())));
  });
  await device.open();
  console.log(JSON.stringify({ device: deviceId, received: await received }));
  await device.close();
}

main().then(() => process.exit(0), (error) => {
  console.error(error);
  process.exit(1);
});
