//! Bodies of frames, with a choice among the encodings of each field.

use super::build::{list, list32};

/// The encodings that are chosen where there are several.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Style {
    /// How composites are described.
    pub descriptor: Descriptor,
    /// Lists as list32.
    pub wide_lists: bool,
    /// Lists without items as list0, where lists are not wide.
    pub list0: bool,
    /// Numbers at full width.
    pub wide_numbers: bool,
    /// Small numbers with one octet, zero as well.
    pub small_zeros: bool,
    /// Booleans as `56 00` and `56 01`.
    pub boolean_octets: bool,
    /// Strings, symbols and binaries with a length of four octets.
    pub wide_texts: bool,
    /// All fields are written, absent ones at the end as null.
    pub untrimmed: bool,
}

/// A form of a descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Descriptor {
    /// A smallulong.
    Small,
    /// A ulong of eight octets.
    Wide,
    /// A symbol with a length of one octet.
    Symbol,
    /// A symbol with a length of four octets.
    WideSymbol,
}

impl Style {
    /// The shortest encodings.
    pub const COMPACT: Self = Self {
        descriptor: Descriptor::Small,
        wide_lists: false,
        list0: true,
        wide_numbers: false,
        small_zeros: false,
        boolean_octets: false,
        wide_texts: false,
        untrimmed: false,
    };
}

/// A field, before its encoding is chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// Null.
    Null,
    /// A boolean.
    Boolean(bool),
    /// A ubyte.
    Ubyte(u8),
    /// A ushort.
    Ushort(u16),
    /// A uint.
    Uint(u32),
    /// A string.
    String(String),
    /// A symbol.
    Symbol(String),
    /// A binary.
    Binary(Vec<u8>),
    /// A composite.
    Composite(Body),
    /// Octets as they are.
    Raw(Vec<u8>),
}

/// A composite: the body of a frame, a terminus, or a delivery state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Body {
    code: u8,
    symbol: &'static str,
    most: usize,
    items: Vec<Item>,
}

impl Body {
    /// A composite with this descriptor, of a type with this number of fields.
    pub fn new(code: u8, symbol: &'static str, most: usize, items: Vec<Item>) -> Self {
        Self { code, symbol, most, items }
    }

    /// An open (§2.7.1).
    pub fn open(container: &str, hostname: Option<&str>) -> Self {
        let hostname = hostname.map_or(Item::Null, |name| Item::String(name.to_owned()));
        Self::new(
            0x10,
            "amqp:open:list",
            10,
            vec![Item::String(container.to_owned()), hostname, Item::Uint(65_536), Item::Ushort(255)],
        )
    }

    /// A begin (§2.7.2) with this next-outgoing-id.
    pub fn begin(remote_channel: Option<u16>, next_outgoing_id: u32) -> Self {
        let remote = remote_channel.map_or(Item::Null, Item::Ushort);
        Self::new(
            0x11,
            "amqp:begin:list",
            8,
            vec![remote, Item::Uint(next_outgoing_id), Item::Uint(1000), Item::Uint(1000)],
        )
    }

    /// An attach (§2.7.3). A sender's counts from 0.
    pub fn attach(name: &str, handle: u32, is_receiver: bool, source: Option<&str>, target: Option<&str>) -> Self {
        let terminus = |code, symbol, most, address: Option<&str>| {
            let address = address.map_or(Item::Null, |address| Item::String(address.to_owned()));
            Item::Composite(Self::new(code, symbol, most, vec![address]))
        };
        let mut items = vec![
            Item::String(name.to_owned()),
            Item::Uint(handle),
            Item::Boolean(is_receiver),
            Item::Null,
            Item::Null,
            terminus(0x28, "amqp:source:list", 11, source),
            terminus(0x29, "amqp:target:list", 7, target),
        ];
        if !is_receiver {
            items.extend([Item::Null, Item::Null, Item::Uint(0)]);
        }
        Self::new(0x12, "amqp:attach:list", 14, items)
    }

    /// A flow (§2.7.4) of a session that has received nothing, with credit for a link.
    pub fn flow(next_incoming_id: u32, next_outgoing_id: u32, handle: u32, credit: u32) -> Self {
        let numbers = [next_incoming_id, 1000, next_outgoing_id, 1000, handle, 0, credit];
        Self::new(0x13, "amqp:flow:list", 11, numbers.into_iter().map(Item::Uint).collect())
    }

    /// A transfer (§2.7.5) of a whole delivery.
    pub fn transfer(handle: u32, delivery_id: u32, tag: &[u8], is_settled: bool) -> Self {
        let items = vec![
            Item::Uint(handle),
            Item::Uint(delivery_id),
            Item::Binary(tag.to_vec()),
            Item::Uint(0),
            Item::Boolean(is_settled),
            Item::Boolean(false),
        ];
        Self::new(0x14, "amqp:transfer:list", 11, items)
    }

    /// A disposition (§2.7.6) that accepts and settles one delivery.
    pub fn accepted(is_receiver: bool, delivery_id: u32) -> Self {
        let accepted = Self::new(0x24, "amqp:accepted:list", 0, Vec::new());
        let items = vec![
            Item::Boolean(is_receiver),
            Item::Uint(delivery_id),
            Item::Null,
            Item::Boolean(true),
            Item::Composite(accepted),
        ];
        Self::new(0x15, "amqp:disposition:list", 6, items)
    }

    /// A detach (§2.7.7) that closes the link.
    pub fn detach(handle: u32) -> Self {
        Self::new(0x16, "amqp:detach:list", 3, vec![Item::Uint(handle), Item::Boolean(true)])
    }

    /// An end (§2.7.8).
    pub fn end() -> Self {
        Self::new(0x17, "amqp:end:list", 1, Vec::new())
    }

    /// A close (§2.7.9).
    pub fn close() -> Self {
        Self::new(0x18, "amqp:close:list", 1, Vec::new())
    }

    /// The same with another field at this index; fields before it that are absent become null.
    pub fn with(mut self, index: usize, item: Item) -> Self {
        if self.items.len() <= index {
            self.items.resize(index.saturating_add(1), Item::Null);
        }
        if let Some(field) = self.items.get_mut(index) {
            *field = item;
        }
        self
    }

    /// The same with a field that the type does not have.
    pub fn with_field_too_many(self) -> Self {
        let most = self.most;
        self.with(most, Item::Uint(1))
    }

    /// The octets, descriptor included.
    pub fn encode(&self, style: &Style) -> Vec<u8> {
        let mut items: Vec<Vec<u8>> = self.items.iter().map(|item| item.encode(style)).collect();
        if style.untrimmed && items.len() < self.most {
            items.resize(self.most, vec![0x40]);
        }
        let fields: Vec<&[u8]> = items.iter().map(Vec::as_slice).collect();
        let list = match fields.as_slice() {
            fields if style.wide_lists => list32(fields),
            [] if style.list0 => vec![0x45],
            fields => list(fields),
        };
        [self.descriptor(style.descriptor), list].concat()
    }

    fn descriptor(&self, form: Descriptor) -> Vec<u8> {
        match form {
            Descriptor::Small => vec![0x00, 0x53, self.code],
            Descriptor::Wide => vec![0x00, 0x80, 0, 0, 0, 0, 0, 0, 0, self.code],
            Descriptor::Symbol => [&[0x00][..], &text(0xa3, self.symbol.as_bytes(), false)].concat(),
            Descriptor::WideSymbol => [&[0x00][..], &text(0xa3, self.symbol.as_bytes(), true)].concat(),
        }
    }
}

impl Item {
    fn encode(&self, style: &Style) -> Vec<u8> {
        match self {
            Self::Null => vec![0x40],
            Self::Boolean(value) if style.boolean_octets => vec![0x56, u8::from(*value)],
            Self::Boolean(true) => vec![0x41],
            Self::Boolean(false) => vec![0x42],
            Self::Ubyte(number) => vec![0x50, *number],
            Self::Ushort(number) => [&[0x60][..], &number.to_be_bytes()].concat(),
            Self::Uint(number) => uint(*number, style),
            Self::String(value) => text(0xa1, value.as_bytes(), style.wide_texts),
            Self::Symbol(value) => text(0xa3, value.as_bytes(), style.wide_texts),
            Self::Binary(value) => text(0xa0, value, style.wide_texts),
            Self::Composite(body) => body.encode(style),
            Self::Raw(octets) => octets.clone(),
        }
    }
}

fn uint(number: u32, style: &Style) -> Vec<u8> {
    match u8::try_from(number) {
        Ok(0) if !style.wide_numbers && !style.small_zeros => vec![0x43],
        Ok(small) if !style.wide_numbers => vec![0x52, small],
        _ => [&[0x70][..], &number.to_be_bytes()].concat(),
    }
}

/// A variable-width value; the code is that of the short form.
fn text(code: u8, octets: &[u8], is_wide: bool) -> Vec<u8> {
    match u8::try_from(octets.len()) {
        Ok(length) if !is_wide => [&[code, length], octets].concat(),
        _ => {
            let length = u32::try_from(octets.len()).unwrap_or(u32::MAX);
            [&[code.saturating_add(0x10)][..], &length.to_be_bytes(), octets].concat()
        }
    }
}
