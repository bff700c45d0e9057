//! Reads the whole file.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::Arc,
};

use toml::de::DeTable;
use ultrai_deploy_core::{
    Result,
    name::{EnvironmentName, ProjectName, SecretName, ServiceName},
    pipeline::Policy,
    verification::{NoProbes, ProbeSource},
    version::Version,
};
use ultrai_deploy_http::address::HttpUrl;

use super::{
    Config, Environment, Place, Problem, Problems, Template,
    backend::{self, Kind, invalid},
    backups,
    check::{self, Check},
    data::{self, Data},
    depends, environment, files, flag, hosted,
    migration::{self, Migration},
    notify, policy, preflight,
    reader::{Field, Reader, Table},
    registries,
    rule::{self, Rule, Traffic},
    secret_source, service,
    source::Source,
    test::{self, Test},
    variables::Declared,
};

const SYNTAX: &str = "write each key once, as key = value, text in quotes, tables as [name]";

pub(super) fn config(file: &Path, text: &str) -> Result<Config, Problems> {
    let reader = Reader::new(Source { file: file.to_owned(), text });
    let (document, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        for error in &errors {
            let offset = error.span().map_or(0, |span| span.start);
            let what = error.message().lines().collect::<Vec<_>>().join(", ");
            reader.problem(offset, "", format!("this is not TOML: {what}"), SYNTAX);
        }
        return reader.finish(None);
    }
    let config = read(&reader, file, document.get_ref());
    reader.finish(Some(config))
}

/// All services that checks, tests and migrations name.
pub(super) fn named_services<'a>(
    checks: &'a [Check],
    rules: &'a [Rule],
    tests: &'a [Test],
    migrations: &'a [Migration],
    data: &'a [Data],
) -> impl Iterator<Item = (String, &'a (ServiceName, Place))> {
    let of_checks = checks.iter().filter_map(|check| {
        Some((format!("check \"{}\": service", check.name), check.service.as_ref()?))
    });
    let of_tests =
        tests.iter().map(|test| (format!("test \"{}\": service", test.task.name), &test.service));
    let of_migrations = migrations
        .iter()
        .map(|one| (format!("migration \"{}\": service", one.declared.name), &one.service));
    let of_data = data
        .iter()
        .filter_map(|one| Some((format!("data \"{}\": service", one.name), one.service.as_ref()?)));
    let of_rules =
        rules.iter().filter_map(|rule| Some(("watch: service".to_owned(), rule.service()?)));
    of_checks.chain(of_rules).chain(of_tests).chain(of_migrations).chain(of_data)
}

pub(super) fn no_base_url(check: &Check, environment: &str) -> Problem {
    Problem {
        place: check.place,
        field: format!("check \"{}\"", check.name),
        what: format!("it gives only a path, and {environment} has no base_url"),
        remedy: "write base_url = \"http://…\" at the top of the file or in the environment, \
                 or url in the check"
            .to_owned(),
    }
}

fn read(reader: &Reader<'_>, file: &Path, document: &DeTable<'_>) -> Config {
    let root = files::Root::of(file);
    let mut table = Table::new(reader, String::new(), 0, document);

    let version = table.take("version").and_then(|field| field.parse(Version::parse));
    let state = table.take("state").and_then(|field| backups::location(&field));
    let base_url = table.take("base_url").and_then(|field| field.parse(HttpUrl::parse));
    let listed = table.take("secrets").map(|field| service::secret_names(&field));
    let mut listed = listed.unwrap_or_default();
    let declared = Declared::take(&mut table, file);
    listed.extend(declared.secrets());
    let template =
        table.take("template").and_then(|field| template(&field, &root)).unwrap_or_default();

    let kind = Kind::take(&mut table);
    let rendered_files = rendered_files(&mut table, kind, &root);
    let registry = registries::destination(kind, &mut table);
    let registries = registries::logins(kind, &mut table);
    let environments = table
        .take("environments")
        .map(|field| environment::read_all(&field, kind, &root, &listed))
        .unwrap_or_default();
    let environments = with_defaults(environments, base_url.as_ref());
    declared.check(reader, environments.keys());

    let flags = table.take("flags").map(|field| flag::read_all(&field, &listed));
    let flags = flags.unwrap_or_default();
    refuse_strange_environments(reader, &flags, &environments);

    let policy = table.take("policy").and_then(|field| field.table()).map(policy::read);
    let (mut policy, health_deadline) = policy.unwrap_or_else(|| (Policy::default(), None));

    let probes = dry(reader);
    let known = check::Around { deadline: health_deadline, root: &root, probes: &*probes };
    let mut checks = Vec::new();
    for (index, table) in tables(&mut table, "check").into_iter().enumerate() {
        checks.extend(check::read(table, index + 1, &known));
    }
    let traffic = table.take("watch").and_then(|field| Traffic::read(&field));
    let traffic = traffic.unwrap_or_default();
    let mut rules = Vec::new();
    for (index, table) in tables(&mut table, "rule").into_iter().enumerate() {
        rules.extend(rule::read(table, index + 1, &traffic, &known));
    }
    let mut items = Vec::new();
    for (index, table) in tables(&mut table, "preflight").into_iter().enumerate() {
        items.extend(preflight::read(table, index + 1, kind));
    }
    let mut receivers = Vec::new();
    for (index, table) in tables(&mut table, "notify").into_iter().enumerate() {
        receivers.extend(notify::read(table, index + 1, &environments));
    }
    let names = receivers.iter().map(|one| (one.config.name(), one.place));
    refuse_twins(reader, "notify", names);
    let receivers: Vec<_> = receivers.into_iter().map(|one| one.config).collect();
    let mut tests = Vec::new();
    for (index, table) in tables(&mut table, "test").into_iter().enumerate() {
        tests.extend(test::read(table, index + 1));
    }
    let mut secret_sources = Vec::new();
    for (index, table) in tables(&mut table, "secret_source").into_iter().enumerate() {
        secret_sources.extend(secret_source::read(table, index + 1, &root));
    }
    for problem in secret_source::unknown_environments(&secret_sources, &environments) {
        reader.problem_at(problem.place, problem.field, problem.what, problem.remedy);
    }
    let labels = secret_sources.iter().map(|source| (source.label(), source.place));
    refuse_twins(reader, "secret_source", labels);
    let mut migrations = Vec::new();
    for (index, table) in tables(&mut table, "migration").into_iter().enumerate() {
        migrations.extend(migration::read(table, index + 1));
    }
    let names = migrations.iter().map(|one| (one.declared.name.as_str(), one.place));
    refuse_twins(reader, "migration", names);
    let backups = table.take("backups").and_then(|field| field.table());
    let backups =
        backups.map(|table| backups::read(table, kind, &root, &mut policy)).unwrap_or_default();
    if backups.is_lost_with_machine(state.as_ref()) {
        reader.problem(
            0,
            "backups",
            "what is kept elsewhere would be encrypted for a key that only this machine has",
            "write identity_file = \"…\" or identity = \"NAME_OF_A_SECRET\" into [backups]",
        );
    }
    let mut data = Vec::new();
    for (index, table) in tables(&mut table, "data").into_iter().enumerate() {
        data.extend(data::read(table, index + 1, kind, &root));
    }
    refuse_twins(reader, "data", data.iter().map(|one| (one.name.as_str(), one.place)));
    refuse_twins(reader, "check", checks.iter().map(|check| (check.name.as_str(), check.place)));
    refuse_twins(reader, "rule", rules.iter().map(|rule| (rule.name.as_str(), rule.place)));
    for rule in &rules {
        if let Some(check) = checks.iter().find(|check| check.name == rule.name) {
            let twins = [check.place, rule.place].map(|place| (rule.name.as_str(), place));
            refuse_twins(reader, "rule", twins.into_iter());
        }
    }
    refuse_twins(reader, "test", tests.iter().map(|test| (test.task.name.as_str(), test.place)));
    refuse_missing_base(reader, "check", checks.iter(), &environments);
    let of_rules = rules.iter().filter_map(Rule::check);
    refuse_missing_base(reader, "rule", of_rules, &environments);

    let around = backend::Surroundings {
        root: &root,
        secrets: &listed,
        environments: &environments,
        deadline: health_deadline,
    };
    let backend = backend::read(reader, kind, &mut table, &around);
    let project = project(&mut table, kind);
    table.finish();

    if let Some(kind) = kind.filter(|kind| Kind::HOSTED.contains(kind)) {
        hosted::refuse(reader, kind, &checks, &tests);
        hosted::refuse_migrations(reader, kind, &migrations);
    } else if kind.is_some() {
        hosted::refuse_metrics(reader, &checks);
    }
    if kind != Some(Kind::Compose) {
        refuse_containers(reader, &checks);
    }
    if let Some(services) = backend.services() {
        depends::refuse_unknown(
            reader,
            named_services(&checks, &rules, &tests, &migrations, &data),
            services.into_iter(),
        );
    }
    let mut secrets: BTreeSet<SecretName> = backend.secrets().into_iter().cloned().collect();
    secrets.extend(checks.iter().flat_map(Check::secrets).cloned());
    secrets.extend(rules.iter().flat_map(Rule::secrets));
    secrets.extend(receivers.iter().flat_map(ultrai_deploy_notify::Config::secrets));
    secrets.extend(registries.values().map(|login| login.password.clone()));
    secrets.extend(data.iter().flat_map(Data::secrets).cloned());
    secrets.extend(backups.secret().cloned());
    secrets.extend(listed);
    let mut declaration = declared.declaration;
    for secret in &secrets {
        declaration.add_secret(secret.as_str());
    }
    for flag in flags.keys() {
        declaration.add_optional(flag);
    }
    Config {
        file: file.to_owned(),
        project,
        version,
        backend,
        registry,
        registries,
        state,
        backups,
        data,
        secrets,
        declaration,
        template,
        rendered_files,
        environments,
        policy,
        health_deadline,
        preflight: items,
        notify: receivers,
        checks,
        rules,
        tests,
        secret_sources,
        migrations,
        flags,
        root,
    }
}

/// What checks are tried with while they are read; none where not even that can be made.
fn dry(reader: &Reader<'_>) -> Arc<dyn ProbeSource> {
    crate::probes::dry().unwrap_or_else(|error| {
        reader.problem(0, "", error.message(), error.advice().unwrap_or("see the cause"));
        Arc::new(NoProbes)
    })
}

fn tables<'a>(table: &mut Table<'a>, name: &'static str) -> Vec<Table<'a>> {
    table.take(name).map(|field| field.tables()).unwrap_or_default()
}

fn project(table: &mut Table<'_>, kind: Option<Kind>) -> Option<ProjectName> {
    let field = table.take("project");
    if let Some(kind) = kind.filter(|kind| field.is_none() && Kind::HOSTED.contains(kind)) {
        table.problem(
            format!("the {} backend needs a project", kind.word()),
            "write project = \"…\", a name of your own for all that is deployed together",
        );
    }
    field?.parse(|text| match kind {
        Some(Kind::Compose) => compose_project(text),
        _ => ProjectName::new(text),
    })
}

fn with_defaults(
    mut environments: BTreeMap<EnvironmentName, Environment>,
    base_url: Option<&HttpUrl>,
) -> BTreeMap<EnvironmentName, Environment> {
    if environments.is_empty() {
        environments.extend(environment::DEFAULT.into_iter().filter_map(|name| {
            let name = EnvironmentName::new(name).ok()?;
            let environment = Environment::named(&name);
            Some((name, environment))
        }));
    }
    for environment in environments.values_mut() {
        environment.base_url = environment.base_url.take().or_else(|| base_url.cloned());
    }
    environments
}

fn refuse_twins<'a>(
    reader: &Reader<'_>,
    what: &str,
    names: impl Iterator<Item = (&'a str, Place)>,
) {
    let mut first: BTreeMap<&str, Place> = BTreeMap::new();
    for (name, place) in names {
        match first.get(name) {
            None => {
                first.insert(name, place);
            }
            Some(other) => reader.problem_at(
                place,
                format!("{what} \"{name}\""),
                format!("line {} has the same name", other.line),
                "give it another name: reports tell them apart by it",
            ),
        }
    }
}

fn refuse_strange_environments(
    reader: &Reader<'_>,
    flags: &BTreeMap<String, flag::Flag>,
    environments: &BTreeMap<EnvironmentName, Environment>,
) {
    let known: BTreeSet<&EnvironmentName> = environments.keys().collect();
    for (field, name, place) in flag::unknown(flags, &known) {
        let list = known.iter().map(|name| name.as_str()).collect::<Vec<_>>().join(", ");
        reader.problem_at(
            place,
            field,
            format!("there is no environment `{name}`"),
            format!("known: {list}; add [environments.{name}] for a new one"),
        );
    }
}

fn refuse_missing_base<'a>(
    reader: &Reader<'_>,
    what: &str,
    checks: impl Iterator<Item = &'a Check>,
    environments: &BTreeMap<EnvironmentName, Environment>,
) {
    let without: Vec<_> = environments
        .iter()
        .filter(|(_, environment)| environment.base_url.is_none())
        .map(|(name, _)| name.as_str())
        .collect();
    if without.is_empty() {
        return;
    }
    for check in checks.filter(|check| check.needs_base_url()) {
        let problem = no_base_url(check, &format!("environment {}", without.join(", ")));
        let field = format!("{what} \"{}\"", check.name);
        reader.problem_at(problem.place, field, problem.what, problem.remedy);
    }
}

fn refuse_containers(reader: &Reader<'_>, checks: &[Check]) {
    for check in checks.iter().filter(|check| check.looks_into_containers()) {
        reader.problem_at(
            check.place,
            format!("check \"{}\"", check.name),
            "it looks into containers, and there are none here",
            "it is for the compose backend; write a [[test]] with when = \"post\" for a command",
        );
    }
}

/// Files in which variables are filled in.
fn rendered_files(
    table: &mut Table<'_>,
    kind: Option<Kind>,
    root: &files::Root,
) -> Vec<(PathBuf, Place)> {
    let field = Kind::take_own(kind, table, "rendered_files", &[Kind::Compose, Kind::Local]);
    let items = field.map(|field| field.items("[\"nginx.conf\"]")).unwrap_or_default();
    items.iter().filter_map(|item| Some((root.existing_file(item)?, item.place()))).collect()
}

/// The template of a dotenv file; `false` for none at all.
fn template(field: &Field<'_>, root: &files::Root) -> Option<Template> {
    if field.is_text() {
        root.existing_file(field).map(Template::File)
    } else {
        field.none().map(|()| Template::None)
    }
}

/// Compose allows fewer names: they become parts of container names and labels.
fn compose_project(text: &str) -> Result<ProjectName> {
    let good = text.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
        && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "_-".contains(c));
    if good {
        return ProjectName::new(text);
    }
    Err(invalid(format!("\"{text}\" is no compose project name")).with_advice(
        "use lower-case letters, digits, `-` and `_`, and begin with a letter or digit",
    ))
}
