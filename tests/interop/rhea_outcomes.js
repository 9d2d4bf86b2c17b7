#!/usr/bin/env node
// A client built with rhea (npm) that settles each message in its own way, on links of receiver-settle-mode first or
// second.
//
//   rhea_outcomes.js HOST PORT ADDRESS DEAD_LETTERS COUNT first|second
//
// Sends messages; takes them and rejects every third with info; takes those from DEAD_LETTERS; and drains ADDRESS, in
// which nothing is left. In mode second each delivery is settled by the other end. The last line is
// {"sent":…,"accepted":…,"received":…,"rejected":…,"settled":…,"ok":true}.
'use strict';
const rhea = require('rhea');

const [host, port, address, dead, count, mode] = process.argv.slice(2).map((text, i) => (i === 1 || i === 4 ? Number(text) : text));
const second = mode === 'second';
const seen = { sent: 0, accepted: 0, received: 0, rejected: 0, settled: 0 };
const finish = (error) => {
  console.log(JSON.stringify({ ...seen, ...(error ? { error: String(error).slice(0, 500) } : {}), ok: !error }));
  process.exit(error ? 1 : 0);
};
setTimeout(() => finish('no end within 60 s'), 60000).unref();

const connection = rhea.create_container({ id: `rhea-outcomes-${mode}` }).connect({ host, port, username: 'anonymous', reconnect: false });
for (const name of ['connection_error', 'session_error', 'sender_error', 'receiver_error']) {
  connection.on(name, (context) => {
    const { error } = context[name.split('_')[0]];
    finish(`${name}: ${error && error.condition}: ${error && error.description}`);
  });
}
connection.on('error', (error) => finish((error && error.message) || error));
connection.on('disconnected', () => finish('disconnected'));
for (const name of ['rejected', 'released', 'modified']) connection.on(name, () => finish(`what was sent is ${name}`));

const once = (emitter, name) => new Promise((resolve) => emitter.once(name, resolve));
const settle_mode = { rcv_settle_mode: second ? 1 : 0 };

/** Takes that many messages of a source; `settle` is called with the delivery and the number of the message. */
async function take(source, many, settle) {
  const numbers = [];
  let settled = 0;
  // One at a time: of outcomes in one turn, rhea states that of the first for the second as well.
  const receiver = connection.open_receiver({ source, credit_window: 1, autoaccept: false, ...settle_mode });
  const over = new Promise((resolve) => {
    const check = () => numbers.length === many && settled === (second ? many : 0) && resolve();
    receiver.on('settled', ({ delivery }) => {
      settled++;
      seen.settled++;
      // the receiver forgets it then
      delivery.settled = true;
      check();
    });
    receiver.on('message', ({ message, delivery }) => {
      numbers.push(message.message_id);
      seen.received++;
      settle(delivery, message.message_id);
      check();
    });
  });
  await over;
  const closed = once(receiver, 'receiver_close');
  receiver.close();
  await closed;
  return numbers;
}

const all = Array.from({ length: count }, (_, number) => number);
const same = (found, wanted) => JSON.stringify(found) === JSON.stringify(wanted) || finish(`${found} came, not ${wanted}`);
(async () => {
  await once(connection, 'connection_open');
  const sender = connection.open_sender({ target: address, snd_settle_mode: 0, ...settle_mode });
  sender.on('sendable', () => {
    while (seen.sent < count && sender.sendable()) {
      sender.send({ message_id: seen.sent, body: rhea.message.data_section(Buffer.from(`message ${seen.sent}`)) });
      seen.sent++;
    }
  });
  await new Promise((resolve) => sender.on('accepted', ({ delivery }) => {
    // in mode second this end settles last
    if (second) delivery.update(true);
    if (++seen.accepted === count) resolve();
  }));

  const rejection = { condition: 'example:colour', description: 'not that', info: { reason: 'colour', code: 7 } };
  const numbers = await take(address, count, (delivery, number) => {
    if (number % 3 !== 0) return delivery.accept();
    seen.rejected++;
    return delivery.reject(rejection);
  });
  same(numbers, all);
  same(await take(dead, seen.rejected, (delivery) => delivery.accept()), all.filter((number) => number % 3 === 0));

  const receiver = connection.open_receiver({ source: address, credit_window: 0 });
  receiver.on('message', ({ message }) => finish(`message ${message.message_id} is left`));
  await once(receiver, 'receiver_open');
  receiver.add_credit(10);
  receiver.drain_credit();
  await once(receiver, 'receiver_drained');

  connection.removeAllListeners('disconnected');
  const closed = once(connection, 'connection_close');
  connection.close();
  await closed;
  finish();
})().catch(finish);
