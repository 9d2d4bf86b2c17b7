//! Peers that grant what an attach asks for, and do not keep it: the right peer is asked for something else.

use super::attaches::attach;
use crate::wrong::{Fate, Past, Piece, Wrong, change};
use amqp1_codec::{
    Value,
    definitions::{AmqpError, ErrorCondition, Role},
    messaging::{DistributionMode, FilterSet, LifetimePolicy, Source, TerminusExpiryPolicy},
    performative::{Attach, Detach, Performative, TargetArchetype},
};
use amqp1_script::frames;

/// A peer that grants the source that it is asked for, and serves another.
macro_rules! promises {
    ($($(#[$doc:meta])+ $constant:ident $name:literal ($source:ident) $ask:block ($reply:ident, $asked:ident) $grant:block)+) => {$(
        $(#[$doc])+
        pub(crate) const $constant: Wrong = Wrong {
            name: $name,
            on: &["attach"],
            written: |past, piece| grants(past, piece, |$reply, $asked| $grant),
            read: |past, piece| asks(past, piece, |$source| $ask),
            place: None,
        };
    )+};
}

promises! {
    /// No default outcome applies.
    NO_DEFAULT_OUTCOME "promises-default-outcomes" (source) { source.default_outcome = None; }
        (reply, asked) { reply.default_outcome = asked.default_outcome; }
    /// Its termini never expire.
    NEVER_EXPIRES "promises-to-expire" (source) {
        (source.expiry_policy, source.timeout) = (TerminusExpiryPolicy::Never, 1000);
    } (reply, asked) { (reply.expiry_policy, reply.timeout) = (asked.expiry_policy, asked.timeout); }
    /// Its termini expire at once.
    EXPIRES_AT_ONCE "promises-to-keep" (source) {
        (source.expiry_policy, source.timeout) = (TerminusExpiryPolicy::LinkDetach, 0);
    } (reply, asked) { (reply.expiry_policy, reply.timeout) = (asked.expiry_policy, asked.timeout); }
    /// A message that is browsed is taken away.
    COPY_MOVES "promises-to-copy" (source) { source.distribution_mode = None; }
        (reply, asked) { reply.distribution_mode = asked.distribution_mode; }
    /// A message that is taken stays.
    MOVE_COPIES "promises-to-move" (source) { source.distribution_mode = Some(DistributionMode::COPY); }
        (reply, asked) { reply.distribution_mode = asked.distribution_mode; }
    /// No filter is in force.
    NO_FILTERS "promises-filters" (source) { source.filter = None; } (reply, asked) { reply.filter = asked.filter; }
    /// Of several filters the last is in force.
    LAST_FILTER "promises-each-filter" (source) {
        source.filter = source.filter.take().map(|filters| last_of(&filters));
    } (reply, asked) { reply.filter = asked.filter; }
    /// Its dynamic nodes stay.
    NODES_STAY "promises-to-delete-nodes" (source) {
        source.dynamic_node_properties = None;
        if source.dynamic {
            (source.dynamic, source.address) = (false, Some("dynamic-that-stays".into()));
        }
    } (reply, asked) {
        (reply.dynamic, reply.dynamic_node_properties) = (asked.dynamic, asked.dynamic_node_properties);
    }
    /// Its dynamic nodes go with the link.
    NODES_GO "promises-to-keep-nodes" (source) {
        source.dynamic_node_properties =
            source.dynamic_node_properties.take().map(|all| all.with_lifetime_policy(LifetimePolicy::DeleteOnClose));
    } (reply, asked) { reply.dynamic_node_properties = asked.dynamic_node_properties; }
}

fn last_of(filters: &FilterSet) -> FilterSet {
    let mut last = FilterSet::new();
    if let Some((Value::Symbol(name), Value::Described(filter))) = filters.iter().last() {
        last.insert(name.clone(), filter.descriptor.clone(), filter.value.clone());
    }
    last
}

fn asks(past: &mut Past, piece: Piece, change: impl FnOnce(&mut Source)) -> Fate {
    if piece.name() == "attach" {
        past.kept.push(piece.octets.clone());
    }
    attach(piece, |attach| {
        if let (Role::Receiver, Some(source)) = (attach.role, &mut attach.source) {
            change(source);
        }
    })
}

fn grants(past: &mut Past, piece: Piece, change: impl FnOnce(&mut Source, Source)) -> Fate {
    let asked: Vec<Attach> = past.kept.iter().filter_map(|octets| attach_of(Piece::new(octets.clone()))).collect();
    attach(piece, |attach| {
        let asked = asked.into_iter().rfind(|asked| asked.name == attach.name && asked.role == Role::Receiver);
        if let (Some(reply), Some(asked)) = (&mut attach.source, asked.and_then(|asked| asked.source)) {
            change(reply, *asked);
        }
    })
}

pub(super) fn attach_of(piece: Piece) -> Option<Attach> {
    match piece.frame() {
        Ok((_, Performative::Attach(attach), _)) => Some(*attach),
        _ => None,
    }
}

/// A peer that refuses the attaches for which this is true.
macro_rules! refuses {
    ($($(#[$doc:meta])+ $constant:ident $name:literal $is_refused:expr;)+) => {$(
        $(#[$doc])+
        pub(crate) const $constant: Wrong = Wrong::reads($name, &["attach"], |_, piece| refuse(piece, $is_refused));
    )+};
}

refuses! {
    /// It refuses filters that are null.
    REFUSES_NULL_FILTERS "refuses-null-filters" |attach| {
        let filters = attach.source.as_ref().and_then(|source| source.filter.as_ref());
        filters.is_some_and(|filters| filters.iter().any(|(_, filter)| filter.is_null()))
    };
    /// It refuses targets of receivers, which are not its own.
    REFUSES_FOREIGN_TARGETS "refuses-foreign-targets" |attach| {
        let target = attach.target.as_ref().and_then(TargetArchetype::as_target);
        attach.role == Role::Receiver && target.is_some_and(|target| target.address.is_some())
    };
    /// It refuses sources of senders, which are not its own.
    REFUSES_FOREIGN_SOURCES "refuses-foreign-sources" |attach| {
        let source = attach.source.as_ref();
        attach.role == Role::Sender && source.is_some_and(|source| source.address.is_some())
    };
    /// It refuses to attach a link again of which deliveries are unsettled.
    REFUSES_TO_RESUME "refuses-to-resume" |attach| {
        attach.unsettled.as_ref().is_some_and(|unsettled| !unsettled.is_empty())
    };
    /// It refuses properties that it does not know.
    REFUSES_PROPERTIES "refuses-properties-of-links" |attach| attach.properties.is_some();
    /// It refuses capabilities that it does not know.
    REFUSES_CAPABILITIES "refuses-capabilities-of-links" |attach| !attach.desired_capabilities.is_empty();
}

fn refuse(piece: Piece, is_refused: fn(&Attach) -> bool) -> Fate {
    let octets = piece.octets.clone();
    match piece.frame() {
        Ok((channel, Performative::Attach(attach), _)) if is_refused(&attach) => {
            let mut reply = frames::attach_answering(&attach, attach.handle);
            match reply.role {
                Role::Sender => reply.source = None,
                Role::Receiver => reply.target = None,
            }
            let error = Some(AmqpError::from(ErrorCondition::NOT_IMPLEMENTED));
            let detach = Detach { error, ..frames::detach(attach.handle) };
            Fate::Answer(vec![frames::encode(channel, reply, b""), frames::encode(channel, detach, b"")])
        }
        _ => Fate::Pass(octets),
    }
}

/// It attaches one link of a name, whatever the other's role is.
pub(crate) const ONE_LINK_A_NAME: Wrong = Wrong::reads("one-link-a-name", &["attach"], |past, piece| {
    let octets = piece.octets.clone();
    let Some(attach) = attach_of(piece) else { return Fate::Pass(octets) };
    let is_known = past
        .kept
        .iter()
        .filter_map(|octets| attach_of(Piece::new(octets.clone())))
        .any(|known| known.name == attach.name && known.role != attach.role);
    past.kept.push(octets.clone());
    if is_known { Fate::Drop } else { Fate::Pass(octets) }
});

/// It says of each of its deliveries that it is accepted.
pub(crate) const UNSETTLED_ACCEPTED: Wrong = Wrong::writes("unsettled-are-accepted", &["attach"], |_, piece| {
    attach(piece, |attach| {
        attach.unsettled = attach.unsettled.take().map(|all| {
            let accepted = || Value::described(0x24_u64, Vec::<Value>::new());
            all.iter().map(|(tag, _)| (tag, accepted())).collect()
        });
    })
});

/// It says of what the other end knows that it knows it too.
pub(crate) const ECHOES_UNSETTLED: Wrong = Wrong {
    name: "echoes-unsettled",
    on: &["attach"],
    written: |past, piece| {
        let asked = past.kept.last().and_then(|octets| attach_of(Piece::new(octets.clone())));
        attach(piece, |attach| {
            attach.unsettled = asked.and_then(|asked| asked.unsettled);
        })
    },
    read: |past, piece| {
        if piece.name() == "attach" {
            past.kept.push(piece.octets.clone());
        }
        Fate::Pass(piece.octets)
    },
    place: None,
};

/// A peer that does not see everything of an attach.
macro_rules! reads_attaches {
    ($($(#[$doc:meta])+ $constant:ident $name:literal |$attach:ident| $change:block)+) => {$(
        $(#[$doc])+
        pub(crate) const $constant: Wrong =
            Wrong::reads($name, &["attach"], |_, piece| attach(piece, |$attach| $change));
    )+};
}

reads_attaches! {
    /// It does not see the other end's unsettled deliveries.
    READS_NO_UNSETTLED "reads-no-unsettled" |attach| { attach.unsettled = None; }
    /// It does not see the states of the other end's unsettled deliveries.
    READS_NO_STATES "reads-unsettled-without-states" |attach| {
        attach.unsettled =
            attach.unsettled.take().map(|all| all.iter().map(|(tag, _)| (tag, Value::Null)).collect());
    }
    /// It takes every unsettled map for complete.
    READS_COMPLETE "reads-incomplete-as-complete" |attach| { attach.incomplete_unsettled = false; }
    /// It does not see the largest message that the other end takes.
    READS_NO_MAX_MESSAGE_SIZE "reads-no-max-message-size" |attach| { attach.max_message_size = None; }
    /// It does not see the other end's first delivery-count.
    READS_NO_DELIVERY_COUNT "reads-no-initial-delivery-count" |attach| {
        attach.initial_delivery_count = attach.initial_delivery_count.map(|_| amqp1_codec::SequenceNo(0));
    }
    /// It sees another handle than the other end's.
    READS_OTHER_HANDLE "reads-other-handles" |attach| { attach.handle = attach.handle.saturating_add(1); }
    /// It takes each link for one whose deliveries are settled.
    READS_SETTLED_MODE "reads-other-settle-modes" |attach| {
        attach.snd_settle_mode = amqp1_codec::definitions::SenderSettleMode::Settled;
        attach.rcv_settle_mode = amqp1_codec::definitions::ReceiverSettleMode::First;
    }
}

/// A peer that does not see everything of an open.
macro_rules! reads_opens {
    ($($(#[$doc:meta])+ $constant:ident $name:literal |$open:ident| $change:block)+) => {$(
        $(#[$doc])+
        pub(crate) const $constant: Wrong = Wrong::reads($name, &["open"], |_, piece| {
            change(piece, "open", |body, _| {
                if let Performative::Open($open) = body $change
            })
        });
    )+};
}

reads_opens! {
    /// It does not see the largest frame that the other end takes.
    READS_NO_MAX_FRAME_SIZE "reads-no-max-frame-size" |open| { open.max_frame_size = u32::MAX; }
    /// It does not see the highest channel of the other end.
    READS_NO_CHANNEL_MAX "reads-no-channel-max" |open| { open.channel_max = u16::MAX; }
    /// It does not see the other end's time-out.
    READS_NO_TIME_OUT "reads-no-idle-time-out" |open| { open.idle_time_out = None; }
    /// It takes each connection for one that times out soon.
    READS_SHORT_TIME_OUT "reads-a-short-idle-time-out" |open| { open.idle_time_out = Some(20); }
    /// It takes milliseconds for seconds.
    READS_SECONDS "reads-idle-time-out-in-seconds" |open| {
        open.idle_time_out = open.idle_time_out.map(|time| time.saturating_mul(1000));
    }
}
