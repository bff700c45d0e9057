//! From files to a project: find, read, interpolate, then type.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
    path::{Path, PathBuf},
    sync::Arc,
};

use ultrai_deploy_core::secret::Secret;

use super::{
    depends, dotenv,
    field::Field,
    interpolate::{Failure, Value, interpolate},
    link,
    model::Project,
    objects,
    problem::{LoadError, Problem},
    secret, service,
    yaml::{self, Kind, Node, Position},
};

/// The names under which a compose file is looked for, best first (compose-spec).
const FILE_NAMES: [&str; 4] =
    ["compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml"];

/// What to load, and what is known.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The compose file, or the directory that it is looked for in.
    pub path: PathBuf,
    /// The project's name; beats `COMPOSE_PROJECT_NAME`, `name:` and the directory's name.
    pub project_name: Option<String>,
    /// The variables of the process; they win over `.env`.
    pub env: BTreeMap<String, String>,
    /// Dotenv files that are read after `.env`; later ones win. Each must exist.
    pub env_files: Vec<PathBuf>,
    /// Names of variables whose values are secret: placeholders take their place.
    pub secrets: BTreeSet<String>,
}

/// A loaded project.
#[derive(Debug)]
pub struct Loaded {
    /// The project.
    pub project: Project,
    /// What people should know.
    pub warnings: Vec<String>,
    /// The values of secrets that were found in the environment and in dotenv files.
    pub secrets: BTreeMap<String, Secret>,
}

/// Loads a compose project.
///
/// # Errors
/// Everything that is wrong, with file, line, column and what to write instead.
pub fn load(options: &Options) -> Result<Loaded, LoadError> {
    let mut warnings = Vec::new();
    let file = find(&options.path, &mut warnings)?;
    let text = read(&file)?;
    let directory = file.parent().map(Path::to_path_buf).unwrap_or_default();
    let file = Arc::new(file);
    if text.contains([secret::OPEN, secret::CLOSE]) {
        let message = "the characters U+E000 and U+E001 are not allowed; remove them";
        return Err(problem(&file, None, message).into());
    }
    let mut tree = combine(&text, &file)?;
    let mut variables = Variables::new(options, &directory)?;
    let name = project_name(options, &variables, &tree, &directory, &file)?;
    variables.plain.entry("COMPOSE_PROJECT_NAME".to_owned()).or_insert_with(|| name.clone());

    let mut problems = Vec::new();
    let mut unset = BTreeSet::new();
    fill_in(&mut tree, &mut String::new(), &variables, &file, &mut problems, &mut unset);
    if !problems.is_empty() {
        return Err(LoadError { problems });
    }
    for name in unset {
        warnings.push(format!("{name} is not set; an empty text takes its place"));
    }
    let root = Field::root(&tree, &file);
    let scope = Scope { project: &name, directory: &directory, variables: &variables };
    let mut found = BTreeMap::new();
    let project = assemble(&root, &scope, &file, &mut warnings, &mut found)?;
    variables.secrets.extend(found);
    Ok(Loaded { project, warnings, secrets: variables.secrets })
}

/// What services are read with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scope<'a> {
    pub(super) project: &'a str,
    pub(super) directory: &'a Path,
    pub(super) variables: &'a Variables,
}

impl Scope<'_> {
    /// A path of the file, made absolute; an absolute one stays as it was written.
    pub(super) fn absolute(&self, path: &str) -> PathBuf {
        if let Some(rest) = path.strip_prefix('~')
            && let Some(home) = self.variables.plain.get("HOME")
        {
            return clean(&Path::new(home).join(rest.trim_start_matches('/')));
        }
        if path.starts_with('/') {
            return PathBuf::from(path);
        }
        clean(&self.directory.join(path))
    }
}

/// The variables that values may refer to.
#[derive(Debug)]
pub(super) struct Variables {
    plain: BTreeMap<String, String>,
    names_of_secrets: BTreeSet<String>,
    secrets: BTreeMap<String, Secret>,
}

impl Variables {
    fn new(options: &Options, directory: &Path) -> Result<Self, LoadError> {
        let mut files = Vec::new();
        let beside = directory.join(".env");
        if beside.is_file() {
            files.push(beside);
        }
        files.extend(options.env_files.iter().cloned());
        let mut from_files: BTreeMap<String, String> = BTreeMap::new();
        for path in files {
            let text = read(&path)?;
            let lookup =
                |name: &str| options.env.get(name).or_else(|| from_files.get(name)).cloned();
            let read = dotenv::parse(&text, &lookup).map_err(|error| {
                let at = Position { line: error.line, column: 1 };
                LoadError::from(problem(&Arc::new(path.clone()), Some(at), error.message))
            })?;
            from_files.extend(read);
        }
        let mut all = from_files;
        all.extend(options.env.clone());
        let (secrets, plain): (BTreeMap<_, _>, BTreeMap<_, _>) =
            all.into_iter().partition(|(name, _)| options.secrets.contains(name));
        let secrets = secrets.into_iter().map(|(name, value)| (name, Secret::new(value))).collect();
        Ok(Self { plain, names_of_secrets: options.secrets.clone(), secrets })
    }

    pub(super) fn is_secret(&self, name: &str) -> bool {
        self.names_of_secrets.contains(name)
    }

    /// What takes the place of a variable.
    pub(super) fn lookup(&self, name: &str) -> Option<Value> {
        if let Some(value) = self.secrets.get(name) {
            let empty = value.expose().is_empty();
            return Some(Value { text: secret::placeholder(name), empty });
        }
        self.plain.get(name).map(|text| Value { text: text.clone(), empty: text.is_empty() })
    }

    /// The text that takes the place of a variable.
    pub(super) fn text(&self, name: &str) -> Option<String> {
        self.lookup(name).map(|value| value.text)
    }
}

/// Reads a text file.
pub(super) fn read(path: &Path) -> Result<String, LoadError> {
    std::fs::read_to_string(path).map_err(|error| {
        let message = match error.kind() {
            std::io::ErrorKind::NotFound => "there is no such file".to_owned(),
            std::io::ErrorKind::InvalidData => "it is not UTF-8 text".to_owned(),
            _ => format!("it cannot be read: {error}"),
        };
        problem(&Arc::new(path.to_path_buf()), None, message).into()
    })
}

fn problem(file: &Arc<PathBuf>, position: Option<Position>, message: impl Into<String>) -> Problem {
    Problem { file: Arc::clone(file), position, path: String::new(), message: message.into() }
}

/// Finds the compose file.
fn find(path: &Path, warnings: &mut Vec<String>) -> Result<PathBuf, LoadError> {
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
    let absolute = clean(&absolute);
    let file = if absolute.is_dir() {
        let present: Vec<_> = FILE_NAMES
            .iter()
            .map(|name| absolute.join(name))
            .filter(|file| file.is_file())
            .collect();
        let Some(first) = present.first() else {
            let names = FILE_NAMES.join(", ");
            let message = format!(
                "there is no compose file here; looked for {names}. Name one with --compose"
            );
            return Err(problem(&Arc::new(absolute), None, message).into());
        };
        if present.len() > 1 {
            warnings.push(format!("several compose files; {} is used", first.display()));
        }
        first.clone()
    } else {
        absolute
    };
    let directory = file.parent().map(Path::to_path_buf).unwrap_or_default();
    let stem = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    for extension in ["yaml", "yml"] {
        let beside = directory.join(format!("{stem}.override.{extension}"));
        if beside.is_file() {
            let message = "override files are not supported yet; write its settings into the \
                           compose file, or rename it";
            return Err(problem(&Arc::new(beside), None, message).into());
        }
    }
    Ok(file)
}

/// All documents of a file as one tree, later ones over earlier ones.
fn combine(text: &str, file: &Arc<PathBuf>) -> Result<Node, LoadError> {
    let documents =
        yaml::parse(text).map_err(|broken| problem(file, Some(broken.at), broken.message))?;
    let mut documents = documents.into_iter().filter(|document| !document.is_null());
    let Some(mut tree) = documents.next() else {
        return Err(problem(file, None, "the file is empty; write `services:`").into());
    };
    for document in documents {
        overlay(&mut tree, document);
    }
    refuse_tags(&tree, file)?;
    Ok(tree)
}

/// Scalars replace, mappings merge, lists append what is not there yet.
fn overlay(base: &mut Node, over: Node) {
    match (&mut base.kind, over.kind) {
        (Kind::Mapping(entries), Kind::Mapping(more)) => {
            for entry in more {
                match entries.iter_mut().find(|known| known.key == entry.key) {
                    Some(known)
                        if matches!(entry.key.as_str(), "command" | "entrypoint" | "test") =>
                    {
                        known.value = entry.value;
                    }
                    Some(known) => overlay(&mut known.value, entry.value),
                    None => entries.push(entry),
                }
            }
        }
        (Kind::Sequence(items), Kind::Sequence(more)) => {
            for item in more {
                if !items.iter().any(|known| known.kind == item.kind) {
                    items.push(item);
                }
            }
        }
        (kind, over_kind) => {
            *kind = over_kind;
            base.at = over.at;
        }
    }
}

/// `!reset` and `!override` change what a merge of files does, which is not supported.
fn refuse_tags(node: &Node, file: &Arc<PathBuf>) -> Result<(), Problem> {
    if let Some(tag) = node.tag.as_deref().filter(|tag| !tag.starts_with("!!")) {
        let message = format!("the tag `{tag}` is not supported yet; write the value itself");
        return Err(problem(file, Some(node.at), message));
    }
    match &node.kind {
        Kind::Scalar { .. } => Ok(()),
        Kind::Sequence(items) => items.iter().try_for_each(|item| refuse_tags(item, file)),
        Kind::Mapping(entries) => entries
            .iter()
            .filter(|entry| !entry.key.starts_with("x-"))
            .try_for_each(|entry| refuse_tags(&entry.value, file)),
    }
}

/// Interpolates every value of the tree; keys stay as they are.
fn fill_in(
    node: &mut Node,
    path: &mut String,
    variables: &Variables,
    file: &Arc<PathBuf>,
    problems: &mut Vec<Problem>,
    unset: &mut BTreeSet<String>,
) {
    let length = path.len();
    let at = node.at;
    match &mut node.kind {
        Kind::Scalar { text, plain } if text.contains('$') => {
            let lookup = |name: &str| variables.lookup(name);
            let result = interpolate(text, &lookup, &mut |name| {
                unset.insert(name.to_owned());
            });
            match result {
                Ok(filled) => {
                    *text = filled;
                    // What was filled in is a text, also where it looks like a number.
                    *plain = false;
                }
                Err(failure) => problems.push(Problem {
                    file: Arc::clone(file),
                    position: Some(at),
                    path: path.clone(),
                    message: match failure {
                        Failure::Required { name, message } if message.is_empty() => {
                            format!("{name} must be set")
                        }
                        Failure::Required { name, message } => {
                            format!("{name} must be set: {message}")
                        }
                        Failure::Syntax(message) => message,
                    },
                }),
            }
        }
        Kind::Scalar { .. } => {}
        Kind::Sequence(items) => {
            for (index, item) in items.iter_mut().enumerate() {
                let _infallible = write!(path, "[{index}]");
                fill_in(item, path, variables, file, problems, unset);
                path.truncate(length);
            }
        }
        Kind::Mapping(entries) => {
            for entry in entries {
                if length > 0 {
                    path.push('.');
                }
                path.push_str(&entry.key);
                fill_in(&mut entry.value, path, variables, file, problems, unset);
                path.truncate(length);
            }
        }
    }
}

fn project_name(
    options: &Options,
    variables: &Variables,
    tree: &Node,
    directory: &Path,
    file: &Arc<PathBuf>,
) -> Result<String, LoadError> {
    let given = options
        .project_name
        .clone()
        .or_else(|| variables.plain.get("COMPOSE_PROJECT_NAME").filter(|n| !n.is_empty()).cloned());
    if let Some(given) = given {
        if given.is_empty() || normalise(&given) != given {
            let message = format!(
                "`{given}` is no project name; write lower-case letters, digits, - and _, \
                 beginning with a letter or digit"
            );
            return Err(problem(file, None, message).into());
        }
        return Ok(given);
    }
    let root = Field::root(tree, file);
    if let Some(field) = root.get("name") {
        let text = field.text()?;
        let lookup = |name: &str| variables.lookup(name);
        let written = interpolate(&text, &lookup, &mut |_| {})
            .map_err(|_| field.problem("its variables cannot be filled in"))?;
        let name = normalise(&written);
        // An empty name is as good as none.
        if !name.is_empty() {
            return Ok(name);
        }
        if !written.is_empty() {
            let message = format!("`{written}` gives no project name; use letters and digits");
            return Err(field.problem(message).into());
        }
    }
    let name = normalise(&directory.file_name().unwrap_or_default().to_string_lossy());
    if name.is_empty() {
        let message = "the directory gives no project name; write `name:` or use -p";
        return Err(problem(file, None, message).into());
    }
    Ok(name)
}

/// A project name out of any text, as Compose makes it.
fn normalise(text: &str) -> String {
    let kept: String = text
        .to_lowercase()
        .chars()
        .filter(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_'))
        .collect();
    kept.trim_start_matches(['-', '_']).to_owned()
}

fn assemble(
    root: &Field<'_>,
    scope: &Scope<'_>,
    file: &Arc<PathBuf>,
    warnings: &mut Vec<String>,
    secrets: &mut BTreeMap<String, Secret>,
) -> Result<Project, LoadError> {
    let mut project = Project {
        name: scope.project.to_owned(),
        working_dir: scope.directory.to_path_buf(),
        config_files: vec![file.as_ref().clone()],
        ..Project::default()
    };
    let mut services = None;
    for pair in root.pairs()? {
        match pair.key {
            "version" => {
                pair.value.text()?;
                warnings.push("`version` has no meaning any more; remove it".to_owned());
            }
            "name" => {}
            "services" => services = Some(pair.value),
            "networks" => project.networks = objects::networks(&pair.value, scope)?,
            "volumes" => project.volumes = objects::volumes(&pair.value, scope)?,
            "secrets" => project.secrets = objects::files(&pair.value, scope)?,
            "configs" => project.configs = objects::files(&pair.value, scope)?,
            "include" | "models" => {
                return Err(pair.unsupported("write the services into this file").into());
            }
            _ if pair.is_extension() => {}
            _ => {
                let known = ["services", "networks", "volumes", "secrets", "configs", "name"];
                return Err(pair.unknown(&known).into());
            }
        }
    }
    let Some(services) = services else {
        return Err(root.problem("there is no `services:`; write at least one service").into());
    };
    let mut problems = Vec::new();
    for pair in services.pairs()? {
        match service::read(pair.key, &pair.value, scope, secrets) {
            Ok(service) => {
                project.services.insert(pair.key.to_owned(), service);
            }
            Err(problem) => problems.push(problem),
        }
    }
    if !problems.is_empty() {
        return Err(LoadError { problems });
    }
    if project.services.is_empty() {
        return Err(services.problem("there is no service; write at least one").into());
    }
    check_container_names(&project, &services)?;
    depends::check(&project, &services)?;
    link::link(&mut project, &services)?;
    Ok(project)
}

fn check_container_names(project: &Project, services: &Field<'_>) -> Result<(), Problem> {
    let mut taken = BTreeMap::new();
    for (key, service) in &project.services {
        let Some(name) = &service.container_name else { continue };
        if let Some(first) = taken.insert(name, key) {
            let place = services.get(key).and_then(|service| service.get("container_name"));
            return Err(place
                .unwrap_or_else(|| services.clone())
                .problem(format!("the service `{first}` has that name already; choose another")));
        }
    }
    Ok(())
}

/// A path without `.` and `..`, by its text alone, as Compose does it.
fn clean(path: &Path) -> PathBuf {
    use std::path::Component;
    let mut out = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => {
                out.pop();
            }
            other => out.push(other),
        }
    }
    out
}
