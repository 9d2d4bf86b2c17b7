//! Primitive types (§1.6.1 to §1.6.21): values that a peer takes.

use super::{
    rules::{BINARY, CHAR, STRING, SYMBOL, UINT},
    values,
};

values! {
    "Y-1.6.1-1": "Null is 0x40 (§1.6.1).",
        ["null", "list-nulls-3", "map-null-value"];
    "Y-1.6.2-2": "An array of booleans has one constructor: 0x56, or 0x41 or 0x42 where all are the same (§1.6.2).",
        ["array-boolean", "array-all-true", "array-all-false", "array-empty-boolean"];
    "Y-1.6.3-1": "A ubyte is 0x50 (§1.6.3).",
        ["ubyte-0", "ubyte-1", "ubyte-128", "ubyte-255"];
    "Y-1.6.4-1": "A ushort is 0x60, its high octet first (§1.6.4).",
        ["ushort-0", "ushort-1", "ushort-256", "ushort-32768", "ushort-65535"];
    "Y-1.6.5-1/relayed" or "Y-1.6.5-1/message": UINT,
        ["uint-0", "uint-1", "uint-127", "uint-128", "uint-255", "uint-256", "uint-65535", "uint-65536",
         "uint-2147483647"];
    "Y-1.6.6-1": "A ulong is 0x80, 0x53 or 0x44, and keeps all of its 64 bits (§1.6.6).",
        ["ulong-0", "ulong-1", "ulong-127", "ulong-128", "ulong-256", "ulong-4294967296", "ulong-9007199254740992",
         "ulong-9223372036854775808", "ulong-18446744073709551615"];
    "Y-1.6.7-1": "A byte is 0x51, in two's complement (§1.6.7).",
        ["byte-neg128", "byte-neg1", "byte-0", "byte-1"];
    "Y-1.6.8-1": "A short is 0x61, in two's complement (§1.6.8).",
        ["short-neg32768", "short-neg129", "short-0", "short-255", "short-32767"];
    "Y-1.6.9-1": "An int is 0x71, or 0x54 with its sign extended (§1.6.9).",
        ["int-neg2147483648", "int-neg129", "int-neg128", "int-neg1", "int-0", "int-127", "int-128", "int-2147483647"];
    "Y-1.6.10-1": "A long is 0x81, or 0x55 with its sign extended (§1.6.10).",
        ["long-neg9223372036854775808", "long-neg9007199254740993", "long-neg4294967297", "long-neg128", "long-neg1",
         "long-0", "long-127", "long-4294967296", "long-9007199254740993", "long-9223372036854775807"];
    "Y-1.6.11-1": "A float is binary32 of IEEE 754, infinities, negative zero and NaN included (§1.6.11).",
        ["float-pos0", "float-neg0", "float-1", "float-pi", "float-max", "float-min-subnormal", "float-inf",
         "float-neginf", "float-qnan"];
    "Y-1.6.12-1": "A double is binary64 of IEEE 754, infinities, negative zero and NaN included (§1.6.12).",
        ["double-pos0", "double-neg0", "double-pi", "double-max", "double-min-normal", "double-inf", "double-neginf",
         "double-qnan", "double-0.1"];
    "Y-1.6.13-1": "A decimal is 0x74, 0x84 or 0x94, and keeps its bits (§1.6.13 to §1.6.15).",
        ["decimal32-0", "decimal32-neg1", "decimal32-inf", "decimal64-1", "decimal64-inf", "decimal128-neg1",
         "decimal128-inf"];
    "Y-1.6.16-1": CHAR,
        ["char-nul", "char-A", "char-euro", "char-post-surrogate", "char-bmp-last", "char-max"];
    "Y-1.6.17-1": "A timestamp is 0x83, milliseconds from 1970 as a signed number of 64 bits (§1.6.17).",
        ["timestamp-neg9223372036854775808", "timestamp-neg1", "timestamp-1311704463521", "timestamp-253402300799999",
         "timestamp-9223372036854775807"];
    "Y-1.6.18-1": "A uuid is 0x98, 16 octets in their order (§1.6.18).",
        ["uuid-v4", "uuid-seq"];
    "Y-1.6.19-1": BINARY,
        ["binary-len0", "binary-len1", "binary-len127", "binary-len128", "binary-len256"];
    "Y-1.6.20-1": STRING,
        ["string-ascii-len1", "string-nul-inside", "string-2byte", "string-cjk", "string-nonchar", "string-max-scalar",
         "string-ascii-len257"];
    "Y-1.6.21-1": SYMBOL,
        ["symbol-len0", "symbol-len1", "symbol-amqp", "symbol-punct", "symbol-len128"];
}
