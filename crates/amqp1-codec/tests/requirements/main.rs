//! Each requirement on a codec, by its id, as octets written by hand from the specification: what must be accepted
//! and means what, what must be refused and why, and what is written.
//!
//! | module | what it shows |
//! |---|---|
//! | `types` | part 1: constructors, sizes, described values, what hostile octets may cost |
//! | `primitives`, `compounds`, `arrays` | part 1: each type in each of its encodings |
//! | `composites`, `multiples` | part 1: every field of every composite in every legal encoding, and in no other |
//! | `frames` | part 2: protocol headers and frames |
//! | `transport`, `definitions` | part 2: performatives, and what they are made of |
//! | `messaging`, `sections`, `termini` | part 3: messages, their sections, delivery states, sources and targets |
//! | `relaying` | part 3: what is passed on stays as it was |
//! | `transactions` | part 4 |
//! | `security` | part 5 |
//! | `leniency` | what each limit and each switch changes |
//! | `deviations`, `advisory`, `advisory_frames` | messages and frames that real peers send although the specification forbids them |

mod advisory;
mod advisory_frames;
mod arrays;
mod composites;
mod compounds;
mod definitions;
mod deviations;
mod encodings;
mod frames;
mod leniency;
mod messaging;
mod multiples;
mod primitives;
mod relaying;
mod sections;
mod security;
mod support;
mod table;
mod termini;
mod transactions;
mod transport;
mod types;
