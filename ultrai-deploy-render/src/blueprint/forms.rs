//! What may stand in a render.yaml, as Render publishes it.

use ultrai_deploy_yaml::{
    Kind, Node, Scalar,
    form::{Field, Form, Object, Others::Refused, Others::Told},
};

const ANY_WHOLE: Form = Form::Whole(1, i64::MAX);
const TEXTS: Form = Form::List(&Form::Text);
const REGION: Form = Form::Words(&["oregon", "ohio", "frankfurt", "singapore", "virginia"]);
const TRIGGER: Form = Form::Words(&["off", "commit", "checksPass"]);
const SWITCH: Form = Form::Words(&["enabled", "disabled"]);
const GENERATION: Form = Form::Words(&["automatic", "manual", "off"]);
const RUNTIME: Form =
    Form::Words(&["docker", "elixir", "go", "image", "node", "python", "ruby", "rust", "static"]);
const SERVICE_TYPE: Form =
    Form::Words(&["web", "cron", "worker", "pserv", "static", "dpg", "job", "redis", "keyvalue"]);
const PLAN: Form = Form::Words(&[
    "free",
    "starter",
    "standard",
    "pro",
    "pro plus",
    "pro max",
    "pro ultra",
    "basic-256mb",
    "basic-1gb",
    "basic-4gb",
    "pro-4gb",
    "pro-8gb",
    "pro-16gb",
    "pro-32gb",
    "pro-64gb",
    "pro-128gb",
    "pro-192gb",
    "pro-256gb",
    "pro-384gb",
    "pro-512gb",
    "accelerated-16gb",
    "accelerated-32gb",
    "accelerated-64gb",
    "accelerated-128gb",
    "accelerated-256gb",
    "accelerated-384gb",
    "accelerated-512gb",
    "accelerated-768gb",
    "accelerated-1024gb",
]);

const fn closed(fields: &'static [Field]) -> Object {
    Object { fields, others: Refused }
}

const fn open(fields: &'static [Field]) -> Object {
    Object { fields, others: Told }
}

const SERVICES: Form = Form::List(&Form::By(service));
const DATABASES: Form = Form::List(&Form::Object(&DATABASE));
const GROUPS: Form = Form::List(&Form::Object(&GROUP));
const VARIABLES: Form = Form::List(&Form::By(variable));
const ADDRESSES: Form = Form::List(&Form::Object(&open(&[
    Field::needed("source", Form::Text),
    Field::new("description", Form::Text),
])));
const CREDENTIAL: Form = Form::Object(&closed(&[Field::needed(
    "fromRegistryCreds",
    Form::Object(&closed(&[Field::needed("name", Form::Text)])),
)]));
const IMAGE: Form =
    Form::Object(&closed(&[Field::needed("url", Form::Text), Field::new("creds", CREDENTIAL)]));
const BUILD_FILTER: Form =
    Form::Object(&open(&[Field::new("paths", TEXTS), Field::new("ignoredPaths", TEXTS)]));
const OLD_PREVIEWS: &str = "write `previews`";

/// The whole file.
pub(super) const FILE: Form = Form::Object(&closed(&[
    Field::new("services", SERVICES),
    Field::new("databases", DATABASES),
    Field::new("envVarGroups", GROUPS),
    Field::new(
        "previews",
        Form::Object(&closed(&[
            Field::new("generation", GENERATION),
            Field::new("expireAfterDays", ANY_WHOLE),
        ])),
    ),
    Field::old("previewsEnabled", Form::Truth, OLD_PREVIEWS),
    Field::old("previewsExpireAfterDays", ANY_WHOLE, OLD_PREVIEWS),
    Field::new("projects", Form::List(&Form::Object(&PROJECT))),
    Field::new(
        "ungrouped",
        Form::Object(&closed(&[
            Field::new("services", SERVICES),
            Field::new("databases", DATABASES),
            Field::new("envVarGroups", GROUPS),
        ])),
    ),
    Field::new("version", Form::Words(&["1"])),
]));

const PROJECT: Object = closed(&[
    Field::needed("name", Form::Text),
    Field::needed("environments", Form::List(&Form::Object(&ENVIRONMENT))),
]);

const ENVIRONMENT: Object = closed(&[
    Field::needed("name", Form::Text),
    Field::new("services", SERVICES),
    Field::new("databases", DATABASES),
    Field::new("envVarGroups", GROUPS),
    Field::new("networking", Form::Object(&closed(&[Field::new("isolation", SWITCH)]))),
    Field::new("permissions", Form::Object(&closed(&[Field::new("protection", SWITCH)]))),
]);

const DATABASE: Object = closed(&[
    Field::needed("name", Form::Text),
    Field::new("databaseName", Form::Text),
    Field::new("user", Form::Text),
    Field::new("region", REGION),
    Field::new("plan", PLAN),
    Field::new("diskSizeGB", ANY_WHOLE),
    Field::new("storageAutoscalingEnabled", Form::Truth),
    Field::new("connectionPool", Form::Words(&["pgbouncer", "none"])),
    Field::new("previewPlan", PLAN),
    Field::new("previewDiskSizeGB", ANY_WHOLE),
    Field::new(
        "postgresMajorVersion",
        Form::Words(&["10", "11", "12", "13", "14", "15", "16", "17", "18"]),
    ),
    Field::new("highAvailability", Form::Object(&closed(&[Field::needed("enabled", Form::Truth)]))),
    Field::new("ipAllowList", ADDRESSES),
    Field::new(
        "readReplicas",
        Form::List(&Form::Object(&closed(&[Field::needed("name", Form::Text)]))),
    ),
]);

const GROUP: Object = closed(&[
    Field::needed("name", Form::Text),
    Field::needed("envVars", Form::List(&Form::Object(&PLAIN))),
]);

const PLAIN: Object = closed(&[
    Field::needed("key", Form::Text),
    Field::new("value", Form::TextOrNumber),
    Field::new("generateValue", Form::Truth),
    Field::new("sync", Form::Truth),
    Field::new("previewValue", Form::TextOrNumber),
]);

const OF_GROUP: Object = closed(&[Field::needed("fromGroup", Form::Text)]);

const OF_DATABASE: Object = closed(&[
    Field::needed("key", Form::Text),
    Field::needed(
        "fromDatabase",
        Form::Object(&open(&[
            Field::needed("name", Form::Text),
            Field::needed(
                "property",
                Form::Words(&[
                    "connectionString",
                    "connectionPoolString",
                    "host",
                    "port",
                    "user",
                    "password",
                    "database",
                ]),
            ),
        ])),
    ),
]);

const OF_SERVICE: Object = closed(&[
    Field::needed("key", Form::Text),
    Field::needed(
        "fromService",
        Form::Object(&open(&[
            Field::needed("type", SERVICE_TYPE),
            Field::needed("name", Form::Text),
            Field::new("property", Form::Words(&["host", "port", "hostport", "connectionString"])),
            Field::new("envVarKey", Form::Text),
        ])),
    ),
]);

/// A variable is one of four things, by the key that only one of them has.
fn variable(node: &Node) -> Form {
    let kinds =
        [("fromGroup", &OF_GROUP), ("fromDatabase", &OF_DATABASE), ("fromService", &OF_SERVICE)];
    let kind = kinds.into_iter().find(|(key, _)| node.get(key).is_some());
    Form::Object(kind.map_or(&PLAIN, |(_, object)| object))
}

const KEY_VALUE: Object = closed(&[
    Field::needed("type", Form::Words(&["keyvalue", "redis"])),
    Field::needed("name", Form::Text),
    Field::needed("ipAllowList", ADDRESSES),
    Field::new("region", REGION),
    Field::new("plan", PLAN),
    Field::new("previewPlan", PLAN),
    Field::new(
        "maxmemoryPolicy",
        Form::Words(&[
            "allkeys-lru",
            "volatile-lru",
            "allkeys-lfu",
            "volatile-lfu",
            "allkeys-random",
            "volatile-random",
            "volatile-ttl",
            "noeviction",
        ]),
    ),
    Field::new("persistenceMode", Form::Words(&["journal-snapshot", "snapshot", "off"])),
]);

const CRON: Object = closed(&[
    Field::needed("type", Form::Words(&["cron"])),
    Field::needed("name", Form::Text),
    Field::needed("runtime", RUNTIME),
    Field::needed("schedule", Form::Text),
    Field::new("region", REGION),
    Field::new("plan", PLAN),
    Field::new("buildCommand", Form::Text),
    Field::new("startCommand", Form::Text),
    Field::new("dockerCommand", Form::Text),
    Field::new("dockerfilePath", Form::Text),
    Field::new("dockerContext", Form::Text),
    Field::new("registryCredential", CREDENTIAL),
    Field::new("repo", Form::Text),
    Field::new("branch", Form::Text),
    Field::new("image", IMAGE),
    Field::new("envVars", VARIABLES),
    Field::new("buildFilter", BUILD_FILTER),
    Field::new("rootDir", Form::Text),
    Field::new("autoDeploy", Form::Truth),
    Field::new("autoDeployTrigger", TRIGGER),
    Field::new("preDeployCommand", Form::Text),
]);

const SERVER: Object = closed(&[
    Field::needed("type", Form::Words(&["web", "worker", "pserv"])),
    Field::needed("name", Form::Text),
    Field::needed("runtime", RUNTIME),
    Field::new("region", REGION),
    Field::new("plan", PLAN),
    Field::new("repo", Form::Text),
    Field::new("branch", Form::Text),
    Field::new("image", IMAGE),
    Field::new("rootDir", Form::Text),
    Field::new("dockerCommand", Form::Text),
    Field::new("dockerContext", Form::Text),
    Field::new("dockerfilePath", Form::Text),
    Field::new("numInstances", ANY_WHOLE),
    Field::new("healthCheckPath", Form::Text),
    Field::new(
        "scaling",
        Form::Object(&open(&[
            Field::new("minInstances", ANY_WHOLE),
            Field::new("maxInstances", ANY_WHOLE),
            Field::new("targetMemoryPercent", Form::Whole(1, 90)),
            Field::new("targetCPUPercent", Form::Whole(1, 90)),
        ])),
    ),
    Field::new("buildCommand", Form::Text),
    Field::new("startCommand", Form::Text),
    Field::new("preDeployCommand", Form::Text),
    Field::new("registryCredential", CREDENTIAL),
    Field::new("domain", Form::Text),
    Field::new("domains", TEXTS),
    Field::new("envVars", VARIABLES),
    Field::new("autoDeploy", Form::Truth),
    Field::new("autoDeployTrigger", TRIGGER),
    Field::new("initialDeployHook", Form::Text),
    Field::new(
        "disk",
        Form::Object(&closed(&[
            Field::needed("name", Form::Text),
            Field::needed("mountPath", Form::Text),
            Field::new("sizeGB", ANY_WHOLE),
        ])),
    ),
    Field::new("buildFilter", BUILD_FILTER),
    Field::new(
        "previews",
        Form::Object(&closed(&[
            Field::new("generation", GENERATION),
            Field::new("plan", PLAN),
            Field::new("numInstances", ANY_WHOLE),
        ])),
    ),
    Field::old("pullRequestPreviewsEnabled", Form::Truth, OLD_PREVIEWS),
    Field::old("previewPlan", PLAN, OLD_PREVIEWS),
    Field::new(
        "maintenanceMode",
        Form::Object(&closed(&[Field::new("enabled", Form::Truth), Field::new("uri", Form::Text)])),
    ),
    Field::new("maxShutdownDelaySeconds", Form::Whole(1, 300)),
    Field::new("ipAllowList", ADDRESSES),
    Field::new("renderSubdomainPolicy", SWITCH),
]);

const STATIC: Object = closed(&[
    Field::needed("type", Form::Words(&["web"])),
    Field::needed("name", Form::Text),
    Field::needed("runtime", Form::Words(&["static"])),
    Field::new("buildCommand", Form::Text),
    Field::new("staticPublishPath", Form::Text),
    Field::new("previews", Form::Object(&closed(&[Field::new("generation", GENERATION)]))),
    Field::old("pullRequestPreviewsEnabled", Form::Truth, OLD_PREVIEWS),
    Field::new("buildFilter", BUILD_FILTER),
    Field::new(
        "headers",
        Form::List(&Form::Object(&open(&[
            Field::needed("path", Form::Text),
            Field::needed("name", Form::Text),
            Field::needed("value", Form::Text),
        ]))),
    ),
    Field::new(
        "routes",
        Form::List(&Form::Object(&open(&[
            Field::needed("type", Form::Words(&["redirect", "rewrite"])),
            Field::needed("source", Form::Text),
            Field::needed("destination", Form::Text),
        ]))),
    ),
    Field::new("envVars", VARIABLES),
    Field::new("rootDir", Form::Text),
    Field::new("repo", Form::Text),
    Field::new("branch", Form::Text),
    Field::new("domain", Form::Text),
    Field::new("domains", TEXTS),
    Field::new("autoDeploy", Form::Truth),
    Field::new("autoDeployTrigger", TRIGGER),
    Field::new("preDeployCommand", Form::Text),
    Field::new("ipAllowList", ADDRESSES),
    Field::new("renderSubdomainPolicy", SWITCH),
]);

/// What no service has of which only the type is known, or not even that.
const UNKNOWN: Object = open(&[
    Field::needed("type", Form::Words(&["web", "worker", "pserv", "cron", "keyvalue", "redis"])),
    Field::needed("name", Form::Text),
]);

/// What a service may have depends on its type, and on whether it is but files.
fn service(node: &Node) -> Form {
    let word = |key| match node.get(key).and_then(Node::scalar) {
        Some(Scalar::Text(text)) => text,
        _ => "",
    };
    let has = |key| matches!(node.kind, Kind::Mapping(_)) && node.get(key).is_some();
    Form::Object(match word("type") {
        "keyvalue" | "redis" => &KEY_VALUE,
        "cron" => &CRON,
        // Of the two forms that a static site may have, the one with what only it has.
        "web"
            if word("runtime") == "static"
                && ["staticPublishPath", "headers", "routes"].into_iter().any(has) =>
        {
            &STATIC
        }
        "web" | "worker" | "pserv" => &SERVER,
        _ => &UNKNOWN,
    })
}
