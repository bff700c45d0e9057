//! Suites as people write them: `checks.toml`.

mod expect;
mod read;
mod reader;
mod test;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use ultrai_deploy_core::{
    Error, ErrorKind, Result,
    name::{EnvironmentName, ServiceName},
    verification::{CheckSpec, TaskSpec},
    version::Version,
};

use self::test::{Kind, Test};
use super::{SuiteAt, SuiteSpec, TestSpec};
use crate::{
    address::HttpUrl,
    pointer::Pointer,
    spec::{ExpectVersion, ProbeSpec, ServicePort},
};

/// Largest file that is read, in bytes.
const MAX_FILE: u64 = 1024 * 1024;

/// The tests of a `checks.toml`: of requests, which become suites, and of commands.
#[derive(Clone, Debug, PartialEq)]
pub struct File {
    path: PathBuf,
    name: Option<String>,
    parallel: usize,
    service: Option<ServiceName>,
    port: Option<u16>,
    base_url: Option<HttpUrl>,
    environments: BTreeMap<EnvironmentName, HttpUrl>,
    tests: Vec<Test>,
}

/// Which tests, of what.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// Tests with at least one of these tags; all tests when there are none.
    pub tags: BTreeSet<String>,
    /// The environment, whose `base_url` stands in front of paths.
    pub environment: Option<EnvironmentName>,
    /// What stands in front of paths in place of what the file says.
    pub base_url: Option<HttpUrl>,
    /// The version that the release has, for tests with `version_at`.
    pub version: Option<Version>,
}

impl File {
    /// Reads a file, and the files that its tests send, which are found from its directory.
    ///
    /// # Errors
    /// [`ErrorKind::Io`] when it cannot be read; else as [`parse`](Self::parse).
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let unreadable = |source| {
            Error::new(ErrorKind::Io, "read checks", format!("{} cannot be read", path.display()))
                .without_effect()
                .with_source(source)
        };
        let length = fs::metadata(path).map_err(unreadable)?.len();
        if length > MAX_FILE {
            let what = format!("{} has {length} bytes", path.display());
            return Err(invalid(what).with_advice("write several files of at most 1 MiB"));
        }
        Self::parse(path, &fs::read_to_string(path).map_err(unreadable)?)
    }

    /// Reads a text that stands in the file `path`.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] with all that is wrong: file, line, column, field, and what to write
    /// instead.
    pub fn parse(path: impl AsRef<Path>, text: &str) -> Result<Self> {
        read::file(path.as_ref(), text)
    }

    /// The name of the suite, where it has one.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// The service whose paths are looked at, where no URL is.
    pub fn service(&self) -> Option<&ServiceName> {
        self.service.as_ref()
    }

    /// The tags of its tests.
    pub fn tags(&self) -> BTreeSet<&str> {
        self.tests.iter().flat_map(|test| &test.tags).map(String::as_str).collect()
    }

    /// The requests of `selection`, with those that they need; nothing when only commands are
    /// selected.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for a tag that no test has; when it is not known what paths are below,
    /// or which version an answer must tell.
    pub fn suite(&self, selection: &Selection) -> Result<Option<SuiteSpec>> {
        self.check_tags(selection)?;
        let tests: Vec<_> = self.requests().map(|(_, test, _)| test.clone()).collect();
        let whole = SuiteSpec { at: self.at(selection), parallel: self.parallel, tests };
        let needs = whole.needs();
        let mut selected = BTreeSet::new();
        let of_tags = self.requests().enumerate();
        let of_tags = of_tags.filter(|(_, (test, ..))| test.is_of(selection));
        let mut open: Vec<_> = of_tags.map(|(index, _)| index).collect();
        while let Some(index) = open.pop() {
            if selected.insert(index) {
                open.extend(&needs[index]);
            }
        }
        if selected.is_empty() {
            return Ok(None);
        }
        let chosen = self.requests().enumerate().filter(|(index, _)| selected.contains(index));
        let tests = chosen.map(|(_, (_, test, version_at))| {
            let mut test = test.clone();
            test.expect.version = self.version(test.name.as_str(), version_at, selection)?;
            Ok(test)
        });
        let suite = SuiteSpec { tests: tests.collect::<Result<_>>()?, ..whole };
        suite.check()?;
        Ok(Some(suite))
    }

    /// The check that runs the requests of `selection` once; nothing when there are none.
    ///
    /// # Errors
    /// As [`suite`](Self::suite).
    pub fn check(&self, selection: &Selection) -> Result<Option<CheckSpec>> {
        let Some(suite) = self.suite(selection)? else { return Ok(None) };
        let (name, timing) = (self.name.as_deref().unwrap_or("checks"), suite.timing());
        let of_service = matches!(suite.at, Some(SuiteAt::Service(_)));
        let probe = ProbeSpec::Suite(Box::new(suite)).to_value()?;
        let mut check = CheckSpec::new(name, probe).with_timing(timing);
        check.service = self.service.clone().filter(|_| of_service);
        Ok(Some(check))
    }

    /// The commands of `selection`.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for a tag that no test has.
    pub fn tasks(&self, selection: &Selection) -> Result<Vec<TaskSpec>> {
        self.check_tags(selection)?;
        let of_tags = self.tests.iter().filter(|test| test.is_of(selection));
        let task = |test: &Test| match &test.kind {
            Kind::Command(task) => Some(task.clone()),
            Kind::Request(..) => None,
        };
        Ok(of_tags.filter_map(task).collect())
    }

    fn requests(&self) -> impl Iterator<Item = (&Test, &TestSpec, Option<&Pointer>)> {
        self.tests.iter().filter_map(|test| match &test.kind {
            Kind::Request(spec, version_at) => Some((test, &**spec, version_at.as_ref())),
            Kind::Command(_) => None,
        })
    }

    fn at(&self, selection: &Selection) -> Option<SuiteAt> {
        let of_environment =
            selection.environment.as_ref().and_then(|name| self.environments.get(name));
        let url = selection.base_url.as_ref().or(of_environment).or(self.base_url.as_ref());
        match (url, &self.service) {
            (Some(url), _) => Some(SuiteAt::Url(url.clone())),
            (None, Some(_)) => Some(SuiteAt::Service(ServicePort { port: self.port })),
            (None, None) => None,
        }
    }

    fn version(
        &self,
        test: &str,
        at: Option<&Pointer>,
        selection: &Selection,
    ) -> Result<Option<ExpectVersion>> {
        match (at, &selection.version) {
            (None, _) => Ok(None),
            (Some(at), Some(version)) => {
                Ok(Some(ExpectVersion { at: at.clone(), is: version.clone() }))
            }
            (Some(_), None) => {
                let what = format!(
                    "{}: test \"{test}\" has version_at, and no version is known",
                    self.path.display()
                );
                Err(invalid(what).with_advice("tell the version of the release"))
            }
        }
    }

    fn check_tags(&self, selection: &Selection) -> Result<()> {
        let known = self.tags();
        let Some(tag) = selection.tags.iter().find(|tag| !known.contains(tag.as_str())) else {
            return Ok(());
        };
        let what = format!("{}: no test has the tag \"{tag}\"", self.path.display());
        let list = known.into_iter().collect::<Vec<_>>().join(", ");
        let advice = if list.is_empty() {
            "write tags = [\"…\"] in tests".to_owned()
        } else {
            format!("use one of {list}")
        };
        Err(invalid(what).with_advice(advice))
    }
}

impl Test {
    fn is_of(&self, selection: &Selection) -> bool {
        selection.tags.is_empty() || self.tags.iter().any(|tag| selection.tags.contains(tag))
    }
}

fn invalid(what: String) -> Error {
    Error::new(ErrorKind::Invalid, "choose tests", what).without_effect()
}
