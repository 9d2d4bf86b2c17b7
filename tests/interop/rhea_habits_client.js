#!/usr/bin/env node
// A client built with rhea (npm), for what rhea writes in its own way: keys of maps in errors as strings, filters without
// a descriptor, maps among application properties.
//
//   rhea_habits_client.js HOST PORT
//
// On one connection: rejects a message with info and accepts the next (source `reject`); sends a message with maps and a
// footer, then a plain one (target `take`); attaches with filters (source `filter`), and detaches with an error that has
// info. The last line is {"sent":…,"accepted":…,"received":…,"filter":…,"ok":true}.
'use strict';
const rhea = require('rhea');

const [host, port] = [process.argv[2], Number(process.argv[3])];
const seen = { sent: 0, accepted: 0, received: 0 };
const finish = (error) => {
  console.log(JSON.stringify({ ...seen, ...(error ? { error: String(error).slice(0, 500) } : {}), ok: !error }));
  process.exit(error ? 1 : 0);
};
setTimeout(() => finish('no end within 30 s'), 30000).unref();

const INFO = { reason: 'colour', code: 7, 'retry-after': 'never' };
const connection = rhea.create_container({ id: 'rhea-habits' }).connect({ host, port, username: 'anonymous', reconnect: false });
for (const name of ['connection_error', 'session_error', 'sender_error', 'receiver_error']) {
  connection.on(name, (context) => {
    const { error } = context[name.split('_')[0]];
    finish(`${name}: ${error && error.condition}: ${error && error.description}`);
  });
}
connection.on('error', (error) => finish((error && error.message) || error));
connection.on('disconnected', () => finish('disconnected'));

const once = (emitter, name) => new Promise((resolve) => emitter.once(name, resolve));
(async () => {
  await once(connection, 'connection_open');
  const rejecting = connection.open_receiver({ source: 'reject', autoaccept: false });
  for (const settle of ['reject', 'accept']) {
    const { delivery } = await once(rejecting, 'message');
    seen.received++;
    if (settle === 'reject') delivery.reject({ condition: 'amqp:not-allowed', description: 'not that', info: INFO });
    else delivery.accept();
  }

  const sender = connection.open_sender({ target: 'take' });
  await once(sender, 'sendable');
  for (const message of [
    {
      message_id: 'm1',
      message_annotations: { 'x-opt-key': 'value' },
      application_properties: { plain: 'text', nested: { a: 1, b: ['x', 'y'] }, list: [1, 2, 3] },
      body: rhea.message.data_section(Buffer.from('the payload')),
      footer: { checksum: 'abc' },
    },
    { message_id: 'm2', body: rhea.message.data_section(Buffer.from('plain')) },
  ]) {
    const accepted = once(sender, 'accepted');
    sender.send(message);
    seen.sent++;
    await accepted;
    seen.accepted++;
  }

  // A session filter of Service Bus: null for any session, a string for one, without a descriptor.
  const filter = { 'com.microsoft:session-filter': 'one', 'com.microsoft:other-filter': null };
  const filtering = connection.open_receiver({ source: { address: 'filter', filter } });
  await once(filtering, 'receiver_open');
  seen.filter = filtering.remote.attach.source.filter;
  const detached = once(filtering, 'receiver_close');
  filtering.close({ condition: 'amqp:internal-error', description: 'enough', info: INFO });
  await detached;

  connection.removeAllListeners('disconnected');
  const closed = once(connection, 'connection_close');
  connection.close();
  await closed;
  finish();
})().catch(finish);
