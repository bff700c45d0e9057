//! Wrong files and what is told about them.

use std::path::Path;

use ultrai_deploy_core::{Effect, ErrorKind};

use super::told;
use crate::config::Config;

#[test]
fn every_problem_names_line_field_and_remedy() {
    let check = "[[check]]\nname = \"api\"\nurl = \"http://x/\"\n";
    let test = "[[test]]\nname = \"smoke\"\nservice = \"web\"\n";
    let local = "backend = \"local\"\n[services.web]\ncommand = [\"./web\"]\n";
    let cases = [
        // Wrong types.
        (
            "version = 1.0".to_owned(),
            "1:11: version: expected text, found the number 1.0; write version = \"1.0\"",
        ),
        (
            "[policy]\nkeep_releases = \"5\"".to_owned(),
            "2:17: policy.keep_releases: expected a whole number, found text; \
             write a number from 1 to 1000, without quotes",
        ),
        (
            "policy = 1".to_owned(),
            "1:10: policy: expected a table, found the integer 1; write policy = { … }",
        ),
        (
            "secrets = \"A\"".to_owned(),
            "1:11: secrets: expected a list, found text; write secrets = [\"API_KEY\"]",
        ),
        (
            "[check]\nname = \"api\"".to_owned(),
            "1:1: check: expected a list of tables, found a table; \
             write [[check]] with two brackets",
        ),
        (
            "[environments.production]\nvariables = { PORT = 80 }".to_owned(),
            "2:22: environments.production.variables.PORT: expected text, found the integer 80; \
             write PORT = \"80\"",
        ),
        (
            format!("{check}status = 200"),
            "4:10: check \"api\": status: expected a list, found the integer 200; \
             write status = [200]",
        ),
        (
            format!("{test}when = \"pre\"\ncommand = \"npm test\""),
            "5:11: test \"smoke\": command: expected a list of words, found text; \
             write command = [\"sh\", \"-c\", \"…\"], or the words one by one",
        ),
        // Unknown fields and words.
        ("projekt = \"x\"".to_owned(), "1:1: projekt: unknown field; did you mean `project`?"),
        (
            "[policy]\ncolour = 1".to_owned(),
            "2:1: policy.colour: unknown field; known here: attempts, backup, data, \
             deadlines, health_deadline, hold, keep_backups, keep_releases, keep_runs, \
             longest_pause, on_failure, pause, readiness, restore_deadline, rollback_deadline, \
             stage_deadline, watch",
        ),
        (
            format!("{check}timout = \"5s\""),
            "4:1: check \"api\": timout: unknown field; did you mean `timeout`?",
        ),
        (
            "backend = \"docker\"".to_owned(),
            "1:11: backend: \"docker\" is not known; write \"compose\", \"local\", \"railway\" or \"render\"",
        ),
        (
            "[policy]\nbackup = \"yes\"".to_owned(),
            "2:10: policy.backup: \"yes\" is not known; write \"required\" or \"off\"",
        ),
        // Values.
        (
            "version = \"1.2\"".to_owned(),
            "1:11: version: `1.2` is not a semantic version; \
             write three numbers, for example 1.4.0 or v1.4.0-rc.1",
        ),
        (
            "project = \"My App\"".to_owned(),
            "1:11: project: \"My App\" is no compose project name; use lower-case letters, \
             digits, `-` and `_`, and begin with a letter or digit",
        ),
        (
            "state = \"state\"".to_owned(),
            "1:9: state: it must not depend on where the project lies, which is new on every \
             CI run; write an absolute path such as \"/srv/state\", or an URL such as \
             \"s3://bucket/prefix\"",
        ),
        (
            "docker_host = \"ssh://host\"".to_owned(),
            "1:15: docker_host: \"ssh://host\" is no address of a Docker Engine; \
             write \"unix:///path/to/docker.sock\" or \"tcp://host:port\"",
        ),
        (
            "[policy]\non_failure = { verify = \"ignore\" }".to_owned(),
            "2:25: policy.on_failure.verify: \"ignore\" is not known; \
             write \"rollback\" or \"hold\"",
        ),
        (
            "[policy]\non_failure = { deploy = \"ignore\" }".to_owned(),
            "2:16: policy.on_failure.deploy: unknown field; known here: post_deploy_tests, verify, \
             watch",
        ),
        (
            "[policy]\nwatch = \"30\"".to_owned(),
            "2:9: policy.watch: \"30\" is no duration; add a unit: write \"30s\" for seconds",
        ),
        (
            "[policy]\nhealth_deadline = \"0s\"".to_owned(),
            "2:19: policy.health_deadline: it must be longer than zero; \
             write health_deadline = \"5s\"",
        ),
        (
            "[policy]\nkeep_backups = 0".to_owned(),
            "2:16: policy.keep_backups: 0 is out of range; write a number from 1 to 1000",
        ),
        (
            "[[check]]\nname = \"api\"\nurl = \"localhost:80/health\"".to_owned(),
            "3:7: check \"api\": url: `localhost` is not http or https; \
             write an absolute URL, for example http://127.0.0.1:8085/health",
        ),
        (
            format!("{check}json = {{ \"status\" = 1 }}"),
            "4:10: check \"api\": json.status: `status` is no JSON pointer; \
             begin it with `/`: write \"/status\"",
        ),
        (
            format!("{check}json = {{ \"/at\" = 2024-01-01 }}"),
            "4:18: check \"api\": json./at: JSON has no such value; \
             use text, numbers, booleans, lists or tables",
        ),
        (
            format!("{check}status = [99]"),
            "4:11: check \"api\": status[0]: 99 is out of range; write a number from 200 to 599",
        ),
        (
            "[environments.\"a/b\"]".to_owned(),
            "1:15: environments.a/b: `a/b` is no environment name: `/` is not allowed in it; \
             use letters, digits, `.`, `_` and `-`",
        ),
        // Secrets in the wrong place.
        (
            "secrets = [\"TOKEN\"]\n[environments.production]\nvariables = { TOKEN = \"t0p\" }"
                .to_owned(),
            "3:15: environments.production.variables.TOKEN: it is listed in `secrets`, and its \
             value would stand in this file; take it out here and give the value in the \
             environment or in an env file",
        ),
        (
            format!("{check}request_headers = {{ Authorization = \"t0p\" }}"),
            "4:21: check \"api\": request_headers.Authorization: its value is a credential and \
             would be stored with the release; \
             write secret_headers = { Authorization = \"NAME_OF_A_SECRET\" }",
        ),
        // Checks.
        (
            "[[check]]\nurl = \"http://x/\"".to_owned(),
            "1:1: check 1: `name` is missing; write name = \"…\", as it shall stand in reports",
        ),
        (
            "[[check]]\nname = \"a\"".to_owned(),
            "1:1: check \"a\": it does not say where to look; write url = \"http://…\", \
             path = \"/…\", tcp = \"host:port\", service and port, or a table of its kind such as \
             redis = { … }",
        ),
        (
            format!("{check}tcp = \"x:1\""),
            "1:1: check \"api\": it has url and tcp; keep the one that says where to look",
        ),
        (
            format!("{check}port = 80"),
            "1:1: check \"api\": `port` is the port of a service, and none is looked at; \
             write service = \"…\" and path or port, or put the port into url or tcp",
        ),
        (
            "[[check]]\nname = \"a\"\ntcp = \"x:1\"\nstatus = [200]".to_owned(),
            "1:1: check \"a\": a TCP check has no answer that `status` could be compared with; \
             take `status` out, or write url or path for an HTTP check",
        ),
        (
            format!("{check}{check}"),
            "4:1: check \"api\": line 1 has the same name; \
             give it another name: reports tell them apart by it",
        ),
        (
            "[environments.a]\n[environments.b]\nbase_url = \"http://x\"\n[[check]]\n\
             name = \"c\"\npath = \"/health\""
                .to_owned(),
            "4:1: check \"c\": it gives only a path, and environment a has no base_url; \
             write base_url = \"http://…\" at the top of the file or in the environment, \
             or url in the check",
        ),
        // Tests.
        (
            format!("{test}command = [\"true\"]"),
            "1:1: test \"smoke\": `when` is missing; \
             write when = \"pre\" (before anything changes) or when = \"post\"",
        ),
        (
            format!("{test}command = []\nwhen = \"post\""),
            "4:11: test \"smoke\": command: there is no program in it; \
             write [\"./program\", \"--flag\"]",
        ),
        // The local backend.
        (
            "backend = \"local\"".to_owned(),
            "1:1: the local backend has no services; write [services.NAME] with command = […]",
        ),
        (
            "[services.web]\ncommand = [\"./web\"]".to_owned(),
            "1:2: services: it belongs to the backends local, railway and render; \
             take it out, or write backend = \"local\", \"railway\" or \"render\"",
        ),
        (
            format!("compose = \"x.yml\"\n{local}"),
            "1:1: compose: it belongs to the compose backend; \
             take it out, or write backend = \"compose\"",
        ),
        (
            format!("{local}port = \"any\""),
            "4:8: services.web.port: \"any\" is not known; write \"auto\"",
        ),
        (
            format!("{local}health = {{ path = \"/health\" }}"),
            "4:1: services.web.health: there is no port to look at; \
             write port = 8080 or port = \"auto\"",
        ),
        (
            format!("{local}port = 80\nhealth = {{ status = [200] }}"),
            "5:1: services.web.health: without `path` only a connection is made, and `status` \
             has no answer to look at; write path = \"/health\"",
        ),
        (
            format!("{local}files = [\"../x\"]"),
            "4:10: services.web.files[0]: \"../x\" is not below the directory of this file; \
             name a relative path without `..`: it gets the same place in the release",
        ),
        (
            format!("{local}depends_on = [\"wep\"]"),
            "4:15: services.web.depends_on: there is no service `wep`; did you mean `web`?",
        ),
        (
            format!(
                "{local}depends_on = [\"b\"]\n[services.b]\ncommand = [\"b\"]\n\
                 depends_on = [\"c\"]\n[services.c]\ncommand = [\"c\"]\ndepends_on = [\"b\"]"
            ),
            "5:11: services.b.depends_on: services wait for each other: b → c → b; \
             take one of these dependencies out",
        ),
        (
            format!("{local}{}", test.replace("web", "api"))
                + "command = [\"true\"]\nwhen = \"post\"",
            "6:11: test \"smoke\": service: there is no service `api`; there are web",
        ),
        (
            "backend = \"local\"\n[services.web]\ncommand = [\"./web\", \"{port}\"]".to_owned(),
            "3:11: services.web.command: `{port}` stands for a port, and there is none; \
             write port = 8080 or port = \"auto\"",
        ),
    ];
    let differing: Vec<_> = cases
        .iter()
        .map(|(text, wanted)| (told(text), format!("deploy.toml:{wanted}")))
        .filter(|(told, wanted)| told != wanted)
        .collect();
    assert!(differing.is_empty(), "told, wanted: {differing:#?}");
}

#[test]
fn all_problems_are_told_at_once_in_the_order_of_lines() {
    let told = told(
        "verzion = \"1.0.0\"\nstate = 5\n[policy]\nwatch = 3\n[[check]]\nname = \"a\"\n\
         url = \"/x\"\ntimeout = \"5\"\nretry = 1\n[[test]]\n",
    );
    let lines: Vec<_> =
        told.lines().map(|line| line.split(':').nth(1).unwrap().parse::<u32>().unwrap()).collect();
    assert_eq!(lines, [1, 2, 4, 7, 8, 9, 10, 10, 10, 10], "{told}");
}

#[test]
fn text_that_is_not_toml() {
    for (text, place) in [
        ("version = \"1.0.0", "deploy.toml:1:17:"),
        ("\n\nversion 1", "deploy.toml:3:"),
        ("a = 1\na = 2", "deploy.toml:2:1:"),
        ("[policy\n", "deploy.toml:1:"),
    ] {
        let told = told(text);
        assert!(told.starts_with(place), "{text:?}: {told}");
        assert!(told.contains("this is not TOML"), "{told}");
    }
}

#[test]
fn a_problem_is_an_invalid_input_without_effect() {
    let error = ultrai_deploy_core::Error::from(
        Config::parse(Path::new("deploy.toml"), "a = 1\nb = 2").unwrap_err(),
    );
    assert_eq!((error.kind(), error.effect()), (ErrorKind::Invalid, Effect::None));
    assert!(error.to_string().contains("2 problems:\ndeploy.toml:1:1: a:"), "{error}");
}
