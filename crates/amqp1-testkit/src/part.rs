//! The parts that an engine may have on a link: rules that hold for all are shown of all.

use crate::{Peer, Side, attach, begin, crowded::styled, receiver, sender};
use amqp1_codec::{
    SequenceNo,
    definitions::Role,
    performative::{Attach, Begin},
};
use amqp1_engine::{
    AttachReply, Connection, ConnectionConfig, Credit, Instant, LinkId, ReceiverConfig, SenderConfig, ServerSasl,
    SessionConfig,
};

/// Which end of a link an engine is, and how it came to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// Whether it is the engine of a client or of a server.
    pub side: Side,
    /// Whether it attaches first, or answers.
    pub initiates: bool,
    /// Whether it sends or receives.
    pub role: Role,
}

impl Part {
    /// All eight.
    pub fn all() -> impl Iterator<Item = Self> {
        let each = |side| [true, false].map(|initiates| (side, initiates));
        let each = Side::BOTH.into_iter().flat_map(each);
        each.flat_map(|(side, initiates)| [Role::Sender, Role::Receiver].map(|role| Self { side, initiates, role }))
    }

    /// The four in which an engine has this role.
    pub fn of(role: Role) -> impl Iterator<Item = Self> {
        Self::all().filter(move |part| part.role == role)
    }

    /// A link with the name `l` and the handle 0 at both ends, on which a sender counts from `first` and a receiver gives
    /// this credit. The peer's attach is changed as wanted. What the engine has written of it was read.
    pub fn link(self, first: SequenceNo, credit: Credit, change: impl FnOnce(&mut Attach)) -> (Peer, LinkId) {
        self.link_with(ConnectionConfig::new("ours"), first, credit, change)
    }

    /// As [`Part::link`], by an engine with this configuration.
    pub fn link_with(
        self,
        config: ConnectionConfig,
        first: SequenceNo,
        credit: Credit,
        change: impl FnOnce(&mut Attach),
    ) -> (Peer, LinkId) {
        self.attached(config, false, first, credit, change)
    }

    /// As [`Part::link`], and what is not settled when the link is suspended is kept.
    pub fn resumable_link(self, first: SequenceNo, credit: Credit) -> (Peer, LinkId) {
        self.attached(ConnectionConfig::new("ours"), true, first, credit, |_| {})
    }

    fn attached(
        self,
        config: ConnectionConfig,
        resumable: bool,
        first: SequenceNo,
        credit: Credit,
        change: impl FnOnce(&mut Attach),
    ) -> (Peer, LinkId) {
        let config = styled(config);
        let now = Instant::default();
        let engine = match self.side {
            Side::Client => Connection::client(config, None, now),
            Side::Server => Connection::server(config, ServerSasl::None, now),
        };
        let mut peer = Peer::new(engine).open();
        let mut theirs = attach("l", 0, self.role.opposite());
        if self.role == Role::Receiver {
            theirs.initial_delivery_count = Some(first);
        }
        change(&mut theirs);
        let link = if self.initiates {
            let session = peer.end.begin(SessionConfig::default()).expect("the connection is open");
            peer.send(0, Begin { remote_channel: Some(0), ..begin() });
            let link = match self.role {
                Role::Sender => {
                    let config = SenderConfig { initial_delivery_count: first, resumable, ..sender("l") };
                    peer.end.attach_sender(session, config)
                }
                Role::Receiver => {
                    let config = ReceiverConfig { resumable, ..receiver("l", credit) };
                    peer.end.attach_receiver(session, config)
                }
            };
            peer.send(0, theirs);
            link.expect("the session is there")
        } else {
            peer.end.accept.links = None;
            peer.send(0, begin());
            peer.send(0, theirs);
            let link = *peer.end.offered_links().last().expect("the link was offered");
            let reply = AttachReply::echo(&peer.end.remote_attach(link).expect("an attach"));
            let reply = AttachReply { credit, resumable, initial_delivery_count: first, ..reply };
            peer.end.accept_link(link, reply).expect("it is not answered yet");
            link
        };
        let names = peer.names();
        let flows = self.role == Role::Receiver && !matches!(credit, Credit::Manual(0) | Credit::Window(0));
        let expected: &[&str] = if flows || self.initiates && self.role == Role::Receiver {
            &["begin", "attach", "flow"]
        } else {
            &["begin", "attach"]
        };
        assert_eq!(names, expected, "{self:?}");
        (peer, link)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_part_is_there_once() {
        let all: Vec<_> = Part::all().collect();
        assert_eq!(all.len(), 8);
        assert!(all.iter().enumerate().all(|(at, part)| !all[..at].contains(part)));
        assert_eq!((Part::of(Role::Sender).count(), Part::of(Role::Receiver).count()), (4, 4));
    }
}
