//! A third reading of the octets, written for this comparison alone.
//!
//! It reads as leniently as Proton does and notes every [`Rule`] on the way that the two programs treat differently.
//! So it predicts both answers: the codec refuses what breaks a rule of the specification, Proton takes it; and where
//! no rule was noted, both must give the same. Nothing is explained by being different: an explanation holds only if
//! both answers are what was predicted, to the octet.

use crate::{
    dump::{END, counted, tag, tag_of, variable},
    tree::Tree,
};
use std::collections::HashSet;

/// What the codec and Proton treat differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Rule {
    /// §1.6.2: the octet of a boolean is 0x00 or 0x01.
    BooleanOctet,
    /// §1.6.16: a char is a Unicode scalar value.
    CharScalar,
    /// §1.6.20: a string is UTF-8.
    StringUtf8,
    /// §1.6.21: a symbol is ASCII.
    SymbolAscii,
    /// §1.6.23: a map has as many values as keys.
    MapEven,
    /// §1.6.23: a map has no key twice.
    MapKeys,
    /// §1.2, §1.6.22 to §1.6.24: a compound's or an array's elements fill its size.
    CompoundSize,
    /// No rule of the specification: the codec's limit of nesting.
    Depth,
    /// §1.2: any value may be a descriptor; Proton takes no list, map, array or described value.
    DescriptorScalar,
    /// No rule of the specification: Proton holds 65,535 values at most.
    NodeCount,
    /// §1.2: a described value may be described again; Proton puts what follows in the wrong place.
    DescribedTwice,
    /// §1.6.24 with §1.2: the elements of an array may share several descriptors; Proton takes one.
    ArrayDescribedTwice,
}

/// The rules that were noted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rules(u32);

impl Rules {
    /// Whether this one was.
    pub(crate) fn has(self, rule: Rule) -> bool {
        self.0 & 1 << rule as u32 != 0
    }

    fn note(&mut self, rule: Rule) {
        self.0 |= 1 << rule as u32;
    }

    /// Whether the codec must refuse.
    pub(crate) fn refused_by_codec(self) -> bool {
        self.0 & ((1 << Rule::DescriptorScalar as u32) - 1) != 0
    }

    /// Whether Proton must refuse.
    pub(crate) fn refused_by_proton(self) -> bool {
        self.has(Rule::DescriptorScalar) || self.has(Rule::NodeCount)
    }

    /// Whether Proton's tree is not the value.
    pub(crate) fn misplaced(self) -> bool {
        self.has(Rule::DescribedTwice) || self.has(Rule::ArrayDescribedTwice)
    }
}

/// What was read.
#[derive(Debug)]
pub(crate) struct Reading {
    /// The octets of the value; `None` if they are no value by anybody's reading.
    pub(crate) consumed: Option<usize>,
    /// The rules that were noted.
    pub(crate) rules: Rules,
    /// Whether a list, a map or an array of more than 8 elements was read: the codec walks those twice.
    pub(crate) large: bool,
    /// The value's dump.
    pub(crate) dump: Vec<u8>,
    /// The dump of what Proton holds, if that is something else.
    pub(crate) misplaced: Option<Vec<u8>>,
}

/// Reads one value.
pub(crate) fn read(octets: &[u8]) -> Reading {
    let mut reader = Reader::new(octets, false);
    let consumed = reader.single(0).map(|()| reader.at);
    let misplaced = (consumed.is_some() && reader.rules.misplaced()).then(|| {
        let mut again = Reader::new(octets, true);
        let _ = again.single(0);
        again.tree.unwrap_or_default().dump()
    });
    Reading { consumed, rules: reader.rules, large: reader.large, dump: reader.dump, misplaced }
}

/// The codec's limit of nesting.
const DEPTH: u32 = 32;

/// How many values Proton holds.
const NODES: usize = 65_535;

/// The codec's limit for elements without width; Proton has reached its own by then.
const ZERO_WIDTH: usize = 65_536;

struct Reader<'a> {
    octets: &'a [u8],
    at: usize,
    rules: Rules,
    large: bool,
    nodes: usize,
    dump: Vec<u8>,
    tree: Option<Tree>,
}

impl<'a> Reader<'a> {
    fn new(octets: &'a [u8], tree: bool) -> Self {
        let tree = tree.then(Tree::default);
        Self { octets, at: 0, rules: Rules::default(), large: false, nodes: 0, dump: Vec::new(), tree }
    }

    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let taken = self.octets.get(self.at..self.at.checked_add(count)?)?;
        self.at += count;
        Some(taken)
    }

    fn u8(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    /// A number of one octet or of four.
    fn number(&mut self, wide: bool) -> Option<usize> {
        let octets = self.take(if wide { 4 } else { 1 })?;
        Some(octets.iter().fold(0, |number, octet| number << 8 | usize::from(*octet)))
    }

    fn down(&mut self, depth: u32) -> u32 {
        if depth >= DEPTH {
            self.rules.note(Rule::Depth);
        }
        depth + 1
    }

    fn count_node(&mut self) {
        self.nodes += 1;
        if self.nodes > NODES {
            self.rules.note(Rule::NodeCount);
        }
    }

    /// A value with its constructor.
    fn single(&mut self, depth: u32) -> Option<()> {
        let (format, depth, levels) = self.described(depth)?;
        self.data(format, depth)?;
        self.dump.extend(std::iter::repeat_n(END, levels));
        self.exit_described();
        Some(())
    }

    /// The descriptors before a value, and its format code.
    fn described(&mut self, mut depth: u32) -> Option<(u8, u32, usize)> {
        let mut levels = 0;
        loop {
            let format = self.u8()?;
            if format != 0 {
                return Some((format, depth, levels));
            }
            levels += 1;
            if levels == 2 {
                self.rules.note(Rule::DescribedTwice);
            }
            depth = self.down(depth);
            self.dump.push(tag::DESCRIBED);
            self.count_node();
            if let Some(tree) = &mut self.tree {
                // A cursor that was left in an array makes Proton take this for the descriptor of its elements.
                if tree.parent_tag() != tag::ARRAY {
                    tree.put(tag::DESCRIBED, &[]);
                    tree.enter();
                }
            }
            self.descriptor(depth)?;
        }
    }

    fn descriptor(&mut self, depth: u32) -> Option<()> {
        let format = *self.octets.get(self.at)?;
        if matches!(format, 0x00 | 0xc0 | 0xd0 | 0xc1 | 0xd1 | 0xe0 | 0xf0) {
            self.rules.note(Rule::DescriptorScalar);
        }
        self.single(depth)
    }

    fn exit_described(&mut self) {
        if let Some(tree) = &mut self.tree {
            tree.exit_described();
        }
    }

    fn leaf(&mut self, tag: u8, octets: &[u8]) {
        let start = self.dump.len();
        self.dump.push(tag);
        self.dump.extend_from_slice(octets);
        self.leaf_from(tag, start);
    }

    /// The dump from `start` on is that of one value without parts.
    fn leaf_from(&mut self, tag: u8, start: usize) {
        self.count_node();
        if let (Some(tree), Some(octets)) = (&mut self.tree, self.dump.get(start..)) {
            tree.put(tag, octets);
        }
    }

    /// A value after its format code.
    fn data(&mut self, format: u8, depth: u32) -> Option<()> {
        let tag = tag_of(format)?;
        match format {
            0x40 => self.leaf(tag, &[]),
            0x41 => self.leaf(tag, &[1]),
            0x42 => self.leaf(tag, &[0]),
            0x43 => self.leaf(tag, &[0; 4]),
            0x44 => self.leaf(tag, &[0; 8]),
            0x45 => {
                counted(tag, 0, &mut self.dump);
                self.open(tag);
                self.dump.push(END);
            }
            0x56 => {
                let octet = self.u8()?;
                if octet > 1 {
                    self.rules.note(Rule::BooleanOctet);
                }
                self.leaf(tag, &[u8::from(octet != 0)]);
            }
            0x52 => {
                let octet = self.u8()?;
                self.leaf(tag, &u32::from(octet).to_be_bytes());
            }
            0x53 => {
                let octet = self.u8()?;
                self.leaf(tag, &u64::from(octet).to_be_bytes());
            }
            0x54 => {
                let octet = self.u8()?;
                self.leaf(tag, &i32::from(octet.cast_signed()).to_be_bytes());
            }
            0x55 => {
                let octet = self.u8()?;
                self.leaf(tag, &i64::from(octet.cast_signed()).to_be_bytes());
            }
            0x73 => {
                let octets = self.take(4)?;
                let number = octets.iter().fold(0, |number, octet| number << 8 | u32::from(*octet));
                if char::from_u32(number).is_none() {
                    self.rules.note(Rule::CharScalar);
                }
                self.leaf(tag, octets);
            }
            0x50..=0x9f => {
                let width = match format >> 4 {
                    0x5 => 1,
                    0x6 => 2,
                    0x7 => 4,
                    0x8 => 8,
                    _ => 16,
                };
                let octets = self.take(width)?;
                self.leaf(tag, octets);
            }
            0xa0..=0xbf => {
                let size = self.number(format >= 0xb0)?;
                let octets = self.take(size)?;
                if tag == tag::STRING && std::str::from_utf8(octets).is_err() {
                    self.rules.note(Rule::StringUtf8);
                }
                if tag == tag::SYMBOL && !octets.is_ascii() {
                    self.rules.note(Rule::SymbolAscii);
                }
                let start = self.dump.len();
                variable(tag, octets, &mut self.dump);
                self.leaf_from(tag, start);
            }
            0xe0 | 0xf0 => return self.array(format == 0xf0, depth),
            _ => return self.items(tag, format >= 0xd0, depth),
        }
        Some(())
    }

    /// A list or a map begins in the tree.
    fn open(&mut self, tag: u8) {
        self.count_node();
        if let Some(tree) = &mut self.tree {
            tree.put(tag, &[]);
        }
    }

    /// The size and the count of a compound: where it should end, and how many elements it has.
    fn compound(&mut self, wide: bool, depth: u32, least: usize) -> Option<(usize, usize, u32)> {
        let size = self.number(wide)?;
        let count_width = if wide { 4 } else { 1 };
        if size < count_width + least || size > self.octets.len() - self.at {
            return None;
        }
        let end = self.at + size;
        let count = self.number(wide)?;
        self.large |= count > 8;
        let depth = if count > 0 { self.down(depth) } else { depth };
        Some((end, count, depth))
    }

    fn close(&mut self, end: usize) {
        if self.at != end {
            self.rules.note(Rule::CompoundSize);
        }
        if let Some(tree) = &mut self.tree {
            tree.exit();
        }
        self.dump.push(END);
    }

    /// The elements of a list or a map.
    fn items(&mut self, tag: u8, wide: bool, depth: u32) -> Option<()> {
        let (end, count, depth) = self.compound(wide, depth, 0)?;
        counted(tag, count, &mut self.dump);
        self.open(tag);
        if let Some(tree) = &mut self.tree {
            tree.enter();
        }
        let map = tag == tag::MAP;
        if map && count % 2 != 0 {
            self.rules.note(Rule::MapEven);
        }
        let mut keys = Vec::new();
        for index in 0..count {
            let start = self.dump.len();
            self.single(depth)?;
            if map && index % 2 == 0 {
                keys.push(start..self.dump.len());
            }
        }
        let mut seen = HashSet::new();
        if keys.len() > 1 && !keys.into_iter().filter_map(|key| self.dump.get(key)).all(|key| seen.insert(key)) {
            self.rules.note(Rule::MapKeys);
        }
        self.close(end);
        Some(())
    }

    fn array(&mut self, wide: bool, depth: u32) -> Option<()> {
        let (end, count, mut depth) = self.compound(wide, depth, 1)?;
        let start = self.dump.len();
        self.dump.extend([tag::ARRAY, 0, 0]);
        self.dump.extend(u32::try_from(count).unwrap_or(u32::MAX).to_be_bytes());
        self.count_node();
        let described = *self.octets.get(self.at)? == 0;
        if let Some(tree) = &mut self.tree {
            tree.put_array(described);
            tree.enter();
        }
        let mut descriptors = 0u8;
        let format = loop {
            let format = self.u8()?;
            if format != 0 {
                break format;
            }
            descriptors = descriptors.saturating_add(1);
            if descriptors == 2 {
                self.rules.note(Rule::ArrayDescribedTwice);
            }
            depth = self.down(depth);
            self.descriptor(depth)?;
        };
        let element = tag_of(format)?;
        if (0x40..0x50).contains(&format) && count > ZERO_WIDTH {
            return None;
        }
        for _ in 0..count {
            self.data(format, depth)?;
        }
        if let Some(head) = self.dump.get_mut(start + 1..start + 3) {
            head.copy_from_slice(&[descriptors, element]);
        }
        self.close(end);
        if let Some(tree) = &mut self.tree {
            tree.set_element(element);
        }
        Some(())
    }
}
