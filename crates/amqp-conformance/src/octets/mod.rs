//! Octets of values, frames and messages, read and written without the codec.
//!
//! A misreading of the codec would pass unnoticed if its own octets were expected, so cases on encodings use these.

mod body;
mod build;
mod flaw;
mod message;
mod read;
mod samples;
mod schema;
mod value;
mod vectors;

pub use body::{Body, Descriptor, Item, Style};
pub use build::{Fields, array, described, frame, hex, list, list32, map, string, symbol};
pub use flaw::{Flaw, Kind};
pub use message::{Section, annotated_len, bare, sections};
pub use read::{read, read_one};
pub use samples::{
    every_property, every_section, message_of, message_with, nested, open_with_property, open_with_vector,
};
pub use schema::{check_frame, check_message};
pub use value::{Value, difference};
pub use vectors::{encodings, vector};
