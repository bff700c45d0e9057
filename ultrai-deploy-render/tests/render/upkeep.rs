//! Stopping, starting and hiding services: what is sent again, and what is made sure of.

use serde_json::{Value, json};
use ultrai_deploy_core::{Context, Effect, ErrorKind, Result};
use ultrai_deploy_render::{Client, model::MaintenanceMode};
use ultrai_deploy_testkit::server::Answer;

use crate::rig::{Rig, service};

fn shown(enabled: Option<bool>) -> Answer {
    let mode = enabled.map(|enabled| json!({ "enabled": enabled, "uri": "" }));
    let service = json!({ "id": "srv-1", "serviceDetails": { "maintenanceMode": mode } });
    Answer::json(200, service.to_string())
}

fn mode(enabled: bool) -> MaintenanceMode {
    MaintenanceMode { enabled, uri: String::new() }
}

#[tokio::test]
async fn maintenance_is_made_sure_of() {
    for (enabled, answers, calls) in [
        (true, vec![shown(Some(true))], 1),
        (false, vec![shown(Some(false))], 1),
        // It was never on.
        (false, vec![shown(None)], 1),
        // The answer does not tell, the service does.
        (true, vec![shown(None), shown(Some(true))], 2),
    ] {
        let rig = Rig::queue(answers).await;
        rig.client.set_maintenance_mode(&rig.cx, &service(), &mode(enabled)).await.unwrap();
        let requests = rig.requests();
        assert_eq!(requests.len(), calls);
        let sent: Value = serde_json::from_slice(&requests[0].body).unwrap();
        let wanted = json!({ "enabled": enabled, "uri": "" });
        assert_eq!(sent, json!({ "serviceDetails": { "maintenanceMode": wanted } }));
    }
    for (enabled, told) in [(true, "goes on serving"), (false, "does not serve again")] {
        let rig = Rig::queue([shown(Some(!enabled)), shown(Some(!enabled))]).await;
        let set = rig.client.set_maintenance_mode(&rig.cx, &service(), &mode(enabled)).await;
        let error = set.unwrap_err();
        assert_eq!((error.kind(), error.effect()), (ErrorKind::Unsupported, Effect::Unknown));
        let text = error.to_string();
        assert!(text.contains(told) && text.contains("paid plan"), "{text}");
    }
}

/// Makes a call whose first answer is lost.
async fn lost(call: impl AsyncFnOnce(&Client, &Context) -> Result<()>) -> (Result<()>, usize) {
    let rig = Rig::queue([Answer::close(), shown(Some(true))]).await;
    let result = call(&rig.client, &rig.cx).await;
    (result, rig.requests().len())
}

#[tokio::test]
async fn what_may_be_done_twice_is_sent_again() {
    let id = &service();
    let results = [
        lost(async |client, cx| client.suspend(cx, id).await).await,
        lost(async |client, cx| client.resume(cx, id).await).await,
        lost(async |client, cx| client.scale(cx, id, 3).await).await,
        lost(async |client, cx| client.set_maintenance_mode(cx, id, &mode(true)).await).await,
    ];
    for (result, calls) in results {
        result.unwrap();
        assert_eq!(calls, 2);
    }
    // A second restart would restart again.
    let (result, calls) = lost(async |client, cx| client.restart(cx, id).await).await;
    assert_eq!((result.unwrap_err().effect(), calls), (Effect::Unknown, 1));
}
