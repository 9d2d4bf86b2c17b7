//! Names of sessions and links that live as long as their handles, and maps by them.
//!
//! The engine's ids end with its connection. They are mapped to these keys, and back, in [`Engine`](super::engine::Engine)
//! and nowhere else.

use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, Hash, Hasher},
    sync::atomic::{AtomicU64, Ordering},
};

/// Names one connection of all that the process has had, so that what belongs to one is not taken for another's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Generation(u64);

impl Generation {
    pub(crate) fn next() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

/// The place of a name in maps, and the number that tells this use of the place from others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Key {
    place: u32,
    number: u32,
}

/// Names a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct SessionKey(Key);

/// Names a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct LinkKey(Key);

impl From<SessionKey> for Key {
    #[inline]
    fn from(key: SessionKey) -> Self {
        key.0
    }
}

impl From<LinkKey> for Key {
    #[inline]
    fn from(key: LinkKey) -> Self {
        key.0
    }
}

impl From<Key> for SessionKey {
    fn from(key: Key) -> Self {
        Self(key)
    }
}

impl From<Key> for LinkKey {
    fn from(key: Key) -> Self {
        Self(key)
    }
}

/// A map by keys.
#[derive(Debug)]
pub(crate) struct KeyMap<K, T> {
    slots: Vec<Option<(K, T)>>,
    len: usize,
}

impl<K, T> Default for KeyMap<K, T> {
    fn default() -> Self {
        Self { slots: Vec::new(), len: 0 }
    }
}

impl<K: Copy + PartialEq + Into<Key>, T> KeyMap<K, T> {
    fn place(key: K) -> usize {
        usize::try_from(key.into().place).unwrap_or(usize::MAX)
    }

    #[inline]
    pub(crate) fn get(&self, key: &K) -> Option<&T> {
        let (known, found) = self.slots.get(Self::place(*key))?.as_ref()?;
        (known == key).then_some(found)
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, key: &K) -> Option<&mut T> {
        let (known, found) = self.slots.get_mut(Self::place(*key))?.as_mut()?;
        (known == key).then_some(found)
    }

    pub(crate) fn insert(&mut self, key: K, value: T) {
        let place = Self::place(key);
        if self.slots.len() <= place {
            self.slots.resize_with(place + 1, || None);
        }
        if let Some(slot) = self.slots.get_mut(place) {
            self.len += usize::from(slot.replace((key, value)).is_none());
        }
    }

    pub(crate) fn remove(&mut self, key: &K) -> Option<T> {
        let found = self.slots.get_mut(Self::place(*key))?.take_if(|(known, _)| known == key)?;
        self.len -= 1;
        Some(found.1)
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn keys(&self) -> impl Iterator<Item = K> {
        self.slots.iter().flatten().map(|(key, _)| *key)
    }

    pub(crate) fn values_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.slots.iter_mut().flatten().map(|(_, value)| value)
    }
}

/// The engine's ids of its sessions, or of its links, by the keys of these.
#[derive(Debug)]
pub(super) struct Ids<K, I> {
    ids: KeyMap<K, Option<I>>,
    keys: IdMap<I, K>,
    /// Places that are not in use.
    free: Vec<u32>,
    next_place: u32,
    next_number: u32,
}

impl<K, I> Default for Ids<K, I> {
    fn default() -> Self {
        let (ids, keys, free) = Default::default();
        Self { ids, keys, free, next_place: 0, next_number: 0 }
    }
}

impl<K: Copy + PartialEq + Into<Key> + From<Key>, I: Copy + Eq + Hash> Ids<K, I> {
    /// A key for an id that has none.
    pub(super) fn name(&mut self, id: I) -> K {
        let place = self.free.pop().unwrap_or_else(|| {
            let place = self.next_place;
            self.next_place = place.wrapping_add(1);
            place
        });
        let key = K::from(Key { place, number: self.next_number });
        self.next_number = self.next_number.wrapping_add(1);
        self.ids.insert(key, Some(id));
        self.keys.insert(id, key);
        key
    }

    #[inline]
    pub(super) fn id(&self, key: K) -> Option<I> {
        *self.ids.get(&key)?
    }

    #[inline]
    pub(super) fn key(&self, id: I) -> Option<K> {
        self.keys.get(&id).copied()
    }

    /// Ends a key: neither a handle nor the engine will use it again.
    pub(super) fn forget(&mut self, key: K) {
        let Some(id) = self.ids.remove(&key) else { return };
        if let Some(id) = id {
            self.keys.remove(&id);
        }
        self.free.push(key.into().place);
    }

    /// The ids are over, with their engine. The keys live on.
    #[cfg(test)]
    pub(super) fn end_all(&mut self) {
        self.ids.values_mut().for_each(|id| *id = None);
        self.keys.clear();
    }

    /// A key that lives on has this id.
    #[cfg(test)]
    pub(super) fn bind(&mut self, key: K, id: I) {
        self.ids.insert(key, Some(id));
        self.keys.insert(id, key);
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.ids.len()
    }
}

/// A place in the queue of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) id: LinkKey,
    /// How many deliveries had been queued on the link.
    pub(super) queued: u64,
    /// How many of the link's had been taken out of the queue again.
    pub(super) removed: u64,
}

/// Whose changes are waited for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Place {
    Connection,
    Session(SessionKey),
    Link(LinkKey),
}

/// A map by the engine's ids, which are small numbers that no peer chooses.
type IdMap<K, V> = HashMap<K, V, BuildHasherDefault<IdHasher>>;

/// Mixes the one or two numbers that an id is made of.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct IdHasher(u64);

impl Hasher for IdHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, octets: &[u8]) {
        octets.iter().for_each(|octet| self.write_u64(u64::from(*octet)));
    }

    fn write_u32(&mut self, number: u32) {
        self.write_u64(u64::from(number));
    }

    fn write_u64(&mut self, number: u64) {
        // The odd constant is 2^64 divided by the golden ratio; it spreads small numbers over all bits.
        self.0 = (self.0.rotate_left(5) ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_that_is_used_again_has_another_key() {
        let mut ids = Ids::<LinkKey, u32>::default();
        let first = ids.name(1);
        ids.forget(first);
        let second = ids.name(2);
        assert_eq!((ids.id(first), ids.id(second)), (None, Some(2)));
        assert_eq!((ids.key(1), ids.key(2)), (None, Some(second)));
        assert_eq!(Key::from(first).place, Key::from(second).place);
    }

    #[test]
    fn a_key_finds_nothing_of_the_one_that_had_its_place() {
        let mut ids = Ids::<LinkKey, u32>::default();
        let mut map = KeyMap::default();
        let first = ids.name(1);
        map.insert(first, "first");
        ids.forget(first);
        assert_eq!(map.remove(&first), Some("first"));
        let second = ids.name(2);
        map.insert(second, "second");
        assert_eq!(map.remove(&first), None);
        assert_eq!((map.get(&first), map.get(&second)), (None, Some(&"second")));
        assert_eq!((map.len(), map.keys().collect::<Vec<_>>()), (1, vec![second]));
    }

    #[test]
    fn keys_outlive_the_ids_of_an_engine() {
        let mut ids = Ids::<LinkKey, u32>::default();
        let key = ids.name(1);
        ids.end_all();
        assert_eq!((ids.id(key), ids.key(1), ids.len()), (None, None, 1));
        ids.forget(key);
        assert_eq!(ids.len(), 0);
    }
}
