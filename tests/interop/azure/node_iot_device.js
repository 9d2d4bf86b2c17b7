#!/usr/bin/env node
// Devices and modules on azure-iot-device with azure-iot-device-amqp (npm), directly or through WebSocket: telemetry,
// cloud-to-device messages, methods, twins, modules, certificates, tokens that run out, connections that are cut, an
// emulator that is started again, and files. The back end is azure-iothub and @azure/event-hubs.
//
//   node_iot_device.js amqp|ws   IOTHUB_OWNER, EVENT_HUBS: connection strings; IOTHUB_KEPT: that of a device which the
//                                emulator has from its start; X509: a folder of device certificates;
//                                NODE_EXTRA_CA_CERTS names the CA
//
// Prints a line for each case, and what it asks for: {"event":"cut"}, {"event":"restart"}. It goes on at a line of input.
'use strict';
const assert = require('node:assert');
const fs = require('node:fs');
const path = require('node:path');
const { X509Certificate } = require('node:crypto');
const { Readable } = require('node:stream');
const { Registry, Client: ServiceClient, ConnectionString } = require('azure-iothub');
const { EventHubConsumerClient } = require('@azure/event-hubs');
const { Message } = require('azure-iot-common');
const { Client, ModuleClient, SharedAccessKeyAuthenticationProvider } = require('azure-iot-device');
const { Amqp, AmqpWs } = require('azure-iot-device-amqp');
const { ask, run, within, Queue } = require('./cases.js');

const through = process.argv[2];
const Transport = through === 'ws' ? AmqpWs : Amqp;
const SDK = `azure-iot-device (Node), ${through === 'ws' ? 'WebSocket' : 'AMQP'}`;
const { IOTHUB_OWNER: owner, EVENT_HUBS: events, IOTHUB_KEPT: kept, X509: certificates } = process.env;
const host = ConnectionString.parse(owner, []).HostName;
const registry = Registry.fromConnectionString(owner);
const service = ServiceClient.fromConnectionString(owner);
const key = (identity) => identity.authentication.symmetricKey.primaryKey;
const connection = (identity) =>
  `HostName=${host};DeviceId=${identity.deviceId};${identity.moduleId ? `ModuleId=${identity.moduleId};` : ''}SharedAccessKey=${key(identity)}`;

async function opened(client) {
  client.on('error', (error) => console.error(`device: ${error.message}`));
  await within(20, client.open(), 'open');
  return client;
}

// A device of its own for each case, which is deleted behind it.
async function withDevice(name, work, description = {}) {
  const deviceId = `${name}-${through}`;
  const identity = (await registry.create({ deviceId, ...description })).responseBody;
  try {
    return await work(identity);
  } finally {
    await registry.delete(deviceId);
  }
}

/** Events of one device from now on. `open` resolves when its readers are in place. */
class Events {
  constructor(deviceId) {
    this.queue = new Queue(`an event of ${deviceId}`);
    this.client = new EventHubConsumerClient('$Default', events);
    this.deviceId = deviceId;
  }
  async open() {
    this.since = new Date(Date.now() - 2000);
    this.reading = this.client.subscribe({
      processEvents: async (batch) => {
        for (const event of batch) if (event.systemProperties['iothub-connection-device-id'] === this.deviceId) this.queue.push(event);
      },
      processError: async (error) => console.error(`reader: ${error.message}`),
    }, { startPosition: { enqueuedOn: this.since }, maxBatchSize: 50, maxWaitTimeInSeconds: 1 });
    return this;
  }
  async close() {
    await this.reading.close();
    await this.client.close();
  }
}

async function telemetry(identity) {
  const reader = await new Events(identity.deviceId).open();
  const client = await opened(Client.fromConnectionString(connection(identity), Transport));
  for (let number = 0; number < 50; number++) {
    const message = new Message(JSON.stringify({ number }));
    [message.messageId, message.contentType, message.contentEncoding] = [`m${number}`, 'application/json', 'utf-8'];
    message.properties.add('number', String(number));
    await client.sendEvent(message);
  }
  for (let number = 0; number < 50; number++) {
    const event = await reader.queue.next();
    assert.deepStrictEqual([event.body, event.messageId, event.contentType], [{ number }, `m${number}`, 'application/json']);
    assert.deepStrictEqual(event.properties, { number: String(number) });
    assert.strictEqual(event.systemProperties['iothub-connection-auth-generation-id'], identity.generationId);
    assert.strictEqual(event.systemProperties['iothub-message-source'], 'Telemetry');
  }
  await client.close();
  await reader.close();
  return 50;
}

async function messages(identity) {
  const client = await opened(Client.fromConnectionString(connection(identity), Transport));
  const received = new Queue('a message');
  client.on('message', (message) => received.push(message));
  await service.open();
  const sent = new Message('{"go":1}');
  [sent.messageId, sent.correlationId, sent.contentType, sent.contentEncoding] = ['id', 'because', 'application/json', 'utf-8'];
  sent.properties.add('reason', 'test');
  await service.send(identity.deviceId, sent);
  const first = await received.next();
  assert.deepStrictEqual([first.data.toString(), first.messageId, first.correlationId], ['{"go":1}', 'id', 'because']);
  assert.strictEqual(first.properties.getValue('reason'), 'test');
  await client.abandon(first);
  const again = await received.next();
  assert.strictEqual(again.messageId, 'id');
  await client.complete(again);
  await service.send(identity.deviceId, new Message('to be refused'));
  await client.reject(await received.next());
  await client.close();
  assert.strictEqual((await registry.get(identity.deviceId)).responseBody.cloudToDeviceMessageCount, 0);
  return 3;
}

const call = (methodName, payload) => ({ methodName, payload, responseTimeoutInSeconds: 10, connectTimeoutInSeconds: 10 });

async function methods(identity) {
  const client = await opened(Client.fromConnectionString(connection(identity), Transport));
  const seen = [];
  client.onDeviceMethod('set', async (request, response) => {
    seen.push(request.payload);
    await response.send(200, { was: request.payload });
  });
  client.onDeviceMethod('fail', (_, response) => response.send(500, { why: 'broken' }));
  for (let number = 0; number < 20; number++) {
    const { result } = await service.invokeDeviceMethod(identity.deviceId, call('set', { number }));
    assert.deepStrictEqual(result, { status: 200, payload: { was: { number } } });
  }
  const many = await Promise.all([...Array(10).keys()].map((number) => service.invokeDeviceMethod(identity.deviceId, call('set', number))));
  assert.deepStrictEqual(many.map(({ result }) => result.payload.was), [...Array(10).keys()]);
  assert.deepStrictEqual((await service.invokeDeviceMethod(identity.deviceId, call('fail', null))).result, { status: 500, payload: { why: 'broken' } });
  assert.strictEqual(seen.length, 30);
  await client.close();
  return 31;
}

const report = (twin, patch) => new Promise((resolve, reject) => twin.properties.reported.update(patch, (error) => (error ? reject(error) : resolve())));

/**
 * Desired properties as they change, from when the hub knows that they are wanted: the SDK does not say when it has subscribed.
 * `update` writes some. Also gives the version that was seen last.
 */
async function subscribed(twin, update) {
  const desired = new Queue('desired properties');
  twin.on('properties.desired', (patch) => desired.push(patch));
  await desired.next(); // what was read
  for (let ready = 1; ready <= 20; ready++) {
    await update({ ready });
    let patch = await desired.next(1).catch(() => undefined);
    while (patch && patch.ready !== ready) patch = await desired.next(1).catch(() => undefined);
    if (patch) return { desired, version: patch.$version };
  }
  throw new Error('no desired properties came');
}

async function twins(identity) {
  await registry.updateTwin(identity.deviceId, { properties: { desired: { fan: 1 } }, tags: { floor: 2 } }, '*');
  const client = await opened(Client.fromConnectionString(connection(identity), Transport));
  const twin = await client.getTwin();
  assert.strictEqual((await registry.get(identity.deviceId)).responseBody.connectionState, 'Connected');
  assert.deepStrictEqual([twin.properties.desired.fan, twin.properties.desired.$version], [1, 2]);
  const update = (patch) => registry.updateTwin(identity.deviceId, { properties: { desired: patch } }, '*');
  const { desired, version } = await subscribed(twin, update);
  await update({ fan: 2, extra: { deep: true } });
  const patch = await desired.next();
  assert.deepStrictEqual([patch.fan, patch.extra, patch.$version], [2, { deep: true }, version + 1]);
  await update({ extra: null });
  assert.deepStrictEqual((await desired.next()).extra, null);
  for (let number = 1; number <= 10; number++) await report(twin, { temperature: number, nested: { number } });
  await report(twin, { nested: null });
  const seen = (await registry.getTwin(identity.deviceId)).responseBody;
  assert.deepStrictEqual([seen.properties.reported.temperature, seen.properties.reported.nested, seen.properties.reported.$version], [10, undefined, 12]);
  await assert.rejects(report(twin, { 'a.b': 1 }));
  await client.close();
  const closed = async () => (await registry.get(identity.deviceId)).responseBody.connectionState === 'Disconnected';
  for (let tries = 0; !(await closed()); tries++) {
    assert(tries < 50, 'still connected');
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  return 14;
}

async function modules(identity) {
  const module = (await registry.addModule({ deviceId: identity.deviceId, moduleId: 'camera' })).responseBody;
  const reader = await new Events(identity.deviceId).open();
  const client = await opened(ModuleClient.fromConnectionString(connection(module), Transport));
  await client.sendOutputEvent('alerts', new Message('{"seen":"fox"}'));
  const event = await reader.queue.next();
  assert.deepStrictEqual([event.systemProperties['iothub-connection-module-id'], event.properties['iothub-outputname']], ['camera', 'alerts']);
  client.onMethod('zoom', (request, response) => response.send(200, request.payload));
  const { result } = await service.invokeDeviceMethod(identity.deviceId, 'camera', call('zoom', 4));
  assert.deepStrictEqual(result, { status: 200, payload: 4 });
  const twin = await client.getTwin();
  const update = (patch) => registry.updateModuleTwin(identity.deviceId, 'camera', { properties: { desired: patch } }, '*');
  const { desired } = await subscribed(twin, update);
  await update({ zoom: 7 });
  assert.strictEqual((await desired.next()).zoom, 7);
  await report(twin, { zoom: 7 });
  const seen = (await registry.getModuleTwin(identity.deviceId, 'camera')).responseBody;
  assert.strictEqual(seen.properties.reported.zoom, 7);
  const ofDevice = (await registry.getTwin(identity.deviceId)).responseBody;
  assert.strictEqual(ofDevice.properties.reported.zoom, undefined);
  await client.close();
  await reader.close();
  return 4;
}

const pem = (name) => fs.readFileSync(path.join(certificates, name), 'utf8');

async function certified(deviceId, name) {
  const client = Client.fromConnectionString(`HostName=${host};DeviceId=${deviceId};x509=true`, Transport);
  await client.setOptions({ cert: pem(`${name}.pem`), key: pem(`${name}.key`) });
  return opened(client);
}

async function x509() {
  const print = (name, digest) => new X509Certificate(pem(`${name}.pem`))[digest].replaceAll(':', '');
  let checked = 0;
  for (const digest of ['fingerprint', 'fingerprint256']) {
    const authentication = { type: 'selfSigned', x509Thumbprint: { primaryThumbprint: print('self', digest), secondaryThumbprint: print('other', digest) } };
    await withDevice(`x509-${digest}`, async ({ deviceId }) => {
      for (const name of ['self', 'other']) {
        const client = await certified(deviceId, name);
        const twin = await client.getTwin();
        await report(twin, { by: name });
        await client.sendEvent(new Message(name));
        await client.close();
        assert.strictEqual((await registry.getTwin(deviceId)).responseBody.properties.reported.by, name);
        checked++;
      }
      await assert.rejects(certified(deviceId, 'stranger').then((client) => client.getTwin()));
      checked++;
    }, { authentication });
  }
  return checked;
}

async function x509Authority() {
  // The certificate's name is the device's.
  const deviceId = 'x509-by-ca';
  await registry.create({ deviceId, authentication: { type: 'certificateAuthority' } });
  const client = await certified(deviceId, 'by-ca');
  await report(await client.getTwin(), { by: 'ca' });
  await client.close();
  assert.strictEqual((await registry.getTwin(deviceId)).responseBody.properties.reported.by, 'ca');
  await registry.delete(deviceId);
  return 1;
}

async function renewed(identity) {
  // Tokens for 6 s, renewed 4 s before they run out.
  const provider = SharedAccessKeyAuthenticationProvider.fromConnectionString(connection(identity), 6, 4);
  const client = await opened(Client.fromAuthenticationProvider(provider, Transport));
  const disconnected = [];
  client.on('disconnect', (why) => disconnected.push(why));
  const reader = await new Events(identity.deviceId).open();
  const until = Date.now() + 9000;
  let sent = 0;
  while (Date.now() < until) {
    await client.sendEvent(new Message(`${sent++}`));
    await new Promise((resolve) => setTimeout(resolve, 250));
  }
  for (let number = 0; number < sent; number++) assert.strictEqual(String((await reader.queue.next()).body), String(number));
  assert.deepStrictEqual(disconnected, []);
  await client.close();
  await reader.close();
  return sent;
}

/** A device that works: telemetry, a message, a method and desired properties go through, though links are made again. */
class Working {
  async open(text) {
    this.client = Client.fromConnectionString(text, Transport);
    this.deviceId = /DeviceId=([^;]*)/.exec(text)[1];
    this.received = new Queue('a message');
    this.client.on('error', (error) => console.error(`device: ${error.message}`));
    this.client.on('message', (message) => this.client.complete(message, () => this.received.push(message.data.toString())));
    this.client.onDeviceMethod('echo', (request, response) => response.send(200, request.payload));
    await this.client.open();
    this.twin = await this.client.getTwin();
    this.update = (patch) => registry.updateTwin(this.deviceId, { properties: { desired: patch } }, '*');
    this.desired = (await subscribed(this.twin, this.update)).desired;
    return this;
  }
  /** Links are made again one after another: what is written before the subscription is back comes with no notification. */
  async desiredRound(round) {
    for (let tries = 0; tries < 30; tries++) {
      await this.update({ round, tries });
      for (let patch = {}; patch; patch = await this.desired.next(1).catch(() => undefined)) if (patch.round === round) return;
    }
    throw new Error('no desired properties came');
  }
  async check(round) {
    await within(60, this.client.sendEvent(new Message(round)), 'telemetry');
    const caller = ServiceClient.fromConnectionString(owner);
    await caller.open();
    await caller.send(this.deviceId, new Message(round));
    while ((await this.received.next(30)) !== round);
    assert.strictEqual((await caller.invokeDeviceMethod(this.deviceId, call('echo', round))).result.payload, round);
    await this.desiredRound(round);
    await report(this.twin, { round });
    assert.strictEqual((await registry.getTwin(this.deviceId)).responseBody.properties.reported.round, round);
    await caller.close();
    return 5;
  }
}

async function cut(identity) {
  const device = await new Working().open(connection(identity));
  let checked = await device.check('before');
  for (const round of ['first', 'second']) {
    await ask('cut');
    checked += await device.check(round);
  }
  await device.client.close();
  return checked;
}

async function restarted() {
  const device = await new Working().open(kept);
  let checked = await device.check('before');
  await ask('restart');
  checked += await device.check('after');
  await device.client.close();
  return checked;
}

async function file(identity) {
  await service.open();
  const receiver = await new Promise((resolve, reject) =>
    service.getFileNotificationReceiver((error, receiver) => (error ? reject(error) : resolve(receiver))));
  const told = new Queue('a notification');
  receiver.on('message', (message) => {
    told.push(JSON.parse(message.data.toString()));
    receiver.complete(message);
  });
  const client = await opened(Client.fromConnectionString(connection(identity), Transport));
  const body = Buffer.alloc(300000, 'x');
  await client.uploadToBlob('folder/report.txt', Readable.from([body]), body.length);
  const notification = await told.next();
  assert.deepStrictEqual([notification.deviceId, notification.blobName], [identity.deviceId, `${identity.deviceId}/folder/report.txt`]);
  assert.strictEqual(notification.blobSizeInBytes, body.length);
  await client.close();
  return 1;
}

(async () => {
  const each = { telemetry, 'C2D': messages, methods, twins, modules, 'tokens renewed': renewed, 'connection cut': cut, 'file upload': file };
  for (const [name, work] of Object.entries(each)) await run(SDK, name, () => withDevice(name.replaceAll(' ', '-'), work), 100);
  await run(SDK, 'X.509 by thumbprint', x509);
  await run(SDK, 'X.509 by authority', x509Authority);
  await run(SDK, 'emulator restarted', restarted, 100);
  process.exit(0);
})();
