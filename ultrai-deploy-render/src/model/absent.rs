//! Reading what may be null, missing or odd.

use jiff::Timestamp;
use serde::{Deserialize, Deserializer};
use ultrai_deploy_core::secret::Secret;

/// Null as the default: what a program in Go writes for an empty list.
pub(super) fn or_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// A time, or nothing when it cannot be read: times are for people and filters, and no verdict
/// hangs on them.
pub(super) fn time<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Timestamp>, D::Error> {
    let text: Option<String> = Option::deserialize(deserializer)?;
    Ok(text.and_then(|text| text.parse().ok()))
}

pub(super) fn secret<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Secret, D::Error> {
    let text: Option<String> = Option::deserialize(deserializer)?;
    Ok(Secret::new(text.unwrap_or_default()))
}

/// A secret, or nothing where there is none yet.
pub(super) fn some_secret<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Secret>, D::Error> {
    let text: Option<String> = Option::deserialize(deserializer)?;
    Ok(text.filter(|text| !text.is_empty()).map(Secret::new))
}
