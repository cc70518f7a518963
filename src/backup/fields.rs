//! Fields of manifests that serde does not read by itself: times, hashes and positions.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::domain::{Position, Rules, Timestamp};

/// A SHA-256, written as 64 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Hash(pub(crate) [u8; 32]);

impl Serialize for Hash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&hex::encode(self.0))
    }
}

impl<'de> Deserialize<'de> for Hash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let mut bytes = [0; 32];
        hex::decode_to_slice(&text, &mut bytes)
            .map_err(|_not_hex| D::Error::custom("a hash must have 64 hexadecimal digits"))?;
        Ok(Self(bytes))
    }
}

pub(crate) mod hash {
    use super::{Deserialize, Deserializer, Hash, Serialize, Serializer};

    pub(crate) fn serialize<S: Serializer>(
        hash: &[u8; 32],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        Hash(*hash).serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<[u8; 32], D::Error> {
        Hash::deserialize(deserializer).map(|hash| hash.0)
    }
}

pub(crate) fn position<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Position, D::Error> {
    u64::deserialize(deserializer).map(Position::new)
}

pub(crate) fn time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
    let text = String::deserialize(deserializer)?;
    Timestamp::parse(&text).ok_or_else(|| D::Error::custom("a time must be RFC 3339"))
}

pub(super) mod rules {
    use super::{Deserialize, Deserializer, Rules, Serializer};
    use serde::de::Error as _;

    #[expect(
        clippy::trivially_copy_pass_by_ref,
        reason = "serde passes fields by reference"
    )]
    pub(in crate::backup) fn serialize<S: Serializer>(
        rules: &Rules,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_u32(rules.number())
    }

    pub(in crate::backup) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Rules, D::Error> {
        let number = u32::deserialize(deserializer)?;
        Rules::from_number(number).ok_or_else(|| {
            D::Error::custom(format!(
                "this build does not know rules version {number}: use a newer build"
            ))
        })
    }
}
