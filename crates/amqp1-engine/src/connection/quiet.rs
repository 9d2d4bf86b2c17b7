//! Memory that a quiet connection gives back.

use super::Connection;
use crate::{
    link::{End, Link},
    session::Session,
};
use alloc::{
    collections::{BTreeSet, VecDeque},
    vec::Vec,
};
use bytes::BytesMut;

impl Connection {
    /// Gives back the memory of queues that hold little or nothing. They keep what they have grown to, so that messages
    /// in quick succession cost no allocations. A runtime calls this when a connection has been quiet for a while; it
    /// costs a few steps for each session and link.
    pub fn shrink(&mut self) {
        if self.preamble.is_empty() {
            self.preamble = BytesMut::new();
        }
        shrink_queue(&mut self.waiting);
        self.outbox.shrink();
        self.sessions.iter_mut().for_each(Session::shrink);
        self.links.iter_mut().for_each(Link::shrink);
    }
}

impl Session {
    fn shrink(&mut self) {
        self.sent.shrink();
        self.received.shrink();
        self.marks.shrink();
        shrink_queue(&mut self.ready);
        shrink_queue(&mut self.awaiting_handle);
        shrink_vec(&mut self.waiting);
        shrink_vec(&mut self.unanswered);
        shrink_vec(&mut self.held);
        shrink_vec(&mut self.patient);
    }
}

impl Link {
    fn shrink(&mut self) {
        match &mut self.end {
            End::Sending(end) => shrink_queue(&mut end.queue),
            End::Receiving(end) => shrink_queue(&mut end.buffered),
        }
        self.unsettled.shrink();
        self.tags.shrink();
    }
}

/// Leaves room for twice of what is there at most.
pub(crate) fn shrink_queue<T>(queue: &mut VecDeque<T>) {
    if queue.capacity() / 2 > queue.len() || queue.is_empty() {
        queue.shrink_to_fit();
    }
}

pub(crate) fn shrink_vec<T>(vec: &mut Vec<T>) {
    if vec.capacity() / 2 > vec.len() || vec.is_empty() {
        vec.shrink_to_fit();
    }
}

/// An emptied tree keeps a leaf.
pub(crate) fn shrink_set<T>(set: &mut BTreeSet<T>) {
    if set.is_empty() {
        *set = BTreeSet::new();
    }
}
