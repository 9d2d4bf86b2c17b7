//! What carries the octets, and the clock by which deadlines are counted.

mod answering;
mod memory;
mod tcp;

pub use answering::{Answer, Answering};
pub use memory::Memory;
pub use tcp::Tcp;

use std::time::Duration;

/// What a read came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Read {
    /// So many octets were put into the buffer; never 0.
    Octets(usize),
    /// The other end will write no more.
    Eof,
    /// The transport is broken.
    Reset,
    /// The deadline has passed.
    Timeout,
}

/// What a write came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// All octets are on their way.
    All,
    /// The transport broke after so many octets.
    Reset(usize),
    /// The deadline passed after so many octets: the other end does not read.
    Timeout(usize),
}

/// Carries octets both ways. Points in time are durations since the transport was made.
pub trait Transport {
    /// Writes all octets, or as many as can be written before the deadline.
    fn write(&mut self, octets: &[u8], deadline: Duration) -> Written;

    /// Waits for octets, at most until the deadline; what is there already is read even if that has passed.
    fn read(&mut self, buffer: &mut [u8], deadline: Duration) -> Read;

    /// The time.
    fn now(&self) -> Duration;

    /// Says to the other end that nothing more will be written. Reading goes on.
    fn finish(&mut self);
}

impl<T: Transport + ?Sized> Transport for Box<T> {
    fn write(&mut self, octets: &[u8], deadline: Duration) -> Written {
        (**self).write(octets, deadline)
    }

    fn read(&mut self, buffer: &mut [u8], deadline: Duration) -> Read {
        (**self).read(buffer, deadline)
    }

    fn now(&self) -> Duration {
        (**self).now()
    }

    fn finish(&mut self) {
        (**self).finish();
    }
}
