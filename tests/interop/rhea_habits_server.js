#!/usr/bin/env node
// A server built with rhea (npm), for what rhea writes in its own way: keys of maps in errors as strings, filters without
// a descriptor, maps among application properties.
//
//   rhea_habits_server.js           listens on 127.0.0.1, on a free port, without TLS
//
//   address     as a target                                   as a source
//   reject      rejects every message, with info
//   redirect    detaches with amqp:link:redirect              the same
//   take        accepts every message
//   message                                                   one message with maps and a footer
//   filter                                                    gives the filter back, and says in a message what it was
//   outcome                                                   one message; the next says how it was settled
//
// First line on stdout: {"event":"ready","amqp":PORT}. Ends at SIGTERM or when stdin is closed.
'use strict';
const rhea = require('rhea');

const INFO = { reason: 'colour', code: 7, 'retry-after': 'never' };
const REDIRECT = { hostname: 'other', 'network-host': 'other.example', port: 5671, address: 'there' };
const redirect = { condition: 'amqp:link:redirect', description: 'elsewhere', info: REDIRECT };

const container = rhea.create_container({ id: 'rhea-habits' });
container.sasl_server_mechanisms.enable_anonymous();
const plain = (error) => error && { condition: error.condition, description: error.description, info: error.info };

container.on('receiver_open', ({ receiver }) => {
  const { address } = receiver.target;
  receiver.set_target({ address });
  if (address === 'redirect') receiver.close(redirect);
});
container.on('message', ({ receiver, delivery }) => {
  if (receiver.target.address === 'reject') delivery.reject({ condition: 'amqp:not-allowed', description: 'not that', info: INFO });
  else delivery.accept();
});

const tell = (sender, value) => sender.send({ body: JSON.stringify(value) });
container.on('sender_open', ({ sender }) => {
  const { address, filter } = sender.source;
  sender.set_source({ address, filter: address === 'filter' ? filter : undefined });
  if (address === 'redirect') {
    sender.close(redirect);
    return;
  }
  sender.once('sendable', () => {
    if (address === 'filter') tell(sender, filter);
    if (address === 'outcome') tell(sender, 'settle this');
    if (address === 'message') {
      sender.send({
        message_id: 'm1',
        message_annotations: { 'x-opt-key': 'value' },
        application_properties: { plain: 'text', nested: { a: 1, b: ['x', 'y'] }, list: [1, 2, 3] },
        body: rhea.message.data_section(Buffer.from('the payload')),
        footer: { checksum: 'abc' },
      });
    }
  });
});
for (const name of ['accepted', 'rejected', 'released', 'modified']) {
  container.on(name, ({ sender, delivery }) => {
    if (sender.source.address !== 'outcome' || sender.told) return;
    sender.told = true;
    tell(sender, { outcome: name, error: plain(delivery.remote_state.error) });
  });
}
for (const name of ['connection_error', 'session_error', 'protocol_error', 'error']) {
  container.on(name, (context) => console.error(name, context.error || context.message || context));
}

const end = () => process.exit(0);
process.on('SIGTERM', end);
process.stdin.on('end', end).on('close', end).on('error', end).resume();
const server = container.listen({ host: '127.0.0.1', port: 0, receiver_options: { autoaccept: false, credit_window: 10 } });
server.on('listening', () => console.log(JSON.stringify({ event: 'ready', amqp: server.address().port })));
