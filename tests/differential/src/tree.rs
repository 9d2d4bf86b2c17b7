//! The tree that Proton builds while it reads, with its cursor.
//!
//! Needed only where the tree is not the value: Proton goes up once after a described value, however many described
//! values ended there, so that what follows hangs in the wrong place.

use crate::dump::{END, tag};

#[derive(Debug, Default)]
struct Node {
    tag: u8,
    /// The dump of a value without parts, tag included.
    octets: Vec<u8>,
    described: bool,
    element: u8,
    children: u32,
    next: usize,
    down: usize,
    parent: usize,
}

/// Nodes in the order in which they came, counted from 1, and a cursor.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    nodes: Vec<Node>,
    parent: usize,
    current: usize,
}

impl Tree {
    fn node(&mut self, id: usize) -> Option<&mut Node> {
        self.nodes.get_mut(id.checked_sub(1)?)
    }

    /// Adds a node after the cursor, and goes there.
    pub(crate) fn put(&mut self, tag: u8, octets: &[u8]) {
        let (parent, current) = (self.parent, self.current);
        let known = match (current, parent) {
            (0, 0) => usize::from(!self.nodes.is_empty()),
            (0, _) => self.node(parent).map_or(0, |node| node.down),
            _ => self.node(current).map_or(0, |node| node.next),
        };
        let id = if known != 0 {
            known
        } else {
            self.nodes.push(Node { parent, ..Node::default() });
            let id = self.nodes.len();
            if let Some(node) = self.node(current) {
                node.next = id;
            }
            if let Some(node) = self.node(parent) {
                if node.down == 0 {
                    node.down = id;
                }
                node.children += 1;
            }
            id
        };
        if let Some(node) = self.node(id) {
            node.down = 0;
            node.children = 0;
            node.described = false;
            node.tag = tag;
            node.octets = octets.to_vec();
        }
        self.current = id;
    }

    /// Adds an array.
    pub(crate) fn put_array(&mut self, described: bool) {
        self.put(tag::ARRAY, &[]);
        let current = self.current;
        if let Some(node) = self.node(current) {
            node.described = described;
            node.element = 0;
        }
    }

    /// Sets the type of the elements on the node at the cursor, whatever it is.
    pub(crate) fn set_element(&mut self, tag: u8) {
        let current = self.current;
        if let Some(node) = self.node(current) {
            node.element = tag;
        }
    }

    /// Goes down.
    pub(crate) fn enter(&mut self) {
        if self.current != 0 {
            self.parent = self.current;
            self.current = 0;
        }
    }

    /// Goes up.
    pub(crate) fn exit(&mut self) {
        let parent = self.parent;
        if let Some(node) = self.node(parent) {
            self.parent = node.parent;
            self.current = parent;
        }
    }

    /// What the cursor stands in.
    pub(crate) fn parent_tag(&mut self) -> u8 {
        let parent = self.parent;
        self.node(parent).map_or(0, |node| node.tag)
    }

    /// Goes up once if the cursor stands in a described value that has its two parts.
    pub(crate) fn exit_described(&mut self) {
        let parent = self.parent;
        if self.node(parent).is_some_and(|node| node.tag == tag::DESCRIBED && node.children > 1) {
            self.exit();
        }
    }

    /// The dump of the tree.
    pub(crate) fn dump(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.dump_from(usize::from(!self.nodes.is_empty()), &mut out);
        out
    }

    fn dump_from(&self, mut id: usize, out: &mut Vec<u8>) {
        while let Some(node) = id.checked_sub(1).and_then(|index| self.nodes.get(index)) {
            match node.tag {
                tag::LIST | tag::MAP | tag::ARRAY | tag::DESCRIBED => {
                    out.push(node.tag);
                    let mut children = node.children;
                    if node.tag == tag::ARRAY {
                        out.extend([u8::from(node.described), node.element]);
                        children = children.wrapping_sub(u32::from(node.described));
                    }
                    if node.tag != tag::DESCRIBED {
                        out.extend(children.to_be_bytes());
                    }
                    self.dump_from(node.down, out);
                    out.push(END);
                }
                _ => out.extend_from_slice(&node.octets),
            }
            id = node.next;
        }
    }
}
