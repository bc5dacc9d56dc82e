//! One declaration of a record gives its struct, its decoder and its encoder.

use std::borrow::Cow;

use super::{DecodeError, Input, Output};
use crate::base::{Acl, Id, Perms, Stat, StatPersisted};

/// A nullable string.
pub type Str<'a> = Option<Cow<'a, str>>;

/// A value with a jute form.
pub trait Jute<'a>: Sized {
    /// Reads one value.
    ///
    /// # Errors
    /// When the bytes are not one.
    fn decode(input: &mut Input<'a>) -> Result<Self, DecodeError>;

    /// Writes the value.
    fn encode(&self, out: &mut impl Output);

    /// Reads one value from the start of `bytes`; what follows it is ignored, as Apache does.
    ///
    /// # Errors
    /// As [`Jute::decode`].
    fn from_bytes(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        Self::decode(&mut Input::new(bytes))
    }

    /// The encoded bytes.
    fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.encode(&mut out);
        out
    }
}

macro_rules! primitive {
    ($($type:ty => $method:ident),*) => {$(
        impl<'a> Jute<'a> for $type {
            fn decode(input: &mut Input<'a>) -> Result<Self, DecodeError> {
                input.$method()
            }
            fn encode(&self, out: &mut impl Output) {
                out.$method(*self);
            }
        }
    )*};
}
primitive!(bool => bool, i32 => int, i64 => long, Option<&'a [u8]> => buffer);

impl<'a> Jute<'a> for Str<'a> {
    fn decode(input: &mut Input<'a>) -> Result<Self, DecodeError> {
        input.string()
    }
    fn encode(&self, out: &mut impl Output) {
        out.string(self.as_deref());
    }
}

impl<'a, T: Jute<'a>> Jute<'a> for Option<Vec<T>> {
    fn decode(input: &mut Input<'a>) -> Result<Self, DecodeError> {
        input.vector(T::decode)
    }
    fn encode(&self, out: &mut impl Output) {
        match self {
            None => out.int(-1),
            Some(items) => {
                out.count(items.len());
                items.iter().for_each(|i| i.encode(out));
            }
        }
    }
}

/// Declares a record: `record! { /// doc  pub struct Name<'a> { field: type, ... } }`.
macro_rules! record {
    ($($(#[$meta:meta])* pub struct $name:ident $(<$life:lifetime>)? {
        $($(#[$fmeta:meta])* $field:ident: $type:ty),* $(,)?
    })*) => {$(
        $(#[$meta])*
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        pub struct $name $(<$life>)? {
            $($(#[$fmeta])* pub $field: $type),*
        }
        $crate::jute::record!(@impl $name [$($life)?] $($field: $type),*);
    )*};
    (@impl $name:ident [$life:lifetime] $($field:ident: $type:ty),*) => {
        impl<$life> $crate::jute::Jute<$life> for $name<$life> {
            $crate::jute::record!(@body $life, $($field: $type),*);
        }
    };
    (@impl $name:ident [] $($field:ident: $type:ty),*) => {
        impl<'jute> $crate::jute::Jute<'jute> for $name {
            $crate::jute::record!(@body 'jute, $($field: $type),*);
        }
    };
    (@body $life:lifetime, $($field:ident: $type:ty),*) => {
        fn decode(
            _input: &mut $crate::jute::Input<$life>,
        ) -> Result<Self, $crate::jute::DecodeError> {
            $(let $field = <$type as $crate::jute::Jute<$life>>::decode(_input)?;)*
            Ok(Self { $($field),* })
        }
        fn encode(&self, _out: &mut impl $crate::jute::Output) {
            $(self.$field.encode(_out);)*
        }
    };
}
pub(crate) use record;

impl<'a> Jute<'a> for Id {
    /// A null scheme or id is an error here; where Apache tells them apart the caller decodes by hand.
    fn decode(input: &mut Input<'a>) -> Result<Self, DecodeError> {
        let scheme = input.string()?.ok_or(DecodeError::Null)?.into_owned();
        let id = input.string()?.ok_or(DecodeError::Null)?.into_owned();
        Ok(Self { scheme, id })
    }
    fn encode(&self, out: &mut impl Output) {
        out.string(Some(&self.scheme));
        out.string(Some(&self.id));
    }
}

impl<'a> Jute<'a> for Acl {
    fn decode(input: &mut Input<'a>) -> Result<Self, DecodeError> {
        Ok(Self {
            perms: Perms(input.int()?),
            id: Id::decode(input)?,
        })
    }
    fn encode(&self, out: &mut impl Output) {
        out.int(self.perms.0);
        self.id.encode(out);
    }
}

macro_rules! stat {
    ($type:ty { $($field:ident),* }) => {
        impl<'a> Jute<'a> for $type {
            fn decode(input: &mut Input<'a>) -> Result<Self, DecodeError> {
                $(let $field = Jute::decode(input)?;)*
                Ok(Self { $($field),* })
            }
            fn encode(&self, out: &mut impl Output) {
                $(self.$field.encode(out);)*
            }
        }
    };
}
stat!(StatPersisted {
    czxid,
    mzxid,
    ctime,
    mtime,
    version,
    cversion,
    aversion,
    ephemeral_owner,
    pzxid
});
stat!(Stat {
    czxid,
    mzxid,
    ctime,
    mtime,
    version,
    cversion,
    aversion,
    ephemeral_owner,
    data_length,
    num_children,
    pzxid
});

#[cfg(test)]
mod tests {
    use super::*;

    record! {
        /// A record for the test.
        pub struct Sample<'a> {
            /// A path.
            path: Str<'a>,
            data: Option<&'a [u8]>,
            acl: Option<Vec<Acl>>,
            flags: i32,
        }
    }

    #[test]
    fn a_record_is_its_fields_in_order() {
        let s = Sample {
            path: Some("/s".into()),
            data: None,
            acl: Some(Acl::read_only()),
            flags: 2,
        };
        let bytes = s.to_bytes();
        assert_eq!(Sample::from_bytes(&bytes), Ok(s));
        assert_eq!(
            bytes[..10],
            [0, 0, 0, 2, b'/', b's', 0xff, 0xff, 0xff, 0xff]
        );
        for cut in 0..bytes.len() {
            assert_eq!(
                Sample::from_bytes(&bytes[..cut]),
                Err(DecodeError::Short),
                "cut at {cut}"
            );
        }
    }

    #[test]
    fn stats_have_their_sizes() {
        assert_eq!(StatPersisted::default().to_bytes().len(), 60);
        assert_eq!(Stat::default().to_bytes().len(), 68);
    }
}
