use serde_json::{Value, json};
use ultrai_deploy_core::{
    name::{ProjectName, RunId, SecretName},
    release::{Image, Release, ReleaseService},
    secret::Secret,
    version::Version,
};

use super::*;

fn release(config: Value, files: &[(&str, &str)], resources: Value) -> Release {
    let image = Image { reference: "web:1".into(), id: "sha256:aa".into(), digest: None };
    let files = files.iter().map(|(target, digest)| ((*target).into(), (*digest).into())).collect();
    let service = ReleaseService::new(Some(image), config).with_files(files);
    let services = BTreeMap::from([(ServiceName::new("web").unwrap(), service)]);
    let version = Version::parse("v1.0.0").unwrap();
    let mut release = Release::new(ProjectName::new("shop").unwrap(), version, services).unwrap();
    release.resources = resources;
    release
}

fn create_with(release: &Release, api: ApiVersion, hidden_as: Option<&str>) -> Result<Created> {
    let definition = Definition::read(release)?;
    let secrets = Secrets::from([(SecretName::new("PASSWORD")?, Secret::new("hunter2"))]);
    let files = BTreeMap::from([("d1".to_owned(), PathBuf::from("/state/files/d1"))]);
    Request {
        definition: &definition,
        name: &ServiceName::new("web")?,
        number: 1,
        key: &Key { run: RunId::new("r1")?, step: "stage".into(), attempt: 1 },
        step: Step::Stage,
        environment: &EnvironmentName::new("production")?,
        api,
        image: "web:1",
        secrets: &secrets,
        files: &files,
        joined: &BTreeMap::from([(ServiceName::new("db")?, "c0ffee".to_owned())]),
        inherited: &BTreeMap::from([("/data".to_owned(), "a".repeat(64))]),
        hidden_as,
    }
    .create()
}

fn create(config: Value) -> Value {
    let release = release(config, &[], Value::Null);
    let created = create_with(&release, ApiVersion::OLDEST, None).unwrap();
    serde_json::to_value(created.body).unwrap()
}

#[test]
fn secrets_reach_the_environment_and_nothing_else() {
    let url = format!("redis://:{}@db", secret::placeholder("PASSWORD"));
    let body = create(json!({"environment": {"URL": url, "EMPTY": "", "UNSET": null}}));
    assert_eq!(body["Env"], json!(["EMPTY=", "UNSET", "URL=redis://:hunter2@db"]));
    assert!(!body["Labels"].to_string().contains("hunter2"));
    let missing = secret::placeholder("OTHER");
    let release = release(json!({"environment": {"A": missing}}), &[], Value::Null);
    let error = create_with(&release, ApiVersion::OLDEST, None).unwrap_err();
    assert!(error.to_string().contains("secret OTHER"), "{error}");
}

#[test]
fn compose_and_this_program_find_it_by_its_labels() {
    let depends_on = json!({"db": {"condition": "service_healthy", "restart": true}});
    let resources = json!({"services": {"web": {"depends_on": depends_on}}});
    let mut sealed = release(json!({"labels": {"team": "a"}}), &[], resources);
    sealed.provenance = json!({
        "working_dir": "/srv/shop", "config_files": ["/srv/shop/compose.yaml"],
        "config_hashes": {"web": "c0"}
    });
    assert_labels(&sealed);
    // As it was stored before there was a provenance.
    let resources = json!({
        "working_dir": "/srv/shop", "config_files": ["/srv/shop/compose.yaml"],
        "services": {"web": {"depends_on": depends_on, "config_hash": "c0"}}
    });
    assert_labels(&release(json!({"labels": {"team": "a"}}), &[], resources));
}

fn assert_labels(release: &Release) {
    let created = create_with(release, ApiVersion::OLDEST, None).unwrap();
    let labels = created.body.labels.unwrap();
    let expected = [
        ("team", "a"),
        (labels::PROJECT, "shop"),
        (labels::SERVICE, "web"),
        (labels::NUMBER, "1"),
        (labels::ONEOFF, "False"),
        (labels::CONFIG_HASH, "c0"),
        (labels::IMAGE, "sha256:aa"),
        (labels::DEPENDS_ON, "db:service_healthy:true"),
        (labels::WORKING_DIR, "/srv/shop"),
        (labels::CONFIG_FILES, "/srv/shop/compose.yaml"),
        (labels::RUN, "r1"),
        (labels::STEP, "stage"),
        (labels::KEY, "r1/stage/1"),
        (labels::ENVIRONMENT, "production"),
        (labels::RELEASE_VERSION, "v1.0.0"),
    ];
    for (label, value) in expected {
        assert_eq!(labels.get(label).map(String::as_str), Some(value), "{label}");
    }
    assert_eq!(labels[labels::SPEC_HASH].len(), 64);
}

#[test]
fn mounts_take_the_form_that_keeps_their_meaning() {
    let config = json!({"volumes": [
        {"kind": "bind", "source": "/srv/data", "target": "/d", "create_host_path": true},
        {"kind": "bind", "source": "/etc/x", "target": "/x", "read_only": true},
        {"kind": "bind", "target": "/app.conf", "read_only": true},
        {"kind": "volume", "source": "db", "target": "/db"},
        {"kind": "tmpfs", "target": "/t", "tmpfs_size": 64}
    ], "tmpfs": ["/run:size=1m"]});
    let resources = json!({"volumes": {"db": {"name": "shop_db"}}});
    let release = release(config, &[("/app.conf", "d1")], resources);
    let created = create_with(&release, ApiVersion::OLDEST, None).unwrap();
    let host = serde_json::to_value(created.body.host_config.unwrap()).unwrap();
    assert_eq!(host["Binds"], json!(["/srv/data:/d:rw"]));
    assert_eq!(host["Tmpfs"], json!({"/run": "size=1m"}));
    assert_eq!(
        host["Mounts"],
        json!([
            {"Type": "bind", "Source": "/etc/x", "Target": "/x", "ReadOnly": true},
            {"Type": "volume", "Source": "shop_db", "Target": "/db"},
            {"Type": "tmpfs", "Target": "/t", "TmpfsOptions": {"SizeBytes": 64}},
            {"Type": "bind", "Source": "/state/files/d1", "Target": "/app.conf", "ReadOnly": true},
            {"Type": "volume", "Source": "a".repeat(64), "Target": "/data"}
        ])
    );
}

#[test]
fn an_anonymous_volume_is_taken_over_where_the_service_has_one() {
    let body = create(json!({"volumes": [{"kind": "volume", "target": "/data"}]}));
    assert_eq!(
        body["HostConfig"]["Mounts"],
        json!([{"Type": "volume", "Source": "a".repeat(64), "Target": "/data"}])
    );
}

#[test]
fn names_on_networks_are_compose_s_or_hidden() {
    let resources = json!({"networks": {
        "default": {"name": "shop_default"}, "back": {"name": "shop_back"}
    }});
    let config = json!({"networks": {
        "default": {"aliases": ["www"], "priority": 10}, "back": {"ipv4_address": "10.0.0.9"}
    }});
    let release = release(config, &[], resources);
    let created = create_with(&release, ApiVersion::OLDEST, None).unwrap();
    let (network, endpoint) = &created.networks[0];
    assert_eq!(network, "shop_default");
    assert_eq!(endpoint.aliases.as_ref().unwrap(), &["shop-web-1", "web", "www"]);
    assert_eq!(created.networks.len(), 2);
    let endpoints =
        |created: Created| created.body.networking_config.unwrap().endpoints_config.unwrap().len();
    assert_eq!(endpoints(created), 1, "API 1.41 takes one network");
    let created = create_with(&release, ApiVersion::MANY_NETWORKS, Some("hidden")).unwrap();
    assert_eq!(created.networks[0].1.aliases.as_ref().unwrap(), &["hidden"]);
    assert_eq!(endpoints(created), 2);
}

#[test]
fn ports_health_restart_and_limits_are_carried_over() {
    let body = create(json!({
        "ports": [
            {"target": 80, "published": "8080", "host_ip": "127.0.0.1", "protocol": "tcp"},
            {"target": 80, "published": "8081", "protocol": "tcp"}
        ],
        "expose": ["9000", "53/udp"],
        "healthcheck": {"test": {"shell": "true"}, "interval": {"secs": 30, "nanos": 0}},
        "restart": {"on_failure": 3},
        "stop_grace_period": {"secs": 1, "nanos": 500_000_000},
        "resources": {"memory": 1024, "nano_cpus": 500_000_000, "pids": 9},
        "ulimits": {"nofile": {"soft": 1, "hard": 2}},
        "entrypoint": [], "network_mode": "service:db"
    }));
    let host = &body["HostConfig"];
    assert_eq!(
        host["PortBindings"]["80/tcp"],
        json!([{"HostIp": "127.0.0.1", "HostPort": "8080"}, {"HostPort": "8081"}])
    );
    assert_eq!(body["ExposedPorts"], json!({"53/udp": {}, "80/tcp": {}, "9000/tcp": {}}));
    assert_eq!(
        body["Healthcheck"],
        json!({"Test": ["CMD-SHELL", "true"], "Interval": 30_000_000_000_i64})
    );
    assert_eq!(host["RestartPolicy"], json!({"Name": "on-failure", "MaximumRetryCount": 3}));
    assert_eq!(body["StopTimeout"], 2);
    assert_eq!((&host["Memory"], &host["PidsLimit"]), (&json!(1024), &json!(9)));
    assert_eq!(host["Ulimits"], json!([{"Name": "nofile", "Soft": 1, "Hard": 2}]));
    assert_eq!(body["Entrypoint"], json!([]));
    assert_eq!(body.get("Cmd"), None);
    assert_eq!(host["NetworkMode"], "container:c0ffee");
}

#[test]
fn a_switched_off_health_check_stays_off() {
    let body = create(json!({"healthcheck": {"test": "none"}}));
    assert_eq!(body["Healthcheck"]["Test"], json!(["NONE"]));
    let body = create(json!({"healthcheck": {"test": "inherit", "retries": 5}}));
    assert_eq!(body["Healthcheck"], json!({"Retries": 5}));
}
