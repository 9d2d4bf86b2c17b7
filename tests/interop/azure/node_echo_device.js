#!/usr/bin/env node
// Devices and modules on azure-iot-device (npm) for back ends in other languages: the method `echo` answers what it is
// called with, `never` does not answer, desired properties become reported ones, and messages are completed, or rejected
// if they say `refuse`.
//
//   node_echo_device.js CONNECTION_STRING...     ends when its input does
//
// Prints {"event":"ready"} when all of them are connected.
'use strict';
const { Client, ModuleClient } = require('azure-iot-device');
const { Amqp } = require('azure-iot-device-amqp');

process.stdin.on('end', () => process.exit(0)).resume();

async function serve(text) {
  const isModule = text.includes('ModuleId=');
  const client = (isModule ? ModuleClient : Client).fromConnectionString(text, Amqp);
  client.on('error', (error) => console.error(error.message));
  await client.open();
  const onMethod = (name, work) => (isModule ? client.onMethod(name, work) : client.onDeviceMethod(name, work));
  onMethod('echo', (request, response) => response.send(200, request.payload));
  onMethod('never', () => {});
  if (!isModule) client.on('message', (message) => (message.data.toString() === 'refuse' ? client.reject(message) : client.complete(message)));
  const twin = await client.getTwin();
  twin.on('properties.desired', (patch) => {
    const { $version, ...rest } = patch;
    twin.properties.reported.update({ ...rest, seen: $version }, (error) => error && console.error(error.message));
  });
}

Promise.all(process.argv.slice(2).map(serve)).then(
  () => console.log(JSON.stringify({ event: 'ready' })),
  (error) => {
    console.error(error);
    process.exit(1);
  },
);
