//! Commands that looks run in containers.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use ultrai_deploy_core::error::Result;

use crate::engine::{Engine, ExecOutput};

/// Runs commands, one at a time in each container.
///
/// The engine cannot end a command that it was told to run. One that hangs stays until its container
/// ends; what is prevented is that each look adds another one.
#[derive(Debug, Default)]
pub(crate) struct Commands {
    /// Container → command that was begun and whose end was not seen.
    begun: Mutex<HashMap<String, String>>,
}

/// What became of a command.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Ran {
    /// It has ended.
    Ended(ExecOutput),
    /// It was not run, for the one of an earlier look still runs.
    Hangs,
}

impl Commands {
    /// Runs `command` in the container `id`, to its end.
    pub(crate) async fn run(&self, engine: &Engine, id: &str, command: Vec<String>) -> Result<Ran> {
        let before = self.lock().get(id).cloned();
        if let Some(exec) = before
            && engine.exec_runs(&exec, id).await?
        {
            return Ok(Ran::Hangs);
        }
        let begun = |exec: &str| {
            self.lock().insert(id.to_owned(), exec.to_owned());
        };
        let end = engine.exec(id, command, begun).await?;
        self.lock().remove(id);
        Ok(Ran::Ended(end))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, String>> {
        self.begun.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
