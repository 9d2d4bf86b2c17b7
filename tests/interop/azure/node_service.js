#!/usr/bin/env node
// A service on azure-iothub (npm): sends cloud-to-device messages, and reads the feedback that the device gives rise to.
//
//   node_service.js DEVICE MESSAGES     IOTHUB_CONNECTION_STRING; NODE_EXTRA_CA_CERTS names the CA
//
// Prints {"event":"sent"} when all are accepted; the last line is {"sent":…,"accepted":…,"feedback":…,"ok":true}.
'use strict';
const { Client } = require('azure-iothub');
const { Message } = require('azure-iot-common');
const { limit } = require('./limit.js');

const [device, messages] = [process.argv[2], Number(process.argv[3])];
const seen = { sent: 0, accepted: 0, feedback: 0 };
const finish = limit(60, seen);

(async () => {
  const client = Client.fromConnectionString(process.env.IOTHUB_CONNECTION_STRING);
  await client.open();
  const { receiver } = await new Promise((resolve, reject) =>
    client.getFeedbackReceiver((error, receiver) => (error ? reject(error) : resolve({ receiver }))));
  let last;
  const all = new Promise((resolve) => (last = resolve));
  receiver.on('errorReceived', finish);
  receiver.on('message', (batch) => {
    for (const record of JSON.parse(batch.data.toString())) {
      if (record.statusCode !== 'Success') finish(new Error(`${record.originalMessageId}: ${record.statusCode}`));
      seen.feedback++;
    }
    receiver.complete(batch, (error) => {
      if (error) finish(error);
      if (seen.feedback === messages) last();
    });
  });
  for (let number = 0; number < messages; number++) {
    const message = new Message(`message ${number}`);
    message.messageId = `m${number}`;
    message.ack = 'full';
    message.properties.add('number', String(number));
    seen.sent++;
    await client.send(device, message);
    seen.accepted++;
  }
  console.log(JSON.stringify({ event: 'sent' }));
  await all;
  await client.close();
  finish();
})().catch(finish);
