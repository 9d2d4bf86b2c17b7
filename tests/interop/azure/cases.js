// What the programs on Azure's SDKs share: cases that print a line each, and questions to the process that started it.
'use strict';
const assert = require('node:assert');
const readline = require('node:readline');

const only = process.env.AMQP1_INTEROP_CASE;
let answered = () => {};
const lines = readline.createInterface({ input: process.stdin });
lines.on('line', (line) => answered(line));

/** Has the driver do something, such as cutting all connections, and waits until it has. */
exports.ask = (event, details = {}) =>
  new Promise((resolve) => {
    answered = resolve;
    console.log(JSON.stringify({ event, ...details }));
  });

const text = (error) => {
  const parts = [`${error.name || 'Error'}: ${error.message || error}`];
  if (error.responseBody) parts.push(error.responseBody);
  for (const inner of [error.innerError, error.cause]) if (inner) parts.push(`${inner.name}: ${inner.message}`);
  return [...parts, ...String(error.stack).split('\n').filter((line) => line.includes('/azure/')).slice(0, 2)].join(' | ').slice(0, 900);
};

/** Fails when something takes longer than it may. */
const within = (seconds, work, what = 'it') => {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what}: not within ${seconds} s`)), seconds * 1000);
  });
  return Promise.race([work, late]).finally(() => clearTimeout(timer));
};
exports.within = within;

/** Runs a case, unless others are asked for: it gives how many messages or answers it has checked, or throws. */
exports.run = async (sdk, name, work, seconds = 45) => {
  if (only && !name.includes(only)) return;
  const began = Date.now();
  const line = { sdk, case: name };
  try {
    line.messages = await within(seconds, work(), 'the case');
    assert(line.messages > 0, 'nothing was checked');
  } catch (error) {
    line.failure = text(error);
  }
  line.seconds = (Date.now() - began) / 1000;
  console.log(JSON.stringify(line));
};

/** What work is refused with, whose class must be this one. */
exports.refused = async (work, kind, check = () => {}) => {
  let error;
  try {
    await work();
  } catch (thrown) {
    error = thrown;
  }
  assert(error, `${kind} was expected, and nothing was refused`);
  const code = error.code === undefined ? '' : ` (${error.code})`;
  assert.strictEqual(error.constructor.name, kind, `${error.constructor.name}${code}: ${error.message} ${error.responseBody || ''}`);
  check(error);
  return error;
};

/** Values that come one by one, for those who wait for the next. */
exports.Queue = class {
  constructor(what) {
    [this.what, this.waiting, this.values] = [what, [], []];
  }
  push(value) {
    const waiting = this.waiting.shift();
    if (waiting) waiting(value);
    else this.values.push(value);
  }
  next(seconds = 20) {
    if (this.values.length) return Promise.resolve(this.values.shift());
    let waiter;
    const value = new Promise((resolve) => this.waiting.push((waiter = resolve)));
    return within(seconds, value, this.what).catch((error) => {
      this.waiting = this.waiting.filter((each) => each !== waiter);
      throw error;
    });
  }
};

process.on('unhandledRejection', (error) => console.error(`unhandled: ${text(error)}`));
process.on('uncaughtException', (error) => console.error(`uncaught: ${text(error)}`));
