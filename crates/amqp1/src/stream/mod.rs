//! Messages whose bodies are larger than memory: written and read piece by piece, as data sections (§3.2.6).

mod incoming;
mod outgoing;
mod section_head;
mod sections;
mod values;

pub use incoming::IncomingStream;
pub use outgoing::SendStream;

#[cfg(test)]
mod tests;
