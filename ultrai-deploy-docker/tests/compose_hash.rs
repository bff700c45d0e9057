//! The config hash beside that of the real Compose.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "compose/oracle.rs"]
mod oracle;

use std::{fs, path::Path};

use oracle::Oracle;
use tempfile::TempDir;
use ultrai_deploy_docker::compose::{self, Options, Project};

fn write(text: &str) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| fs::write(directory.path().join(name), text).unwrap();
    file("compose.yaml", text);
    file("web.env", "FROM_FILE=${OUTSIDE}-x # c\nQUOTED='$a'\n");
    file("file.txt", "content");
    directory
}

fn load(directory: &Path, home: &Path) -> Project {
    let home = home.to_string_lossy().into_owned();
    let env = [("OUTSIDE", "out"), ("COMPOSE_PROJECT_NAME", "p"), ("HOME", &home)];
    let options = Options {
        path: directory.to_path_buf(),
        env: env.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        ..Options::default()
    };
    compose::load(&options).unwrap_or_else(|error| panic!("{error}")).project
}

/// What stands below `services.web`, one file each.
const BODIES: &[&str] = &[
    "command: run \"x y\" | z",
    "command: []\n    entrypoint: ''",
    "entrypoint: [/bin/x, '$$HOME']",
    "environment: {B: '2', A: 1, N: , O: 0400, Y: yes, F: 1e3, P: 'a&b<c>$$x', OUTSIDE: }",
    "environment: [A=1, OUTSIDE, GONE, 'E=']",
    "env_file: web.env\n    environment: {FROM_FILE: own}",
    "env_file: [{path: gone.env, required: false}, web.env]",
    "ports: ['80:81/udp', '127.0.0.1:82:83', 3000, '90-91:92-93', '[::1]:5:6', '4000-4005:7']",
    "ports: [{target: 80, published: '81', host_ip: 127.0.0.1, protocol: tcp}]",
    "expose: ['80', '90/udp']",
    "volumes: ['./d:/d:ro', 'data:/data', /anon, '~/x:/y', '/abs:/abs:z']",
    "volumes: [{type: tmpfs, target: /t, tmpfs: {size: 10m, mode: 0700}}, {type: bind, source: ., target: /b}]",
    "volumes: [{type: volume, source: data, target: /v, volume: {nocopy: true}}]",
    "healthcheck: {test: curl x, interval: 30s, timeout: 1m30s, retries: 3, start_period: 10s}",
    "healthcheck: {test: [CMD, a, b], interval: 1d, start_period: 1500ms, start_interval: 1s}",
    "healthcheck: {disable: true}",
    "restart: on-failure:3",
    "restart: unless-stopped",
    "networks: {front: {aliases: [x], ipv4_address: 10.0.0.4, priority: 5}, back: }",
    "networks: [back, front]",
    "network_mode: host",
    "labels: {l: '1', m: }",
    "labels: [a=b, c]",
    "logging: {driver: json-file, options: {max-size: 10m, max-file: '3'}}",
    "deploy: {resources: {limits: {cpus: '0.5', memory: 64m, pids: 5}, reservations: {memory: 10m}}}",
    "mem_limit: 64m\n    cpus: 0.5\n    pids_limit: 5\n    cpu_shares: 5\n    mem_reservation: 10m",
    "ulimits: {nofile: {soft: 1, hard: 2}, nproc: 5}",
    "cap_add: [NET_ADMIN]\n    cap_drop: [ALL]\n    privileged: true\n    read_only: true",
    "dns: 1.1.1.1\n    dns_search: [a, b]\n    dns_opt: [x]\n    domainname: d\n    hostname: h",
    "extra_hosts: ['h:1.2.3.4', 'i=::1']",
    "extra_hosts: {h: 1.2.3.4}",
    "init: true\n    ipc: host\n    pid: host\n    uts: host\n    user: '1000:1000'\n    working_dir: /w",
    "shm_size: 64m\n    stdin_open: true\n    tty: true\n    stop_signal: SIGINT\n    stop_grace_period: 90s",
    "sysctls: {net.core.somaxconn: 1024}\n    tmpfs: /run\n    security_opt: [no-new-privileges:true]\n    group_add: [x]",
    "secrets: [s, {source: s, target: t, mode: 0440}]\n    configs: [c, {source: c, target: /etc/c}]",
    "platform: linux/amd64\n    pull_policy: always\n    container_name: cn",
    "depends_on: {db: {condition: service_healthy, restart: true}}",
    "build: {context: ., args: {A: b}}\n    hostname: '${GONE:-${OUTSIDE:+inner}}'",
];

#[test]
fn config_hashes_equal_those_of_compose() {
    let Some(oracle) = Oracle::find() else { return };
    let mut files: Vec<_> = BODIES
        .iter()
        .map(|body| {
            format!(
                "services:\n  web:\n    image: a:1\n    {body}\n  db: {{image: b, healthcheck: \
                 {{test: x}}}}\nnetworks: {{front: {{ipam: {{config: [{{subnet: \
                 10.0.0.0/24}}]}}}}, back: }}\nvolumes: {{data: }}\nsecrets: {{s: {{file: \
                 file.txt}}}}\nconfigs: {{c: {{file: file.txt}}}}\n"
            )
        })
        .collect();
    let app = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/app/docker-compose.yml");
    files.push(fs::read_to_string(app).unwrap());
    let (mut compared, mut wrong) = (0, Vec::new());
    for text in files {
        let directory = write(&text);
        let project = load(directory.path(), oracle.home());
        let env = [("OUTSIDE", "out"), ("COMPOSE_PROJECT_NAME", "p")];
        let env = env.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let answer = oracle.config(&directory.path().join("compose.yaml"), &env, &["--hash", "*"]);
        assert!(answer.accepted, "{text}\n{}", answer.stderr);
        for line in answer.stdout.lines() {
            let (name, expected) = line.split_once(' ').unwrap();
            compared += 1;
            if compose::config_hash(&project.services[name]).as_deref() != Some(expected) {
                wrong.push(format!("{name} in\n{text}"));
            }
        }
    }
    assert!(compared >= 2 * BODIES.len(), "only {compared} services were compared");
    assert!(wrong.is_empty(), "{} of {compared} differ:\n{}", wrong.len(), wrong.join("\n"));
}
