//! A file that was sent, and the blocks that are to become one.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::{ENTRY, UploadedFile};

#[derive(Debug, Default)]
pub(super) struct Blob {
    file: Option<UploadedFile>,
    /// Blocks that are not put together yet.
    blocks: BTreeMap<String, Bytes>,
    /// The octets of the blocks.
    blocks_size: usize,
    /// The ids of the blocks, and [`ENTRY`] for each.
    blocks_names: usize,
}

impl Blob {
    /// Octets of the file and of the blocks.
    pub(super) fn size(&self) -> usize {
        self.file.as_ref().map_or(0, |file| file.octets.len()) + self.blocks_size
    }

    /// What is kept besides the octets, the blob's own name apart.
    pub(super) fn names(&self) -> usize {
        self.file.as_ref().map_or(0, |file| file.content_type.len()) + self.blocks_names
    }

    pub(super) fn is_empty(&self) -> bool {
        self.file.is_none() && self.blocks.is_empty()
    }

    pub(super) fn file(&self) -> Option<&UploadedFile> {
        self.file.as_ref()
    }

    /// Sets the file. Blocks are no longer blocks.
    pub(super) fn set_file(&mut self, file: UploadedFile) {
        *self = Self { file: Some(file), ..Self::default() };
    }

    pub(super) fn block(&self, id: &str) -> Option<&Bytes> {
        self.blocks.get(id)
    }

    pub(super) fn blocks(&self) -> usize {
        self.blocks.len()
    }

    pub(super) fn set_block(&mut self, id: &str, octets: Bytes) {
        self.blocks_size += octets.len();
        match self.blocks.insert(id.to_owned(), octets) {
            Some(replaced) => self.blocks_size -= replaced.len(),
            None => self.blocks_names += id.len() + ENTRY,
        }
    }
}
