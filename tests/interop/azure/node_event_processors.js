#!/usr/bin/env node
// Readers on @azure/event-hubs (npm), directly and through WebSocket: every event, two processors that share partitions by
// a checkpoint store, one that starts again, connections that are cut, and what is refused. Tokens that the SDK signs last an
// hour, and are renewed after 45 min, which cannot be set.
//
//   node_event_processors.js     EVENT_HUBS: a connection string; NODE_EXTRA_CA_CERTS names the CA
//
// Prints a line for each case, and what it asks for: {"event":"events"} are 40 more events, which are numbered and spread
// over the partitions, {"event":"cut"} cuts every connection.
'use strict';
const assert = require('node:assert');
const { randomUUID } = require('node:crypto');
const { EventHubConsumerClient, EventHubProducerClient, earliestEventPosition } = require('@azure/event-hubs');
const WebSocket = require('ws');
const { ask, run } = require('./cases.js');

const SDK = '@azure/event-hubs (Node)';
const text = process.env.EVENT_HUBS;
const MORE = 40;
const through = { AMQP: {}, WebSocket: { webSocketOptions: { webSocket: WebSocket } } };
const retryOptions = { maxRetries: 2, retryDelayInMs: 100 };

let appended = 0;
async function more() {
  await ask('events');
  return (appended += MORE);
}

// Checkpoints and ownerships in memory.
class Store {
  constructor() {
    [this.ownerships, this.checkpoints] = [new Map(), new Map()];
  }
  async listOwnership() {
    return [...this.ownerships.values()].map((each) => ({ ...each }));
  }
  async claimOwnership(wanted) {
    const claimed = [];
    for (const each of wanted) {
      const current = this.ownerships.get(each.partitionId);
      if (current && current.etag !== each.etag) continue;
      const owned = { ...each, etag: randomUUID(), lastModifiedTimeInMs: Date.now() };
      this.ownerships.set(each.partitionId, owned);
      claimed.push({ ...owned });
    }
    return claimed;
  }
  async updateCheckpoint(checkpoint) {
    this.checkpoints.set(checkpoint.partitionId, { ...checkpoint });
  }
  async listCheckpoints() {
    return [...this.checkpoints.values()];
  }
  owners() {
    return new Set([...this.ownerships.values()].map((each) => each.ownerId).filter(Boolean)).size;
  }
}

// The SDK gathers what several tries have failed with.
const cause = (error) => (error && error.errors && error.errors.length ? cause(error.errors[0]) : error);
const seen = () => ({ numbers: [], by: {}, error: undefined });
const distinct = (of) => new Set(of.numbers).size;

async function until(what, of, reached, seconds = 40) {
  for (const end = Date.now() + seconds * 1000; !reached(); ) {
    assert(!of.error, `${what}: ${of.error}`);
    assert(Date.now() < end, `${what}: not within ${seconds} s; ${of.numbers.length} seen, by ${JSON.stringify(of.by)}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

function reader(name, of, transport, store) {
  const balancing = store ? [store] : [];
  const client = new EventHubConsumerClient('$Default', text, ...balancing, {
    ...through[transport],
    retryOptions,
    loadBalancingOptions: { strategy: 'greedy', updateIntervalInMs: 500, partitionOwnershipExpirationIntervalInMs: 3000 },
  });
  const subscription = client.subscribe({
    processEvents: async (events, partition) => {
      for (const event of events) {
        of.numbers.push(event.body.number);
        of.by[name] = (of.by[name] || 0) + 1;
      }
      if (store && events.length) await partition.updateCheckpoint(events[events.length - 1]);
    },
    processError: async (error) => {
      // What another has taken over is no error.
      if (error.code !== 'ReceiverDisconnectedError') of.error = of.error || error;
    },
  }, { startPosition: earliestEventPosition, maxBatchSize: 10, maxWaitTimeInSeconds: 0.3 });
  return async () => {
    await subscription.close();
    await client.close();
  };
}

const all = (count) => [...Array(count).keys()];

async function reading(transport) {
  const [count, of] = [await more(), seen()];
  const stop = reader('reader', of, transport);
  await until('all events', of, () => distinct(of) >= count);
  await stop();
  assert.deepStrictEqual(of.numbers.sort((one, other) => one - other), all(count));
  return count;
}

async function processors() {
  const [of, store] = [seen(), new Store()];
  let count = await more();
  const stopFirst = reader('first', of, 'AMQP', store);
  await until('the first', of, () => distinct(of) >= count);
  const stopSecond = reader('second', of, 'AMQP', store);
  await until('their shares', of, () => store.owners() === 2);
  count = await more();
  await until('both', of, () => distinct(of) >= count && of.by.second > 0);
  // The first is gone: the second takes over where the checkpoints are.
  await stopFirst();
  count = await more();
  await until('the second alone', of, () => distinct(of) >= count);
  await stopSecond();
  // All of them are gone, and one starts again.
  count = await more();
  const stopThird = reader('third', of, 'AMQP', store);
  await until('the third', of, () => distinct(of) >= count);
  await new Promise((resolve) => setTimeout(resolve, 1000));
  await stopThird();
  assert.deepStrictEqual([...new Set(of.numbers)].sort((one, other) => one - other), all(count));
  assert.strictEqual(of.by.third, MORE);
  return count;
}

/** A processor goes on behind what it has read, whatever it says of the connection that is gone. */
async function cut(transport) {
  const of = seen();
  const stop = reader('reader', { ...of, set error(_) {}, get error() {} }, transport, new Store());
  let count = await more();
  await until('all events before', of, () => distinct(of) >= count);
  for (let round = 0; round < 2; round++) {
    await ask('cut');
    count = await more();
    await until('all events behind a cut', of, () => distinct(of) >= count, 60);
  }
  await stop();
  assert.deepStrictEqual([...new Set(of.numbers)].sort((one, other) => one - other), all(count));
  return count;
}

async function producer() {
  const client = new EventHubProducerClient(text, { retryOptions });
  const error = await client.sendBatch([{ body: 'x' }]).then(() => undefined, (thrown) => thrown);
  await client.close();
  assert.strictEqual(cause(error) && cause(error).code, 'UnauthorizedError', String(cause(error)));
  assert.match(cause(error).message, /device/);
  return 1;
}

async function wrongKey() {
  const client = new EventHubConsumerClient('$Default', text.replace('SharedAccessKey=', 'SharedAccessKey=x'), { retryOptions });
  const error = await client.getEventHubProperties().then(() => undefined, (thrown) => thrown);
  await client.close();
  assert.strictEqual(cause(error) && cause(error).code, 'UnauthorizedError', String(cause(error)));
  return 1;
}

(async () => {
  await run(SDK, 'all events, AMQP', () => reading('AMQP'));
  await run(SDK, 'all events, WebSocket', () => reading('WebSocket'));
  await run(SDK, 'two processors and a restart', processors, 150);
  await run(SDK, 'connection cut, AMQP', () => cut('AMQP'), 150);
  await run(SDK, 'connection cut, WebSocket', () => cut('WebSocket'), 150);
  await run(SDK, 'producer refused', producer);
  await run(SDK, 'wrong key', wrongKey);
  process.exit(0);
})();
