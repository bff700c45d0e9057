//! `{port}` and `{secret:NAME}` in commands and environments. Other braces are plain text.

use ultrai_deploy_core::{Error, ErrorKind, Result, name::SecretName, secret::Secrets};

const PORT: &str = "{port}";
const SECRET: &str = "{secret:";

/// The placeholder of a secret.
pub(crate) fn of_secret(name: &SecretName) -> String {
    format!("{SECRET}{name}}}")
}

pub(crate) fn uses_port(text: &str) -> bool {
    text.contains(PORT)
}

/// The secrets that a text names, or what is wrong with it.
pub(crate) fn secrets(text: &str) -> Result<Vec<SecretName>, String> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some((_, after)) = rest.split_once(SECRET) {
        let name = after.split_once('}').map(|(name, _)| name);
        let parsed = name.and_then(|name| SecretName::new(name).ok());
        let Some(parsed) = parsed else {
            let shown: String = after.chars().take_while(|c| *c != '}').take(40).collect();
            return Err(format!("`{SECRET}{}}}` names no secret", shown.escape_default()));
        };
        rest = &after[parsed.as_str().len() + 1..];
        found.push(parsed);
    }
    Ok(found)
}

/// Puts the values in. A value is never looked at again, whatever it holds.
pub(crate) fn fill(text: &str, port: Option<u16>, secrets: &Secrets) -> Result<String> {
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('{') {
        let (plain, candidate) = rest.split_at(at);
        filled.push_str(plain);
        if let (Some(after), Some(port)) = (candidate.strip_prefix(PORT), port) {
            filled.push_str(&port.to_string());
            rest = after;
        } else if let Some((name, after)) =
            candidate.strip_prefix(SECRET).and_then(|after| after.split_once('}'))
        {
            let value = SecretName::new(name).ok().and_then(|name| secrets.get(&name));
            filled.push_str(value.ok_or_else(|| missing(name))?.expose());
            rest = after;
        } else {
            filled.push('{');
            rest = &candidate[1..];
        }
    }
    filled.push_str(rest);
    Ok(filled)
}

fn missing(name: &str) -> Error {
    let message = format!("the release has no value of the secret {name}");
    Error::new(ErrorKind::NotFound, "start a process", message).without_effect()
}

#[cfg(test)]
mod tests {
    use ultrai_deploy_core::secret::Secret;

    use super::*;

    #[test]
    fn values_are_put_in_once() {
        let name = SecretName::new("A").unwrap();
        let values = Secrets::from([(name, Secret::new("{port}{secret:A}"))]);
        let text = r#"{"p": {port}, "s": "{secret:A}", "x": {other}"#;
        assert_eq!(
            fill(text, Some(80), &values).unwrap(),
            r#"{"p": 80, "s": "{port}{secret:A}", "x": {other}"#
        );
        let error = fill("{secret:B}", None, &values).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
    }

    #[test]
    fn secrets_are_found() {
        let names = secrets("{secret:A}-{port}-{secret:B_2}{").unwrap();
        assert_eq!(names.iter().map(SecretName::as_str).collect::<Vec<_>>(), ["A", "B_2"]);
        assert!(secrets("{secret:A").is_err());
        assert!(secrets("{secret:a b}").is_err());
    }
}
