#!/usr/bin/env node
// A back end on azure-iothub (npm): registry, twins, queries and methods over HTTPS, cloud-to-device messages and feedback
// over AMQP, directly and through WebSocket, also after connections were cut and after the emulator was started again.
// Devices on azure-iot-device are at the other end.
//
//   node_iothub.js     IOTHUB_OWNER, IOTHUB_SERVICE: connection strings; IOTHUB_KEPT: that of a device which the emulator
//                      has from its start; NODE_EXTRA_CA_CERTS names the CA
//
// Prints a line for each case, and what it asks for: {"event":"cut"}, {"event":"restart"}. It goes on at a line of input.
'use strict';
const assert = require('node:assert');
const { Registry, Client, ConnectionString } = require('azure-iothub');
const { AmqpWs } = require('azure-iothub/dist/amqp_ws.js');
const { Message } = require('azure-iot-common');
const iot = require('azure-iot-device');
const device = require('azure-iot-device-amqp');
const { ask, run, refused, Queue } = require('./cases.js');

const SDK = 'azure-iothub (Node)';
const { IOTHUB_OWNER: owner, IOTHUB_SERVICE: service, IOTHUB_KEPT: kept } = process.env;
const host = ConnectionString.parse(owner, []).HostName;
const registry = Registry.fromConnectionString(owner);
const key = (identity) => identity.authentication.symmetricKey.primaryKey;
const connection = (identity) =>
  `HostName=${host};DeviceId=${identity.deviceId};${identity.moduleId ? `ModuleId=${identity.moduleId};` : ''}SharedAccessKey=${key(identity)}`;
const create = async (deviceId) => (await registry.create({ deviceId })).responseBody;

async function identities() {
  const made = await create('one');
  assert.deepStrictEqual([made.deviceId, made.status, made.connectionState], ['one', 'enabled', 'Disconnected']);
  assert.strictEqual(Buffer.from(key(made), 'base64').length, 32);
  assert.match(made.generationId, /^\d+$/);
  const read = (await registry.get('one')).responseBody;
  assert.strictEqual(read.etag, made.etag);
  const updated = (await registry.update({ ...read, status: 'disabled', statusReason: 'in repair' })).responseBody;
  assert.deepStrictEqual([updated.status, updated.statusReason], ['disabled', 'in repair']);
  assert.notStrictEqual(updated.etag, made.etag);
  assert.strictEqual(key(updated), key(made));
  await create('two');
  const listed = (await registry.list()).responseBody.map((each) => each.deviceId);
  for (const id of ['one', 'two']) assert(listed.includes(id), `${listed}`);
  await registry.delete('one');
  await refused(() => registry.get('one'), 'DeviceNotFoundError');
  const again = await create('one');
  assert.notStrictEqual(again.generationId, made.generationId);
  assert.notStrictEqual(key(again), key(made));
  await registry.delete('one');
  await registry.delete('two');
  return 9;
}

async function bulk() {
  const many = [...Array(60).keys()].map((number) => ({ deviceId: `bulk${number}` }));
  const added = (await registry.addDevices(many)).responseBody;
  assert.deepStrictEqual([added.isSuccessful, added.errors], [true, []]);
  const [first] = many;
  let error;
  const twice = await registry.addDevices([first, { deviceId: 'bulk-new' }]).catch((thrown) => ((error = thrown), null));
  const refusedOf = twice ? twice.responseBody : JSON.parse(error.responseBody);
  assert.strictEqual(refusedOf.isSuccessful, false);
  assert.deepStrictEqual(refusedOf.errors.map((each) => each.deviceId), ['bulk0']);
  await registry.get('bulk-new');
  const disabled = many.map((each) => ({ ...each, status: 'disabled' }));
  assert.strictEqual((await registry.updateDevices(disabled, true)).responseBody.isSuccessful, true);
  assert.strictEqual((await registry.get('bulk59')).responseBody.status, 'disabled');
  assert.strictEqual((await registry.removeDevices([...many, { deviceId: 'bulk-new' }], true)).responseBody.isSuccessful, true);
  await refused(() => registry.get('bulk30'), 'DeviceNotFoundError');
  return 5;
}

async function modules() {
  await create('parent');
  const made = await registry.addModule({ deviceId: 'parent', moduleId: 'camera', managedBy: 'us' });
  assert.deepStrictEqual([made.responseBody.moduleId, made.responseBody.managedBy], ['camera', 'us']);
  await registry.addModule({ deviceId: 'parent', moduleId: 'motor' });
  const all = (await registry.getModulesOnDevice('parent')).responseBody.map((each) => each.moduleId).sort();
  assert.deepStrictEqual(all, ['camera', 'motor']);
  const read = (await registry.getModule('parent', 'camera')).responseBody;
  const updated = (await registry.updateModule({ ...read, managedBy: 'others' })).responseBody;
  assert.strictEqual(updated.managedBy, 'others');
  const twin = (await registry.updateModuleTwin('parent', 'camera', { properties: { desired: { zoom: 2 } } }, '*')).responseBody;
  assert.deepStrictEqual([twin.moduleId, twin.properties.desired.zoom], ['camera', 2]);
  await registry.removeModule('parent', 'motor');
  const error = await registry.getModule('parent', 'motor').catch((thrown) => thrown);
  assert.match(error.responseBody, /ErrorCode:ModuleNotFound/);
  await registry.delete('parent');
  return 6;
}

async function twins() {
  await create('twin');
  const first = (await registry.getTwin('twin')).responseBody;
  assert.deepStrictEqual([first.etag, first.version, first.properties.desired.$version], ['AAAAAAAAAAE=', 2, 1]);
  const patch = { tags: { floor: 3 }, properties: { desired: { fan: { speed: 5, mode: 'auto' }, list: [1, 2] } } };
  const patched = (await registry.updateTwin('twin', patch, first.etag)).responseBody;
  assert.deepStrictEqual([patched.tags, patched.properties.desired.fan.speed, patched.properties.desired.$version], [{ floor: 3 }, 5, 2]);
  assert.match(patched.properties.desired.$metadata.fan.speed.$lastUpdated, /^20\d\d-/);
  const removed = (await registry.updateTwin('twin', { properties: { desired: { fan: { mode: null } } } }, '*')).responseBody;
  assert.deepStrictEqual(removed.properties.desired.fan, { speed: 5 });
  await refused(() => registry.updateTwin('twin', { tags: { floor: 4 } }, first.etag), 'InvalidEtagError');
  const twin = first.get ? first : (await registry.getTwin('twin')).responseBody;
  await twin.get();
  await twin.update({ tags: { floor: 5 } });
  assert.strictEqual((await registry.getTwin('twin')).responseBody.tags.floor, 5);
  await refused(() => registry.updateTwin('twin', { properties: { desired: { 'a.b': 1 } } }, '*'), 'ArgumentError');
  await registry.delete('twin');
  return 7;
}

async function queries() {
  const many = [...Array(45).keys()].map((number) => ({ deviceId: `query${number}`, tags: { floor: number % 3 } }));
  await registry.addDevices(many.map(({ deviceId }) => ({ deviceId })));
  for (const { deviceId, tags } of many) await registry.updateTwin(deviceId, { tags }, '*');
  const query = registry.createQuery("SELECT * FROM devices WHERE STARTSWITH(deviceId, 'query') AND tags.floor IN [0, 1]", 7);
  const found = new Set();
  let pages = 0;
  while (query.hasMoreResults) {
    const { result } = await query.nextAsTwin();
    assert(result.length <= 7);
    for (const twin of result) found.add(twin.deviceId);
    pages++;
  }
  assert.deepStrictEqual([found.size, pages], [30, 5]);
  const groups = registry.createQuery('SELECT tags.floor AS floor, COUNT() AS count FROM devices WHERE is_defined(tags.floor) GROUP BY tags.floor');
  const rows = (await groups.next()).result.sort((one, other) => one.floor - other.floor);
  assert.deepStrictEqual(rows, [{ floor: 0, count: 15 }, { floor: 1, count: 15 }, { floor: 2, count: 15 }]);
  await refused(() => registry.createQuery('SELECT * FROM c').next(), 'ArgumentError');
  const statistics = (await registry.getRegistryStatistics()).responseBody;
  assert(statistics.totalDeviceCount >= 45, JSON.stringify(statistics));
  await registry.removeDevices(many, true);
  return 48;
}

// Devices at the other end, and what each end sees.
async function opened(identity, Transport = device.Amqp) {
  const kind = identity.moduleId ? iot.ModuleClient : iot.Client;
  const client = kind.fromConnectionString(connection(identity), Transport);
  client.on('error', (error) => console.error(`device: ${error.message}`));
  await client.open();
  return client;
}

async function methods() {
  const answer = (request, response) => response.send(201, { echo: request.payload });
  const client = await opened(await create('called'));
  client.onDeviceMethod('echo', answer);
  const module = await opened((await registry.addModule({ deviceId: 'called', moduleId: 'm' })).responseBody);
  module.onMethod('echo', answer);
  const caller = Client.fromConnectionString(service);
  const call = (methodName, payload, more = {}) => ({ methodName, payload, responseTimeoutInSeconds: 10, connectTimeoutInSeconds: 10, ...more });
  let checked = 0;
  for (const payload of [{ a: [1, 'ü'] }, 'text', 7, null, true, []]) {
    const { result } = await caller.invokeDeviceMethod('called', call('echo', payload));
    assert.deepStrictEqual(result, { status: 201, payload: { echo: payload } });
    checked++;
  }
  const ofModule = await caller.invokeDeviceMethod('called', 'm', call('echo', 'module'));
  assert.deepStrictEqual(ofModule.result, { status: 201, payload: { echo: 'module' } });
  // One that waits until the device is there.
  const identity = await create('late');
  const waiting = caller.invokeDeviceMethod('late', call('echo', 'late'));
  const late = await opened(identity);
  late.onDeviceMethod('echo', answer);
  assert.strictEqual((await waiting).result.payload.echo, 'late');
  for (const each of [client, module, late]) await each.close();
  for (const id of ['called', 'late']) await registry.delete(id);
  return checked + 2;
}

async function messages(Transport) {
  const transport = Transport === AmqpWs ? [Transport] : [];
  const client = await opened(await create('receiver'), Transport === AmqpWs ? device.AmqpWs : device.Amqp);
  const sender = Client.fromConnectionString(service, ...transport);
  await sender.open();
  const { receiver } = await new Promise((resolve, reject) =>
    sender.getFeedbackReceiver((error, receiver) => (error ? reject(error) : resolve({ receiver }))));
  const records = new Queue('feedback');
  receiver.on('message', (batch) => {
    for (const record of JSON.parse(batch.data.toString())) records.push(record);
    receiver.complete(batch);
  });
  client.on('message', (message) => (message.data.toString().includes('refuse') ? client.reject(message) : client.complete(message)));
  for (const body of ['take-1', 'take-2', 'refuse']) {
    const message = new Message(body);
    message.messageId = body;
    message.ack = 'full';
    message.properties.add('body', body);
    await sender.send('receiver', message);
  }
  const codes = {};
  while (Object.keys(codes).length < 3) {
    const record = await records.next();
    assert.strictEqual(record.deviceId, 'receiver');
    codes[record.originalMessageId] = record.statusCode;
  }
  assert.deepStrictEqual(codes, { 'take-1': 'Success', 'take-2': 'Success', refuse: 'Rejected' });
  await refused(() => sender.send('no-such-device', new Message('x')), 'DeviceNotFoundError');
  await client.close();
  await sender.close();
  await registry.delete('receiver');
  return 4;
}

/** A back end whose sender stays open, and its receiver of feedback with it. */
class Working {
  async open(Transport) {
    this.client = Client.fromConnectionString(service, Transport);
    [this.records, this.disconnected] = [new Queue('feedback'), new Queue('word that the connection is lost')];
    this.client.on('disconnect', () => this.disconnected.push(true));
    await this.client.open();
    return this;
  }
  /** The client forgets its receiver when it loses the connection, and makes another when it is asked. */
  async listen() {
    const { receiver } = await new Promise((resolve, reject) =>
      this.client.getFeedbackReceiver((error, receiver) => (error ? reject(error) : resolve({ receiver }))));
    assert.notStrictEqual(receiver, this.receiver);
    this.receiver = receiver;
    receiver.on('message', (batch) => {
      for (const record of JSON.parse(batch.data.toString())) this.records.push(record);
      receiver.complete(batch);
    });
  }
  async check(round) {
    const message = new Message(round);
    [message.messageId, message.ack] = [round, 'full'];
    // Opens the connection if there is none.
    await this.client.send('kept', message);
    await this.listen();
    const client = iot.Client.fromConnectionString(kept, device.Amqp);
    const received = new Queue('a message');
    client.on('message', (message) => client.complete(message, () => received.push(message.data.toString())));
    await client.open();
    assert.strictEqual(await received.next(), round);
    const record = await this.records.next();
    assert.deepStrictEqual([record.originalMessageId, record.statusCode], [round, 'Success']);
    await client.close();
    return 2;
  }
}

async function interrupted(event, rounds, Transport) {
  const backEnd = await new Working().open(Transport);
  let checked = await backEnd.check('before');
  for (const round of rounds) {
    await ask(event);
    await backEnd.disconnected.next();
    checked += await backEnd.check(round);
  }
  await backEnd.client.close();
  return checked;
}

const code = (expected) => (error) => assert.match(error.responseBody, expected);
const errors = {
  'error 401': async () => {
    const forged = owner.replace(/SharedAccessKey=.*/, `SharedAccessKey=${Buffer.from('wrong').toString('base64')}`);
    await refused(() => Registry.fromConnectionString(forged).get('any'), 'UnauthorizedError', code(/ErrorCode:IotHubUnauthorizedAccess;/));
    // The policy `service` may not write identities.
    await refused(() => Registry.fromConnectionString(service).create({ deviceId: 'any' }), 'UnauthorizedError');
    return 2;
  },
  'error 404, no device': async () => {
    await refused(() => registry.get('nobody'), 'DeviceNotFoundError', code(/ErrorCode:DeviceNotFound;/));
    await refused(() => registry.getTwin('nobody'), 'DeviceNotFoundError', code(/ErrorCode:DeviceNotFound;/));
    return 2;
  },
  'error 404, offline': async () => {
    await create('offline');
    const caller = Client.fromConnectionString(service);
    const call = () => caller.invokeDeviceMethod('offline', { methodName: 'x', payload: null, responseTimeoutInSeconds: 5, connectTimeoutInSeconds: 0 });
    await refused(call, 'Error', (error) => {
      assert.strictEqual(error.response.statusCode, 404);
      assert.strictEqual(JSON.parse(JSON.parse(error.responseBody).Message).errorCode, 404103);
    });
    await registry.delete('offline');
    return 1;
  },
  'error 409': async () => {
    await create('twice');
    await refused(() => create('twice'), 'DeviceAlreadyExistsError', code(/ErrorCode:DeviceAlreadyExists;/));
    await registry.delete('twice');
    return 1;
  },
  'error 412': async () => {
    await create('changed');
    await registry.updateTwin('changed', { tags: { a: 1 } }, '*');
    await refused(() => registry.updateTwin('changed', { tags: { a: 2 } }, 'AAAAAAAAAAE='), 'InvalidEtagError', code(/ErrorCode:PreconditionFailed;/));
    await registry.delete('changed');
    return 1;
  },
  'error 504, method': async () => {
    const client = await opened(await create('silent'));
    client.onDeviceMethod('never', () => {});
    const caller = Client.fromConnectionString(service);
    const call = () => caller.invokeDeviceMethod('silent', { methodName: 'never', payload: null, responseTimeoutInSeconds: 5, connectTimeoutInSeconds: 5 });
    await refused(call, 'GatewayTimeoutError', code(/504101/));
    await client.close();
    await registry.delete('silent');
    return 1;
  },
  'feature that is not built': async () => {
    const error = await registry.getConfigurations().catch((thrown) => thrown);
    assert.strictEqual(error.response.statusCode, 501, error.message);
    assert.match(error.responseBody, /FeatureNotSupported/);
    return 1;
  },
};

async function fileNotifications() {
  const client = await opened(await create('uploader'));
  const sender = Client.fromConnectionString(service);
  await sender.open();
  const receiver = await new Promise((resolve, reject) =>
    sender.getFileNotificationReceiver((error, receiver) => (error ? reject(error) : resolve(receiver))));
  const told = new Queue('a notification');
  receiver.on('message', (message) => {
    told.push(JSON.parse(message.data.toString()));
    receiver.complete(message);
  });
  const upload = await client.getBlobSharedAccessSignature('report.txt');
  assert.strictEqual(upload.blobName, 'uploader/report.txt');
  const url = `https://${upload.hostName}/${upload.containerName}/${upload.blobName}${upload.sasToken}`;
  const body = 'a report';
  const status = await new Promise((resolve, reject) => {
    const put = require('node:https').request(url, { method: 'PUT', headers: { 'x-ms-blob-type': 'BlockBlob', 'content-length': body.length } }, (answer) => {
      answer.resume();
      answer.on('end', () => resolve(answer.statusCode));
    });
    put.on('error', reject);
    put.end(body);
  });
  assert.strictEqual(status, 201);
  await client.notifyBlobUploadStatus(upload.correlationId, true, 200, 'uploaded');
  const notification = await told.next();
  assert.deepStrictEqual([notification.deviceId, notification.blobName, notification.blobSizeInBytes], ['uploader', 'uploader/report.txt', body.length]);
  await client.close();
  await sender.close();
  await registry.delete('uploader');
  return 1;
}

(async () => {
  await run(SDK, 'registry', identities);
  await run(SDK, 'bulk', bulk);
  await run(SDK, 'modules', modules);
  await run(SDK, 'twins', twins);
  await run(SDK, 'queries', queries);
  await run(SDK, 'methods', methods);
  await run(SDK, 'C2D with feedback', () => messages());
  await run(SDK, 'C2D with feedback, WebSocket', () => messages(AmqpWs));
  for (const [name, work] of Object.entries(errors)) await run(SDK, name, work);
  await run(SDK, 'file upload notifications', fileNotifications);
  await run(SDK, 'connection cut', () => interrupted('cut', ['first', 'second']), 100);
  await run(SDK, 'emulator restarted', () => interrupted('restart', ['after']), 100);
  await run(SDK, 'connection cut, WebSocket', () => interrupted('cut', ['first', 'second'], AmqpWs), 100);
  await run(SDK, 'emulator restarted, WebSocket', () => interrupted('restart', ['after'], AmqpWs), 100);
  process.exit(0);
})();
