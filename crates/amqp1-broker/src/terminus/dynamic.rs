//! Nodes that are made for a link (§3.5.3), and when they go (§3.5.10 to §3.5.13).

use super::Key;
use alloc::{
    collections::{BTreeMap, BTreeSet},
    format,
    string::String,
    vec::Vec,
};
use amqp1_codec::{
    Str,
    messaging::{LifetimePolicy, NodeProperties},
};

/// How much of a name goes into an address.
const NAME: usize = 64;

#[derive(Debug)]
struct Node {
    policy: LifetimePolicy,
    creator: Key,
    /// The link for which it was made was closed.
    creator_gone: bool,
    links: BTreeSet<Key>,
    messages: usize,
}

impl Node {
    fn is_done(&self) -> bool {
        let (no_links, no_messages) = (self.links.is_empty(), self.messages == 0);
        match self.policy {
            LifetimePolicy::DeleteOnClose => self.creator_gone,
            LifetimePolicy::DeleteOnNoLinks => self.creator_gone && no_links,
            LifetimePolicy::DeleteOnNoMessages => self.creator_gone && no_messages,
            LifetimePolicy::DeleteOnNoLinksOrMessages => self.creator_gone && no_links && no_messages,
        }
    }
}

/// The dynamic nodes of a container.
#[derive(Debug, Default)]
pub struct DynamicNodes {
    nodes: BTreeMap<Str, Node>,
    next: u64,
}

impl DynamicNodes {
    /// None.
    pub const fn new() -> Self {
        Self { nodes: BTreeMap::new(), next: 0 }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Makes a node for a link, and says its address: one that no other has or had, with the names of the container
    /// and the link in it. Without a lifetime policy it goes when that link is closed, as is customary.
    ///
    /// A link that was detached and is attached again has its node: it is the same link, and asks for the same terminus
    /// (§2.6.3). The node keeps the policy that it was made with.
    pub fn create(&mut self, creator: Key, properties: Option<&NodeProperties>) -> Str {
        let made = |node: &&mut Node| node.creator == creator && !node.creator_gone;
        let earlier = self.nodes.iter_mut().find_map(|(address, node)| made(&node).then_some((address, node)));
        if let Some((address, node)) = earlier {
            node.links.insert(creator);
            return address.clone();
        }
        let number = self.next;
        self.next = number.wrapping_add(1);
        let (container, link) = (shorten(&creator.container_id), shorten(&creator.link));
        let address = Str::from(format!("dynamic/{container}/{link}/{number}"));
        let policy = properties.and_then(NodeProperties::lifetime_policy).unwrap_or(LifetimePolicy::DeleteOnClose);
        let links = [creator.clone()].into_iter().collect();
        self.nodes.insert(address.clone(), Node { policy, creator, creator_gone: false, links, messages: 0 });
        address
    }

    /// The lifetime policy of the node at this address: the one that it was made with, though its link may ask for another
    /// when it is attached again. An answer to an attach says this one (§2.6.3).
    pub fn lifetime_policy(&self, address: &str) -> Option<LifetimePolicy> {
        self.nodes.get(address).map(|node| node.policy)
    }

    /// Whether there is a node at this address.
    pub fn contains(&self, address: &str) -> bool {
        self.nodes.contains_key(address)
    }

    /// A link to the node is attached.
    pub fn attached(&mut self, address: &str, link: Key) {
        if let Some(node) = self.nodes.get_mut(address) {
            node.links.insert(link);
        }
    }

    /// A link to the node was detached and not closed: it may come back, so the node stays. `closed` says that it does
    /// not. Gives the addresses of nodes that go with it.
    pub fn detached(&mut self, address: &str, link: &Key, closed: bool) -> Vec<Str> {
        if let Some(node) = self.nodes.get_mut(address).filter(|_| closed) {
            node.links.remove(link);
            node.creator_gone |= node.creator == *link;
        }
        self.sweep(address)
    }

    /// The node holds this many messages now. Gives the addresses of nodes that go with it.
    pub fn holds(&mut self, address: &str, messages: usize) -> Vec<Str> {
        if let Some(node) = self.nodes.get_mut(address) {
            node.messages = messages;
        }
        self.sweep(address)
    }

    fn sweep(&mut self, address: &str) -> Vec<Str> {
        let done = self.nodes.get(address).is_some_and(Node::is_done);
        let gone = if done { self.nodes.remove_entry(address) } else { None };
        gone.map(|(address, _)| address).into_iter().collect()
    }
}

fn shorten(name: &str) -> String {
    name.chars().take(NAME).map(|character| if character == '/' { '-' } else { character }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use amqp1_codec::definitions::Role;

    fn link(name: &'static str) -> Key {
        Key::new("container", name, Role::Sender)
    }

    fn node(policy: LifetimePolicy) -> (DynamicNodes, Str) {
        let mut nodes = DynamicNodes::new();
        let properties = NodeProperties::default().with_lifetime_policy(policy);
        let address = nodes.create(link("creator"), Some(&properties));
        nodes.attached(&address, link("other"));
        nodes.holds(&address, 2);
        (nodes, address)
    }

    /// Also M-3.5.3-2: no two have the same.
    #[test]
    fn m_3_5_3_3_an_address_names_the_container_and_the_link() {
        let mut nodes = DynamicNodes::new();
        let (one, two) =
            (nodes.create(link("l"), None), nodes.create(Key::new("container", "l", Role::Receiver), None));
        assert_ne!(one, two);
        for address in [&one, &two] {
            assert!(address.contains("container") && address.contains("/l/") && nodes.contains(address));
        }
        let long = nodes.create(Key::new("c".repeat(10_000), "l".repeat(10_000), Role::Sender), None);
        assert!(long.len() < 200);
    }

    #[test]
    fn a_link_that_is_attached_again_has_its_node_again() {
        let (mut nodes, address) = node(LifetimePolicy::DeleteOnClose);
        assert!(nodes.detached(&address, &link("creator"), false).is_empty());
        let other = NodeProperties::default().with_lifetime_policy(LifetimePolicy::DeleteOnNoLinks);
        assert_eq!((nodes.create(link("creator"), Some(&other)), nodes.len()), (address.clone(), 1));
        assert_eq!(nodes.lifetime_policy(&address), Some(LifetimePolicy::DeleteOnClose));
        // The link of that name in the other direction is another.
        let other = nodes.create(Key::new("container", "creator", Role::Receiver), None);
        assert_ne!(other, address);
        // One that was closed leaves nothing.
        assert_eq!(nodes.detached(&address, &link("creator"), true), core::slice::from_ref(&address));
        assert_ne!(nodes.create(link("creator"), None), address);
        // Nor does it where the node outlives it.
        let (mut nodes, address) = node(LifetimePolicy::DeleteOnNoMessages);
        assert!(nodes.detached(&address, &link("creator"), true).is_empty());
        assert_ne!(nodes.create(link("creator"), None), address);
    }

    #[test]
    fn m_3_5_10_1_delete_on_close_goes_with_the_link_that_made_it() {
        let (mut nodes, address) = node(LifetimePolicy::DeleteOnClose);
        assert!(nodes.detached(&address, &link("creator"), false).is_empty(), "it may come back");
        assert!(nodes.detached(&address, &link("other"), true).is_empty());
        assert_eq!(nodes.detached(&address, &link("creator"), true), [address]);
        assert!(nodes.is_empty());
    }

    #[test]
    fn m_3_5_11_1_delete_on_no_links_goes_with_the_last_link() {
        let (mut nodes, address) = node(LifetimePolicy::DeleteOnNoLinks);
        assert!(nodes.detached(&address, &link("creator"), true).is_empty());
        assert_eq!(nodes.detached(&address, &link("other"), true), [address]);
    }

    #[test]
    fn m_3_5_12_1_delete_on_no_messages_goes_with_the_last_message() {
        let (mut nodes, address) = node(LifetimePolicy::DeleteOnNoMessages);
        assert!(nodes.detached(&address, &link("creator"), true).is_empty());
        assert!(nodes.holds(&address, 1).is_empty());
        assert_eq!(nodes.holds(&address, 0), [address]);
    }

    #[test]
    fn m_3_5_13_1_delete_on_no_links_or_messages_goes_when_there_is_neither() {
        let (mut nodes, address) = node(LifetimePolicy::DeleteOnNoLinksOrMessages);
        assert!(nodes.detached(&address, &link("creator"), true).is_empty());
        assert!(nodes.holds(&address, 0).is_empty());
        assert_eq!(nodes.detached(&address, &link("other"), true), core::slice::from_ref(&address));
        // One with a message stays until that is gone.
        let (mut nodes, address) = node(LifetimePolicy::DeleteOnNoLinksOrMessages);
        assert!(nodes.holds(&address, 1).is_empty());
        assert!(nodes.detached(&address, &link("other"), true).is_empty());
        assert!(nodes.detached(&address, &link("creator"), true).is_empty());
        assert_eq!(nodes.holds(&address, 0), core::slice::from_ref(&address));
        // While its creator is there, an empty node without other links stays.
        let mut nodes = DynamicNodes::new();
        let address = nodes.create(link("creator"), None);
        assert!(nodes.holds(&address, 0).is_empty() && nodes.len() == 1);
    }
}
