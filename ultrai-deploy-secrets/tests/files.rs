//! Environment, dotenv files and directories of files, right and hostile.

#![allow(clippy::unwrap_used)]

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::Path,
    sync::Arc,
};

use ultrai_deploy_core::{Chain, ErrorKind, name::SecretName, secret::SecretSource};
use ultrai_deploy_secrets::{Absent, Directory, Dotenv, Environment};

fn name(text: &str) -> SecretName {
    SecretName::new(text).unwrap()
}

async fn value(source: &dyn SecretSource, key: &str) -> Option<String> {
    let value = source.get(&name(key)).await;
    let value = value.unwrap_or_else(|error| panic!("{}", Chain(&error)));
    value.map(|value| value.expose().to_owned())
}

/// The kind and the whole text of an error, which holds nothing secret.
async fn error(source: &dyn SecretSource, key: &str) -> (ErrorKind, String) {
    let error = source.get(&name(key)).await.unwrap_err();
    let text = format!("{} {error:?}", Chain(&error));
    assert!(!text.contains("hunter2"), "{text}");
    (error.kind(), text)
}

fn private(path: &Path, text: impl AsRef<[u8]>) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

fn environment(variables: &[(&str, &str)]) -> Environment {
    Environment::new(variables.iter().map(|(key, value)| ((*key).into(), (*value).into())))
}

fn pipe(path: &Path) {
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    rustix::fs::mkfifoat(rustix::fs::CWD, path, mode).unwrap();
}

#[tokio::test]
async fn the_environment_has_an_order() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("key");
    fs::write(&file, "hunter2-of-the-file\n\n").unwrap();
    let file = file.to_str().unwrap();
    let all = environment(&[
        ("ULTRAI_A", "hunter2-1"),
        ("A", "hunter2-2"),
        ("B", "hunter2-3"),
        ("ULTRAI_C_FILE", file),
        ("C", "hunter2-4"),
        ("D_FILE", file),
        ("ULTRAI_E", ""),
        ("E", "hunter2-5"),
        ("F", ""),
        ("F_FILE", ""),
    ]);
    for (key, expected) in [
        ("A", Some("hunter2-1")),
        ("B", Some("hunter2-3")),
        ("C", Some("hunter2-of-the-file\n")),
        ("D", Some("hunter2-of-the-file\n")),
        ("E", Some("hunter2-5")),
        ("F", None),
        ("G", None),
    ] {
        assert_eq!(value(&all, key).await.as_deref(), expected, "{key}");
    }
    assert!(!format!("{all:?}").contains("hunter2"));

    let both = environment(&[("A", "hunter2"), ("A_FILE", file)]);
    let (kind, text) = error(&both, "A").await;
    assert_eq!(kind, ErrorKind::Invalid);
    assert!(text.contains("A and A_FILE are both set") && text.contains("unset A"), "{text}");

    let gone = environment(&[("A_FILE", "/nowhere/key")]);
    let (kind, text) = error(&gone, "A").await;
    assert_eq!(kind, ErrorKind::NotFound);
    assert!(text.contains("/nowhere/key") && text.contains("what A_FILE names"), "{text}");
}

#[tokio::test]
async fn a_dotenv_file_is_read_once_as_compose_reads_it() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(".env.api_keys");
    private(&path, "export A='hunter2 $X'\nB=\"${A}-${OUTSIDE}\" # b\nEMPTY=\n");
    let variables = BTreeMap::from([("OUTSIDE".to_owned(), "out".to_owned())]);
    let source = Arc::new(Dotenv::new(&path).with_variables(variables));
    assert_eq!(value(&*source, "A").await.unwrap(), "hunter2 $X");
    fs::remove_file(&path).unwrap();
    assert_eq!(value(&*source, "B").await.unwrap(), "hunter2 $X-out");
    assert_eq!(value(&*source, "EMPTY").await.unwrap(), "");
    assert_eq!(value(&*source, "C").await, None);
    assert!(!format!("{source:?}").contains("hunter2"));
}

#[tokio::test]
async fn a_dotenv_file_that_others_can_read_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(".env");
    private(&path, "A=hunter2");
    for mode in [0o640, 0o604, 0o644, 0o666] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let (kind, text) = error(&Dotenv::new(&path), "A").await;
        assert_eq!(kind, ErrorKind::Denied);
        assert!(text.contains(&format!("chmod 600 {}", path.display())), "{text}");
    }
    // What counts is the file, not a link to it.
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    let link = directory.path().join("link");
    symlink(&path, &link).unwrap();
    assert_eq!(value(&Dotenv::new(&link), "A").await.unwrap(), "hunter2");
}

#[tokio::test]
async fn a_missing_file_is_an_error_unless_it_may_be() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("gone");
    let (kind, text) = error(&Dotenv::new(&path), "A").await;
    assert_eq!(kind, ErrorKind::NotFound);
    assert!(text.contains("gone: it does not exist"), "{text}");
    assert_eq!(value(&Dotenv::new(&path).when_absent(Absent::Empty), "A").await, None);

    let (kind, text) = error(&Directory::new(&path), "A").await;
    assert_eq!(kind, ErrorKind::NotFound);
    assert!(text.contains("gone: it does not exist"), "{text}");
    assert_eq!(value(&Directory::new(&path).when_absent(Absent::Empty), "A").await, None);
    assert_eq!(value(&Directory::new(directory.path()), "A").await, None);
    private(&path, "hunter2");
    let (_, text) = error(&Directory::new(&path), "A").await;
    assert!(text.contains("gone"), "{text}");
}

#[tokio::test]
async fn what_is_no_file_does_not_hang() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    pipe(&at("PIPE"));
    fs::create_dir(at("DIRECTORY")).unwrap();
    symlink(at("LOOP"), at("LOOP")).unwrap();
    symlink("/dev/zero", at("DEVICE")).unwrap();
    let _listening = std::os::unix::net::UnixListener::bind(at("SOCKET")).unwrap();
    for (key, told) in [
        ("PIPE", "it is a pipe and no file"),
        ("DIRECTORY", "it is a directory and no file"),
        ("LOOP", "it cannot be opened"),
        ("DEVICE", "it is a device and no file"),
        ("SOCKET", "it cannot be opened"),
    ] {
        let files = Directory::new(directory.path());
        for source in [&files as &dyn SecretSource, &Dotenv::new(at(key))] {
            let (_, text) = error(source, key).await;
            assert!(text.contains(told) && text.contains(key), "{key}: {text}");
        }
    }
}

#[tokio::test]
async fn a_huge_file_is_not_read() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("HUGE");
    private(&path, "");
    // A terabyte that takes no room.
    fs::File::options().write(true).open(&path).unwrap().set_len(1 << 40).unwrap();
    let files = Directory::new(directory.path());
    for source in [&files as &dyn SecretSource, &Dotenv::new(&path)] {
        let (kind, text) = error(source, "HUGE").await;
        assert_eq!(kind, ErrorKind::Invalid);
        assert!(text.contains("it is longer than 1048576 bytes"), "{text}");
    }
    private(&directory.path().join("FITS"), "hunter2");
    assert_eq!(value(&files.clone().with_limit(7), "FITS").await.unwrap(), "hunter2");
    let (_, text) = error(&files.with_limit(6), "FITS").await;
    assert!(text.contains("longer than 6 bytes"), "{text}");
}

/// Files of `/proc` have no length and are read all the same.
#[tokio::test]
async fn a_file_without_a_length_is_read() {
    let files = Directory::new("/proc/self");
    assert!(value(&files, "cmdline").await.is_some());
}

#[tokio::test]
async fn a_directory_has_a_file_for_each_secret() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    // As Kubernetes mounts it.
    fs::create_dir(at("..2026_01_01")).unwrap();
    fs::write(at("..2026_01_01/API_KEY"), "hunter2\n").unwrap();
    fs::write(at("..2026_01_01/CERT"), "hunter2\r\nhunter2\r\n").unwrap();
    symlink("..2026_01_01", at("..data")).unwrap();
    symlink("..data/API_KEY", at("API_KEY")).unwrap();
    symlink("..data/CERT", at("CERT")).unwrap();
    fs::write(at("db-password.txt"), " hunter2 \n\n").unwrap();
    fs::write(at("EMPTY"), "").unwrap();
    fs::write(at("BINARY"), b"hunter2\xff").unwrap();
    for key in ["API_KEY", "CERT", "db-password.txt"] {
        fs::set_permissions(at(key), fs::Permissions::from_mode(0o444)).unwrap();
    }
    let files = Directory::new(directory.path());
    assert_eq!(value(&files, "API_KEY").await.unwrap(), "hunter2");
    assert_eq!(value(&files, "CERT").await.unwrap(), "hunter2\r\nhunter2");
    assert_eq!(value(&files, "db-password.txt").await.unwrap(), " hunter2 \n");
    assert_eq!(value(&files, "EMPTY").await.unwrap(), "");
    let (kind, text) = error(&files, "BINARY").await;
    assert_eq!(kind, ErrorKind::Invalid);
    assert!(text.contains("BINARY: it is not UTF-8"), "{text}");
}

/// Whatever a name is, it leads to a file of the directory itself.
#[test]
fn names_lead_to_nothing_else() {
    for bad in ["..", "../a", "a/b", "/etc/passwd", ".hidden", "..data", "a\0b", ""] {
        assert!(SecretName::new(bad).is_err(), "{bad:?}");
    }
}
