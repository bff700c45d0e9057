//! Helper containers.

/// The part of a backup that a helper container is for.
pub const PART: &str = "dev.ultrai.part";
/// The containers that run again when a helper goes, by id, separated by commas.
pub const RESUME: &str = "dev.ultrai.resume";
