//! From files to a project: find, read, interpolate, then type.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};

use ultrai_deploy_core::secret::Secret;

use super::{
    depends, documents,
    field::Field,
    fill, find, link,
    model::Project,
    name, objects,
    problem::{LoadError, Problem},
    service,
    variables::Variables,
    yaml::Position,
};

/// What to load, and what is known. `Debug` shows no values of variables: some are secret.
#[derive(Clone, Default)]
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

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, project_name, env, env_files, secrets } = self;
        f.debug_struct("Options")
            .field("path", path)
            .field("project_name", project_name)
            .field("env", &env.keys())
            .field("env_files", env_files)
            .field("secrets", secrets)
            .finish()
    }
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
    let file = find::file(&options.path, &mut warnings)?;
    let text = find::read(&file)?;
    let directory = file.parent().map(Path::to_path_buf).unwrap_or_default();
    let file = Arc::new(file);
    let mut tree = documents::combine(&text, &file)?;
    let mut variables = Variables::new(options, &directory)?;
    let name = {
        let root = Field::root(&tree, &file);
        name::of_project(options.project_name.as_deref(), &variables, &root, &directory)?
    };
    variables.set_default("COMPOSE_PROJECT_NAME", &name);
    for unset in fill::fill_in(&mut tree, &variables, &file)? {
        warnings.push(format!("{unset} is not set; an empty text takes its place"));
    }
    let root = Field::root(&tree, &file);
    let scope = Scope { project: &name, directory: &directory, variables: &variables };
    let mut found = BTreeMap::new();
    let project = assemble(&root, &scope, &file, &mut warnings, &mut found)?;
    if let Some(name) = variables.unusable() {
        let message = format!("the variable {name} holds {}", fill::NOT_ALLOWED);
        return Err(Problem::of_file(&file, message).into());
    }
    let mut secrets = variables.into_secrets();
    secrets.extend(found);
    Ok(Loaded { project, warnings, secrets })
}

/// Only the name of a compose project. What else is wrong with the file, or with dotenv files, does
/// not matter.
///
/// # Errors
/// When there is no file, or when its name cannot be told; with the place and what to write.
pub fn project_name(options: &Options) -> Result<String, LoadError> {
    let file = find::file(&options.path, &mut Vec::new())?;
    let directory = file.parent().map(Path::to_path_buf).unwrap_or_default();
    let file = Arc::new(file);
    let (variables, broken) = Variables::glance(options, &directory)?;
    let given = options.project_name.as_deref();
    if let Some(chosen) = name::chosen(given, &variables, &file)? {
        return Ok(chosen);
    }
    let tree = documents::combine(&find::read(&file)?, &file)?;
    let root = Field::root(&tree, &file);
    // Another name is another environment, of which nothing would be known.
    let written = root.get("name").and_then(|field| field.text().ok()).unwrap_or_default();
    match broken {
        Some(broken) if broken.of_name || written.contains('$') => Err(broken.error),
        _ => name::of_project(given, &variables, &root, &directory),
    }
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
            && let Some(home) = self.variables.text("HOME")
        {
            return find::clean(&Path::new(&home).join(rest.trim_start_matches('/')));
        }
        if path.starts_with('/') {
            return PathBuf::from(path);
        }
        find::clean(&self.directory.join(path))
    }
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
                project.places.insert(pair.key.to_owned(), places(&pair.value));
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
    warnings.extend(depends::warnings(&project));
    link::link(&mut project, &services)?;
    Ok(project)
}

/// Where the fields stand that only the engine can find fault with.
fn places(service: &Field<'_>) -> BTreeMap<String, String> {
    let found = ["image", "build", "ports"].map(|key| Some((key, service.get(key)?)));
    let place = |field: &Field<'_>| {
        let Position { line, column } = field.node.at;
        format!("{}:{line}:{column}", field.file.display())
    };
    found.into_iter().flatten().map(|(key, field)| (key.to_owned(), place(&field))).collect()
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
