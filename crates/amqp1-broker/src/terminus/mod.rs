//! Sources and targets, for an end that has nodes (§3.5): what is granted of what a peer asks for, what outlives a link
//! and for how long, nodes that are made for a link, and messages that are kept at a node.

mod dynamic;
mod filters;
mod held;
mod negotiate;
mod reply;
mod selector;
mod store;

pub use dynamic::DynamicNodes;
pub use filters::MessageFilters;
pub use held::{Fate, HeldMessage, priority_level};
pub use negotiate::{Difference, Support, default_outcome, differences, passes, target_differences};
pub use reply::{STANDARD_OUTCOMES, refusal};
pub use selector::{Selector, SelectorError};
pub use store::{Key, Lost, Suspension, TerminusStore};
