#!/usr/bin/env node
// A client built with rhea (npm): sends, receives or does both at once, checks every body, and ends with one
// JSON line {"sent":…,"accepted":…,"received":…,"ok":true} and exit code 0, or "ok":false, what went wrong, and 1.
//
//   rhea_client.js send|receive|both HOST PORT ADDRESS [--count N] [--size BYTES] [--settled] [--ca FILE]
//     [--user U --password P] [--sasl anonymous|plain] [--credit N] [--max-frame BYTES] [--timeout SECONDS] [--json]
//
// --ca means TLS, with the certificate checked against that CA and HOST's name. --json leaves only the JSON
// line. The program has a time limit of its own and never hangs. NODE_PATH must name where rhea is installed.
'use strict';
const fs = require('fs');
const { parseArgs } = require('util');
const rhea = require('rhea');
const { body, Ledger } = require('./bodies.js');

const { values: opt, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    count: { type: 'string', default: '1' },
    size: { type: 'string', default: '1024' },
    settled: { type: 'boolean', default: false },
    ca: { type: 'string' },
    user: { type: 'string' },
    password: { type: 'string' },
    sasl: { type: 'string' },
    credit: { type: 'string', default: '500' },
    'max-frame': { type: 'string' },
    timeout: { type: 'string', default: '120' },
    json: { type: 'boolean', default: false },
  },
});
const [operation, host, port, address] = positionals;
if (!['send', 'receive', 'both'].includes(operation) || !address) {
  console.error('usage: rhea_client.js send|receive|both HOST PORT ADDRESS [options]');
  process.exit(2);
}
const count = Number(opt.count);
const size = Number(opt.size);
const ledger = new Ledger(count, size);
const outcomes = { accepted: 0, rejected: 0, released: 0, modified: 0 };
const errors = [];
const open = new Set();
let sent = 0;
let settled = 0;
let over = false;
const began = Date.now();
const say = (text) => opt.json || console.error(text);

function finish() {
  if (over) return;
  over = true;
  const sends = operation !== 'receive';
  const receives = operation !== 'send';
  if (sends && sent !== count) errors.push(`sent ${sent} of ${count}`);
  if (sends && !opt.settled && outcomes.accepted !== count) errors.push(`accepted ${outcomes.accepted} of ${count}`);
  if (receives && !ledger.faultless) {
    errors.push(`received ${ledger.seen.size} of ${count}, ${ledger.wrong} wrong, ${ledger.duplicates} twice`);
  }
  console.log(JSON.stringify({
    client: 'rhea', operation, count, size, sent, ...outcomes, settled, received: ledger.received,
    duplicates: ledger.duplicates, wrong: ledger.wrong, checksum: ledger.checksum,
    seconds: (Date.now() - began) / 1000, ...(errors.length ? { errors } : {}), ok: errors.length === 0,
  }));
  process.exit(errors.length ? 1 : 0);
}

function fail(text) {
  if (!errors.includes(text)) errors.push(text);
  setImmediate(finish);
}

setTimeout(() => fail(`no end within ${opt.timeout} s`), Number(opt.timeout) * 1000);

/**
 * One connection of its own for each direction. `done` closes the link, then the connection: a broker may take
 * the close of a connection before the dispositions that came before it. The last one to close ends the program.
 */
function connect(part) {
  const settings = { host, port: Number(port), reconnect: false };
  const sasl = opt.sasl || (opt.user ? 'plain' : 'anonymous');
  // rhea picks PLAIN when it has a password, ANONYMOUS when it has a user name only
  settings.username = opt.user || 'anonymous';
  if (sasl === 'plain') settings.password = opt.password || '';
  if (opt['max-frame']) settings.max_frame_size = Number(opt['max-frame']);
  if (opt.ca) Object.assign(settings, { transport: 'tls', ca: fs.readFileSync(opt.ca), servername: host });
  const connection = rhea.create_container().connect(settings);
  open.add(part);
  const refused = (scope, error) => fail(`${part}: ${scope} closed: ${error ? `${error.condition}: ${error.description}` : 'no error given'}`);
  connection.on('connection_error', (e) => refused('connection', e.connection.error));
  connection.on('session_error', (e) => refused('session', e.session.error));
  connection.on('sender_error', (e) => refused('link', e.sender.error));
  connection.on('receiver_error', (e) => refused('link', e.receiver.error));
  connection.on('error', (e) => fail(`${part}: ${(e && e.message) || e}`));
  connection.on('disconnected', (e) => open.has(part) && fail(`${part}: disconnected${e.error ? `: ${e.error.message}` : ''}`));
  connection.on('connection_close', () => {
    if (open.has(part)) {
      refused('connection', null);
      return;
    }
    say(`${part}: closed`);
    if (open.size === 0) finish();
  });
  return {
    connection,
    done(link) {
      if (!open.delete(part)) return;
      connection.once(`${part}_close`, () => connection.close());
      link.close();
    },
  };
}

if (operation !== 'send') {
  const { connection, done } = connect('receiver');
  connection.on('message', (e) => {
    const section = e.message.body;
    ledger.take(Number(e.message.message_id), section && section.content !== undefined ? section.content : section);
    if (ledger.complete) done(e.receiver);
  });
  connection.open_receiver({
    source: address, credit_window: Number(opt.credit), autoaccept: true, snd_settle_mode: opt.settled ? 1 : 0, rcv_settle_mode: 0,
  });
}

/** rhea queues more than it has credit for; the connection may close only when the last transfer is written. */
function whenWritten(sender, then) {
  if (sender.delivery_count === count) then(sender);
  else setTimeout(whenWritten, 1, sender, then);
}

if (operation !== 'receive') {
  const { connection, done } = connect('sender');
  for (const name of Object.keys(outcomes)) connection.on(name, () => outcomes[name]++);
  connection.on('settled', (e) => ++settled === count && done(e.sender));
  connection.on('sendable', (e) => {
    while (sent < count && e.sender.sendable()) {
      const message = { message_id: sent, durable: true, content_type: 'application/octet-stream' };
      message.body = rhea.message.data_section(body(sent, size));
      e.sender.send(message);
      sent++;
    }
    if (opt.settled && sent === count) whenWritten(e.sender, done);
  });
  connection.open_sender({ target: address, snd_settle_mode: opt.settled ? 1 : 0, rcv_settle_mode: 0 });
}
