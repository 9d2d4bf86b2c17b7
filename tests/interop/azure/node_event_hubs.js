#!/usr/bin/env node
// A reader on @azure/event-hubs (npm) at the Event-Hubs-compatible endpoint: the properties of the entity and of its
// partitions, then every event of every partition from the start.
//
//   node_event_hubs.js EVENTS ENDPOINT  EVENT_HUBS_CONNECTION_STRING; ENDPOINT is where to connect, as sb://host:port;
//                                       NODE_EXTRA_CA_CERTS names the CA
//
// The last line is {"created":…,"partitions":[…],"received":…,"distinct":…,"ok":true}.
'use strict';
const { EventHubConsumerClient, earliestEventPosition } = require('@azure/event-hubs');
const { limit } = require('./limit.js');

const [events, endpoint] = [Number(process.argv[2]), process.argv[3]];
const seen = { received: 0 };
const finish = limit(60, seen);

(async () => {
  const client = new EventHubConsumerClient('$Default', process.env.EVENT_HUBS_CONNECTION_STRING, {
    customEndpointAddress: endpoint,
    retryOptions: { maxRetries: 0, timeoutInMs: 20000 },
  });
  const properties = await client.getEventHubProperties();
  seen.created = properties.createdOn.toISOString();
  seen.partitions = [];
  for (const id of properties.partitionIds) {
    const of = await client.getPartitionProperties(id);
    seen.partitions.push({ id, is_empty: of.isEmpty, last_sequence_number: of.lastEnqueuedSequenceNumber, last: of.lastEnqueuedOnUtc.toISOString() });
  }
  const numbers = new Set();
  let whole;
  await new Promise((resolve, reject) => {
    whole = client.subscribe(
      {
        processEvents: async (batch) => {
          for (const event of batch) {
            seen.received++;
            numbers.add(event.body.number);
          }
          if (seen.received >= events) resolve();
        },
        processError: async (error) => reject(error),
      },
      { startPosition: earliestEventPosition, maxBatchSize: 10 },
    );
  });
  await whole.close();
  seen.distinct = numbers.size;

  // A checkpoint of a log that is gone: refused in the service's words, not waited for.
  const beyond = client.subscribe('0', {
    processEvents: async () => {},
    processError: async (error) => {
      seen.beyond = `${error.code}: ${error.message}`;
      await beyond.close();
      await client.close();
      finish();
    },
  }, { startPosition: { sequenceNumber: 1000000 } });
})().catch(finish);
