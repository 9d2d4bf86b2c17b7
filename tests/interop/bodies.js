// What the interop clients send, and the check of what they get: message `index` has the message-id `index`
// (ulong) and one data section whose byte i is (i + index) mod 251. The modulus is a prime, so bytes lost,
// doubled or exchanged at a frame's or a block's edge never look right. bodies.py says the same in Python.
'use strict';
const zlib = require('zlib');

const MODULUS = 251;

/** The body of message `index`. */
function body(index, size) {
  const unit = Buffer.alloc(MODULUS);
  for (let i = 0; i < MODULUS; i++) unit[i] = (i + index) % MODULUS;
  return Buffer.alloc(size, unit);
}

/** Counts what was received: each index once, each body as it must be. */
class Ledger {
  constructor(count, size) {
    this.count = count;
    this.size = size;
    this.seen = new Set();
    this.received = 0;
    this.duplicates = 0;
    this.wrong = 0;
    this.checksum = 0;
  }

  take(index, bytes) {
    this.received++;
    const known = Number.isInteger(index) && index >= 0 && index < this.count;
    if (!known || !Buffer.isBuffer(bytes) || !bytes.equals(body(index, this.size))) {
      this.wrong++;
      return;
    }
    if (this.seen.has(index)) this.duplicates++;
    this.seen.add(index);
    this.checksum = (this.checksum + zlib.crc32(bytes)) >>> 0;
  }

  get complete() {
    return this.seen.size === this.count;
  }

  get faultless() {
    return this.complete && this.wrong === 0 && this.duplicates === 0;
  }
}

module.exports = { body, Ledger };
