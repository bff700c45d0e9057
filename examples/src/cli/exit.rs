//! Exit codes: one for each kind of ending.

use ultrai_deploy_core::{Ending, Error, ErrorKind, report::Report};

/// What a process ends with.
pub const OK: u8 = 0;
/// The environment was not touched, or a check failed.
pub const REFUSED: u8 = 1;
/// Usage, configuration, unknown environment, version or backup.
pub const USAGE: u8 = 2;
/// Rolled back.
pub const ROLLED_BACK: u8 = 3;
/// A person has to act.
pub const STUCK: u8 = 4;
/// Locked by another, or an unfinished run that was not to be resumed.
pub const LOCKED: u8 = 5;
/// Held or superseded.
pub const HELD: u8 = 6;
/// Cancelled.
pub const CANCELLED: u8 = 130;

/// The exit code of a run.
pub fn of_report(report: &Report) -> u8 {
    match &report.ending {
        Some(Ending::Succeeded { .. }) => OK,
        Some(Ending::Refused { .. } | Ending::RolledBack { .. }) if report.cancelled => CANCELLED,
        Some(Ending::Refused { cause }) => of_kind(cause.kind),
        Some(Ending::RolledBack { .. }) => ROLLED_BACK,
        Some(Ending::Stuck { .. } | Ending::Abandoned { .. }) => STUCK,
        // Superseded, and a run that is held and so has no ending yet.
        _ => HELD,
    }
}

/// The exit code of an error.
pub fn of_error(error: &Error) -> u8 {
    of_kind(error.kind())
}

fn of_kind(kind: ErrorKind) -> u8 {
    match kind {
        ErrorKind::Invalid => USAGE,
        ErrorKind::Fenced => LOCKED,
        ErrorKind::Stuck => STUCK,
        ErrorKind::Cancelled => CANCELLED,
        _ => REFUSED,
    }
}

#[cfg(test)]
mod tests {
    use ultrai_deploy_core::{
        error::Failure,
        journal::{Event, Record},
        lease::Fence,
        name::RunId,
    };

    use super::*;

    #[test]
    fn a_refusal_has_the_code_of_its_cause() {
        for (kind, code) in [
            (ErrorKind::Unhealthy, REFUSED),
            (ErrorKind::NotFound, REFUSED),
            (ErrorKind::Invalid, USAGE),
            (ErrorKind::Stuck, STUCK),
            (ErrorKind::Fenced, LOCKED),
        ] {
            let error = Error::new(kind, "begin", "no");
            assert_eq!(of_error(&error), code, "{kind:?}");
            let ending = Ending::Refused { cause: Failure::from(&error) };
            let at = jiff::Timestamp::UNIX_EPOCH;
            let record = Record { seq: 1, at, fence: Fence(1), event: Event::Ended { ending } };
            let report = Report::from_records(&RunId::generate(), &[record]);
            assert_eq!(of_report(&report), code, "{kind:?}");
        }
    }
}
