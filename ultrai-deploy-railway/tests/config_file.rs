//! Reading railway.json and railway.toml.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::time::Duration;

use ultrai_deploy_railway::config_file::ConfigFile;

const JSON: &str = r#"{
	"$schema": "https://railway.com/railway.schema.json",
	"build": { "builder": "DOCKERFILE", "watchPatterns": ["src/**"], "dockerfilePath": "Dockerfile" },
	"deploy": {
		"startCommand": "npm start",
		"preDeployCommand": ["npm run migrate"],
		"healthcheckPath": "/health",
		"healthcheckTimeout": 120,
		"restartPolicyType": "ON_FAILURE",
		"restartPolicyMaxRetries": 3,
		"cronSchedule": null,
		"multiRegionConfig": { "europe-west4": { "numReplicas": 2 }, "us-east4": null },
		"overlapSeconds": "60",
		"drainingSeconds": 10,
		"sleepApplication": false
	},
	"environments": {
		"staging": { "deploy": { "healthcheckPath": "/ready", "preDeployCommand": "seed", "startCommand": null } }
	}
}"#;

const TOML: &str = r#"
"$schema" = "https://railway.com/railway.schema.json"
[build]
builder = "DOCKERFILE"
watchPatterns = ["src/**"]
dockerfilePath = "Dockerfile"
[deploy]
startCommand = "npm start"
preDeployCommand = ["npm run migrate"]
healthcheckPath = "/health"
healthcheckTimeout = 120
restartPolicyType = "ON_FAILURE"
restartPolicyMaxRetries = 3
overlapSeconds = "60"
drainingSeconds = 10
sleepApplication = false
[deploy.multiRegionConfig]
europe-west4.numReplicas = 2
us-east4 = {}
[environments.staging.deploy]
healthcheckPath = "/ready"
preDeployCommand = "seed"
"#;

fn read(file: &str, text: &str) -> ConfigFile {
    ConfigFile::read(file, text).unwrap()
}

fn problems(file: &str, text: &str) -> String {
    ConfigFile::read(file, text).unwrap_err().to_string()
}

#[test]
fn both_say_the_same() {
    let (json, toml) = (read("railway.json", JSON), read("railway.toml", TOML));
    assert_eq!((&json.settings, &json.environments), (&toml.settings, &toml.environments));
    let settings = json.settings;
    assert_eq!(settings.builder.as_deref(), Some("DOCKERFILE"));
    assert_eq!(settings.watch_patterns, Some(vec!["src/**".to_owned()]));
    assert_eq!(settings.dockerfile_path.as_deref(), Some("Dockerfile"));
    assert_eq!(settings.start_command.as_deref(), Some("npm start"));
    assert_eq!(settings.pre_deploy_command, Some(vec!["npm run migrate".to_owned()]));
    assert_eq!(settings.healthcheck_path.as_deref(), Some("/health"));
    assert_eq!(settings.healthcheck_timeout, Some(Duration::from_mins(2)));
    assert_eq!(settings.restart_policy.as_deref(), Some("ON_FAILURE"));
    assert_eq!((settings.restart_retries, settings.cron_schedule), (Some(3), None));
    let regions = [("europe-west4".to_owned(), Some(2)), ("us-east4".to_owned(), None)];
    assert_eq!(settings.regions, Some(regions.into()));
    assert_eq!(settings.overlap, Some(Duration::from_mins(1)));
    assert_eq!(settings.draining, Some(Duration::from_secs(10)));
    assert_eq!(settings.sleeps, Some(false));
}

#[test]
fn an_environment_has_its_own_and_the_rest_of_all() {
    let file = read("railway.json", JSON);
    let staging = file.in_environment("staging");
    assert_eq!(staging.healthcheck_path.as_deref(), Some("/ready"));
    assert_eq!(staging.pre_deploy_command, Some(vec!["seed".to_owned()]));
    assert_eq!(staging.start_command.as_deref(), Some("npm start"), "null says nothing");
    assert_eq!(staging.builder.as_deref(), Some("DOCKERFILE"));
    assert_eq!(file.in_environment("production"), file.settings);
}

#[test]
fn the_end_of_these_files_is_told_and_so_is_what_is_not_known() {
    for (file, text, told) in [
        ("railway.toml", TOML, &[][..]),
        (
            "railway.json",
            r#"{"deploy": {"healthCheckPath": "/", "restartPolicyType": "SOMETIMES"}, "x": 1}"#,
            &[
                "railway.json:1:13: deploy.healthCheckPath: there is no such key; is `healthcheckPath` meant?",
                "railway.json:1:58: deploy.restartPolicyType: `SOMETIMES` is not known; known are ON_FAILURE, ALWAYS, NEVER",
                "railway.json:1:72: x: there is no such key; there are $schema, build, deploy, environments",
            ],
        ),
        (
            "railway.toml",
            "[build]\nnixpacksVersion = \"1\"\n",
            &[
                "railway.toml:2:1: build.nixpacksVersion: it is out of use: Railway builds with Railpack now",
            ],
        ),
    ] {
        let file_read = read(file, text);
        let warnings: Vec<_> = file_read.warnings.iter().map(ToString::to_string).collect();
        assert!(
            warnings[0]
                .starts_with(&format!("{file}: Railway stops reading this file on 2026-12-01")),
            "{warnings:?}"
        );
        assert_eq!(warnings[1..], *told);
    }
}

#[test]
fn what_is_wrong_is_told_with_its_place() {
    let json = "{\n  \"build\": [],\n  \"deploy\": {\"healthcheckTimeout\": \"soon\",\n    \"overlapSeconds\": -1, \"sleepApplication\": \"no\"}\n}";
    let toml = "build = []\n[deploy]\nhealthcheckTimeout = \"soon\"\noverlapSeconds = -1\nsleepApplication = \"no\"\n";
    let told = [
        "deploy.healthcheckTimeout: this text is not right here: it must be a whole number from 0 on",
        "deploy.overlapSeconds: the number -1 is not right here: it must be a whole number from 0 on",
        "deploy.sleepApplication: this text is not right here: it must be true or false",
    ];
    for (file, text, places) in [
        ("railway.json", json, ["2:12", "3:36", "4:23", "4:47"]),
        ("railway.toml", toml, ["1:9", "3:22", "4:18", "5:20"]),
    ] {
        let problems = problems(file, text);
        let lines: Vec<_> = problems.lines().collect();
        assert_eq!(lines.len(), 4, "{problems}");
        assert!(
            lines[0].starts_with(&format!("{file}:{}: build: a list is not right", places[0])),
            "{problems}"
        );
        for (line, (place, told)) in lines[1..].iter().zip(places[1..].iter().zip(told)) {
            assert_eq!(*line, format!("{file}:{place}: {told}"));
        }
    }
}

#[test]
fn what_cannot_be_read_is_refused() {
    for (file, text, told) in [
        ("railway.json", "", "railway.json:1:1: this is not one JSON object"),
        ("railway.json", "{", "this is not JSON: "),
        ("railway.json", "[]", "a list is not right here"),
        ("railway.toml", "a = \n", "railway.toml:1:5: this is not TOML: "),
        ("railway.toml", "[a]\nb = 1\n[a]\n", "railway.toml:3:2: this is not TOML: duplicate key"),
    ] {
        let problems = problems(file, text);
        assert!(problems.contains(told), "{problems}");
    }
}
