//! The table form in which every composite type of the specification is declared.

/// Declares composite types (§1.4): the specification's order, kinds and defaults of the fields, one line each.
///
/// | kind | field's type | absent or null |
/// |---|---|---|
/// | `req T` | `T` | an error |
/// | `opt T` | `Option<T>` | `None` |
/// | `def T = value` | `T` | `value` |
/// | `id T` | `T`, octets of which there may be 32 | an error |
/// | `final T` | `Option<T>`, a state that is an outcome | `None` |
/// | `multi T` | `Multiple<T>` | empty |
/// | `some T` | `Multiple<T>`, mandatory | an error, and so is an empty array |
/// | `odd T` | `Option<T>`, read as [`Loose<T>`](crate::definitions::Loose) | `None` |
/// | `or T = value` | `T` | an error, or `value` if [`Limits`](crate::Limits) let advisory data be odd |
///
/// After the two descriptors, `by_hand` says that the type is also written by hand in the compact style, and `extensible`
/// that fields too many are skipped if the limits let advisory data be odd. `partial` says this too, and that what
/// can be read of a malformed value stands in for it: `Self::readable_part`.
macro_rules! composite {
    ($(
        $(#[$meta:meta])*
        pub struct $name:ident = $code:literal, $symbol:literal $(, $mark:ident)? {
            $( $(#[$field_meta:meta])* $field:ident : $kind:ident $ty:ty $(= $default:expr)? ),* $(,)?
        }
    )+) => { $(
        $(#[$meta])*
        #[derive(Clone, PartialEq)]
        pub struct $name {
            $( $(#[$field_meta])* pub $field: composite!(@type $kind $ty), )*
        }

        impl $name {
            /// The numeric descriptor.
            pub const CODE: u8 = $code;
            /// The symbolic descriptor.
            pub const SYMBOL: &'static str = $symbol;
            /// The names of the fields, in their order, with underscores.
            pub const FIELDS: &'static [&'static str] = &[$(stringify!($field)),*];

            /// Decodes the list of fields, after the descriptor.
            ///
            /// # Errors
            ///
            /// As [`Decode`](crate::Decode).
            #[allow(unused_mut, unused_variables)]
            pub fn decode_fields(reader: &mut crate::Reader<'_>) -> Result<Self, crate::DecodeError> {
                let mut fields = crate::FieldReader::new(reader)?;
                $( let $field = composite!(@decode fields $kind $ty $(= $default)?); )*
                composite!(@finish fields $($mark)?)?;
                Ok(Self { $($field),* })
            }
        }

        impl core::fmt::Debug for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                crate::printable::bounded_debug(f, |f| {
                    f.debug_struct(stringify!($name))$(.field(stringify!($field), &self.$field))*.finish()
                })
            }
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $($field: composite!(@default $kind $(= $default)?)),* }
            }
        }

        impl crate::Encode for $name {
            #[allow(unused_mut)]
            fn encoded_len(&self, style: crate::EncodeStyle) -> usize {
                let mut list = crate::ListLen::new(style);
                $( composite!(@write list style self.$field, $kind $(= $default)?); )*
                list.finish().saturating_add(3)
            }

            #[inline]
            fn encode(&self, style: crate::EncodeStyle, out: &mut bytes::BytesMut) {
                $( composite!(@encode $mark self, style, out); )?
                self.encode_by_table(style, out);
            }
        }

        impl $name {
            /// Writes what [`Encode`](crate::Encode) does, and never by hand: what is written by hand is compared with
            /// this.
            #[doc(hidden)]
            #[allow(unused_mut)]
            pub fn encode_by_table(&self, style: crate::EncodeStyle, out: &mut bytes::BytesMut) {
                let mut list = crate::ListWriter::described(Self::CODE, style, out);
                $( composite!(@write list style self.$field, $kind $(= $default)?); )*
                list.finish();
            }
        }

        impl crate::trace::Trace for $name {
            fn trace(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                f.write_str("(")?;
                self.trace_fields(crate::trace::Line::unnamed(f))?;
                f.write_str(")")
            }
        }

        impl $name {
            #[allow(unused_mut)]
            fn trace_fields(&self, mut line: crate::trace::Line<'_, '_>) -> core::fmt::Result {
                $( composite!(@trace line self.$field, $kind $(= $default)?); )*
                Ok(())
            }

            /// One line: the specification's name, then the fields that are set.
            #[allow(dead_code)]
            pub(crate) fn trace_line(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                let line = crate::printable::By(|f: &mut core::fmt::Formatter<'_>| {
                    self.trace_fields(crate::trace::Line::named(Self::SYMBOL, f)?)
                });
                core::fmt::Display::fmt(&crate::printable::Bounded(line), f)
            }
        }

        impl crate::Decode for $name {
            $( composite!(@advisory $mark); )?

            fn decode(reader: &mut crate::Reader<'_>) -> Result<Self, crate::DecodeError> {
                let start = *reader;
                if reader.descriptor_number()? != Some(Self::CODE) {
                    return Err(start.error(crate::DecodeErrorKind::UnexpectedDescriptor));
                }
                Self::decode_fields(reader)
            }
        }
    )+ };

    (@advisory by_hand) => {};
    (@advisory extensible) => {};
    (@advisory partial) => {
        const ADVISORY: bool = true;

        fn stand_in(reader: crate::Reader<'_>) -> Option<Self> {
            Some(Self::readable_part(reader))
        }
    };

    (@finish $fields:ident partial) => { $fields.finish_extensible() };
    (@finish $fields:ident extensible) => { $fields.finish_extensible() };
    (@finish $fields:ident $($mark:ident)?) => { $fields.finish() };

    (@encode partial $this:expr, $style:expr, $out:expr) => {};
    (@encode extensible $this:expr, $style:expr, $out:expr) => {};
    (@encode by_hand $this:expr, $style:expr, $out:expr) => {
        if $style == crate::EncodeStyle::Compact && crate::performative::fast::encode($this, $out) {
            return;
        }
    };

    (@type req $ty:ty) => { $ty };
    (@type opt $ty:ty) => { Option<$ty> };
    (@type def $ty:ty) => { $ty };
    (@type id $ty:ty) => { $ty };
    (@type final $ty:ty) => { Option<$ty> };
    (@type multi $ty:ty) => { crate::Multiple<$ty> };
    (@type some $ty:ty) => { crate::Multiple<$ty> };
    (@type odd $ty:ty) => { Option<$ty> };
    (@type or $ty:ty) => { $ty };

    (@decode $fields:ident req $ty:ty) => { $fields.required::<$ty>()? };
    (@decode $fields:ident opt $ty:ty) => { $fields.optional::<$ty>()? };
    (@decode $fields:ident def $ty:ty = $default:expr) => {
        match $fields.optional::<$ty>()? { Some(value) => value, None => $default }
    };
    (@decode $fields:ident multi $ty:ty) => { $fields.optional::<crate::Multiple<$ty>>()?.unwrap_or_default() };

    (@decode $fields:ident id $ty:ty) => { $fields.transaction_id()? };
    (@decode $fields:ident final $ty:ty) => { $fields.outcome::<$ty>()? };
    (@decode $fields:ident some $ty:ty) => { $fields.several::<$ty>()? };
    (@decode $fields:ident odd $ty:ty) => {
        $fields.optional::<crate::definitions::Loose<$ty>>()?.map(|loose| loose.0)
    };
    (@decode $fields:ident or $ty:ty = $default:expr) => { $fields.required_or::<$ty>($default)? };

    (@default req) => { Default::default() };
    (@default opt) => { None };
    (@default def = $default:expr) => { $default };
    (@default id) => { Default::default() };
    (@default final) => { None };
    (@default multi) => { crate::Multiple::default() };
    (@default some) => { crate::Multiple::default() };
    (@default odd) => { None };
    (@default or = $default:expr) => { Default::default() };

    (@write $list:ident $style:ident $this:ident.$field:ident, req) => { $list.field(&$this.$field) };
    (@write $list:ident $style:ident $this:ident.$field:ident, opt) => {
        match &$this.$field { Some(value) => $list.field(value), None => $list.null() }
    };
    (@write $list:ident $style:ident $this:ident.$field:ident, def = $default:expr) => {
        if $style == crate::EncodeStyle::Compact && $this.$field == $default {
            $list.null()
        } else {
            $list.field(&$this.$field)
        }
    };
    (@write $list:ident $style:ident $this:ident.$field:ident, multi) => {
        if $this.$field.is_empty() { $list.null() } else { $list.field(&$this.$field) }
    };
    (@write $list:ident $style:ident $this:ident.$field:ident, id) => { composite!(@write $list $style $this.$field, req) };
    (@write $list:ident $style:ident $this:ident.$field:ident, final) => {
        composite!(@write $list $style $this.$field, opt)
    };
    (@write $list:ident $style:ident $this:ident.$field:ident, some) => {
        composite!(@write $list $style $this.$field, multi)
    };
    (@write $list:ident $style:ident $this:ident.$field:ident, odd) => {
        composite!(@write $list $style $this.$field, opt)
    };
    (@write $list:ident $style:ident $this:ident.$field:ident, or = $default:expr) => {
        composite!(@write $list $style $this.$field, req)
    };

    (@trace $line:ident $this:ident.$field:ident, req) => { $line.field(stringify!($field), &$this.$field)? };
    (@trace $line:ident $this:ident.$field:ident, opt) => {
        if let Some(value) = &$this.$field {
            $line.field(stringify!($field), value)?;
        }
    };
    (@trace $line:ident $this:ident.$field:ident, def = $default:expr) => {
        if $this.$field != $default {
            $line.field(stringify!($field), &$this.$field)?;
        }
    };
    (@trace $line:ident $this:ident.$field:ident, multi) => {
        if !$this.$field.is_empty() {
            $line.field(stringify!($field), &$this.$field)?;
        }
    };
    (@trace $line:ident $this:ident.$field:ident, id) => { composite!(@trace $line $this.$field, req) };
    (@trace $line:ident $this:ident.$field:ident, final) => { composite!(@trace $line $this.$field, opt) };
    (@trace $line:ident $this:ident.$field:ident, some) => { composite!(@trace $line $this.$field, multi) };
    (@trace $line:ident $this:ident.$field:ident, odd) => { composite!(@trace $line $this.$field, opt) };
    (@trace $line:ident $this:ident.$field:ident, or = $default:expr) => { composite!(@trace $line $this.$field, req) };
}
