//! What Railway lets one in with.

use std::fmt;

use ultrai_deploy_core::{Result, secret::Secret};
use ultrai_deploy_http::{api::Credential, header::HeaderName};

/// A token of one of the kinds that Railway has. They go into different headers, and nothing in the
/// token itself tells which it is.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Token {
    /// Everything that its owner may do; `RAILWAY_API_TOKEN` by convention.
    Account(Secret),
    /// One workspace.
    Workspace(Secret),
    /// One environment of one project; `RAILWAY_TOKEN` by convention.
    Project(Secret),
}

impl Token {
    /// Its kind.
    pub fn kind(&self) -> TokenKind {
        match self {
            Self::Account(_) => TokenKind::Account,
            Self::Workspace(_) => TokenKind::Workspace,
            Self::Project(_) => TokenKind::Project,
        }
    }

    pub(crate) fn secret(&self) -> &Secret {
        match self {
            Self::Account(secret) | Self::Workspace(secret) | Self::Project(secret) => secret,
        }
    }

    pub(crate) fn credential(&self) -> Result<Credential> {
        let (kind, secret) = (self.kind().to_string(), self.secret());
        match self {
            Self::Account(_) | Self::Workspace(_) => Credential::bearer(kind, secret),
            Self::Project(_) => {
                let header = HeaderName::new("Project-Access-Token")?;
                Credential::in_header(kind, &header, secret)
            }
        }
    }
}

/// The kind of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TokenKind {
    /// Of an account.
    Account,
    /// Of a workspace.
    Workspace,
    /// Of an environment of a project.
    Project,
}

impl TokenKind {
    /// What to look at when Railway refuses it. It answers the same to a token that is wrong, to one
    /// of another kind, and to one that may not do what was asked.
    pub(crate) fn advice(self) -> &'static str {
        match self {
            Self::Account => {
                "it was sent as `Authorization: Bearer`: look whether it still exists, whether its \
                 owner is a member of the workspace who may deploy, and whether it really is an \
                 account token; a project token is configured as one and sent in another header"
            }
            Self::Workspace => {
                "it was sent as `Authorization: Bearer` and is good for its own workspace only: look \
                 whether it still exists, whether the project is in that workspace, and whether it \
                 really is a workspace token; a project token is configured as one"
            }
            Self::Project => {
                "it was sent as `Project-Access-Token` and is good for one environment of one \
                 project only: look whether it still exists, whether it was made for this \
                 environment, and whether it really is a project token; whatever reaches further, \
                 such as listing projects, needs an account or workspace token"
            }
        }
    }
}

impl fmt::Display for TokenKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Account => "Railway account token",
            Self::Workspace => "Railway workspace token",
            Self::Project => "Railway project token",
        })
    }
}
