//! Wrong kinds of checks, rules, items of the checklist and receivers, and what is told about them.

use std::path::Path;

use serde_json::json;

use super::{environment, parse, version};
use crate::config::Config;

const NAMED: &str = "[[check]]\nname = \"a\"\n";

/// What is told of each text, which stands in a file beside a `checks.toml` and a script.
fn all_told(cases: &[(String, &str)]) {
    let directory = tempfile::tempdir().unwrap();
    let tests = "[[test]]\nname = \"t\"\npath = \"/\"\ntags = [\"smoke\"]\n";
    std::fs::write(directory.path().join("checks.toml"), tests).unwrap();
    let file = directory.path().join("deploy.toml");
    let mut differing = Vec::new();
    for (text, wanted) in cases {
        let told = match Config::parse(&file, text) {
            Ok(_) => "nothing".to_owned(),
            Err(problems) => problems.to_string(),
        };
        let told = told.replace(&format!("{}/", directory.path().display()), "");
        // Of a list of fields only the beginning matters.
        if !told.starts_with(&format!("deploy.toml:{wanted}")) || told.lines().count() != 1 {
            differing.push((text, told, *wanted));
        }
    }
    assert!(differing.is_empty(), "text, told, wanted: {differing:#?}");
}

#[test]
fn checks_of_a_kind() {
    let many = "{ combined = { of = [{ name = \"p\", probe = ".repeat(5);
    let deep = format!("{many}{{ dns = {{ name = \"x\" }} }}{}", " }] } }".repeat(5));
    let deep = deep.strip_prefix("{ combined = ").unwrap().strip_suffix(" }").unwrap();
    let named = |rest: &str| format!("{NAMED}{rest}");
    let load = "duration = \"30s\", rate = 50, require = [\"error_rate < 1%\"]";
    all_told(&[
        (
            named("tcp = \"x:1\"\nrediss = { }"),
            "4:1: check \"a\": rediss: unknown field; did you mean `redis`?",
        ),
        (
            named("redis = { address = \"x:1\" }\ndns = { name = \"x\" }"),
            "4:1: check \"a\": dns: it is a redis check already; \
             make two checks of it, one with redis and one with dns",
        ),
        (
            named("redis = 6379"),
            "3:9: check \"a\": redis: expected a table, found the integer 6379; \
             write redis = { … }",
        ),
        (
            named("redis = { address = \"x:1\" }\nstatus = [200]"),
            "1:1: check \"a\": it is a redis check, and `status` is for others; \
             write it into the table redis = { … } if it has it, or take it out",
        ),
        (
            named("redis = { address = \"x:1\" }\nmax_p95 = \"1s\""),
            "1:1: check \"a\": it is a redis check, and `max_p95 or max_error_percent` is for others",
        ),
        // A field of a kind.
        (
            named("service = \"db\"\n[check.postgres]\nuser = \"shop\""),
            "4:1: check \"a\": postgres: missing field `database`; \
             see what postgres may have in docs/deploy-toml.md",
        ),
        (
            named("service = \"db\"\n[check.redis]\nport = \"6379\""),
            "5:8: check \"a\": redis.port: invalid type: string \"6379\", expected u16",
        ),
        (
            named("service = \"db\"\n[check.redis]\nprot = 6379"),
            "5:8: check \"a\": redis.prot: unknown field `prot`, expected one of `address`, `port`",
        ),
        (
            named("[check.llm]\nany = [{ provider = \"openal\", key = \"K\" }]"),
            "4:7: check \"a\": llm.any.0.provider: unknown variant `openal`, expected one of `openai`",
        ),
        (
            named("redis = { password = \"P\" }"),
            "3:9: check \"a\": redis: the probe of `a` says not where to look; \
             name a service of the release, or set address to host:port",
        ),
        (
            named("[check.prometheus]\nurl = \"http://x\"\nquery = \"up\"\nfails_when = \"0.05\""),
            "6:14: check \"a\": prometheus.fails_when: ",
        ),
        (
            named("[check.prometheus]\nurl = \"http://x\"\nquery = \"up\""),
            "3:1: check \"a\": prometheus: it has no condition; write fails_when",
        ),
        (
            named(&format!("combined = {deep}")),
            "3:12: check \"a\": combined: the probe of `a / p / p / p / p` is combined more than 4 \
             deep; put parts of inner probes into outer ones",
        ),
        (
            named("[check.combined]\nof = [{ name = \"p\", probe = { dns = { nam = \"x\" } } }]"),
            "3:1: check \"a\": combined: the probe of `a / p` is no dns probe: dns.nam: unknown field",
        ),
        (
            named("service = \"web\"\nexec = { comand = [\"true\"] }"),
            "4:19: check \"a\": exec.comand: unknown field `comand`",
        ),
        (
            named("exec = { command = [\"true\"] }"),
            "3:8: check \"a\": exec: the probe of `a` looks into containers and names no service; \
             name the service",
        ),
        (
            named("service = \"web\"\nexec = { command = [\"true\"], output_matches = \"(\" }"),
            "4:8: check \"a\": exec: the probe of `a` has an output_matches that cannot be \
             read: `(`: regex parse error: ( ^ error: unclosed group; escape what is meant",
        ),
        // Loads and files.
        (
            named(&format!("load = {{ path = \"/\", {load} }}")),
            "1:1: check \"a\": it gives only a path, and environment development, production, \
             staging has no base_url; write base_url = \"http://…\" at the top of the file or in \
             the environment, or url in the check",
        ),
        (
            named(&format!("load = {{ url = \"http://x\", path = \"/\", {load}, rates = 1 }}")),
            "3:108: check \"a\": load.rates: unknown field `rates`",
        ),
        (
            named(&format!(
                "when = \"watch\"\nload = {{ url = \"http://x\", path = \"/\", {load} }}"
            )),
            "1:1: check \"a\": a load check measures once, and watching looks again and again; \
             write when = \"post\", or a traffic check or a [[rule]] in its place",
        ),
        (
            named(
                "load = { url = \"http://x\", path = \"/\", rate = 1, duration = \"5s\", require = [\"error_rate < 1%\"] }",
            ),
            "3:8: check \"a\": load: `a` sends 5 requests, and error_rate < 1% means something of",
        ),
        (
            named("suite = { file = \"chekcs.toml\" }"),
            "3:18: check \"a\": suite.file: file chekcs.toml does not exist; name a file",
        ),
        (
            named("suite = { file = \"checks.toml\", tags = [\"smoek\"] }"),
            "3:9: check \"a\": suite: ",
        ),
        (
            named("suite = { file = \"checks.toml\", tag = [\"smoke\"] }"),
            "3:33: check \"a\": suite.tag: unknown field; did you mean `tags`?",
        ),
        (
            named("k6 = { url = \"http://x\" }"),
            "3:6: check \"a\": k6: it names no script; write file = \"smoke.js\"",
        ),
        // What follows, and when.
        (
            named("tcp = \"x:1\"\nseverity = \"mayor\""),
            "4:12: check \"a\": severity: \"mayor\" is not known; \
             write \"critical\", \"major\", \"minor\" or \"warning\"",
        ),
        (
            named("tcp = \"x:1\"\non_error = \"ignore\""),
            "4:12: check \"a\": on_error: \"ignore\" is not known; write \"rollback\", \"hold\"",
        ),
        (
            named("service = \"db\"\nport = 1\nwhen = \"preflight\""),
            "1:1: check \"a\": a service of the release does not run yet before everything else; \
             write the address of what the release needs, or take `when` out",
        ),
    ]);
}

#[test]
fn what_an_answer_must_be() {
    let check = |rest: &str| format!("{NAMED}url = \"http://x/\"\n{rest}");
    all_told(&[
        (
            check("json_path = [{ path = \"providers\" }]"),
            "4:23: check \"a\": json_path[0].path: `providers` is no JSONPath query; begin with $",
        ),
        (
            check("json_path = [{ at_least = 2 }]"),
            "4:14: check \"a\": json_path[0]: `path` is missing; write path = ",
        ),
        (
            check("json_path = [{ path = \"$.a\", exists = false, at_least = 1 }]"),
            "4:14: check \"a\": json_path[0]: nothing can be said of what must not exist; \
             keep exists = false alone",
        ),
        (
            check("json_path = [{ path = \"$.a\", equal = 1 }]"),
            "4:30: check \"a\": json_path[0].equal: unknown field; did you mean `equals`?",
        ),
        (
            check("body_matches = \"(\""),
            "4:16: check \"a\": body_matches: `(` is no regular expression",
        ),
        (check("header_exists = [\"a b\"]"), "4:18: check \"a\": header_exists[0]: "),
        (
            check("header_matches = { x-a = \"[\" }"),
            "4:26: check \"a\": header_matches.x-a: `[` is no regular expression",
        ),
        (
            check("method = \"BREW\""),
            "4:10: check \"a\": method: `BREW` is no method that is sent here; write GET, HEAD",
        ),
        (
            check("json_body = { a = 1 }"),
            "4:1: check \"a\": json_body: GET requests send nothing; write method = \"POST\"",
        ),
        (
            check("method = \"POST\"\njson_body = 1\nbody = \"x\""),
            "6:1: check \"a\": body: it sends two things; keep one of json_body and body",
        ),
        (
            format!("{NAMED}tcp = \"x:1\"\nmethod = \"POST\""),
            "1:1: check \"a\": a TCP check has no answer that `method` could be compared with",
        ),
    ]);
}

#[test]
fn rules() {
    let watch = "[watch]\nurl = \"http://x\"\npath = \"/\"\nrate = 5\n";
    let rule = |rest: &str| format!("[[rule]]\nname = \"r\"\n{rest}");
    let watched = |rest: &str| format!("{watch}{}", rule(rest));
    all_told(&[
        (
            rule("when = \"error_rate > 5%\""),
            "3:8: rule \"r\": when: no requests are declared that it could be judged by; \
             write [watch] with path = \"/api/models\" and rate = 5, or prometheus = { … }",
        ),
        (rule(""), "1:1: rule \"r\": `when` is missing; write when = \"error_rate > 0.05\""),
        (watched("when = \"error_rate 5\""), "7:8: rule \"r\": when: "),
        (
            watched("when = \"error_rate < 5%\""),
            "7:8: rule \"r\": when: `error_rate < 5%` is a failure, and a good service fulfils it; \
             write what is not fine, such as error_rate > 5%",
        ),
        (
            watched("when = \"p42_latency > 3s\""),
            "7:8: rule \"r\": when: `p42_latency` is nothing that is measured; use one of error_rate",
        ),
        (
            watched("when = \"error_rate > 5%\"").replace("rate = 5\n", "rate = \"5\"\n"),
            "4:8: watch.rate: invalid type: string \"5\", expected f64",
        ),
        // Told once, although two rules need it.
        (
            watched(
                "when = \"error_rate > 5%\"\n[[rule]]\nname = \"s\"\nwhen = \"error_rate > 9%\"",
            )
            .replace("rate = 5\n", "rate = 5\nrates = 5\n"),
            "5:9: watch.rates: unknown field `rates`",
        ),
        (
            watched("when = \"error_rate > 5%\"").replace("rate = 5\n", ""),
            "1:1: watch: missing field `rate`; see what traffic may have in docs/deploy-toml.md",
        ),
        (
            watched("when = \"error_rate > 5%\"")
                .replace("rate = 5\n", "rate = 5\nfails_when = \"x\"\n"),
            "5:1: watch.fails_when: rules say what is a failure; write a [[rule]] with when = \"…\"",
        ),
        (
            watched("when = \"error_rate > 5%\"").replace("url = \"http://x\"\n", ""),
            "4:1: rule \"r\": it gives only a path, and environment development",
        ),
        (
            rule("when = \"error_rate > 5%\"\nprometheus = { url = \"http://x\", query = \"q\" }"),
            "3:8: rule \"r\": when: ",
        ),
        (
            rule("when = \"> 5%\"\nprometheus = { url = \"http://x\", qery = \"q\" }"),
            "4:41: rule \"r\": prometheus.qery: unknown field `qery`",
        ),
        (
            format!("{NAMED}tcp = \"x:1\"\n[[rule]]\nname = \"a\"\nwhen = \"health_check_failed\""),
            "4:1: rule \"a\": line 1 has the same name; \
             give it another name: reports tell them apart by it",
        ),
        (
            watched("when = \"error_rate > 5%\"\naction = \"roll back\""),
            "8:10: rule \"r\": action: \"roll back\" is not known; write \"rollback\", \"hold\"",
        ),
    ]);
}

#[test]
fn items_of_the_checklist_and_receivers() {
    let item = |rest: &str| format!("[[preflight]]\n{rest}");
    let local = "backend = \"local\"\n[services.web]\ncommand = [\"./web\"]\n";
    all_told(&[
        (
            item("kind = \"disc\""),
            "2:8: preflight 1: kind: \"disc\" is not known; write \"disk\", \"memory\", ",
        ),
        (item("kind = \"disk\""), "2:8: preflight 1: kind: missing field `path`"),
        (
            item("kind = \"disk\"\npath = \"/\"\nfree = \"5GB\""),
            "4:8: preflight 1: free: cannot read an amount: `5GB` is no amount (write for \
             example 5GiB",
        ),
        (
            item("kind = \"disk\"\npath = \"data\""),
            "2:8: preflight 1: kind: `data` is a relative path; give an absolute path",
        ),
        (
            item("kind = \"memory\"\navailable = \"1GiB\"\nfree = \"1GiB\""),
            "4:8: preflight 1: free: unknown field `free`, expected `name` or `available`",
        ),
        (
            item("kind = \"backup\"\nmax_aeg = \"1d\""),
            "3:1: preflight 1: max_aeg: unknown field; did you mean `max_age`?",
        ),
        (
            format!("{local}[[preflight]]\nkind = \"docker\""),
            "5:8: preflight 1: kind: it asks an engine, and there is none; \
             it is for the compose backend",
        ),
        (
            format!("{local}[[preflight]]\nkind = \"clock\""),
            "5:8: preflight 1: kind: it asks an engine, and there is none; write url = \"https://…\"",
        ),
        (
            "[[notify]]\nkind = \"slack\"\nurl = \"U\"\n[[notify]]\nkind = \"slack\"\nurl = \"V\"\n"
                .to_owned(),
            "4:1: notify \"slack\": line 1 has the same name; \
             give it another name: reports tell them apart by it",
        ),
        (
            "[[notify]]\nkind = \"slakc\"\nurl = \"U\"".to_owned(),
            "2:8: notify 1: kind: unknown variant `slakc`",
        ),
        (
            "[[notify]]\nkind = \"slack\"\nurl = \"U\"\non = [\"faild\"]".to_owned(),
            "4:6: notify 1: on: unknown variant `faild`",
        ),
        (
            "[[notify]]\nkind = \"slack\"".to_owned(),
            "1:1: notify 1: a notification of kind slack needs `url`; name the secret whose",
        ),
        (
            "[[notify]]\nkind = \"slack\"\nurl = \"U\"\nenvironments = [\"prod\"]".to_owned(),
            "1:1: notify 1: there is no environment `prod`; known: development, production, staging",
        ),
    ]);
}

/// The examples of the reference are whole.
#[test]
fn what_is_right_is_read() {
    let text = include_str!("../../../../docs/deploy-toml.md");
    let examples = text.split("```toml\n").skip(1).filter_map(|rest| rest.split_once("```"));
    let told: Vec<_> = examples
        .map(|(example, _)| example)
        .filter(|example| ["[check.", "[[rule]]"].iter().any(|word| example.contains(word)))
        .map(|example| {
            let text = format!("base_url = \"http://x\"\n{example}");
            Config::parse(Path::new("deploy.toml"), &text).map(|config| config.secrets.len())
        })
        .collect();
    let secrets: Vec<_> = told.into_iter().map(Result::unwrap).collect();
    assert_eq!(secrets, [3, 0, 0]);
}

#[test]
fn a_request_is_stored_with_all_that_is_asked_of_its_answer() {
    let config = parse(
        r#"
        [[check]]
        name = "chat"
        url = "http://x/chat"
        method = "post"
        json_body = { message = "hello" }
        json_path = [{ path = "$.providers[?@.up]", at_least = 2 }]
        body_matches = "reply"
        header_exists = ["x-request-id"]
        header_matches = { server = "^nginx" }
        "#,
    );
    let production = config.environment(&environment("production")).unwrap();
    let verification = config.verification(production, &version("1.0.0")).unwrap();
    assert_eq!(
        verification.checks[0].probe,
        json!({"http": {
            "at": {"url": "http://x/chat"},
            "method": "POST",
            "body": {"json": {"message": "hello"}},
            "expect": {
                "json_path": [{"path": "$.providers[?@.up]", "at_least": 2}],
                "body_matches": "reply",
                "header_exists": ["x-request-id"],
                "header_matches": {"server": "^nginx"},
            },
        }})
    );
}
