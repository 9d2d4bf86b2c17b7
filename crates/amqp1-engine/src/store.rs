//! Slots with generations: a key never finds what took the place of what it named.

use alloc::vec::Vec;
use core::{fmt, marker::PhantomData};

pub(crate) trait Key: Copy {
    fn new(index: u32, generation: u32) -> Self;
    fn index(self) -> u32;
    fn generation(self) -> u32;
}

macro_rules! keys {
    ($($(#[$meta:meta])* $name:ident, $letter:literal;)+) => { $(
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name {
            index: u32,
            generation: u32,
        }

        impl Key for $name {
            fn new(index: u32, generation: u32) -> Self {
                Self { index, generation }
            }

            fn index(self) -> u32 {
                self.index
            }

            fn generation(self) -> u32 {
                self.generation
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($letter, "{}.{}"), self.index, self.generation)
            }
        }
    )+ };
}
keys! {
    /// Names a session of a connection, for as long as the session lives.
    SessionId, "s";
    /// Names a link of a connection, for as long as the link lives.
    LinkId, "l";
}

/// Names a received delivery: its delivery-id, counted on beyond 32 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeliveryKey(pub(crate) u64);

struct Slot<T> {
    generation: u32,
    value: Option<T>,
}

pub(crate) struct Store<K, T> {
    slots: Vec<Slot<T>>,
    free: Vec<u32>,
    key: PhantomData<K>,
}

impl<K, T> Default for Store<K, T> {
    fn default() -> Self {
        Self { slots: Vec::new(), free: Vec::new(), key: PhantomData }
    }
}

impl<K: Key, T> Store<K, T> {
    pub(crate) fn insert(&mut self, value: T) -> K {
        if let Some(index) = self.free.pop() {
            if let Some(slot) = self.slots.get_mut(index as usize) {
                slot.value = Some(value);
                return K::new(index, slot.generation);
            }
        }
        let index = u32::try_from(self.slots.len()).unwrap_or(u32::MAX);
        if self.slots.len() == self.slots.capacity() {
            // Most connections have one session with few links, and a slot is large.
            self.slots.reserve_exact(self.slots.len().max(1));
        }
        self.slots.push(Slot { generation: 0, value: Some(value) });
        K::new(index, 0)
    }

    pub(crate) fn len(&self) -> usize {
        self.slots.len().saturating_sub(self.free.len())
    }

    pub(crate) fn get(&self, key: K) -> Option<&T> {
        let slot = self.slots.get(key.index() as usize)?;
        if slot.generation == key.generation() { slot.value.as_ref() } else { None }
    }

    pub(crate) fn get_mut(&mut self, key: K) -> Option<&mut T> {
        let slot = self.slots.get_mut(key.index() as usize)?;
        if slot.generation == key.generation() { slot.value.as_mut() } else { None }
    }

    pub(crate) fn remove(&mut self, key: K) -> Option<T> {
        let slot = self.slots.get_mut(key.index() as usize)?;
        if slot.generation != key.generation() {
            return None;
        }
        let value = slot.value.take()?;
        slot.generation = slot.generation.wrapping_add(1);
        self.free.push(key.index());
        Some(value)
    }

    pub(crate) fn keys(&self) -> Vec<K> {
        let occupied = self.slots.iter().enumerate().filter(|(_, slot)| slot.value.is_some());
        occupied.map(|(index, slot)| K::new(u32::try_from(index).unwrap_or(u32::MAX), slot.generation)).collect()
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.slots.iter_mut().filter_map(|slot| slot.value.as_mut())
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.slots.iter().filter_map(|slot| slot.value.as_ref())
    }
}

impl<K, T> fmt::Debug for Store<K, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}", self.slots.len().saturating_sub(self.free.len()), self.slots.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_does_not_find_its_successor() {
        let mut store: Store<LinkId, &str> = Store::default();
        let first = store.insert("first");
        assert_eq!(store.remove(first), Some("first"));
        let second = store.insert("second");
        assert_eq!(store.get(first), None);
        assert_eq!(store.get(second), Some(&"second"));
    }
}
