//! Values of variables, files and links are shown nowhere.

use serde_json::json;
use ultrai_deploy_core::{Effect, Error, ErrorKind, error::Chain, secret::Secret};

use crate::rig::{Rig, service};

const SECRET: &str = "hunter2hunter2";

/// Everything that somebody could see of an error.
fn shown(error: &Error) -> String {
    format!("{} {error:?} {:?}", Chain(error), error.evidence())
}

#[tokio::test]
async fn values_are_shown_nowhere() {
    let rows = json!([{ "envVar": { "key": "A", "value": SECRET }, "cursor": "c" }]);
    let rig = Rig::always(200, &rows.to_string()).await;
    let variables = rig.client.env_vars(&rig.cx, &service()).await.unwrap();
    assert_eq!(variables[0].value.expose(), SECRET);
    assert!(!format!("{variables:?}").contains(SECRET));
    let rows = json!([{ "id": "x", "createdAt": null, "url": format!("https://{SECRET}") }]);
    let rig = Rig::always(200, &rows.to_string()).await;
    let exports = rig.client.exports(&rig.cx, &"dpg-1".into()).await.unwrap();
    assert!(exports[0].url.is_some() && !format!("{exports:?}").contains(SECRET));

    // Not of the expected form, in ways that a parser would quote.
    let odd = [
        json!(SECRET),
        json!([SECRET]),
        json!([{ "envVar": SECRET, "secretFile": SECRET }]),
        json!([{ "envVar": { "key": [SECRET] }, "id": [SECRET] }]),
        json!([{ "secretFile": { "name": [SECRET] } }]),
        json!([{ "envVar": { "value": SECRET }, "secretFile": { "content": SECRET } }]),
    ];
    for odd in odd {
        let rig = Rig::always(200, &odd.to_string()).await;
        let (client, cx, id) = (&rig.client, &rig.cx, &service());
        let errors = [
            client.env_vars(cx, id).await.unwrap_err(),
            client.replace_all_env_vars(cx, id, &[].into()).await.unwrap_err(),
            client.secret_files(cx, id).await.unwrap_err(),
            client.exports(cx, &"dpg-1".into()).await.unwrap_err(),
        ];
        for error in errors {
            assert_eq!(error.kind(), ErrorKind::Unexpected);
            assert!(!shown(&error).contains(SECRET), "{}", shown(&error));
        }
    }

    let refusal = json!({ "message": format!("`{SECRET}` is too long") }).to_string();
    let rig = Rig::always(400, &refusal).await;
    let value = Secret::new(SECRET);
    let errors = [
        rig.client.set_env_var(&rig.cx, &service(), "A", &value).await.unwrap_err(),
        rig.client.put_secret_file(&rig.cx, &service(), "a", &value).await.unwrap_err(),
    ];
    for error in errors {
        assert_eq!((error.kind(), error.effect()), (ErrorKind::Invalid, Effect::None));
        assert!(!shown(&error).contains(SECRET), "{}", shown(&error));
    }
    // A refusal that repeats nothing keeps its reason.
    let rig = Rig::always(400, r#"{"message":"too long"}"#).await;
    let error = rig.client.set_env_var(&rig.cx, &service(), "A", &value).await.unwrap_err();
    assert!(shown(&error).contains("too long"), "{}", shown(&error));
}
