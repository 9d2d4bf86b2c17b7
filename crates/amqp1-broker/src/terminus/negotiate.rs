//! Negotiation of termini: the peer's wishes, the node's answer, and whether that suits.

use alloc::vec::Vec;
use amqp1_codec::{
    Symbol, Value,
    messaging::{DeliveryState, DistributionMode, FilterSet, Source, Target, TerminusDurability, TerminusExpiryPolicy},
    performative::Seconds,
    types::Described,
};

/// The features of a node for sources and targets.
///
/// The default is a node that only moves messages, with any outcome of the specification. Capabilities are for the
/// application to add to what is granted.
#[derive(Clone, Debug)]
pub struct Support {
    /// The outcomes that receivers may choose, by their descriptors.
    pub outcomes: Vec<Symbol>,
    /// The outcome of deliveries that are settled without one; if there is none, the one asked for.
    pub default_outcome: Option<DeliveryState>,
    /// The distribution modes, the first of which is what a receiver gets that asks for none, or for another.
    pub distribution_modes: Vec<Symbol>,
    /// Whether a filter is understood, by its descriptor.
    pub filters: fn(&Value) -> bool,
    /// The most durable that a terminus can be (§3.5.5).
    pub durable: TerminusDurability,
    /// Whether a terminus can outlive its connection (§3.5.6).
    pub outlives_connections: bool,
    /// The longest that it is kept, in seconds.
    pub timeout: Seconds,
}

impl Default for Support {
    fn default() -> Self {
        Self {
            outcomes: DeliveryState::STANDARD_OUTCOMES.into(),
            default_outcome: None,
            distribution_modes: [DistributionMode::MOVE].into(),
            filters: |_| false,
            durable: TerminusDurability::None,
            outlives_connections: false,
            timeout: 0,
        }
    }
}

impl Support {
    /// §2.6.3: the source that is in force, of the one that was asked for. The address is the application's to check. A
    /// dynamic node is not granted without an address: see [`reply`](Self::reply).
    pub fn grant(&self, asked: &Source) -> Source {
        let mut granted = Source { address: asked.address.clone(), ..Source::default() };
        // M-3.5.1-1: a filter that is not understood is not in force.
        granted.filter = asked.filter.as_ref().map(|filters| {
            let mut kept = FilterSet::new();
            for (name, filter) in filters.iter() {
                if let (Value::Symbol(name), Value::Described(filter)) = (name, filter) {
                    if (self.filters)(&filter.descriptor) {
                        kept.insert(name.clone(), filter.descriptor.clone(), filter.value.clone());
                    }
                }
            }
            kept
        });
        granted.filter = granted.filter.filter(|filters| filters.iter().len() > 0);
        let wanted = asked.distribution_mode.as_ref().filter(|mode| self.distribution_modes.contains(mode));
        granted.distribution_mode = wanted.or_else(|| self.distribution_modes.first()).cloned();
        let outcomes: Vec<_> =
            asked.outcomes.iter().filter(|outcome| self.outcomes.contains(outcome)).cloned().collect();
        granted.outcomes = if outcomes.is_empty() { self.outcomes.clone() } else { outcomes }.into();
        let wanted = asked.default_outcome.as_ref();
        let wanted = wanted.filter(|outcome| outcome.descriptor().is_some_and(|name| self.outcomes.contains(&name)));
        granted.default_outcome = self.default_outcome.as_ref().or(wanted).cloned();
        (granted.durable, granted.expiry_policy, granted.timeout) =
            self.lifetime(asked.durable, asked.expiry_policy, asked.timeout);
        granted
    }

    /// §2.6.3: the target that is in force, of the one that was asked for; as [`grant`](Self::grant).
    pub fn grant_target(&self, asked: &Target) -> Target {
        let (durable, expiry_policy, timeout) = self.lifetime(asked.durable, asked.expiry_policy, asked.timeout);
        Target { address: asked.address.clone(), durable, expiry_policy, timeout, ..Target::default() }
    }

    fn lifetime(
        &self,
        durable: TerminusDurability,
        expiry_policy: TerminusExpiryPolicy,
        timeout: Seconds,
    ) -> (TerminusDurability, TerminusExpiryPolicy, Seconds) {
        let durable = if rank(durable) > rank(self.durable) { self.durable } else { durable };
        let outlives = matches!(expiry_policy, TerminusExpiryPolicy::Never | TerminusExpiryPolicy::ConnectionClose);
        let expiry_policy =
            if outlives && !self.outlives_connections { TerminusExpiryPolicy::SessionEnd } else { expiry_policy };
        (durable, expiry_policy, timeout.min(self.timeout))
    }
}

const fn rank(durable: TerminusDurability) -> u8 {
    match durable {
        TerminusDurability::None => 0,
        TerminusDurability::Configuration => 1,
        TerminusDurability::UnsettledState => 2,
    }
}

/// Something that was asked for and is not in force.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Difference {
    /// A dynamic node was asked for, and no address came (§3.5.3).
    AddressMissing,
    /// It expires sooner.
    ExpiresSooner,
    /// A filter is in force in another form.
    FilterChanged(Symbol),
    /// A filter is not in force.
    FilterMissing(Symbol),
    /// It is less durable.
    LessDurable,
    /// The distribution mode is another.
    OtherMode,
    /// An outcome may not be chosen.
    OutcomeMissing(Symbol),
}

/// §2.6.3: what an end that asked for a source finds missing in the one that is in force. With any of these the link
/// may not do what its application needs: detach it, unless the application knows better.
pub fn differences(asked: &Source, granted: &Source) -> Vec<Difference> {
    let mut found = Vec::new();
    if asked.dynamic && granted.address.is_none() {
        found.push(Difference::AddressMissing);
    }
    for (name, filter) in asked.filter.iter().flat_map(FilterSet::iter) {
        if let (Value::Symbol(name), false) = (name, filter.is_null()) {
            let granted = || granted.filter.iter().flat_map(FilterSet::iter);
            let named = granted().find(|(other, _)| matches!(other, Value::Symbol(other) if other == name));
            match named.map(|(_, value)| value).filter(|value| !value.is_null()) {
                Some(value) if value == filter => {}
                Some(_) => found.push(Difference::FilterChanged(name.clone())),
                None if granted().any(|(_, value)| value == filter) => {}
                None => found.push(Difference::FilterMissing(name.clone())),
            }
        }
    }
    if rank(granted.durable) < rank(asked.durable) {
        found.push(Difference::LessDurable);
    }
    let lasts = |policy| match policy {
        TerminusExpiryPolicy::LinkDetach => 0,
        TerminusExpiryPolicy::SessionEnd => 1,
        TerminusExpiryPolicy::ConnectionClose => 2,
        TerminusExpiryPolicy::Never => 3,
    };
    let sooner = lasts(granted.expiry_policy) < lasts(asked.expiry_policy) || granted.timeout < asked.timeout;
    if sooner {
        found.push(Difference::ExpiresSooner);
    }
    if asked.distribution_mode.is_some() && asked.distribution_mode != granted.distribution_mode {
        found.push(Difference::OtherMode);
    }
    for outcome in asked.outcomes.iter().filter(|outcome| !granted.outcomes.contains(outcome)) {
        found.push(Difference::OutcomeMissing(outcome.clone()));
    }
    found
}

/// As [`differences`], for a target.
pub fn target_differences(asked: &Target, granted: &Target) -> Vec<Difference> {
    let lifetime = |target: &Target| Source {
        address: target.address.clone(),
        durable: target.durable,
        expiry_policy: target.expiry_policy,
        timeout: target.timeout,
        dynamic: target.dynamic,
        ..Source::default()
    };
    differences(&lifetime(asked), &lifetime(granted))
}

/// Whether a message passes: it does if every filter says so; one that is null is none (§3.5.8). What a filter says is
/// the node's to know.
pub fn passes(filters: Option<&FilterSet>, mut says: impl FnMut(&Described) -> bool) -> bool {
    let mut filters = filters.into_iter().flat_map(FilterSet::iter);
    filters.all(|(_, filter)| match filter {
        Value::Described(filter) => says(filter),
        _ => true,
    })
}

/// The outcome of a delivery that was settled without one, or whose source has gone (§3.5.3). A source without a
/// default leaves its messages as they were: released.
pub fn default_outcome(source: &Source) -> DeliveryState {
    source.default_outcome.clone().unwrap_or(DeliveryState::Released)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use amqp1_codec::messaging::DistributionMode;

    const KNOWN: u64 = 0x0000_468C_0000_0004;

    fn accepted() -> Symbol {
        DeliveryState::ACCEPTED
    }

    fn released() -> Symbol {
        DeliveryState::RELEASED
    }

    fn support() -> Support {
        Support {
            outcomes: vec![accepted(), released()],
            default_outcome: Some(DeliveryState::Released),
            distribution_modes: vec![DistributionMode::MOVE, DistributionMode::COPY],
            filters: |descriptor| *descriptor == Value::Ulong(KNOWN),
            durable: TerminusDurability::Configuration,
            outlives_connections: false,
            timeout: 60,
        }
    }

    fn filters() -> FilterSet {
        let mut filters = FilterSet::new();
        filters.insert(Symbol::from_static("known"), KNOWN, "a = 1");
        filters.insert(Symbol::from_static("other"), Symbol::from_static("x:other"), 1_u32);
        filters
    }

    /// Also M-3.5.1-2 and T-2.6.3-4: the receiver finds out.
    #[test]
    fn m_3_5_1_1_a_filter_that_is_not_understood_is_left_out() {
        let asked = Source { filter: Some(filters()), ..Source::at("q") };
        let granted = support().grant(&asked);
        let names: Vec<_> =
            granted.filter.as_ref().map(|f| f.iter().map(|(name, _)| name.clone()).collect()).unwrap_or_default();
        assert_eq!(names, [Value::Symbol(Symbol::from_static("known"))]);
        assert_eq!(differences(&asked, &granted), [Difference::FilterMissing(Symbol::from_static("other"))]);
    }

    /// Also M-3.5.1-2 and T-2.6.3-3: what is in force is what is said, and each difference is found.
    #[test]
    fn t_2_6_3_4_what_comes_back_is_compared_with_what_was_asked_for() {
        let asked = Source {
            durable: TerminusDurability::UnsettledState,
            expiry_policy: TerminusExpiryPolicy::Never,
            timeout: 3600,
            dynamic: true,
            distribution_mode: Some(Symbol::from_static("broadcast")),
            outcomes: vec![accepted(), Symbol::from_static("x:other")].into(),
            ..Source::default()
        };
        let granted = support().grant(&asked);
        assert_eq!((granted.durable, granted.timeout), (TerminusDurability::Configuration, 60));
        assert_eq!(
            differences(&asked, &granted),
            [
                Difference::AddressMissing,
                Difference::LessDurable,
                Difference::ExpiresSooner,
                Difference::OtherMode,
                Difference::OutcomeMissing(Symbol::from_static("x:other")),
            ]
        );
        assert!(differences(&granted, &Source { address: Some("made".into()), ..granted.clone() }).is_empty());
    }

    /// One thing at a time, so that none stands for another.
    #[test]
    fn t_2_6_3_4_each_thing_that_is_less_than_was_asked_for_is_found() {
        use TerminusExpiryPolicy::{ConnectionClose, LinkDetach, Never, SessionEnd};
        let policies = [LinkDetach, SessionEnd, ConnectionClose, Never];
        for (at, asked) in policies.into_iter().enumerate() {
            for (other, granted) in policies.into_iter().enumerate() {
                let with = |expiry_policy| Source { expiry_policy, ..Source::at("q") };
                let expected: &[_] = if other < at { &[Difference::ExpiresSooner] } else { &[] };
                assert_eq!(differences(&with(asked), &with(granted)), expected, "{asked:?} {granted:?}");
            }
        }
        let with = |timeout| Source { timeout, ..Source::at("q") };
        assert_eq!(differences(&with(60), &with(59)), [Difference::ExpiresSooner]);
        assert!(differences(&with(60), &with(61)).is_empty());
        let modes = [None, Some(DistributionMode::MOVE), Some(DistributionMode::COPY)];
        for asked in &modes {
            for granted in &modes {
                let with = |mode: &Option<Symbol>| Source { distribution_mode: mode.clone(), ..Source::at("q") };
                let expected: &[_] = if asked.is_some() && asked != granted { &[Difference::OtherMode] } else { &[] };
                assert_eq!(differences(&with(asked), &with(granted)), expected, "{asked:?} {granted:?}");
            }
        }
        // A dynamic node, at either end, has an address.
        for (address, expected) in [(None, &[Difference::AddressMissing][..]), (Some("made"), &[])] {
            let source = |address: Option<&'static str>| Source {
                dynamic: true,
                address: address.map(Into::into),
                ..Source::default()
            };
            assert_eq!(differences(&source(None), &source(address)), expected);
            let target = |address: Option<&'static str>| Target {
                dynamic: true,
                address: address.map(Into::into),
                ..Target::default()
            };
            assert_eq!(target_differences(&target(None), &target(address)), expected);
        }
    }

    /// At either end: where a terminus ends with its connection, it is not said to last for longer.
    #[test]
    fn t_2_6_3_3_a_terminus_is_said_to_last_as_long_as_it_does() {
        use TerminusExpiryPolicy::{ConnectionClose, LinkDetach, Never, SessionEnd};
        for outlives_connections in [true, false] {
            let support = Support { outlives_connections, ..support() };
            for asked in [LinkDetach, SessionEnd, ConnectionClose, Never] {
                let lasts = outlives_connections || matches!(asked, LinkDetach | SessionEnd);
                let expected = if lasts { asked } else { SessionEnd };
                let source = support.grant(&Source { expiry_policy: asked, ..Source::at("q") });
                let target = support.grant_target(&Target { expiry_policy: asked, ..Target::at("q") });
                assert_eq!((source.expiry_policy, target.expiry_policy), (expected, expected), "{asked:?}");
            }
        }
    }

    #[test]
    fn m_3_5_3_5_the_outcomes_in_force_are_those_of_both() {
        let asked = |outcomes: Vec<Symbol>| Source { outcomes: outcomes.into(), ..Source::at("q") };
        assert_eq!(support().grant(&asked(vec![accepted()])).outcomes, vec![accepted()].into());
        assert_eq!(support().grant(&asked(vec![])).outcomes, vec![accepted(), released()].into());
        let other = Symbol::from_static("x:other");
        assert_eq!(support().grant(&asked(vec![accepted(), other])).outcomes, vec![accepted()].into());
    }

    #[test]
    fn m_3_5_3_6_what_is_settled_without_an_outcome_has_the_default_one() {
        let granted = support().grant(&Source::at("q"));
        assert_eq!(default_outcome(&granted), DeliveryState::Released);
        let other = Source { default_outcome: Some(DeliveryState::Accepted), ..Source::default() };
        assert_eq!(default_outcome(&other), DeliveryState::Accepted);
    }

    #[test]
    fn m_3_5_3_7_the_mode_in_force_is_said() {
        let asked = |mode: Option<Symbol>| Source { distribution_mode: mode, ..Source::at("q") };
        let granted = |mode| support().grant(&asked(mode)).distribution_mode;
        assert_eq!(granted(None), Some(DistributionMode::MOVE));
        assert_eq!(granted(Some(DistributionMode::COPY)), Some(DistributionMode::COPY));
    }

    #[test]
    fn m_3_5_5_1_a_terminus_is_as_durable_as_is_said() {
        for asked in [TerminusDurability::None, TerminusDurability::Configuration, TerminusDurability::UnsettledState] {
            let granted = support().grant(&Source { durable: asked, ..Source::at("q") }).durable;
            assert_eq!(rank(granted), rank(asked).min(1));
        }
    }

    #[test]
    fn m_3_5_8_2_a_message_passes_every_filter_or_it_does_not() {
        let filters = filters();
        let mut asked = Vec::new();
        assert!(passes(Some(&filters), |filter| {
            asked.push(filter.descriptor.clone());
            true
        }));
        assert_eq!(asked.len(), 2);
        assert!(!passes(Some(&filters), |filter| filter.descriptor == Value::Ulong(KNOWN)));
        assert!(passes(None, |_| false));
    }
}
