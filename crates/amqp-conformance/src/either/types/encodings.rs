//! Constructors and their bodies (§1.1.2, §1.2): values that a peer takes.

use super::{rules::ARRAY, values};

values! {
    "Y-1.1.2-2": "A value with an unknown descriptor is still a value (§1.1.2).",
        ["described-string-value", "described-ulong-big", "described-nested-value", "described-null"];
    "Y-1.2.1-1": "The first digit of a format code says how many octets a value of fixed width has (§1.2.1).",
        ["null", "bool-true", "bool-false", "ubyte-255", "ushort-256", "uint-0", "uint-127", "uint-65536", "ulong-0",
         "ulong-127", "ulong-4294967296", "byte-neg1", "short-neg129", "int-neg1", "int-65536", "long-neg1",
         "long-4294967296", "float-1", "double-1", "decimal32-1", "decimal64-1", "decimal128-neg1", "char-A",
         "timestamp-1", "uuid-seq"];
    "Y-1.2.2-1": "The length of a value of variable width counts octets (§1.2.2).",
        ["string-255-bytes-multibyte", "string-64-emoji", "string-ascii-len255", "string-ascii-len256",
         "binary-len254", "binary-len256", "symbol-len255"];
    "Y-1.2.4-1/relayed" or "Y-1.2.4-1/message": ARRAY,
        ["array-symbol", "array-string", "array-ushort", "array-uuid"];
    "Y-1.2.4-3": "The constructor of an array may be described, once for all its elements (§1.2.4).",
        ["array-described-symbol", "array-described-empty"];
    "Y-1.2.4-4": "The elements of an array may take no octets (§1.2.4, §1.6).",
        ["array-null", "array-all-true", "array-all-false", "array-ulong0", "array-of-empty-lists"];
}
