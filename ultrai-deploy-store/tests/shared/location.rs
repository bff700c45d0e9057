//! Where things are kept.

use std::{fs, os::unix::fs::PermissionsExt};

use object_store::{ObjectStoreExt as _, path::Path};
use ultrai_deploy_core::{Error, error::ErrorKind};
use ultrai_deploy_store::{Location, location::Options};

fn options(variables: &[(&str, &str)]) -> Options {
    Options::new(variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())))
}

fn refused(url: &str, variables: &[(&str, &str)]) -> Error {
    let error = Location::open(url, &options(variables)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid, "{url}: {error}");
    error
}

/// A URL, variables, and the prefix that comes of it.
type Case<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a str);

const KEYS: [(&str, &str); 3] = [
    ("AWS_ACCESS_KEY_ID", "id"),
    ("AWS_SECRET_ACCESS_KEY", "hunter2-hunter2"),
    ("AWS_REGION", "eu-central-1"),
];

#[test]
fn every_kind_of_store_is_opened() {
    let base = tempfile::tempdir().unwrap();
    let directory = base.path().join("a/b");
    let (plain, url) = (directory.display().to_string(), format!("file://{}", directory.display()));
    let azure = [("AZURE_STORAGE_ACCOUNT_NAME", "shop"), ("AZURE_STORAGE_ACCOUNT_KEY", "aHVudGVy")];
    let google = [("GOOGLE_SKIP_SIGNATURE", "true")];
    let cases: [Case<'_>; 6] = [
        (&plain, &[], ""),
        (&url, &[], ""),
        ("memory:", &[], ""),
        ("s3://bucket/some/prefix/", &KEYS, "some/prefix"),
        ("gs://bucket/some", &google, "some"),
        ("az://container", &azure, ""),
    ];
    for (url, variables, prefix) in cases {
        let location = Location::open(url, &options(variables)).unwrap();
        assert_eq!(location.prefix, Path::from(prefix), "{url}");
        assert!(!format!("{location:?}").contains("hunter2-hunter2"), "{url}");
    }
    assert!(!format!("{:?}", options(&KEYS)).contains("hunter2"));
}

#[test]
fn what_is_missing_is_named() {
    let missing = |url: &str, variables: &[(&str, &str)], name: &str| {
        let message = refused(url, variables).to_string();
        assert!(message.contains(name), "{url}: {message}");
        assert!(!message.contains("hunter2"), "{message}");
    };
    missing("s3://bucket", &KEYS[1..], "AWS_ACCESS_KEY_ID");
    missing("s3://bucket", &KEYS[..1], "AWS_SECRET_ACCESS_KEY");
    missing("s3://bucket", &KEYS[..2], "AWS_REGION");
    missing("gs://bucket", &[], "GOOGLE_APPLICATION_CREDENTIALS");
    missing("az://container", &[], "AZURE_STORAGE_ACCOUNT_NAME");
    missing("az://c", &[("AZURE_STORAGE_ACCOUNT_NAME", "shop")], "AZURE_STORAGE_ACCOUNT_KEY");
    missing("s3:///prefix", &KEYS, "bucket");
    missing("ftp://host/x", &[], "s3://");
    missing("relative/path", &[], "absolute");
    missing("s3://hunter2:hunter2@bucket/x", &KEYS, "password");
    missing("s3://bucket/x?key=hunter2", &KEYS, "query");
}

#[test]
fn http_is_for_this_host_only() {
    let with = |endpoint: &str, more: &[(&str, &str)]| {
        let mut variables = KEYS.to_vec();
        variables.push(("AWS_ENDPOINT_URL", endpoint));
        variables.extend(more);
        Location::open("s3://bucket", &options(&variables)).map(drop)
    };
    for here in ["http://127.0.0.1:9000", "http://localhost:9000", "http://[::1]:9000"] {
        with(here, &[]).unwrap();
    }
    with("https://minio.example", &[]).unwrap();
    for elsewhere in ["http://minio.example", "http://10.0.0.1:9000", "http://localhost.example"] {
        let error = with(elsewhere, &[]).unwrap_err();
        assert!(error.to_string().contains("AWS_ALLOW_HTTP"), "{error}");
        with(elsewhere, &[("AWS_ALLOW_HTTP", "true")]).unwrap();
    }
    assert!(with("minio.example:9000", &[]).is_err());
}

#[tokio::test]
async fn a_directory_is_for_its_owner_only() {
    let base = tempfile::tempdir().unwrap();
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let open =
        |path: &std::path::Path| Location::open(&path.display().to_string(), &Options::default());
    let missing = base.path().join("made/here");
    let location = open(&missing).unwrap();
    assert_eq!(mode(&missing), 0o700);
    location.store.put(&Path::from("a/b"), "x".into()).await.unwrap();
    open(&missing).unwrap();

    let empty = base.path().join("empty");
    fs::create_dir(&empty).unwrap();
    fs::set_permissions(&empty, fs::Permissions::from_mode(0o755)).unwrap();
    open(&empty).unwrap();
    assert_eq!(mode(&empty), 0o700);

    let open_to_all = base.path().join("all");
    fs::create_dir(&open_to_all).unwrap();
    fs::write(open_to_all.join("other"), "x").unwrap();
    fs::set_permissions(&open_to_all, fs::Permissions::from_mode(0o755)).unwrap();
    let error = open(&open_to_all).unwrap_err();
    assert!(error.to_string().contains("chmod 700"), "{error}");
    assert_eq!(mode(&open_to_all), 0o755);
    let mut options = Options::default();
    options.is_closed_below = true;
    Location::open(&open_to_all.display().to_string(), &options).unwrap();
    assert_eq!(mode(&open_to_all), 0o755, "it is the caller's");
    assert_eq!(open(&open_to_all.join("other")).unwrap_err().kind(), ErrorKind::Invalid);
}
