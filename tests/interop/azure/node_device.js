#!/usr/bin/env node
// A device on azure-iot-device and azure-iot-device-amqp (npm): opens with handlers for messages and methods in place,
// asks for its twin, reports that it is ready, waits for a fan's speed, sends telemetry, and completes the cloud-to-device messages that wait for it.
//
//   node_device.js EVENTS MESSAGES      IOTHUB_DEVICE_CONNECTION_STRING; NODE_EXTRA_CA_CERTS names the CA
//
// The last line is {"opened_seconds":…,"fan":…,"sent":…,"accepted":…,"received":…,"completed":…,"ok":true}.
'use strict';
const { Client, Message } = require('azure-iot-device');
const { Amqp } = require('azure-iot-device-amqp');
const { limit, seconds } = require('./limit.js');

const [events, messages] = process.argv.slice(2).map(Number);
const seen = { sent: 0, accepted: 0, received: 0, completed: 0 };
const finish = limit(60, seen);

(async () => {
  const client = Client.fromConnectionString(process.env.IOTHUB_DEVICE_CONNECTION_STRING, Amqp);
  client.on('error', (error) => finish(error));
  let last;
  const all = new Promise((resolve) => (last = resolve));
  const bodies = new Set();
  client.on('message', (message) => {
    seen.received++;
    bodies.add(message.data.toString());
    client.complete(message, (error) => {
      if (error) finish(error);
      if (++seen.completed === messages) last();
    });
  });
  client.onDeviceMethod('reboot', (request, response) => response.send(200));

  const began = Date.now();
  await client.open();
  seen.opened_seconds = seconds(began);

  // The SDK subscribes to desired properties as soon as someone listens.
  const asked = Date.now();
  const twin = await client.getTwin();
  const desired = new Promise((resolve) => twin.on('properties.desired.fan', resolve));
  await new Promise((resolve, reject) =>
    twin.properties.reported.update({ ready: true, old: null }, (error) => (error ? reject(error) : resolve())),
  );
  seen.fan = await desired;
  seen.desired_version = twin.properties.desired.$version;
  seen.twin_seconds = seconds(asked);

  for (let number = 0; number < events; number++) {
    seen.sent++;
    await client.sendEvent(new Message(JSON.stringify({ number })));
    seen.accepted++;
  }
  if (messages) await all;
  seen.distinct = bodies.size;
  await client.close();
  finish();
})().catch(finish);
