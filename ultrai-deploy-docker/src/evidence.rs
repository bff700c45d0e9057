//! What can be seen of a container: its state and the end of its log, without secrets.

use ultrai_deploy_core::{
    error::Chain,
    evidence::{Evidence, EvidenceKind},
    health::Endpoint,
};

use crate::{backend::Backend, probe::status, snapshot::Container};

/// How many lines of a log are kept.
const LINES: usize = 40;

/// State, exit code and log tail of a container. What cannot be read is told as such.
pub(crate) async fn collect(backend: &Backend, endpoint: &Endpoint) -> Vec<Evidence> {
    let subject =
        endpoint.service.as_ref().map_or(endpoint.instance.as_str(), |name| name.as_str());
    let unreadable = |error: &ultrai_deploy_core::Error| {
        vec![Evidence::new(EvidenceKind::Status, subject, Chain(error).to_string())]
    };
    let container = match backend.engine.find_container(&endpoint.instance).await {
        Ok(found) => found.and_then(Container::new),
        Err(error) => return unreadable(&error),
    };
    let Some(container) = container else {
        let gone = format!("there is no container {}", endpoint.instance);
        return vec![Evidence::new(EvidenceKind::Status, subject, gone)];
    };
    let mut evidence = vec![status(&container)];
    if container.state.has_exited() {
        let code = container.state.exit_code.to_string();
        evidence.push(Evidence::new(EvidenceKind::Exit, subject, code));
    }
    let redactor = match backend.redactor(container.marks.release.as_ref()).await {
        Ok(redactor) => redactor,
        // Without knowing the secrets no log is shown.
        Err(error) => {
            evidence.extend(unreadable(&error));
            return evidence;
        }
    };
    match backend.engine.log_tail(&container.id, LINES).await {
        Ok(log) if log.trim().is_empty() => {}
        Ok(log) => {
            let text = redactor.text(log.trim_end());
            evidence.push(Evidence::new(EvidenceKind::Log, subject, text));
        }
        Err(error) => evidence.extend(unreadable(&error)),
    }
    evidence
}
