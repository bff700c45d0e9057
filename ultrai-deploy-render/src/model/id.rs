//! Names that Render gives.

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(
            Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize,
            serde::Deserialize,
        )]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// The id, as Render writes it.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl From<&str> for $name {
            fn from(id: &str) -> Self {
                Self(id.to_owned())
            }
        }

        impl From<String> for $name {
            fn from(id: String) -> Self {
                Self(id)
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

id! {
    /// A workspace: `tea-…`, or `usr-…` for one person's.
    OwnerId
}

id! {
    /// A service: `srv-…`, or `crn-…` for a cron job.
    ServiceId
}

id! {
    /// A deploy of a service: `dep-…`.
    DeployId
}

id! {
    /// A one-off job: `job-…`.
    JobId
}

id! {
    /// A PostgreSQL database: `dpg-…`.
    PostgresId
}
