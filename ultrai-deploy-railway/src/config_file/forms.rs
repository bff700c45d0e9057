//! What may stand in a railway.json or railway.toml, from what Railway documents and its own
//! command-line program reads.

use ultrai_deploy_yaml::{
    Kind, Node, Scalar,
    form::{Field, Form, Object, Others::Told},
};

const TEXT: Form = Form::Maybe(&Form::Text);
const TEXTS: Form = Form::Maybe(&Form::List(&Form::Text));
const TRUTH: Form = Form::Maybe(&Form::Truth);
const COUNT: Form = Form::Maybe(&Form::Whole(0, i64::MAX));
const SECONDS: Form = Form::Maybe(&Form::By(seconds));

const fn open(fields: &'static [Field]) -> Object {
    Object { fields, others: Told }
}

/// The whole file.
pub(super) const FILE: Form = Form::Object(&open(&[
    Field::new("$schema", Form::Any),
    Field::new("build", Form::Maybe(&BUILD)),
    Field::new("deploy", Form::Maybe(&DEPLOY)),
    Field::new(
        "environments",
        Form::Maybe(&Form::Map(&Form::Object(&open(&[
            Field::new("build", Form::Maybe(&BUILD)),
            Field::new("deploy", Form::Maybe(&DEPLOY)),
        ])))),
    ),
]));

const NIXPACKS: &str = "Railway builds with Railpack now";

const BUILD: Form = Form::Object(&open(&[
    Field::new(
        "builder",
        Form::Maybe(&Form::KnownWords(&["RAILPACK", "DOCKERFILE", "NIXPACKS", "HEROKU", "PAKETO"])),
    ),
    Field::new("watchPatterns", TEXTS),
    Field::new("buildCommand", TEXT),
    Field::new("dockerfilePath", TEXT),
    Field::new("railpackVersion", TEXT),
    Field::old("nixpacksConfigPath", TEXT, NIXPACKS),
    Field::old("nixpacksPlan", Form::Any, NIXPACKS),
    Field::old("nixpacksVersion", TEXT, NIXPACKS),
]));

const DEPLOY: Form = Form::Object(&open(&[
    Field::new("startCommand", TEXT),
    Field::new("preDeployCommand", Form::Maybe(&Form::By(command))),
    Field::new("healthcheckPath", TEXT),
    Field::new("healthcheckTimeout", COUNT),
    Field::new(
        "restartPolicyType",
        Form::Maybe(&Form::KnownWords(&["ON_FAILURE", "ALWAYS", "NEVER"])),
    ),
    Field::new("restartPolicyMaxRetries", COUNT),
    Field::new("cronSchedule", TEXT),
    Field::new("numReplicas", COUNT),
    Field::new(
        "multiRegionConfig",
        Form::Maybe(&Form::Map(&Form::Maybe(&Form::Object(&open(&[Field::new(
            "numReplicas",
            COUNT,
        )]))))),
    ),
    Field::new("overlapSeconds", SECONDS),
    Field::new("drainingSeconds", SECONDS),
    Field::new("sleepApplication", TRUTH),
    Field::new("requiredMountPath", TEXT),
]));

/// One command, or several that run one after the other.
fn command(node: &Node) -> Form {
    match node.kind {
        Kind::Sequence(_) => Form::List(&Form::Text),
        _ => Form::Text,
    }
}

/// A number, also in quotes: Railway documents it so, and takes both.
fn seconds(node: &Node) -> Form {
    match node.scalar() {
        Some(Scalar::Text(text)) if text.parse::<u32>().is_ok() => Form::Text,
        _ => Form::Whole(0, i64::MAX),
    }
}
