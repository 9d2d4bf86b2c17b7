"""What the interop clients send, and the check of what they get: message `index` has the message-id `index`
(ulong) and one data section whose byte i is (i + index) mod 251. The modulus is a prime, so bytes lost, doubled
or exchanged at a frame's or a block's edge never look right. bodies.js says the same in JavaScript."""
import zlib

MODULUS = 251
_RAMP = bytes(i % MODULUS for i in range(2 * MODULUS))


def body(index, size):
    """The body of message `index`."""
    start = index % MODULUS
    unit = _RAMP[start : start + MODULUS]
    return (unit * (size // MODULUS + 1))[:size]


class Ledger:
    """Counts what was received: each index once, each body as it must be."""

    def __init__(self, count, size):
        self.count, self.size = count, size
        self.seen = set()
        self.received = self.duplicates = self.wrong = self.checksum = 0

    def take(self, index, content):
        self.received += 1
        known = isinstance(index, int) and 0 <= index < self.count
        if not known or bytes(content) != body(index, self.size):
            self.wrong += 1
            return
        if index in self.seen:
            self.duplicates += 1
        self.seen.add(index)
        self.checksum = (self.checksum + zlib.crc32(content)) & 0xFFFFFFFF

    @property
    def complete(self):
        return len(self.seen) == self.count

    @property
    def faultless(self):
        return self.complete and not self.wrong and not self.duplicates
