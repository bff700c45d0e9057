//! The signature of the generic webhook, for senders and receivers.
//!
//! `ultrai-signature: t=<seconds since 1970>,v1=<hex>`, where `v1` is the HMAC-SHA-256 of the time as
//! it is in `t`, a dot, and the body as it was sent, under the shared secret.

use std::{error::Error, fmt, time::Duration};

use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use sha2::Sha256;
use ultrai_deploy_core::{digest::hex, secret::Secret};

/// The header that carries it.
pub const HEADER: &str = "ultrai-signature";

/// How old a request may be: 5 minutes. Long enough for clocks that differ, short for a replay.
pub const TOLERANCE: Duration = Duration::from_mins(5);

/// Why a request is not from whoever has the secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Rejected {
    /// The header does not have the form.
    Malformed,
    /// It was signed too long ago, or in the future: a replay, or a clock is wrong.
    OutOfTime,
    /// No signature fits.
    Forged,
}

impl fmt::Display for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "the signature header is malformed",
            Self::OutOfTime => "it was signed too long ago, or in the future",
            Self::Forged => "no signature fits",
        })
    }
}

impl Error for Rejected {}

/// The value of the header for `body`, signed at `at`.
pub fn sign(secret: &Secret, at: Timestamp, body: &[u8]) -> String {
    let time = at.as_second().to_string();
    let tag = mac(secret, &time, body).finalize().into_bytes();
    format!("t={time},v1={}", hex(&tag))
}

/// Checks the header of a request that was received at `now`, in constant time.
///
/// `body` is the body as it came, before anything parsed it. Several `v1` are allowed, one has to fit:
/// so a secret can be exchanged.
///
/// # Errors
/// [`Rejected`], and the request is to be answered with 401 or 403.
pub fn verify(
    secret: &Secret,
    header: &str,
    body: &[u8],
    now: Timestamp,
    tolerance: Duration,
) -> Result<(), Rejected> {
    let mut time = None;
    let mut tags = Vec::new();
    for part in header.split(',') {
        match part.trim().split_once('=') {
            Some(("t", value)) if time.is_none() => time = Some(value),
            Some(("v1", value)) => tags.push(unhex(value).ok_or(Rejected::Malformed)?),
            // Later versions may come beside this one.
            Some((name, _)) if name != "t" => {}
            _ => return Err(Rejected::Malformed),
        }
    }
    let time = time.ok_or(Rejected::Malformed)?;
    let signed_at = time.parse::<i64>().map_err(|_no_number| Rejected::Malformed)?;
    // The signature goes first: what it does not cover is not to be believed.
    let fits = |tag: &Vec<u8>| mac(secret, time, body).verify_slice(tag).is_ok();
    if !tags.iter().any(fits) {
        return Err(if tags.is_empty() { Rejected::Malformed } else { Rejected::Forged });
    }
    if now.as_second().abs_diff(signed_at) > tolerance.as_secs() {
        return Err(Rejected::OutOfTime);
    }
    Ok(())
}

#[expect(clippy::expect_used, reason = "HMAC takes a key of any length")]
fn mac(secret: &Secret, time: &str, body: &[u8]) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.expose().as_bytes())
        .expect("HMAC takes a key of any length");
    mac.update(time.as_bytes());
    mac.update(b".");
    mac.update(body);
    mac
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(text.get(at..at + 2)?, 16).ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: i64 = 1_800_000_000;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    /// Made with `printf '1800000000.{"a":1}' | openssl dgst -sha256 -hmac whsec-test`.
    const KNOWN: &str = "50332a440ec52c80a9ad3eab86f56caee5ec5b06aacfb8c15a44a388eebf2350";

    #[test]
    fn the_signature_is_the_documented_one() {
        let signed = sign(&Secret::new("whsec-test"), at(AT), br#"{"a":1}"#);
        assert_eq!(signed, format!("t=1800000000,v1={KNOWN}"));
    }

    #[test]
    fn only_the_same_secret_body_and_time_pass() {
        let secret = Secret::new("whsec-test");
        let body = br#"{"a":1}"#;
        let good = sign(&secret, at(AT), body);
        let check = |secret: &str, header: &str, body: &[u8], now: i64| {
            verify(&Secret::new(secret), header, body, at(now), TOLERANCE)
        };
        let tag = good.split_once("v1=").unwrap().1;
        let other = sign(&Secret::new("other"), at(AT), body);
        let both = format!("{good},v1={}", other.split_once("v1=").unwrap().1);
        for (header, now, expected) in [
            (good.clone(), AT, Ok(())),
            (good.clone(), AT + 300, Ok(())),
            (good.clone(), AT - 300, Ok(())),
            (both, AT, Ok(())),
            (format!("{good},v2=x"), AT, Ok(())),
            (good.clone(), AT + 301, Err(Rejected::OutOfTime)),
            (good.clone(), AT - 301, Err(Rejected::OutOfTime)),
            (other, AT, Err(Rejected::Forged)),
            (format!("t={},v1={tag}", AT + 1), AT, Err(Rejected::Forged)),
            (format!("t={AT},v1={}", tag.replace(&tag[..1], "x")), AT, Err(Rejected::Malformed)),
            (format!("t={AT},v1={}", &tag[..62]), AT, Err(Rejected::Malformed)),
            (format!("t={AT}"), AT, Err(Rejected::Malformed)),
            (format!("v1={tag}"), AT, Err(Rejected::Malformed)),
            (format!("t={AT},t={AT},v1={tag}"), AT, Err(Rejected::Malformed)),
            (format!("t=x,v1={tag}"), AT, Err(Rejected::Malformed)),
            (String::new(), AT, Err(Rejected::Malformed)),
        ] {
            assert_eq!(check("whsec-test", &header, body, now), expected, "{header} at {now}");
        }
        assert_eq!(check("whsec-test", &good, br#"{"a":2}"#, AT), Err(Rejected::Forged));
        assert_eq!(check("", &good, body, AT), Err(Rejected::Forged));
    }
}
