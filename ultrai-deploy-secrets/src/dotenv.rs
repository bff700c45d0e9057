//! Dotenv files.

use std::{collections::BTreeMap, fmt, path::PathBuf};

use async_trait::async_trait;
use tokio::sync::OnceCell;
use ultrai_deploy_core::{
    Result,
    name::SecretName,
    secret::{Secret, SecretSource},
};

use crate::{
    document::Document,
    file::{Absent, Access, SecretFile},
};

/// Secrets in a dotenv file in Compose's dialect, which is read once, when it is asked first.
///
/// It is refused when anybody but its owner may read or write it, or when its owner is neither root
/// nor the user of this process; that is looked at on the opened file. A variable that is set to
/// nothing (`NAME=`) has an empty value.
pub struct Dotenv {
    file: SecretFile,
    absent: Absent,
    variables: BTreeMap<String, String>,
    document: OnceCell<Document>,
}

impl Dotenv {
    /// The file at `path`, which must exist and hold at most 1 MiB.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            file: SecretFile::new(path, Access::Private),
            absent: Absent::default(),
            variables: BTreeMap::new(),
            document: OnceCell::new(),
        }
    }

    /// Sets what it is when there is no such file.
    pub fn when_absent(mut self, absent: Absent) -> Self {
        self.absent = absent;
        self
    }

    /// Sets the variables that values of the file may refer to, beside those of the file.
    pub fn with_variables(mut self, variables: BTreeMap<String, String>) -> Self {
        self.variables = variables;
        self
    }

    async fn read(&self) -> Result<Document> {
        match (self.file.text().await?, self.absent) {
            (Some(text), _) => {
                let what = self.file.path.display().to_string();
                Document::dotenv(&text, &what, &self.variables)
            }
            (None, Absent::Empty) => Ok(Document::empty()),
            (None, Absent::Error) => Err(self.file.missing()),
        }
    }
}

#[async_trait]
impl SecretSource for Dotenv {
    async fn get(&self, name: &SecretName) -> Result<Option<Secret>> {
        let document = self.document.get_or_try_init(|| self.read()).await?;
        document.get(name.as_str(), &self.file.path.display().to_string())
    }
}

impl fmt::Debug for Dotenv {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dotenv").field("path", &self.file.path).finish_non_exhaustive()
    }
}
