//! The answer to an attach by an end whose nodes support nothing in particular (§2.6.3).

use crate::config::AttachReply;
use amqp1_codec::{
    Symbol,
    definitions::Role,
    messaging::{DeliveryState, DistributionMode, Source, Target},
    performative::{Attach, TargetArchetype},
};

fn basic_source(asked: &Source, ours: bool) -> Source {
    let standard = |outcome: &Symbol| DeliveryState::STANDARD_OUTCOMES.contains(outcome);
    let mode = asked.distribution_mode.as_ref().filter(|_| ours).map(|_| DistributionMode::MOVE);
    Source {
        address: asked.address.clone(),
        distribution_mode: mode,
        default_outcome: asked
            .default_outcome
            .clone()
            .filter(|outcome| outcome.descriptor().as_ref().is_some_and(standard)),
        outcomes: asked.outcomes.iter().filter(|outcome| standard(outcome)).cloned().collect(),
        ..Source::default()
    }
}

impl AttachReply {
    /// Grants what needs no support by the node: the addresses, the settle modes, and of the outcomes the four of the
    /// specification. Filters, capabilities, durability, expiry policy, time-out and dynamic nodes are left out, and
    /// messages are moved, not copied. `Support` of the crate `amqp1-broker` grants more.
    pub fn basic(remote: &Attach) -> Self {
        let source = remote.source.as_deref().map(|source| basic_source(source, remote.role == Role::Receiver));
        let target = remote.target.as_ref().map(|target| match target {
            TargetArchetype::Target(asked) => Target { address: asked.address.clone(), ..Target::default() }.into(),
            TargetArchetype::Coordinator(_) => target.clone(),
        });
        Self { source, target, ..Self::echo(remote) }
    }
}
