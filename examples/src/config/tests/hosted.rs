//! Files for Railway and Render, right and wrong.

use std::time::Duration;

use ultrai_deploy_core::name::{SecretName, ServiceName};
use ultrai_deploy_hosted::platform::Setting;

use super::{environment, parse, told};
use crate::config::{
    Backend, Config, Known,
    hosted::{Artifact, Hosted, Service},
};

const ID: &str = "6d7a3f0e-1c52-4b8e-9a40-0f9d2b7c1e35";
const OTHER: &str = "00000000-1111-2222-3333-444444444444";
const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

fn name(text: &str) -> ServiceName {
    ServiceName::new(text).unwrap()
}

fn filled(
    config: &Config,
    service: &Service,
    known: &[(&str, &str)],
) -> (Artifact<String>, Vec<(String, String)>) {
    let lookup = |name: &str| {
        known.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
    };
    let services = [(name("s"), service.clone())].into();
    let known = Known { lookup: &lookup, is_secret: &|_| false };
    let mut filled = config.filled(&services, &known).unwrap();
    let filled = filled.remove(&name("s")).unwrap();
    (filled.artifact, filled.variables.into_iter().collect())
}

#[test]
fn services_on_railway() {
    let config = parse(&format!(
        r#"
        backend = "railway"
        project = "Shop"
        [railway]
        project = "{ID}"
        url = "http://127.0.0.1:1/proxy"
        pause = "1s"
        lag = "2s"
        [environments.production]
        [environments.preview]
        railway = {{ environment = "pr-1", project = "{OTHER}" }}
        [environments.preview.slots]
        api = "api-preview"
        [services.api]
        slot = "backend"
        image = "ghcr.io/shop/api:${{VERSION}}"
        variables = {{ LOG = "${{LEVEL:-info}}", URL = "${{{{Postgres.URL}}}}", COST = "5$$" }}
        secrets = ["DATABASE_URL"]
        depends_on = ["web"]
        [services.web]
        commit = "${{SHA}}"
        "#
    ));
    let Backend::Railway(Hosted { url, platforms, services, .. }) = &config.backend else {
        panic!("{config:?}")
    };
    assert_eq!(url.as_ref().unwrap().to_string(), "http://127.0.0.1:1/proxy");
    let (production, preview) =
        (&platforms[&environment("production")], &platforms[&environment("preview")]);
    assert_eq!((production.project.as_str(), production.environment.as_str()), (ID, "production"));
    assert_eq!((preview.project.as_str(), preview.environment.as_str()), (OTHER, "pr-1"));
    assert_eq!((preview.pause, preview.lag), (Duration::from_secs(1), Duration::from_secs(2)));
    assert_eq!(config.secrets.first().unwrap().as_str(), "DATABASE_URL");

    let (api, web) = (&services[&name("api")], &services[&name("web")]);
    let slot = |service: &Service, of: &str, at: &str| {
        service.slot(&name(of), &config.environments[&environment(at)]).to_owned()
    };
    assert_eq!(slot(api, "api", "production"), "backend");
    assert_eq!(slot(api, "api", "preview"), "api-preview");
    assert_eq!(slot(web, "web", "preview"), "web");
    assert_eq!(api.depends_on, [name("web")]);
    let (artifact, variables) = filled(&config, api, &[("VERSION", "1.4.0")]);
    assert_eq!(artifact, Artifact::Image("ghcr.io/shop/api:1.4.0".to_owned()));
    let wanted = [("COST", "5$"), ("LOG", "info"), ("URL", "${{Postgres.URL}}")];
    assert_eq!(variables, wanted.map(|(name, value)| (name.to_owned(), value.to_owned())));
    let (artifact, _) = filled(&config, web, &[("SHA", COMMIT)]);
    assert_eq!(artifact, Artifact::Commit(COMMIT.to_owned()));
}

#[test]
fn services_on_render() {
    let config = parse(
        "backend = \"render\"\nproject = \"shop\"\n[render]\nworkspace = \"tea-1\"\n\
         [environments.production]\n[environments.staging]\nrender = { workspace = \"usr-2\" }\n\
         [services.api]\nimage = \"api:1\"\n\
         [[test]]\nname = \"t\"\nservice = \"api\"\ncommand = [\"t\"]\nwhen = \"post\"\n\
         [[check]]\nname = \"c\"\nservice = \"api\"\nurl = \"https://shop.example.com\"\n",
    );
    let Backend::Render(Hosted { url, platforms, .. }) = &config.backend else {
        panic!("{config:?}")
    };
    let workspace = |name: &str| platforms[&environment(name)].workspace.clone().unwrap();
    assert_eq!(
        (workspace("production").as_str(), workspace("staging").as_str()),
        ("tea-1", "usr-2")
    );
    assert_eq!(platforms[&environment("staging")].pause, Duration::from_secs(5));
    assert!(url.is_none());
}

#[test]
fn what_is_wrong_when_it_is_filled_in() {
    let config = parse(
        "backend = \"render\"\nproject = \"shop\"\nsecrets = [\"KEY\"]\n\
         [services.a]\nimage = \"Shop/api:$TAG\"\n[services.b]\ncommit = \"${BRANCH}\"\n\
         [services.c]\nimage = \"api:${TAG:?no tag is named}\"\nvariables = { A = \"$KEY\", B = \"$NO\" }\n",
    );
    let Backend::Render(Hosted { services, .. }) = &config.backend else { panic!("{config:?}") };
    let lookup = |name: &str| match name {
        "TAG" => Some(String::new()),
        "BRANCH" => Some("main".to_owned()),
        "KEY" => Some("hunter2".to_owned()),
        _ => None,
    };
    let known = Known { lookup: &lookup, is_secret: &|name| name == "KEY" };
    let error = config.filled(services, &known).unwrap_err().to_string();
    for told in [
        "deploy.toml:5:9: services.a.image: \"Shop/api:\" is no image: `` is no tag",
        "deploy.toml:7:10: services.b.commit: \"main\" is no whole id of a commit; write all 40",
        "deploy.toml:9:9: services.c.image: variable TAG is required: no tag is named",
        "deploy.toml:10:19: services.c.variables.A: variable KEY is a secret, and its value would be",
        "deploy.toml:10:31: services.c.variables.B: variable NO is not set; set NO in the environment",
    ] {
        assert!(error.contains(told), "{told}: {error}");
    }
    assert!(!error.contains("hunter2"), "{error}");
}

#[test]
fn every_problem_names_line_field_and_remedy() {
    let render = "backend = \"render\"\nproject = \"shop\"\n[services.api]\nimage = \"api:1\"\n";
    let railway = format!(
        "backend = \"railway\"\nproject = \"shop\"\nrailway = {{ project = \"{ID}\" }}\n\
         [services.api]\nimage = \"api:1\"\n"
    );
    let bare = "backend = \"railway\"\nproject = \"shop\"\n[services.api]\nimage = \"api:1\"\n";
    let local = "backend = \"local\"\n[services.web]\ncommand = [\"./web\"]\n";
    let test = "[[test]]\nname = \"smoke\"\nservice = \"api\"\ncommand = [\"t\"]\n";
    let check = "[[check]]\nname = \"up\"\nservice = \"api\"\n";
    let cases = [
        // What is missing.
        (
            "backend = \"render\"\nproject = \"shop\"".to_owned(),
            "1:1: the render backend has no services; write [services.NAME] with image = \"…\"",
        ),
        (
            "backend = \"render\"\n[services.api]\nimage = \"api:1\"".to_owned(),
            "1:1: the render backend needs a project; \
             write project = \"…\", a name of your own for all that is deployed together",
        ),
        (
            bare.to_owned(),
            "1:1: railway.project: it is not said which project of Railway development, production, \
             staging is in; write [railway] with project = \"…\", the id in the address of its \
             dashboard: railway.com/project/ID",
        ),
        (
            format!(
                "{bare}[environments.a]\nrailway = {{ project = \"{ID}\" }}\n[environments.b]\n[railway]"
            ),
            "8:2: railway.project: it is not said which project of Railway b is in; write [railway] \
             with project = \"…\", the id in the address of its dashboard: railway.com/project/ID",
        ),
        (
            "backend = \"render\"\nproject = \"shop\"\n[services.api]\nslot = \"api\"".to_owned(),
            "3:11: services.api: it is not said what is deployed; write \
             image = \"registry/name:${VERSION}\", or commit = \"${GITHUB_SHA}\" of the repository \
             that it is connected to",
        ),
        (
            format!("{render}commit = \"{COMMIT}\""),
            "3:11: services.api: it has image and commit; keep the one that is deployed",
        ),
        // Names and values.
        (
            format!("{render}imgae = \"api:2\""),
            "5:1: services.api.imgae: unknown field; did you mean `image`?",
        ),
        (
            format!("{render}[render]\nworkspaec = \"tea-1\""),
            "6:1: render.workspaec: unknown field; did you mean `workspace`?",
        ),
        (
            format!("{render}[render]\nworkspace = \"shop\""),
            "6:13: render.workspace: \"shop\" is no id of a workspace of Render; write the one in \
             its settings: \"tea-…\", or \"usr-…\" for one person's",
        ),
        (
            format!("{bare}[railway]\nproject = \"shop\""),
            "6:11: railway.project: \"shop\" is no id of a project of Railway; write the id in the \
             address of its dashboard: railway.com/project/ID",
        ),
        (
            format!("{render}[render]\nurl = \"http://example.com/v1\""),
            "6:7: render.url: the token would go to http://example.com/v1 in clear text; \
             write https://…; plain http is for 127.0.0.1, [::1] and localhost only",
        ),
        (
            format!("{render}[render]\npause = 5"),
            "6:9: render.pause: a duration needs a unit; write pause = \"5s\" for seconds",
        ),
        (
            format!("{render}slot = \"\""),
            "5:8: services.api.slot: it is empty or has control characters; \
             write the name or the id that it has on the platform",
        ),
        (
            render.replace("api:1", "https://ghcr.io/api"),
            "4:9: services.api.image: \"https://ghcr.io/api\" is no image: it is a URL; \
             write it without the https://",
        ),
        (
            render.replace("api:1", "api:${VERSION"),
            "4:9: services.api.image: `${VERSION` is not closed on its line; \
             write $$ for a dollar",
        ),
        (
            "backend = \"render\"\nproject = \"shop\"\n[services.api]\ncommit = \"main\""
                .to_owned(),
            "4:10: services.api.commit: \"main\" is no whole id of a commit; write all 40 digits, \
             as `git rev-parse HEAD` tells them; no branch, no tag",
        ),
        (
            format!("{render}variables = {{ PORT = 80 }}"),
            "5:22: services.api.variables.PORT: expected text, found the integer 80; \
             write PORT = \"80\"",
        ),
        (
            format!("{render}secrets = [\"KEY\"]\nvariables = {{ KEY = \"x\" }}"),
            "6:15: services.api.variables.KEY: it is listed in `secrets`, and its value would stand \
             in this file; take it out here and give the value in the environment or in an env file",
        ),
        (
            format!("{render}depends_on = [\"wep\"]\n[services.web]\nimage = \"web\""),
            "5:15: services.api.depends_on: there is no service `wep`; did you mean `web`?",
        ),
        (
            format!("{render}depends_on = [\"api\"]"),
            "3:11: services.api.depends_on: services wait for each other: api → api; \
             take one of these dependencies out",
        ),
        // Slots.
        (
            format!("{render}[environments.a.slots]\napj = \"x\""),
            "6:7: environments.a.slots.apj: there is no service `apj`; did you mean `api`?",
        ),
        (
            format!(
                "{render}[services.web]\nimage = \"web\"\n[environments.a.slots]\nweb = \"api\""
            ),
            "5:11: services.web: in environment a it has the slot `api`, and so has api; \
             give each a slot of its own: slot = \"…\", by its name or id on the platform",
        ),
        (
            format!("{render}[environments.a]\n[environments.b]"),
            "6:15: environments.b: api has the same slot there as in environment a; \
             write [environments.b.slots] with api = \"…\"",
        ),
        (
            format!(
                "{railway}[environments.a]\n[environments.b]\nrailway = {{ environment = \"a\" }}"
            ),
            "7:15: environments.b: api has the same slot there as in environment a; \
             write [environments.b.slots] with api = \"…\"",
        ),
        // Fields of other backends.
        (
            format!("compose = \"x.yml\"\n{render}"),
            "1:1: compose: it belongs to the compose backend; \
             take it out, or write backend = \"compose\"",
        ),
        (
            format!("docker_host = \"unix:///x\"\n{railway}"),
            "1:1: docker_host: it belongs to the compose backend; \
             take it out, or write backend = \"compose\"",
        ),
        (
            format!("{local}[railway]"),
            "4:2: railway: it belongs to the railway backend; \
             take it out, or write backend = \"railway\"",
        ),
        (
            format!("{render}[environments.a]\nrailway = {{}}"),
            "6:1: environments.a.railway: it belongs to the railway backend; \
             take it out, or write backend = \"railway\"",
        ),
        (
            "[environments.a.slots]".to_owned(),
            "1:17: environments.a.slots: it belongs to the backends railway and render; \
             take it out, or write backend = \"railway\" or \"render\"",
        ),
        (
            format!("{render}command = [\"x\"]"),
            "5:1: services.api.command: it belongs to the local backend; \
             take it out: the platform starts what the service there is set to",
        ),
        (
            format!("{render}env = {{}}"),
            "5:1: services.api.env: it belongs to the local backend; write variables = { … }",
        ),
        (
            format!("{local}image = \"x\""),
            "4:1: services.web.image: it belongs to the backends railway and render; \
             take it out, and write command = […]",
        ),
        (
            format!("{local}variables = {{}}"),
            "4:1: services.web.variables: it belongs to the backends railway and render; \
             write env = { … }",
        ),
        // What a platform measures.
        (
            format!("{render}{check}max_error_percent = 101"),
            "8:21: check \"up\": max_error_percent: it is no number from 0 to 100; \
             write 2 for two of a hundred requests",
        ),
        (
            format!("{render}{check}max_p95 = \"1s\"\nwindow = \"30s\""),
            "9:10: check \"up\": window: platforms measure by the minute; write window = \"1m\" or more",
        ),
        (
            format!("{render}{check}max_p95 = \"1s\"\npath = \"/\""),
            "5:1: check \"up\": the platform measures requests, and `path` is for one's own; \
             take `path` out, or write two checks",
        ),
        (
            format!("{render}[[check]]\nname = \"up\"\nmax_p95 = \"1s\""),
            "5:1: check \"up\": it does not say of which service; write service = \"…\"",
        ),
        (
            "[[check]]\nname = \"up\"\nservice = \"api\"\nmax_p95 = \"1s\"".to_owned(),
            "1:1: check \"up\": nobody measures the requests here: that is for the backends railway and \
             render; write url or path, and max_latency for one's own requests",
        ),
        // What is kept in backups.
        (
            railway.replace(&format!("\"{ID}\""), &format!("\"{ID}\", volumes = [\"a\", \"a\"]")),
            "3:79: railway.volumes[1]: \"a\" is there twice; take one of them out",
        ),
        // What else a service brings.
        (
            format!("{render}source = \".\""),
            "3:11: services.api: it has image and source; keep the one that is deployed",
        ),
        (
            format!("{render}source = \".\"").replace("image = \"api:1\"\n", ""),
            "4:1: services.api.source: it belongs to the railway backend; \
             write commit = \"…\" of the repository that it is connected to, or image = \"…\"",
        ),
        (
            format!("{railway}source = \"nowhere\"").replace("image = \"api:1\"\n", ""),
            "5:10: services.api.source: nowhere does not exist; name a directory, relative to the \
             one of this file: \".\" is that one",
        ),
        (
            format!("{render}health_path = \"health\""),
            "5:15: services.api.health_path: \"health\" is no path; write \"/health\", or \"\" for none",
        ),
        (
            format!("{render}pre_deploy_command = \"a\\nb\""),
            "5:22: services.api.pre_deploy_command: it has control characters, such as a line break; \
             write it in one line; several commands are joined by `&&`",
        ),
        (
            format!("{railway}secret_files = {{ \"a\" = \"A\" }}"),
            "6:1: services.api.secret_files: it belongs to the render backend; \
             take it out, and give the content in a variable: secrets = [\"…\"]",
        ),
        (
            format!("{render}secret_files = {{ \"../a\" = \"A\" }}"),
            "5:18: services.api.secret_files.../a: \"../a\" is no name of a file on Render; \
             use letters, digits, `.`, `_` and `-`; it appears in /etc/secrets",
        ),
        (
            format!("{render}registry = {{ username = \"a\", password = \"A\" }}"),
            "5:1: services.api.registry: it belongs to the railway backend; \
             take it out, and choose the registry credential of the service in Render's dashboard",
        ),
        (
            format!("{railway}registry = {{ username = \"a\" }}"),
            "6:1: services.api.registry: `password` is missing; \
             write registry = { username = \"…\", password = \"NAME_OF_A_SECRET\" }",
        ),
        (
            format!("{railway}registry = {{ username = \"a\", password = \"A\" }}")
                .replace("image = \"api:1\"", &format!("commit = \"{COMMIT}\"")),
            "4:11: services.api: it has a registry's login and no image; take `registry` out",
        ),
        (
            format!(
                "{railway}registry = {{ username = \"a\", password = \"A\" }}\nvariables = {{ A = \"1\" }}"
            ),
            "7:15: services.api.variables.A: it is listed in `secrets`, and its value would stand in this file; \
             take it out here and give the value in the environment or in an env file",
        ),
        (
            format!("{railway}maintenance = true"),
            "6:1: services.api.maintenance: it belongs to the render backend; \
             take it out: Railway has no page to show instead of a service",
        ),
        (
            format!("{render}maintenance = \"yes\""),
            "5:15: services.api.maintenance: expected true or false, found text; \
             write maintenance = true",
        ),
        // Checks and tests.
        (
            format!("{render}{check}port = 80"),
            "5:1: check \"up\": where render runs the instances of a service is not known; take `port` \
             out and write path = \"/…\", which is looked at where the platform routes to the service, \
             or write url = \"https://…\"",
        ),
        (
            format!("{railway}{test}when = \"post\""),
            "6:1: test \"smoke\": railway runs no commands beside a service; \
             write pre_deploy_command = \"…\" in [services.api], or look at the release with [[check]]",
        ),
        (
            format!("{render}{test}when = \"pre\""),
            "5:1: test \"smoke\": render runs commands with the image that serves already, so not \
             before the deploy; write when = \"post\"",
        ),
        // Of a word that is not known, nothing else follows.
        (
            format!("{railway}{test}when = \"pre\"").replace("\"railway\"", "\"railwya\""),
            "1:11: backend: \"railwya\" is not known; \
             write \"compose\", \"local\", \"railway\" or \"render\"",
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
fn what_else_goes_with_a_service() {
    let config = parse(&format!(
        r#"
        backend = "railway"
        project = "shop"
        railway = {{ project = "{ID}" }}
        [services.api]
        source = "."
        health_path = "/health"
        pre_deploy_command = "migrate && seed"
        start_command = ""
        [services.web]
        image = "ghcr.io/shop/web:1"
        registry = {{ username = "robot", password = "PULL" }}
        "#
    ));
    let Backend::Railway(Hosted { services, .. }) = &config.backend else { panic!("{config:?}") };
    let (api, web) = (&services[&name("api")], &services[&name("web")]);
    assert!(matches!(&api.artifact, Artifact::Source(path) if path.is_dir()), "{api:?}");
    let settings = [
        (Setting::HealthPath, "/health"),
        (Setting::PreDeployCommand, "migrate && seed"),
        (Setting::StartCommand, ""),
    ];
    let settings = settings.map(|(setting, value)| (setting, value.to_owned()));
    assert_eq!(api.extras.settings, settings.into());
    assert_eq!(web.extras.registry.as_ref().unwrap().password.as_str(), "PULL");
    assert_eq!(config.secrets.iter().map(SecretName::as_str).collect::<Vec<_>>(), ["PULL"]);

    let config = parse(
        "backend = \"render\"\nproject = \"shop\"\n[services.api]\nimage = \"api:1\"\n\
         secret_files = { \"key.json\" = \"KEY\" }\nmaintenance = true",
    );

    let Backend::Render(Hosted { services, .. }) = &config.backend else { panic!("{config:?}") };
    assert_eq!(services[&name("api")].extras.secret_files["key.json"].as_str(), "KEY");
    assert_eq!(config.secrets.first().unwrap().as_str(), "KEY");
    assert!(services[&name("api")].extras.maintenance);
}

#[test]
fn what_is_measured_and_what_is_kept() {
    let config = parse(
        "backend = \"render\"\nproject = \"shop\"\nrender = { databases = [\"shop-db\"] }\n\
         [environments.production]\n[environments.staging]\nrender = { databases = [] }\n\
         slots = { api = \"api-staging\" }\n[services.api]\nimage = \"api:1\"\n\
         [[check]]\nname = \"users\"\nservice = \"api\"\nmax_error_percent = 2\nmax_p95 = \"800ms\"\n\
         window = \"10m\"\nmin_requests = 100",
    );
    let Backend::Render(Hosted { kept, .. }) = &config.backend else { panic!("{config:?}") };
    assert_eq!(kept[&environment("production")], ["shop-db"]);
    assert_eq!(kept[&environment("staging")], Vec::<String>::new());
    let production = config.environment(&environment("production")).unwrap();
    let verification = config.verification(production, &super::version("1.0.0")).unwrap();
    let probe = &verification.checks[0].probe["platform_metrics"];
    assert_eq!((&probe["max_error_share"], &probe["min_requests"]), (&0.02.into(), &100.into()));
    assert_eq!(verification.checks[0].service.as_ref(), Some(&name("api")));
}
