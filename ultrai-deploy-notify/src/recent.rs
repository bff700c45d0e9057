//! What was told lately, so that nothing is told twice.

use std::collections::VecDeque;

use crate::notice::{Notice, What};

/// How many things are remembered. A run has fewer than ten, an environment fewer checks than this.
const MOST: usize = 512;

/// Remembers the newest notices.
#[derive(Debug, Default)]
pub(crate) struct Recent(VecDeque<String>);

impl Recent {
    /// Whether a notice says something new. An alert does not while the same one is open, and an open
    /// one ends when its check recovers.
    pub(crate) fn is_new(&mut self, notice: &Notice) -> bool {
        let incident = notice.incident();
        let well = format!("well {incident}");
        let mark = match &notice.what {
            What::Alert { severity, .. } => format!("{} {incident}", severity.as_str()),
            What::Recovered { .. } => well.clone(),
            _ => notice.key.clone(),
        };
        if self.0.contains(&mark) {
            return false;
        }
        match &notice.what {
            What::Alert { .. } => self.0.retain(|mark| *mark != well),
            What::Recovered { .. } => {
                self.0.retain(|mark| mark.split_once(' ').is_none_or(|(_, of)| of != incident));
            }
            _ => {}
        }
        if self.0.len() == MOST {
            self.0.pop_front();
        }
        self.0.push_back(mark);
        true
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use ultrai_deploy_core::{
        consequence::Severity,
        name::{EnvironmentName, ProjectName, Target},
    };

    use super::*;

    #[test]
    fn an_alert_is_told_once_until_it_is_over_or_gets_worse() {
        let target =
            Target::new(ProjectName::new("shop").unwrap(), EnvironmentName::new("e").unwrap());
        let mut recent = Recent::default();
        let (minor, critical) = (Severity::Minor, Severity::Critical);
        for (step, (check, alert, is_new)) in [
            ("a check", Some(minor), true),
            ("a check", Some(minor), false),
            ("another", Some(minor), true),
            ("a check", Some(critical), true),
            ("a check", None, true),
            ("a check", None, false),
            ("a check", Some(critical), true),
            ("another", Some(minor), false),
        ]
        .into_iter()
        .enumerate()
        {
            let at = Timestamp::from_second(i64::try_from(step).unwrap()).unwrap();
            let notice = match alert {
                Some(severity) => Notice::alert(target.clone(), check, severity, "why", at),
                None => Notice::recovered(target.clone(), check, critical, at),
            };
            assert_eq!(recent.is_new(&notice), is_new, "step {step}");
        }
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let target =
            Target::new(ProjectName::new("shop").unwrap(), EnvironmentName::new("e").unwrap());
        let mut recent = Recent::default();
        for n in 0..2 * MOST {
            let check = n.to_string();
            let at = Timestamp::UNIX_EPOCH;
            let alert = Notice::alert(target.clone(), check, Severity::Minor, "why", at);
            assert!(recent.is_new(&alert));
        }
        assert_eq!(recent.0.len(), MOST);
    }
}
