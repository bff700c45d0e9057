//! Secret values that nothing else has in it, and the ways in which somebody could write them.

use std::fmt::Write;

/// Where a value comes from, and what of it is looked for: each mark is plain letters and digits,
/// so quoting, escaping and splitting into lines leave it as it is.
pub struct Canary {
    pub name: &'static str,
    pub value: &'static str,
    pub marks: &'static [&'static str],
}

const fn canary(name: &'static str, value: &'static str, marks: &'static [&'static str]) -> Canary {
    Canary { name, value, marks }
}

/// A declared secret in `.env`.
pub const DECLARED: Canary = canary("DECLARED", "Kdeclared7Qx1Zw", &["Kdeclared7Qx1Zw"]);
/// One of `.env.api_keys`, which nobody declares.
pub const API_KEY: Canary = canary("API_KEY", "sk-Kapikey3Vb8Nm", &["Kapikey3Vb8Nm"]);
/// A file of the directory of a `[[secret_source]]`.
pub const SOURCED: Canary = canary("SOURCED", "Ksourced5Jt2Lp", &["Ksourced5Jt2Lp"]);
/// What the command of a `[[secret_source]]` prints.
pub const COMMANDED: Canary = canary("COMMANDED", "Kcommanded9Rf4Yc", &["Kcommanded9Rf4Yc"]);
/// A variable of the process.
pub const PROCESS: Canary = canary("PROCESS", "Kprocess6Hd3Sg", &["Kprocess6Hd3Sg"]);
/// What others are made from, in `.env` and in `.env.template`.
pub const PASSWORD: Canary = canary("PASSWORD", "Kpassword2Ua7Ek", &["Kpassword2Ua7Ek"]);
/// A key of several lines.
pub const PEM: Canary = canary(
    "PEM",
    "-----BEGIN KEY-----\nKpemfirst4Wz9Ty\nKpemsecond8Bx5Iq\n-----END KEY-----",
    &["Kpemfirst4Wz9Ty", "Kpemsecond8Bx5Iq"],
);
/// Characters that JSON, URLs and shells escape.
pub const SPECIAL: Canary = canary(
    "SPECIAL",
    "Kspecial1Mv\"6Od\\$HOME%41&'\nKnext3Gj0Pf+/= :@",
    &["Kspecial1Mv", "Knext3Gj0Pf"],
);
/// A header of a check; no service gets it.
pub const HEADER: Canary = canary("HEADER", "Bearer Kheader0Cn6Xs", &["Kheader0Cn6Xs"]);
/// Printed by tests and migrations.
pub const TASK: Canary = canary("TASK", "Ktask4Ye1Kh9Dr", &["Ktask4Ye1Kh9Dr"]);
/// The token of a platform.
pub const TOKEN: Canary = canary("TOKEN", "hunter2-hunter2-token", &["hunter2-hunter2-token"]);

/// The password of a registry.
pub const REGISTRY_PASSWORD: Canary =
    canary("REGISTRY_PASSWORD", "pa?>~ss-word", &["pa?>~ss-word"]);

pub const ALL: [Canary; 12] = [
    REGISTRY_PASSWORD,
    DECLARED,
    API_KEY,
    SOURCED,
    COMMANDED,
    PROCESS,
    PASSWORD,
    PEM,
    SPECIAL,
    HEADER,
    TASK,
    TOKEN,
];

/// What services get: all but those that only checks and platforms get, and what is derived.
pub const OF_SERVICES: [&str; 11] = [
    "DECLARED",
    "API_KEY",
    "SOURCED",
    "COMMANDED",
    "PROCESS",
    "PASSWORD",
    "PEM",
    "SPECIAL",
    "TASK",
    "DERIVED",
    "TEMPLATED",
];

/// A text to look for, and which value it gives away.
pub struct Needle {
    pub text: String,
    pub what: String,
}

/// Everything to look for.
pub fn needles() -> Vec<Needle> {
    let mut all = Vec::new();
    for canary in ALL {
        for mark in canary.marks {
            let mut add = |form: &str, text: String| {
                all.push(Needle { text, what: format!("{} ({form})", canary.name) });
            };
            add("plain", (*mark).to_owned());
            add("hex", hex(mark.as_bytes()));
            add("percent", percent(mark, true));
            add("percent", percent(mark, false));
            for shift in 0..3 {
                let text = base64_inside(mark.as_bytes(), shift);
                add("base64 of URLs", text.replace('+', "-").replace('/', "_"));
                add("base64", text);
            }
        }
    }
    all
}

/// The forms in which a whole value may stand somewhere, for the proof that each is found.
pub fn forms(value: &str) -> Vec<(&'static str, String)> {
    let json = serde_json::to_string(value).unwrap();
    let header = serde_json::json!({ "username": "u", "password": value }).to_string();
    vec![
        ("plain", format!("before {value} after")),
        ("debug", format!("{value:?}")),
        ("json", json.clone()),
        ("json in json", serde_json::to_string(&json).unwrap()),
        ("url", format!("redis://:{}@redis", percent(value, false))),
        ("every byte in percent", percent(value, true)),
        ("shell", format!("'{}'", value.replace('\'', "'\\''"))),
        ("base64", base64(value.as_bytes())),
        ("base64 of a header", base64(header.as_bytes())),
        ("base64 behind something", base64(format!("user:{value}").as_bytes())),
        ("hex", hex(value.as_bytes())),
    ]
}

/// Percent-encoded; letters and digits only where every byte is to be.
fn percent(text: &str, every: bool) -> String {
    text.bytes().fold(String::new(), |mut all, byte| {
        if byte.is_ascii_alphanumeric() && !every {
            all.push(char::from(byte));
        } else {
            let _infallible = write!(all, "%{byte:02X}");
        }
        all
    })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut all, byte| {
        let _infallible = write!(all, "{byte:02x}");
        all
    })
}

/// The part of a base64 text that `bytes` alone decide when `shift` others stand before them in
/// their group of three.
fn base64_inside(bytes: &[u8], shift: usize) -> String {
    let skip = (3 - shift) % 3;
    let whole = (bytes.len() - skip) / 3 * 3;
    base64(&bytes[skip..skip + whole])
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let byte = |at: usize| u32::from(group.get(at).copied().unwrap_or_default());
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for at in 0..4 {
            let digit = DIGITS[(bits >> (18 - 6 * at) & 63) as usize];
            text.push(if at <= group.len() { char::from(digit) } else { '=' });
        }
    }
    text
}
