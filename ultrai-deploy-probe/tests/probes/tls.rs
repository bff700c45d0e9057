//! Certificates of a server with rustls.

use std::sync::Arc;

use jiff::Timestamp;
use rustls::{
    ServerConfig,
    crypto::aws_lc_rs::default_provider,
    pki_types::{CertificateDer, PrivateKeyDer},
};
use serde_json::{Value, json};
use tokio_rustls::TlsAcceptor;
use ultrai_deploy_core::clock::Clock;
use ultrai_deploy_probe::Probes;

use crate::{
    certificates::{Authority, Signed, self_signed},
    lab::{Listening, healthy, probes, unhealthy},
};

/// It is always noon.
#[derive(Debug)]
struct Noon(&'static str);

impl Clock for Noon {
    fn now(&self) -> Timestamp {
        format!("{}T12:00:00Z", self.0).parse().unwrap()
    }
}

async fn server(shows: &Signed) -> Listening {
    let key = PrivateKeyDer::try_from(shows.key_der.clone()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![CertificateDer::from(shows.der.clone())], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    Listening::serve(move |stream| {
        let accepted = acceptor.accept(stream);
        async move {
            // A client that goes away is part of many tests.
            let _gone = accepted.await;
        }
    })
    .await
}

fn at(server: &Listening, name: &str, days: u32) -> Value {
    json!({"tls": {"address": server.address.to_string(), "name": name, "min_days": days}})
}

#[tokio::test]
async fn certificates_are_told_apart() {
    let [authority, other, namesake] = ["ours", "other", "ours"].map(Authority::new);
    let on =
        |day| probes().with_trusted([authority.der()]).unwrap().with_clock(Arc::new(Noon(day)));
    let good = server(&authority.sign("api.example.com", 2030)).await;
    let seen = healthy(&on("2029-12-01"), at(&good, "api.example.com", 30)).await;
    assert!(seen.contains("CN=api.example.com") && seen.contains("(30 days)"), "{seen}");

    let stranger = server(&other.sign("api.example.com", 2030)).await;
    let again = server(&namesake.sign("api.example.com", 2030)).await;
    let own = server(&self_signed("api.example.com")).await;
    let number = server(&authority.sign("127.0.0.1", 2030)).await;
    for (server, day, name, days, told) in [
        (&good, "2029-12-01", "api.example.com", 31, "ends in 30 days, on 2030-01-01; 31 are"),
        (&good, "2030-01-02", "api.example.com", 0, "expired on 2030-01-01"),
        (&good, "2019-12-01", "api.example.com", 0, "is not valid before 2020-01-01"),
        (&good, "2029-12-01", "shop.example.com", 0, "is for other names"),
        (&good, "2029-12-01", "127.0.0.1", 0, "is for other names"),
        (&stranger, "2029-12-01", "api.example.com", 0, "does not trust, or a certificate between"),
        (&again, "2029-12-01", "api.example.com", 0, "not signed by the authority named `CN=ours`"),
        (&own, "2029-12-01", "api.example.com", 0, "is self-signed"),
    ] {
        let why = unhealthy(&on(day), at(server, name, days)).await;
        assert!(why.contains(told), "{why}");
    }
    // the host itself is the name where none is said
    let probe = json!({"tls": {"address": number.address.to_string()}});
    healthy(&on("2029-12-01"), probe).await;
}

#[tokio::test]
async fn the_machine_s_own_authorities_do_not_trust_a_test_s() {
    let server = server(&Authority::new("ours").sign("localhost", 2090)).await;
    let found = crate::lab::look(&probes(), at(&server, "localhost", 0), crate::lab::LONG).await;
    // A machine without authorities cannot look, and says so.
    match found {
        Err(error) => assert!(error.advice().unwrap().contains("ca-certificates"), "{error}"),
        Ok(health) => assert!(format!("{health:?}").contains("does not trust"), "{health:?}"),
    }
}

#[test]
fn what_is_no_certificate_is_not_trusted() {
    let error = probes().with_trusted([b"none".to_vec()]).map(|_: Probes| ()).unwrap_err();
    assert_eq!(error.kind(), ultrai_deploy_core::ErrorKind::Invalid);
}
