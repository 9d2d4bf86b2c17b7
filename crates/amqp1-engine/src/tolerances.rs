//! Deviations from the specification that real peers make, and which of them are accepted.

/// Declares [`Tolerances`], its presets and its table from one list.
macro_rules! tolerances {
    ($($(#[doc = $doc:literal])+ $name:ident: client $client:tt, acceptor $acceptor:tt;)+) => {
        /// Deviations of the peer that are accepted because their meaning is unambiguous.
        ///
        /// Each is on in the preset of the side that meets it in the field, and off in [`STRICT`](Self::STRICT). That a
        /// message reaches the application is not a tolerance: a message that cannot be decoded is handed over under
        /// any of them, and its accessors say what is wrong.
        ///
        /// They are a field of [`ConnectionConfig`](crate::ConnectionConfig). In `amqp1` the builders of the client and
        /// of the acceptor set them, with `.config(|config| config.tolerances = Tolerances::STRICT)`, or one of them
        /// with
        /// `.config(|config| config.tolerances.credit_overrun = false)`.
        ///
        /// | tolerance | [`CLIENT`](Self::CLIENT) | [`ACCEPTOR`](Self::ACCEPTOR) | what is accepted |
        /// |---|---|---|---|
        $(#[doc = concat!("| `", stringify!($name), "` | ", tolerances!(@mark $client), " | ", tolerances!(@mark $acceptor), " |", $($doc,)+ " |")])+
        ///
        /// ```
        /// use amqp1_engine::Tolerances;
        ///
        /// let mut tolerances = Tolerances::STRICT;
        /// tolerances.credit_overrun = true;
        /// assert_eq!(tolerances.iter().filter(|(_, on)| *on).count(), 1);
        /// ```
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct Tolerances {
            $($(#[doc = $doc])+ pub $name: bool,)+
        }

        impl Tolerances {
            /// The tolerances of a client by default.
            pub const CLIENT: Self = Self { $($name: $client,)+ };
            /// The tolerances of an acceptor by default.
            pub const ACCEPTOR: Self = Self { $($name: $acceptor,)+ };
            /// No deviation. The default of the engine.
            pub const STRICT: Self = Self { $($name: false,)+ };
            /// Every deviation in the table.
            pub const ALL: Self = Self { $($name: true,)+ };

            /// Each tolerance by name, and whether it is on.
            pub fn iter(&self) -> impl ExactSizeIterator<Item = (&'static str, bool)> {
                [$((stringify!($name), self.$name),)+].into_iter()
            }
        }
    };
    (@mark true) => { "on" };
    (@mark false) => { "off" };
}

tolerances! {
    /// The sections of a message in any order, each at most once and those of the body together (§3.2).
    any_section_order: client true, acceptor true;
    /// A plain detach of ours that is answered with closed=true. The link is closed; strictly it is attached again in
    /// order to close it (§2.6.6).
    closed_in_answer: client true, acceptor true;
    /// Lists, maps and arrays as application properties (§3.2.5).
    compound_application_properties: client true, acceptor true;
    /// More deliveries than the link credit allows, up to 1024 of them (§2.6.7).
    credit_overrun: client true, acceptor false;
    /// A detach on the channel of a session that the peer has ended, or on a lower one (§2.5.5).
    detach_after_end: client true, acceptor true;
    /// A detach on a handle that the peer has detached already, or on a lower one (§2.6.4).
    detach_twice: client true, acceptor true;
    /// An end on a channel on which no session was begun (§2.5.1).
    end_without_begin: client false, acceptor true;
    /// A flow on a handle that the peer has detached, or on a lower one (§2.6.5): what it says of the session counts.
    flow_after_detach: client false, acceptor true;
    /// A flow or a disposition on the channel of a session that the peer has ended, or on a lower one (§2.5.5).
    flow_after_end: client true, acceptor true;
    /// A flow without next-incoming-id on a session that the peer began: its window is taken as it stands (§2.5.6).
    flow_without_next_incoming_id: client false, acceptor false;
    /// A flow that states a link's counters or properties, but neither credit nor a drain, without naming the link: it is
    /// taken as one of the session (§2.7.4).
    link_counters_without_handle: client true, acceptor true;
    /// An open of more than 512 octets from a peer that has not heard ours (§2.4.1).
    long_open: client false, acceptor true;
    /// SASL frames of more than 512 octets, up to `handshake_octets`: tokens may need them (§5.3.1).
    long_sasl_frames: client true, acceptor true;
    /// Transaction ids of up to 255 octets from a coordinator, where §4.5.4 allows 32.
    long_transaction_ids: client true, acceptor false;
    /// Message properties of another type with the same meaning: a user-id as string, a message-id as uint, a
    /// content-type as string (§3.2.4).
    loose_properties: client true, acceptor true;
    /// A message without a body section (§3.2).
    missing_body: client true, acceptor true;
    /// A sender's attach without initial-delivery-count, which counts as 0 (§2.7.3).
    missing_initial_delivery_count: client true, acceptor true;
    /// Data that only advises and cannot be read. Properties of an open, begin, attach or flow, an error's info,
    /// capabilities and other lists of symbols count as absent (§2.8.13); unknown settle modes, durabilities, expiry
    /// policies and distribution modes as the default ones (§2.8.2, §2.8.3, §3.5.5 to §3.5.7); an error without a
    /// condition that can be read has `amqp1:unreadable-condition` (§2.8.14); fields too many of errors and delivery
    /// states are skipped (§1.4). An attach of which other fields cannot be read costs its link only.
    odd_advisory_data: client true, acceptor true;
    /// A lifetime-policy or supported-dist-modes of another form among the dynamic-node-properties, which count as
    /// absent (§3.5.9).
    odd_node_properties: client true, acceptor true;
    /// A delivery-tag that another unsettled delivery of the link has (§2.6.12).
    repeated_tags: client true, acceptor true;
    /// A sender's wish for receiver-settle-mode second is answered with first unless the application opts in: peers
    /// that ask for second and never settle would stall (§2.7.3).
    second_answered_first: client false, acceptor true;
    /// A transfer that asks for receiver-settle-mode second on a link of mode first (§2.7.5): the delivery is settled
    /// as on the link. [`second_on_first`](crate::Connection::second_on_first) counts them.
    second_on_first: client true, acceptor true;
    /// A settled transfer on a link whose sender-settle-mode is unsettled (§2.7.5): the delivery is settled.
    settled_on_unsettled: client true, acceptor true;
    /// A max-frame-size below 512, which counts as 512 (§2.7.1).
    small_max_frame_size: client true, acceptor true;
    /// dynamic-node-properties of a terminus that is not dynamic, which say nothing (§3.5.3).
    spare_node_properties: client true, acceptor true;
    /// ASCII strings as keys of annotations and footers, which are read as symbols (§3.2.10).
    string_annotation_keys: client true, acceptor true;
    /// ASCII strings as keys of an error's info, of filters, and of the properties of open, begin, attach and flow,
    /// which are read as symbols (§2.8.13).
    string_field_keys: client true, acceptor true;
    /// Transfers on a handle that the peer has detached, of deliveries that had credit; they are discarded. A streamed
    /// receiver stops its sender before it is detached (§2.6.5).
    transfer_after_detach: client true, acceptor false;
    /// Filter values that are not described, which are kept as they came (§3.5.8).
    undescribed_filters: client true, acceptor true;
}

impl Default for Tolerances {
    fn default() -> Self {
        Self::STRICT
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strict_accepts_no_deviation_and_the_presets_only_known_ones() {
        assert!(Tolerances::STRICT.iter().all(|(_, on)| !on));
        assert!(Tolerances::ALL.iter().all(|(_, on)| on));
        let on = |preset: Tolerances| {
            preset.iter().filter(|(_, on)| *on).map(|(name, _)| name).collect::<alloc::vec::Vec<_>>()
        };
        assert!(on(Tolerances::CLIENT).contains(&"credit_overrun"));
        assert!(!on(Tolerances::ACCEPTOR).contains(&"credit_overrun"));
        assert!(on(Tolerances::ACCEPTOR).contains(&"second_answered_first"));
    }
}
