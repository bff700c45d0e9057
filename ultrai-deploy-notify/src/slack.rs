//! Slack's incoming webhooks: <https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks>.

use std::time::Duration;

use async_trait::async_trait;
use serde_json::json;
use ultrai_deploy_core::{Result, name::SecretName};

use crate::{
    notice::{Notice, What},
    post::{Plain, Post},
    sender::{Sender, Sent},
};

/// Longest text, in characters: Slack advises 4,000 at most.
const LONGEST: usize = 3500;

#[derive(Debug)]
pub(crate) struct Slack {
    pub(crate) post: Post,
    pub(crate) url: SecretName,
}

#[async_trait]
impl Sender for Slack {
    async fn send(&self, notice: &Notice, left_out: u64, limit: Duration) -> Result<Sent> {
        let url = self.post.url(&self.url, Plain::Refused).await?;
        let body = json!({ "text": text(notice, left_out) }).to_string().into_bytes();
        self.post.json(&url, Vec::new(), body, limit).await
    }
}

/// Slack's own markup: the summary in bold, then what else is known, a line each.
fn text(notice: &Notice, left_out: u64) -> String {
    let mut lines = vec![format!("*{}*", escaped(&notice.summary()).replace('*', "∗"))];
    for cause in notice.what.cause().iter().skip(1) {
        lines.push(format!("• {}", escaped(cause)));
    }
    if let What::Stuck { undo, .. } = &notice.what {
        lines.extend(undo.iter().map(|line| format!("• on the way back: {}", escaped(line))));
    }
    if let (Some(run), by) = (&notice.run, notice.initiator.as_ref()) {
        let user = by.map_or("", |one| one.user.as_str());
        let by = if user.is_empty() { String::new() } else { format!(" by {}", escaped(user)) };
        lines.push(format!("run `{run}`{by} at {}", notice.at));
    }
    let commands = notice.what.commands().iter().map(|command| format!("`{command}`"));
    let commands = commands.collect::<Vec<_>>().join(" or ");
    if !commands.is_empty() {
        lines.push(format!("what to do: {commands}"));
    }
    let text: String = lines.join("\n").chars().take(LONGEST).collect();
    match left_out {
        0 => text,
        more => format!("{text}\nand {more} more that were not sent"),
    }
}

/// `&`, `<` and `>` are Slack's control characters.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
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
    fn a_cause_cannot_call_people_and_cuts_nothing_off() {
        let target =
            Target::new(ProjectName::new("shop").unwrap(), EnvironmentName::new("e").unwrap());
        let why = format!("<!channel> & *{}", "x".repeat(9000));
        let at = Timestamp::UNIX_EPOCH;
        let text = text(&Notice::alert(target, "rule", Severity::Major, why, at), 12);
        assert!(
            text.starts_with("*major alert in shop/e: rule: &lt;!channel&gt; &amp; ∗x"),
            "{text}"
        );
        assert!(text.ends_with("\nand 12 more that were not sent"), "{text}");
        assert!(text.chars().count() < 4000);
    }
}
