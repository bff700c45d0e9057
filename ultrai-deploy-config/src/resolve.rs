//! From layers to a configuration.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use indexmap::IndexMap;
use ultrai_deploy_core::{Chain, name::SecretName, secret::Secret};

use crate::{
    configuration::{Configuration, Setting, Value},
    declaration::{Declaration, Spot, Undeclared, Variable},
    dotenv, interpolate,
    layers::{Layers, Source, VERSION},
    origin::Origin,
    placeholder::{OPEN, placeholder},
    private,
    problem::Problem,
    suggest, template,
};

/// The most bytes of a file that are read: 4 MiB.
const LONGEST: usize = 4 * 1024 * 1024;

/// The shortest value of a secret that is looked for in others, in bytes: shorter ones are part of
/// ordinary words.
const SHORTEST: usize = 8;

/// What one layer says of a variable.
struct Candidate {
    real: String,
    /// The same with placeholders in place of secrets.
    shown: String,
    origin: Origin,
}

/// A dotenv file that was read.
struct File<'a> {
    source: &'a Source,
    text: String,
    exposed: Option<private::Exposed>,
}

/// A configuration in the making.
pub(crate) struct Resolving<'a> {
    layers: &'a Layers,
    declaration: &'a Declaration,
    /// Names in files whose values are all secret.
    kept: BTreeSet<String>,
    /// By name; the weakest first.
    found: BTreeMap<String, Vec<Candidate>>,
    /// What the template fills in, and where.
    inserted: Vec<(String, Spot)>,
    /// References in files to what was not set there.
    blanks: Vec<(dotenv::Blank, Spot)>,
    problems: Vec<Problem>,
    warnings: Vec<String>,
}

impl<'a> Resolving<'a> {
    pub(crate) fn new(layers: &'a Layers, declaration: &'a Declaration) -> Self {
        Self {
            layers,
            declaration,
            kept: BTreeSet::new(),
            found: BTreeMap::new(),
            inserted: Vec::new(),
            blanks: Vec::new(),
            problems: Vec::new(),
            warnings: Vec::new(),
        }
    }

    /// What comes out, and all that is wrong with it.
    pub(crate) fn run(mut self) -> (Configuration, Vec<Problem>) {
        for (name, variable) in &self.declaration.variables {
            if let Some(default) = &variable.default {
                self.add(name, default.clone(), Origin::Default(variable.spot.clone()));
            }
        }
        let files: Vec<_> =
            self.layers.files.iter().filter_map(|source| self.read(source)).collect();
        for file in files.iter().filter(|file| file.source.is_secret) {
            self.kept.extend(names(&file.text));
        }
        for file in &files {
            self.file(file);
        }
        self.tell_blanks();
        self.template();
        self.refuse_undeclared();
        self.above();
        self.check();
        let settings = self.settings();
        let environment = self.layers.environment.clone();
        (Configuration { environment, settings, warnings: self.warnings }, self.problems)
    }

    fn is_secret(&self, name: &str) -> bool {
        self.declaration.is_secret(name) || self.kept.contains(name)
    }

    fn add(&mut self, name: &str, real: String, origin: Origin) {
        let shown = if self.is_secret(name) { placeholder(name) } else { real.clone() };
        self.found.entry(name.to_owned()).or_default().push(Candidate { real, shown, origin });
    }

    /// What is wrong with a file as a whole.
    fn broken(&mut self, source: &Source, what: String, remedy: &str) {
        let problem = Problem {
            spot: None,
            name: source.path.display().to_string(),
            what,
            remedy: remedy.to_owned(),
        };
        self.problems.push(problem);
    }

    fn read(&mut self, source: &'a Source) -> Option<File<'a>> {
        let (text, exposed) = self.read_file(source)?;
        Some(File { source, text, exposed })
    }

    fn read_file(&mut self, source: &Source) -> Option<(String, Option<private::Exposed>)> {
        let private::Contents { bytes, exposed } = match private::read(&source.path, LONGEST) {
            Ok(contents) => contents,
            Err(private::Unreadable::Missing) if !source.must_exist => return None,
            Err(error) => {
                let remedy = match &error {
                    private::Unreadable::Missing => "create it, or take it out of the list",
                    private::Unreadable::TooLong(_) => "name another one",
                    _ => "make it a readable file",
                };
                self.broken(source, Chain(&error).to_string(), remedy);
                return None;
            }
        };
        let text = match std::str::from_utf8(&bytes) {
            Ok(text) => text.to_owned(),
            Err(fault) => {
                let spot = Spot::line(&source.path, private::line_of_fault(&bytes, fault));
                self.problem(Some(spot), "", "it is not UTF-8", "save the file as UTF-8");
                return None;
            }
        };
        Some((text, exposed))
    }

    fn file(&mut self, file: &File<'_>) {
        let path = &file.source.path;
        let above = |name: &str| self.of_above(name);
        let reading = dotenv::read(
            &file.text,
            &dotenv::Outside {
                real: &|name| above(name).map(|(real, _)| real),
                shown: &|name| {
                    let (real, shown) = above(name)?;
                    Some(interpolate::Value { text: shown, empty: real.is_empty() })
                },
                is_secret: &|name| self.is_secret(name),
                earlier: &self.below(),
            },
        );
        let dotenv::Reading { entries, errors, blanks } = reading;
        self.blanks.extend(blanks.into_iter().map(|blank| {
            let spot = Spot::line(path, blank.line);
            (blank, spot)
        }));
        for error in errors {
            self.problem(Some(Spot::line(path, error.line)), "", &error.message, "");
        }
        let holds_secrets = file.source.is_secret
            || entries.iter().any(|(name, entry)| self.is_secret(name) && !entry.real.is_empty());
        if let Some(exposed) = file.exposed.filter(|_| holds_secrets) {
            self.broken(file.source, exposed.what(), &exposed.remedy(path));
        }
        for (name, entry) in entries {
            let origin = Origin::File(Spot::line(path, entry.line));
            self.found.entry(name).or_default().push(Candidate {
                real: entry.real,
                shown: entry.shown,
                origin,
            });
        }
    }

    /// Tells of what refers to a variable that is not set yet, for which Compose takes nothing. Of
    /// a secret that only a later line sets, that would make a value without it, and it is refused.
    fn tell_blanks(&mut self) {
        for (blank, spot) in std::mem::take(&mut self.blanks) {
            let dotenv::Blank { of, name, line: _ } = blank;
            let later = self.found.get(&name).and_then(|candidates| candidates.last());
            let later = later.and_then(|later| later.origin.spot()).cloned();
            match later {
                Some(later) if self.holds_secret(&name) => {
                    let what = format!("it refers to {name}, which is set only later, at {later}");
                    let remedy = format!("move it behind that line, or write ${{{name}:-}}");
                    self.problem(Some(spot), &of, &what, &remedy);
                }
                later => {
                    let where_set = match later {
                        Some(later) => format!("set only later, at {later}"),
                        None => "not set".to_owned(),
                    };
                    self.warnings.push(format!(
                        "{spot}: {of} refers to {name}, which is {where_set}; nothing takes its \
                         place"
                    ));
                }
            }
        }
    }

    /// The template: a layer over files, whose values are filled in from all layers.
    fn template(&mut self) {
        let Some(path) = &self.layers.template else { return };
        let source = Source { path: path.clone(), must_exist: true, is_secret: false };
        let Some((text, _)) = self.read_file(&source) else { return };
        let template = match template::Dotenv::parse(&text) {
            Ok(template) => template,
            Err(errors) => return self.template_errors(path, errors),
        };
        for statement in template.statements() {
            let spot = Spot::line(path, statement.line());
            let is_literal = !statement.is_inherited()
                && statement.inserted().chain(statement.interpolated()).next().is_none();
            if is_literal && self.is_secret(statement.name()) {
                let what = "its value, which is secret, stands in the template for everybody";
                let remedy = format!("write {{{{{}}}}} in its place", statement.name());
                self.problem(Some(spot.clone()), statement.name(), what, &remedy);
            }
            let names = statement.inserted().map(|name| (name.to_owned(), spot.clone()));
            self.inserted.extend(names);
        }
        let below = self.below();
        let value = |name: &str| {
            let below = || below.get(name).map(|one| (one.real.clone(), one.shown.clone()));
            self.of_above(name).or_else(below)
        };
        // What is missing is told with all the rest, and not only for the first time.
        let or_empty = |name: &str| value(name).unwrap_or_default();
        let filled = template.fill(&dotenv::Outside {
            real: &|name| Some(or_empty(name).0),
            shown: &|name| {
                let (real, shown) = or_empty(name);
                Some(interpolate::Value { text: shown, empty: real.is_empty() })
            },
            is_secret: &|name| self.is_secret(name),
            earlier: &below,
        });
        let entries = match filled {
            Ok(entries) => entries,
            Err(errors) => return self.template_errors(path, errors),
        };
        // Where it only repeats what a layer says, that layer is where it comes from.
        let is_new = |(name, entry): &(String, dotenv::Entry)| {
            value(name).unwrap_or_default().0 != entry.real
        };
        let new: Vec<_> = entries.into_iter().filter(is_new).collect();
        for (name, entry) in new {
            let origin = Origin::Template(Spot::line(path, entry.line));
            let (real, shown) = (entry.real, entry.shown);
            self.found.entry(name).or_default().push(Candidate { real, shown, origin });
        }
    }

    fn template_errors(&mut self, path: &Path, errors: Vec<template::TemplateError>) {
        for error in errors {
            let spot = Spot { file: path.to_owned(), line: error.line, column: error.column };
            self.problem(Some(spot), "", &error.problem.to_string(), "");
        }
    }

    /// What the layers above files say of a variable: real, and with a placeholder for a secret.
    fn of_above(&self, name: &str) -> Option<(String, String)> {
        let (real, _, is_secret) = self.layers.above(name).pop()?;
        let is_secret = is_secret || self.is_secret(name);
        let shown = if is_secret { placeholder(name) } else { real.clone() };
        Some((real, shown))
    }

    /// What earlier files and defaults say, which the lines of a file win over.
    fn below(&self) -> IndexMap<String, dotenv::Entry> {
        let entry = |(name, candidates): (&String, &Vec<Candidate>)| {
            let Candidate { real, shown, .. } = candidates.last()?;
            let (real, shown) = (real.clone(), shown.clone());
            Some((name.clone(), dotenv::Entry { real, shown, line: 1 }))
        };
        self.found.iter().filter_map(entry).collect()
    }

    /// The layers above files, for all names that anything speaks of.
    fn above(&mut self) {
        let layers = self.layers;
        let mut names: BTreeSet<String> = self.found.keys().cloned().collect();
        names.extend(self.declaration.variables.keys().cloned());
        names.extend(layers.table.keys().cloned());
        names.extend(self.inserted.iter().map(|(name, _)| name.clone()));
        names.extend(layers.sources.keys().cloned());
        names.extend(layers.command_line.keys().cloned());
        names.extend(layers.version.iter().map(|_| VERSION.to_owned()));
        if !self.declaration.is_complete() {
            names.extend(layers.prefixed_names().map(str::to_owned));
        }
        for name in names {
            for (real, origin, is_secret) in layers.above(&name) {
                if is_secret {
                    self.kept.insert(name.clone());
                }
                if matches!(origin, Origin::CommandLine) && self.is_secret(&name) {
                    let remedy = "give it in the environment, a dotenv file or a secret source";
                    let what = "a secret on the command line is seen by everybody on the machine";
                    self.problem(None, &name, what, remedy);
                }
                self.add(&name, real, origin);
            }
        }
    }

    /// Refuses, or tells of, names in files that nobody declared.
    fn refuse_undeclared(&mut self) {
        let declaration = self.declaration;
        if declaration.undeclared == Undeclared::Allow || !declaration.is_complete() {
            return;
        }
        let mut unknown: Vec<(String, Option<Spot>)> = Vec::new();
        for (name, candidates) in &self.found {
            let spots = candidates.iter().map(|one| (name.clone(), one.origin.spot().cloned()));
            unknown.extend(spots);
        }
        let table = self.layers.table.iter();
        unknown.extend(table.map(|(name, (_, spot))| (name.clone(), Some(spot.clone()))));
        unknown.extend(self.inserted.iter().map(|(name, spot)| (name.clone(), Some(spot.clone()))));
        unknown.extend(self.layers.command_line.keys().map(|name| (name.clone(), None)));
        unknown.retain(|(name, _)| !declaration.variables.contains_key(name) && !is_common(name));
        for (name, spot) in unknown {
            let known = declaration.variables.keys().map(String::as_str);
            let remedy = match suggest::nearest(&name, known) {
                Some(meant) => format!("did you mean {meant}?"),
                None => format!("declare it as [variables.{name}], or take it out"),
            };
            if declaration.undeclared == Undeclared::Warn {
                let at = spot.map(|spot| format!("{spot}: ")).unwrap_or_default();
                self.warnings.push(format!("{at}{name} is not declared; {remedy}"));
            } else {
                self.problem(spot, &name, "it is not declared", &remedy);
            }
        }
    }

    /// Checks every declared variable.
    fn check(&mut self) {
        for (name, variable) in &self.declaration.variables {
            let winner = self.found.get(name).and_then(|candidates| candidates.last());
            let problem = match winner {
                Some(winner) if !winner.real.is_empty() => self.fault(name, variable, winner),
                _ => self.missing(name, variable, winner),
            };
            self.problems.extend(problem);
        }
        let missing: Vec<_> =
            self.inserted.iter().filter_map(|one| self.not_inserted(one)).collect();
        self.problems.extend(missing);
        let names: Vec<_> = self.found.keys().filter(|name| self.holds_secret(name)).collect();
        let bad: Vec<_> = names.into_iter().filter_map(|name| bad_name(name)).collect();
        self.problems.extend(bad);
    }

    fn fault(&self, name: &str, variable: &Variable, winner: &Candidate) -> Option<Problem> {
        let wanted = variable.fault(&winner.real)?;
        let what = if self.is_secret(name) || winner.shown.contains(OPEN) {
            "its value, which is secret, is refused".to_owned()
        } else {
            format!("\"{}\" is refused", winner.real.escape_debug())
        };
        let example = variable.example.as_ref().filter(|_| !variable.secret);
        let example = example.map(|one| format!(", for example {one}")).unwrap_or_default();
        let from = match winner.origin.spot() {
            Some(_) => String::new(),
            None => format!(" (from {})", winner.origin),
        };
        Some(Problem {
            spot: winner.origin.spot().or(variable.spot.as_ref()).cloned(),
            name: name.to_owned(),
            what: what + &from,
            remedy: format!("it must be {wanted}{example}"),
        })
    }

    fn missing(
        &self,
        name: &str,
        variable: &Variable,
        winner: Option<&Candidate>,
    ) -> Option<Problem> {
        let environment = &self.layers.environment;
        // Which version it is, is not known before something is deployed.
        if name == VERSION || !variable.is_required_in(environment) {
            return None;
        }
        let what = if winner.is_some() { "it is empty" } else { "it has no value" };
        let file = if self.is_secret(name) {
            ".env.api_keys or a secret source".to_owned()
        } else {
            format!(".env.{environment}")
        };
        let in_template = self.inserted.iter().find(|(inserted, _)| inserted == name);
        let spot = winner.and_then(|winner| winner.origin.spot());
        let spot = spot.or(in_template.map(|(_, spot)| spot)).or(variable.spot.as_ref());
        Some(Problem {
            spot: spot.cloned(),
            name: name.to_owned(),
            what: format!("{what}, and {environment} needs one"),
            remedy: format!("set it in {file}, or as {name} or ULTRAI_{name} in the environment"),
        })
    }

    /// What the template fills in, nobody declared, and no layer sets.
    fn not_inserted(&self, (name, spot): &(String, Spot)) -> Option<Problem> {
        let is_told = self.declaration.variables.contains_key(name)
            || self.declaration.is_complete() && self.declaration.undeclared == Undeclared::Refuse;
        if name == VERSION || self.found.contains_key(name) || is_told {
            return None;
        }
        Some(Problem {
            spot: Some(spot.clone()),
            name: name.clone(),
            what: "it has no value".to_owned(),
            remedy: format!(
                "set it in .env.{}, or as {name} or ULTRAI_{name} in the environment, or declare \
                 it with a default",
                self.layers.environment
            ),
        })
    }

    /// Whether what won is secret, or was made from a secret.
    fn holds_secret(&self, name: &str) -> bool {
        let winner = self.found.get(name).and_then(|candidates| candidates.last());
        self.is_secret(name) || winner.is_some_and(|winner| winner.shown.contains(OPEN))
    }

    fn settings(&mut self) -> BTreeMap<String, Setting> {
        let mut secret: BTreeSet<String> =
            self.found.keys().filter(|name| self.holds_secret(name)).cloned().collect();
        secret.extend(self.written_out(&secret));
        let mut settings = BTreeMap::new();
        for (name, mut candidates) in std::mem::take(&mut self.found) {
            let Some(winner) = candidates.pop() else { continue };
            let value = if secret.contains(&name) {
                Value::Secret(Secret::new(winner.real))
            } else {
                Value::Plain(winner.real)
            };
            let shadowed = candidates.into_iter().rev().map(|one| one.origin).collect();
            settings.insert(name, Setting { value, origin: winner.origin, shadowed });
        }
        settings
    }

    /// Variables in which the value of a secret stands as it is: written out in a file or given by
    /// the process, where nobody can tell it from another text by its form.
    fn written_out(&self, secret: &BTreeSet<String>) -> Vec<String> {
        let winner = |name: &String| Some(self.found.get(name)?.last()?.real.as_str());
        let values: Vec<&str> = secret.iter().filter_map(winner).collect();
        let is_known =
            |text: &str| values.iter().any(|value| value.len() >= SHORTEST && text.contains(value));
        let names = self.found.keys().filter(|name| !secret.contains(*name));
        names.filter(|name| winner(name).is_some_and(is_known)).cloned().collect()
    }

    fn problem(&mut self, spot: Option<Spot>, name: &str, what: &str, remedy: &str) {
        self.problems.push(Problem {
            spot,
            name: name.to_owned(),
            what: what.to_owned(),
            remedy: remedy.to_owned(),
        });
    }
}

/// The names that a dotenv file sets.
fn names(text: &str) -> BTreeSet<String> {
    let known = |_: &str| Some(String::new());
    let outside = dotenv::Outside {
        real: &known,
        shown: &|_| Some(interpolate::Value { text: String::new(), empty: true }),
        is_secret: &|_| false,
        earlier: &IndexMap::new(),
    };
    dotenv::read(text, &outside).entries.into_keys().collect()
}

/// Variables that mean something to Docker and its tools: nobody has to declare them.
fn is_common(name: &str) -> bool {
    name == VERSION || name.starts_with("COMPOSE_") || name.starts_with("DOCKER_")
}

fn bad_name(name: &str) -> Option<Problem> {
    let error = SecretName::new(name).err()?;
    Some(Problem {
        spot: None,
        name: name.to_owned(),
        what: format!("a secret cannot have this name: {}", error.message()),
        remedy: error.advice().unwrap_or_default().to_owned(),
    })
}
