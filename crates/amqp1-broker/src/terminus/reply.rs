//! Answers to attaches (§2.6.3): what is granted, and what has to be refused.

use super::Support;
use amqp1_codec::{
    Str, Symbol,
    definitions::{AmqpError, ErrorCondition, Role},
    messaging::{DeliveryState, LifetimePolicy, NodeProperties, Source},
    performative::{Attach, TargetArchetype},
};
use amqp1_engine::AttachReply;

/// The four outcomes of the specification (§3.4.2 to §3.4.5), by their descriptors.
pub const STANDARD_OUTCOMES: [Symbol; 4] = DeliveryState::STANDARD_OUTCOMES;

/// The node of a terminus at our end of an offered link: `(address is given, dynamic)`; `None` for a null terminus.
fn our_node(role: Role, source: Option<&Source>, target: Option<&TargetArchetype>) -> Option<(bool, bool)> {
    match role {
        // The peer sends: the target is ours.
        Role::Sender => match target? {
            TargetArchetype::Target(target) => Some((target.address.is_some(), target.dynamic)),
            TargetArchetype::Coordinator(_) => Some((true, false)),
        },
        Role::Receiver => source.map(|source| (source.address.is_some(), source.dynamic)),
    }
}

/// Why an offered link cannot be accepted with this answer: the terminus at our end is null
/// ([`ErrorCondition::NOT_FOUND`], §2.6.3), or a dynamic node was asked for and the answer has no address of one
/// ([`ErrorCondition::NOT_IMPLEMENTED`]).
pub fn refusal(asked: &Attach, reply: &AttachReply) -> Option<AmqpError> {
    let wanted = our_node(asked.role, asked.source.as_deref(), asked.target.as_ref());
    match (wanted, our_node(asked.role, reply.source.as_ref(), reply.target.as_ref())) {
        (_, None) => Some(AmqpError::new(ErrorCondition::NOT_FOUND, "the link names no node at this end")),
        (_, Some((false, true))) | (Some((_, true)), Some((false, _))) => {
            Some(AmqpError::new(ErrorCondition::NOT_IMPLEMENTED, "no nodes are created here on demand"))
        }
        _ => None,
    }
}

/// The properties of a dynamic node that are in force: its lifetime policy, which is the customary one where none was
/// asked for that is known. Nothing is said to a peer that asked for nothing.
fn node_properties(asked: Option<&NodeProperties>) -> Option<NodeProperties> {
    let policy = asked?.lifetime_policy().unwrap_or(LifetimePolicy::DeleteOnClose);
    Some(NodeProperties::default().with_lifetime_policy(policy))
}

impl Support {
    /// Answers an attach: [`grant`](Self::grant) or [`grant_target`](Self::grant_target) for the terminus at our end,
    /// the other as in [`AttachReply::basic`]. `node` is the address of a node that was created for the link, if it
    /// asks for a dynamic one.
    ///
    /// # Errors
    ///
    /// Why the link has to be refused: see [`refusal`]; also if it is one to a coordinator of transactions.
    pub fn reply(&self, asked: &Attach, node: Option<Str>) -> Result<AttachReply, AmqpError> {
        let mut reply = AttachReply::basic(asked);
        match (asked.role, &asked.source, &asked.target) {
            (Role::Receiver, Some(source), _) => {
                let mut granted = self.grant(source);
                if let (true, Some(_)) = (source.dynamic, &node) {
                    granted.dynamic_node_properties = node_properties(source.dynamic_node_properties.as_ref());
                    (granted.dynamic, granted.address) = (true, node);
                }
                reply.source = Some(granted);
            }
            (Role::Sender, _, Some(TargetArchetype::Target(target))) => {
                let mut granted = self.grant_target(target);
                if let (true, Some(_)) = (target.dynamic, &node) {
                    granted.dynamic_node_properties = node_properties(target.dynamic_node_properties.as_ref());
                    (granted.dynamic, granted.address) = (true, node);
                }
                reply.target = Some(granted.into());
            }
            (_, _, Some(TargetArchetype::Coordinator(_))) => {
                return Err(AmqpError::new(ErrorCondition::NOT_IMPLEMENTED, "there are no transactions here"));
            }
            _ => {}
        }
        match refusal(asked, &reply) {
            Some(error) => Err(error),
            None => Ok(reply),
        }
    }
}
