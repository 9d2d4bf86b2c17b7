#!/usr/bin/env node
// A server built with rhea (npm). Every address is a queue: what is sent there is kept in order until a receiver
// of the same address has accepted it; what a receiver releases, modifies or leaves unsettled goes back.
//
//   rhea_server.js [--port P] [--tls-port P --cert FILE --key FILE] [--max-frame BYTES] [--credit N]
//
// Listens on 127.0.0.1 (port 0, the default: a free one). SASL: ANONYMOUS, and PLAIN with guest/guest.
// First line on stdout: {"event":"ready","amqp":PORT,"amqps":PORT or null}; last one: {"event":"end",…} with what it saw.
// Ends at SIGTERM or when stdin is closed. NODE_PATH must name where rhea is installed.
'use strict';
const fs = require('fs');
const { parseArgs } = require('util');
const rhea = require('rhea');

const { values: opt } = parseArgs({
  options: {
    port: { type: 'string', default: '0' },
    'tls-port': { type: 'string', default: '0' },
    cert: { type: 'string' },
    key: { type: 'string' },
    'max-frame': { type: 'string', default: '65536' },
    credit: { type: 'string', default: '500' },
  },
});
const seen = { connections: 0, received: 0, settled_by_sender: 0, delivered: 0, accepted: 0, requeued: 0, rejected: 0, errors: [] };
const say = (event) => process.stdout.write(`${JSON.stringify(event)}\n`);

/** Whether the link takes one more: rhea would queue more than there is credit for, and before its own attach. */
function ready(link) {
  return link.attached && link.is_open() && link.sendable() && link.handedOver - link.delivery_count < link.credit;
}

/** Messages waiting, and the links that take them, in turn. */
class Queue {
  constructor() {
    this.waiting = [];
    this.takers = [];
  }

  put(message) {
    this.waiting.push(message);
    this.pump();
  }

  putBack(messages) {
    seen.requeued += messages.length;
    this.waiting.unshift(...messages);
    setImmediate(() => this.pump());
  }

  pump() {
    let passed = 0;
    while (this.waiting.length && passed < this.takers.length) {
      const link = this.takers.shift();
      this.takers.push(link);
      if (!ready(link)) {
        passed++;
        continue;
      }
      passed = 0;
      const message = this.waiting.shift();
      // rhea decodes only what says message-format 0 and encodes it again; the rest stays bytes
      const delivery = message.format === 0 ? link.send(message.content) : link.send(message.content, undefined, message.format || 0);
      link.handedOver++;
      seen.delivered++;
      if (!delivery.settled) link.outstanding.set(delivery, message);
    }
    for (const link of this.takers) if (link.drain && link.credit > 0 && !this.waiting.length) link.set_drained(true);
  }

  drop(link) {
    this.takers = this.takers.filter((other) => other !== link);
    const back = [...link.outstanding.values()];
    link.outstanding.clear();
    if (back.length) this.putBack(back);
  }
}
const queues = new Map();
function queueOf(address) {
  if (!queues.has(address)) queues.set(address, new Queue());
  return queues.get(address);
}

const container = rhea.create_container({ id: 'rhea-server' });
container.sasl_server_mechanisms.enable_plain((user, password) => user === 'guest' && password === 'guest');
container.sasl_server_mechanisms.enable_anonymous();

container.on('connection_open', () => seen.connections++);
container.on('receiver_open', ({ receiver }) => {
  const { target, source, snd_settle_mode, rcv_settle_mode } = receiver.remote.attach;
  if (!target || !target.address) {
    receiver.close({ condition: 'amqp:not-found', description: 'a target address is needed' });
    return;
  }
  Object.assign(receiver.local.attach, { snd_settle_mode, rcv_settle_mode });
  receiver.set_target({ address: target.address });
  if (source) receiver.set_source({ address: source.address });
});
container.on('message', ({ receiver, message, delivery }) => {
  seen.received++;
  if (delivery.remote_settled) seen.settled_by_sender++;
  queueOf(receiver.target.address).put({ content: message, format: delivery.format });
});

container.on('sender_open', ({ sender }) => {
  const { source, target, snd_settle_mode } = sender.remote.attach;
  Object.assign(sender, { outstanding: new Map(), handedOver: 0, attached: false });
  if (!source || !source.address) {
    sender.close({ condition: 'amqp:not-found', description: 'a source address is needed' });
    return;
  }
  sender.local.attach.snd_settle_mode = snd_settle_mode;
  sender.set_source({ address: source.address });
  if (target) sender.set_target({ address: target.address });
  queueOf(source.address).takers.push(sender);
  setImmediate(() => {
    sender.attached = true;
    queueOf(source.address).pump();
  });
});
container.on('sendable', ({ sender }) => queueOf(sender.source.address).pump());
container.on('sender_flow', ({ sender }) => queueOf(sender.source.address).pump());
function concluded(name, back) {
  container.on(name, ({ sender, delivery }) => {
    const message = sender.outstanding.get(delivery);
    if (!sender.outstanding.delete(delivery)) return;
    if (back) queueOf(sender.source.address).putBack([message]);
    else seen[name]++;
  });
}
concluded('accepted', false);
concluded('rejected', false);
concluded('released', true);
concluded('modified', true);

/** Later, because rhea tells of a close before it tells of the dispositions that came before it. */
function forget(sender) {
  if (sender.outstanding && sender.source && sender.source.address) setImmediate(() => queueOf(sender.source.address).drop(sender));
}
container.on('sender_close', ({ sender }) => forget(sender));
container.on('session_close', ({ session }) => session.each_sender(forget));
container.on('connection_close', ({ connection }) => connection.each_sender(forget));
container.on('disconnected', ({ connection }) => connection.each_sender(forget));
const note = (scope) => (context) => {
  const error = (context[scope] && context[scope].error) || context.error || context;
  const text = `${scope}: ${error.condition || error.message || error}: ${error.description || ''}`;
  if (!seen.errors.includes(text)) seen.errors.push(text);
};
container.on('protocol_error', note('protocol'));
container.on('error', note('error'));
for (const scope of ['connection', 'session', 'sender', 'receiver']) container.on(`${scope}_error`, note(scope));

let ended = false;
function end() {
  if (ended) return;
  ended = true;
  fs.writeSync(1, `${JSON.stringify({ event: 'end', ...seen, waiting: [...queues.values()].reduce((n, q) => n + q.waiting.length, 0) })}\n`);
  process.exit(0);
}
process.on('SIGTERM', end);
process.on('SIGINT', end);
process.stdin.on('end', end).on('close', end).on('error', end).resume();
process.stdout.on('error', () => process.exit(0));

const common = {
  host: '127.0.0.1', max_frame_size: Number(opt['max-frame']), receiver_options: { credit_window: Number(opt.credit), autoaccept: true },
};
const listening = (server) => new Promise((resolve, reject) => {
  server.on('error', reject);
  if (server.listening) resolve(server.address().port);
  else server.on('listening', () => resolve(server.address().port));
});
(async () => {
  const amqp = await listening(container.listen({ ...common, port: Number(opt.port) }));
  let amqps = null;
  if (opt.cert) {
    const tls = { transport: 'tls', cert: fs.readFileSync(opt.cert), key: fs.readFileSync(opt.key) };
    amqps = await listening(container.listen({ ...common, ...tls, port: Number(opt['tls-port']) }));
  }
  say({ event: 'ready', amqp, amqps });
})().catch((error) => {
  console.error(`rhea_server: ${error.message}`);
  process.exit(1);
});
