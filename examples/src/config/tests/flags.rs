//! `[flags.NAME]`.

use std::collections::BTreeMap;

use ultrai_deploy_config::Layers;
use ultrai_deploy_core::{
    flag::FlagState,
    pipeline::{Policy, ReadinessPolicy},
};

use super::{environment, parse, told};

#[test]
fn flags_are_for_the_environments_that_they_name() {
    let config = parse(
        "[flags.NEW_CART]\ndescription = \"the new cart\"\n\
         [flags.OLD_CART]\nenvironments = [\"staging\"]\n\
         [flags.BETA]\nenvironments = [\"staging\", \"production\"]\n",
    );
    let lookup = |name: &str| match name {
        "NEW_CART" => Some("yes".to_owned()),
        "OLD_CART" => Some("perhaps".to_owned()),
        _ => None,
    };
    let of = |name: &str| {
        let flags = config.flags(&environment(name), &lookup);
        flags.into_iter().map(|(name, state)| format!("{name} {state}")).collect::<Vec<_>>()
    };
    assert_eq!(of("development"), ["NEW_CART on"]);
    assert_eq!(of("production"), ["BETA not configured", "NEW_CART on"]);
    assert_eq!(
        of("staging"),
        ["BETA not configured", "NEW_CART on", "OLD_CART neither on nor off"]
    );
    assert_eq!(parse("").flags(&environment("staging"), &lookup).len(), 0);
    assert!(!FlagState::Unclear.is_configured());
}

#[test]
fn a_flag_is_a_variable_that_needs_no_other_declaration() {
    let config = parse("[variables.A]\ndefault = \"x\"\n[flags.A]\n[flags.NEW_CART]\n");
    let layers = Layers::new("staging").with_argument("NEW_CART", "on").with_argument("A", "no");
    let found = layers.resolve(&config.declaration).unwrap();
    assert_eq!(found.get("A").unwrap().expose(), "no");
    assert_eq!(found.get("NEW_CART").unwrap().expose(), "on");
    let found = Layers::new("staging").resolve(&config.declaration).unwrap();
    assert_eq!(found.get("A").unwrap().expose(), "x", "its own declaration counts");
    assert!(found.get("NEW_CART").is_none());
    let process = BTreeMap::from([("ULTRAI_NEW_CART".to_owned(), "yes".to_owned())]);
    let found = Layers::new("staging").with_process(process).resolve(&config.declaration).unwrap();
    assert_eq!(found.get("NEW_CART").unwrap().expose(), "yes");
}

#[test]
fn what_is_wrong_with_a_flag_is_told() {
    for (text, expected) in [
        ("[flags.new-cart]\n", "flags.new-cart: it is no name of an environment variable"),
        ("[flags.A]\nenvironments = [\"prod\"]\n", "there is no environment `prod`"),
        ("[flags.A]\nenvironments = \"production\"\n", "flags.A.environments"),
        ("[flags.A]\ndefault = true\n", "flags.A.default: unknown field"),
        ("secrets = [\"A\"]\n[flags.A]\n", "flags.A"),
    ] {
        let told = told(text);
        assert!(told.contains(expected), "{expected}: {told}");
    }
}

#[test]
fn readiness_is_a_policy() {
    for (text, expected) in [
        ("", ReadinessPolicy::Warn),
        ("[policy]\nreadiness = \"warn\"", ReadinessPolicy::Warn),
        ("[policy]\nreadiness = \"block\"", ReadinessPolicy::Block),
        ("[policy]\nreadiness = \"off\"", ReadinessPolicy::Off),
    ] {
        assert_eq!(parse(text).policy, Policy { readiness: expected, ..Policy::default() });
    }
    assert!(told("[policy]\nreadiness = true").contains("policy.readiness"));
}
