//! Files of a release in which `{{NAME}}` is filled in.

use std::{fs, io::Write, os::unix::fs::PermissionsExt, path::Path};

use tempfile::TempPath;
use ultrai_deploy_config::{
    Problem, Problems, Spot,
    template::{self, TemplateError},
};
use ultrai_deploy_core::{Error, ErrorKind, Result, spec::ReleaseSpec};

use super::Plan;

impl Plan<'_> {
    /// Puts what is made from templates in the place of these. The release store copies it; it is
    /// removed with the answer.
    ///
    /// # Errors
    /// Everything that is wrong with any of them, and those that no service has.
    pub(super) fn fill_files_in(&self, spec: &mut ReleaseSpec) -> Result<Vec<TempPath>> {
        let (mut made, mut problems) = (Vec::new(), Vec::new());
        for (template, place) in &self.config.rendered_files {
            let rendered = match self.rendered(template) {
                Ok(text) => write(template, &text)?,
                Err(wrong) => {
                    problems.extend(wrong);
                    continue;
                }
            };
            let mut is_used = false;
            let files = spec.services.values_mut().flat_map(|service| service.files.values_mut());
            for file in files.filter(|file| is_same(file, template)) {
                *file = rendered.to_path_buf();
                is_used = true;
            }
            if !is_used {
                problems.push(Problem {
                    spot: Some(Spot {
                        file: self.config.file.clone(),
                        line: place.line,
                        column: Some(place.column),
                    }),
                    name: "rendered_files".to_owned(),
                    what: format!("no service has {} among its files", template.display()),
                    remedy: "mount the file itself, not its directory, or take it out".to_owned(),
                });
            }
            made.push(rendered);
        }
        if problems.is_empty() {
            return Ok(made);
        }
        problems.sort();
        Err(Problems(problems).into())
    }

    fn rendered(&self, template: &Path) -> Result<String, Vec<Problem>> {
        let problem =
            |line: usize, column: Option<usize>, name: &str, what: &str, remedy: &str| Problem {
                spot: Some(Spot { file: template.to_owned(), line, column }),
                name: name.to_owned(),
                what: what.to_owned(),
                remedy: remedy.to_owned(),
            };
        let text = fs::read_to_string(template).map_err(|error| {
            vec![problem(1, None, "", &format!("it cannot be read: {error}"), "save it as UTF-8")]
        })?;
        let secrets = self.variables.names_of_secrets(&self.config);
        // A secret is not set here: it would lie with the release where others can read it.
        let known = |name: &str| {
            let value = self.variables.get(name).map(str::to_owned);
            value.filter(|_| !secrets.contains(name))
        };
        let wrong = |TemplateError { line, column, problem: what, .. }: TemplateError| match &what {
            template::Problem::Unset(name) if secrets.contains(name) => problem(
                line,
                column,
                name,
                "it is a secret, and the file would be kept with the release for all to read",
                "read it from the environment, or mount it as a secret",
            ),
            template::Problem::Unset(name) => problem(
                line,
                column,
                name,
                "it has no value",
                &format!("set it in .env.{}", self.environment_name),
            ),
            other => problem(line, column, "", &other.to_string(), ""),
        };
        template::render(&text, &known).map_err(|errors| errors.into_iter().map(wrong).collect())
    }
}

fn is_same(file: &Path, template: &Path) -> bool {
    match (file.canonicalize(), template.canonicalize()) {
        (Ok(file), Ok(template)) => file == template,
        _ => false,
    }
}

/// A file with the mode of the template.
fn write(template: &Path, text: &str) -> Result<TempPath> {
    let written = || {
        let mut file = tempfile::NamedTempFile::new()?;
        file.write_all(text.as_bytes())?;
        let mode = fs::metadata(template)?.permissions().mode();
        file.as_file().set_permissions(fs::Permissions::from_mode(mode))?;
        Ok(file.into_temp_path())
    };
    written().map_err(|source: std::io::Error| {
        let message = format!("what {} becomes cannot be written", template.display());
        Error::new(ErrorKind::Io, "fill in a template", message)
            .without_effect()
            .with_source(source)
    })
}
