//! The table form in which every composite type of the specification is declared.

/// Declares composite types (§1.4): the specification's order, kinds and defaults of the fields, one line each.
///
/// | kind | field's type | absent or null |
/// |---|---|---|
/// | `req T` | `T` | an error |
/// | `opt T` | `Option<T>` | `None` |
/// | `def T = value` | `T` | `value` |
/// | `multi T` | `Multiple<T>` | empty |
macro_rules! composite {
    ($(
        $(#[$meta:meta])*
        pub struct $name:ident = $code:literal, $symbol:literal {
            $( $(#[$field_meta:meta])* $field:ident : $kind:ident $ty:ty $(= $default:expr)? ),* $(,)?
        }
    )+) => { $(
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq)]
        pub struct $name {
            $( $(#[$field_meta])* pub $field: composite!(@type $kind $ty), )*
        }

        impl $name {
            /// The numeric descriptor.
            pub const CODE: u8 = $code;
            /// The symbolic descriptor.
            pub const SYMBOL: &'static str = $symbol;

            /// Decodes the list of fields, after the descriptor.
            ///
            /// # Errors
            ///
            /// As [`Decode`](crate::Decode).
            #[allow(unused_mut, unused_variables)]
            pub fn decode_fields(reader: &mut crate::Reader<'_>) -> Result<Self, crate::DecodeError> {
                let mut fields = crate::FieldReader::new(reader)?;
                $( let $field = composite!(@decode fields $kind $ty $(= $default)?); )*
                fields.finish()?;
                Ok(Self { $($field),* })
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

            #[allow(unused_mut)]
            fn encode(&self, style: crate::EncodeStyle, out: &mut bytes::BytesMut) {
                crate::write::descriptor(Self::CODE, out);
                let mut list = crate::ListWriter::new(style, out);
                $( composite!(@write list style self.$field, $kind $(= $default)?); )*
                list.finish();
            }
        }

        impl crate::Decode for $name {
            fn decode(reader: &mut crate::Reader<'_>) -> Result<Self, crate::DecodeError> {
                let start = *reader;
                let descriptor = reader.descriptor()?;
                if descriptor.code() != Some(u64::from(Self::CODE)) {
                    return Err(start.error(crate::DecodeErrorKind::UnexpectedDescriptor));
                }
                Self::decode_fields(reader)
            }
        }
    )+ };

    (@type req $ty:ty) => { $ty };
    (@type opt $ty:ty) => { Option<$ty> };
    (@type def $ty:ty) => { $ty };
    (@type multi $ty:ty) => { crate::Multiple<$ty> };

    (@decode $fields:ident req $ty:ty) => { $fields.required::<$ty>()? };
    (@decode $fields:ident opt $ty:ty) => { $fields.optional::<$ty>()? };
    (@decode $fields:ident def $ty:ty = $default:expr) => {
        match $fields.optional::<$ty>()? { Some(value) => value, None => $default }
    };
    (@decode $fields:ident multi $ty:ty) => { $fields.optional::<crate::Multiple<$ty>>()?.unwrap_or_default() };

    (@default req) => { Default::default() };
    (@default opt) => { None };
    (@default def = $default:expr) => { $default };
    (@default multi) => { crate::Multiple::default() };

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
}
