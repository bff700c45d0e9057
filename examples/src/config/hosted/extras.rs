//! What else a service of a hosted backend may bring: settings of its slot, files with secrets, and
//! what its image is pulled with.

use std::collections::BTreeMap;

use ultrai_deploy_core::{Result, name::SecretName};
use ultrai_deploy_hosted::{Registry, platform::Setting};

use crate::config::{
    backend::{Kind, belongs_to, invalid},
    reader::{Field, Table},
};

/// What goes with a service beside what it runs and its variables.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Extras {
    /// Settings of its slot.
    pub settings: BTreeMap<Setting, String>,
    /// Files with secrets, by their names on Render.
    pub secret_files: BTreeMap<String, SecretName>,
    /// What Railway pulls the image with.
    pub registry: Option<Registry>,
    /// Whether Render shows a page instead of it while it is deployed.
    pub maintenance: bool,
}

impl Extras {
    pub(super) fn take(table: &mut Table<'_>, kind: Kind) -> Self {
        let settings = [
            (Setting::HealthPath, table.take("health_path")),
            (Setting::PreDeployCommand, table.take("pre_deploy_command")),
            (Setting::StartCommand, table.take("start_command")),
        ];
        let settings = settings.into_iter().filter_map(|(setting, field)| {
            let parse = |text: &str| value(setting, text);
            Some((setting, field?.parse(parse)?))
        });
        let settings = settings.collect();
        let files = own(
            table.take("secret_files"),
            kind,
            Kind::Render,
            "take it out, and give the content in a variable: secrets = [\"…\"]",
        );
        let registry = own(
            table.take("registry"),
            kind,
            Kind::Railway,
            "take it out, and choose the registry credential of the service in Render's dashboard",
        );
        let maintenance = table.take("maintenance");
        if let Some(field) = maintenance.as_ref().filter(|_| kind != Kind::Render) {
            field.name_problem(
                belongs_to(&[Kind::Render]),
                "take it out: Railway has no page to show instead of a service",
            );
        }
        Self {
            maintenance: maintenance.and_then(|field| field.switch()).unwrap_or_default(),
            settings,
            secret_files: files.map(secret_files).unwrap_or_default(),
            registry: registry.and_then(login),
        }
    }

    /// The secrets that it names.
    pub(crate) fn secrets(&self) -> impl Iterator<Item = &SecretName> {
        let passwords = self.registry.iter().map(|registry| &registry.password);
        self.secret_files.values().chain(passwords)
    }
}

/// What only one of the platforms has.
fn own<'a>(field: Option<Field<'a>>, kind: Kind, of: Kind, remedy: &str) -> Option<Table<'a>> {
    let field = field?;
    if kind == of {
        return field.table();
    }
    field.name_problem(belongs_to(&[of]), remedy);
    None
}

fn value(setting: Setting, text: &str) -> Result<String> {
    if text.chars().any(char::is_control) {
        return Err(invalid("it has control characters, such as a line break".to_owned())
            .with_advice("write it in one line; several commands are joined by `&&`"));
    }
    if setting == Setting::HealthPath && !text.is_empty() && !text.starts_with('/') {
        return Err(invalid(format!("\"{text}\" is no path"))
            .with_advice("write \"/health\", or \"\" for none"));
    }
    Ok(text.to_owned())
}

fn secret_files(mut table: Table<'_>) -> BTreeMap<String, SecretName> {
    let read = |field: &Field<'_>| {
        let name = field.parse_name(file_name)?;
        Some((name, field.parse(|text| SecretName::new(text))?))
    };
    table.take_all().iter().filter_map(read).collect()
}

fn file_name(text: &str) -> Result<String> {
    let is_good = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if !text.is_empty() && text.chars().all(is_good) && text.chars().any(|c| c != '.') {
        return Ok(text.to_owned());
    }
    Err(invalid(format!("\"{}\" is no name of a file on Render", text.escape_default()))
        .with_advice("use letters, digits, `.`, `_` and `-`; it appears in /etc/secrets"))
}

fn login(mut table: Table<'_>) -> Option<Registry> {
    let remedy = "write registry = { username = \"…\", password = \"NAME_OF_A_SECRET\" }";
    let username = table.require("username", remedy).and_then(|field| field.parse(user));
    let password = table.require("password", remedy);
    let password = password.and_then(|field| field.parse(|text| SecretName::new(text)));
    table.finish();
    Some(Registry { username: username?, password: password? })
}

fn user(text: &str) -> Result<String> {
    if text.trim().is_empty() {
        return Err(invalid("it is empty".to_owned()).with_advice("write who pulls the image"));
    }
    Ok(text.to_owned())
}
