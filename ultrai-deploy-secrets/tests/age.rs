//! Files that are encrypted with age.

#![allow(clippy::unwrap_used)]

use std::{fs, io::Write, os::unix::fs::PermissionsExt, path::PathBuf};

use age::{
    Encryptor, Recipient,
    armor::{ArmoredWriter, Format as Armor},
    scrypt, x25519,
};
use secrecy::{ExposeSecret, SecretString};
use tempfile::TempDir;
use ultrai_deploy_core::{
    Chain, ErrorKind,
    name::SecretName,
    secret::{Secret, SecretSource},
};
use ultrai_deploy_secrets::{Age, Format};

struct Lab {
    directory: TempDir,
    key: x25519::Identity,
}

impl Lab {
    fn new() -> Self {
        let (directory, key) = (tempfile::tempdir().unwrap(), x25519::Identity::generate());
        let lab = Self { directory, key };
        let text = format!("# created: now\n{}\n", lab.key.to_string().expose_secret());
        fs::write(lab.path("key.txt"), text).unwrap();
        fs::set_permissions(lab.path("key.txt"), fs::Permissions::from_mode(0o600)).unwrap();
        lab
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn encrypt(&self, text: &[u8], armor: Armor) {
        self.encrypt_for(&self.key.to_public(), text, armor);
    }

    fn encrypt_for(&self, recipient: &dyn Recipient, text: &[u8], armor: Armor) {
        let file = fs::File::create(self.path("secrets.age")).unwrap();
        let armored = ArmoredWriter::wrap_output(file, armor).unwrap();
        let encryptor = Encryptor::with_recipients([recipient].into_iter()).unwrap();
        let mut writer = encryptor.wrap_output(armored).unwrap();
        writer.write_all(text).unwrap();
        writer.finish().unwrap().finish().unwrap();
    }

    fn source(&self, format: Format) -> Age {
        Age::with_identity(self.path("secrets.age"), self.path("key.txt"), format)
    }
}

fn name(text: &str) -> SecretName {
    SecretName::new(text).unwrap()
}

async fn value(source: &Age, key: &str) -> Option<String> {
    let value = source.get(&name(key)).await;
    let value = value.unwrap_or_else(|error| panic!("{}", Chain(&error)));
    value.map(|value| value.expose().to_owned())
}

async fn error(source: &Age) -> (ErrorKind, String) {
    let error = source.get(&name("A")).await.unwrap_err();
    let text = format!("{} {error:?}", Chain(&error));
    assert!(!text.contains("hunter2") && !text.contains("AGE-SECRET-KEY"), "{text}");
    (error.kind(), text)
}

#[tokio::test]
async fn armored_and_binary_files_hold_dotenv_and_json() {
    let lab = Lab::new();
    for armor in [|| Armor::AsciiArmor, || Armor::Binary] {
        lab.encrypt(b"A='hunter2 a'\nB=${A}b\n", armor());
        let source = lab.source(Format::Dotenv);
        assert_eq!(value(&source, "A").await.unwrap(), "hunter2 a");
        fs::remove_file(lab.path("secrets.age")).unwrap();
        assert_eq!(value(&source, "B").await.unwrap(), "hunter2 ab", "it is read once");
        assert_eq!(value(&source, "C").await, None);
        assert!(!format!("{source:?}").contains("hunter2"));
        lab.encrypt(br#"{"x":{"A":"hunter2"}}"#, armor());
        let source = lab.source(Format::Json("/x".to_owned()));
        assert_eq!(value(&source, "A").await.unwrap(), "hunter2");
    }
}

#[tokio::test]
async fn a_passphrase_opens_a_file() {
    let lab = Lab::new();
    let encrypt = |work| {
        let mut recipient = scrypt::Recipient::new(SecretString::from("hunter2-passphrase"));
        recipient.set_work_factor(work);
        lab.encrypt_for(&recipient, b"A=hunter2", Armor::Binary);
    };
    encrypt(2);
    let with = |passphrase: &str| {
        Age::with_passphrase(lab.path("secrets.age"), Secret::new(passphrase), Format::Dotenv)
    };
    assert_eq!(value(&with("hunter2-passphrase"), "A").await.unwrap(), "hunter2");
    let (kind, text) = error(&with("hunter2-wrong")).await;
    assert_eq!(kind, ErrorKind::Denied, "{text}");
    assert_eq!(error(&lab.source(Format::Dotenv)).await.0, ErrorKind::Denied);
    lab.encrypt(b"A=hunter2", Armor::Binary);
    assert_eq!(error(&with("hunter2-passphrase")).await.0, ErrorKind::Denied);
    // What the file asks for is not done at any price: as if it took an hour.
    encrypt(2);
    let bytes = fs::read(lab.path("secrets.age")).unwrap();
    let at = bytes.windows(3).position(|part| part == b" 2\n").unwrap();
    let bytes = [&bytes[..at], b" 33\n", &bytes[at + 3..]].concat();
    fs::write(lab.path("secrets.age"), bytes).unwrap();
    let (kind, text) = error(&with("hunter2-passphrase")).await;
    assert_eq!(kind, ErrorKind::Invalid, "{text}");
    assert!(text.contains("too much work"), "{text}");
}

#[tokio::test]
async fn what_cannot_be_opened_says_why() {
    let lab = Lab::new();
    let (kind, text) = error(&lab.source(Format::Dotenv)).await;
    assert_eq!(kind, ErrorKind::NotFound, "{text}");
    lab.encrypt_for(&x25519::Identity::generate().to_public(), b"A=hunter2", Armor::Binary);
    let (kind, text) = error(&lab.source(Format::Dotenv)).await;
    assert_eq!(kind, ErrorKind::Denied, "{text}");
    assert!(text.contains("encrypted for somebody else"), "{text}");

    lab.encrypt(b"A=hunter2 hunter2 hunter2", Armor::Binary);
    let whole = fs::read(lab.path("secrets.age")).unwrap();
    let changed = |at: usize| {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        bytes
    };
    let broken = [
        whole[..whole.len() - 5].to_vec(),
        whole[..60].to_vec(),
        changed(whole.len() - 1),
        b"A=hunter2".to_vec(),
        Vec::new(),
    ];
    for bytes in broken {
        fs::write(lab.path("secrets.age"), bytes).unwrap();
        let (kind, text) = error(&lab.source(Format::Dotenv)).await;
        assert_eq!(kind, ErrorKind::Corrupt, "{text}");
        assert!(text.contains("secrets.age: it is no whole age file"), "{text}");
    }

    lab.encrypt(&vec![b'#'; 1024 * 1024 + 1], Armor::Binary);
    let (_, text) = error(&lab.source(Format::Dotenv)).await;
    assert!(text.contains("longer than 1048576 bytes"), "{text}");
    lab.encrypt(b"A=hunter2\xff", Armor::Binary);
    assert!(error(&lab.source(Format::Dotenv)).await.1.contains("not UTF-8"));
    lab.encrypt(b"A='hunter2", Armor::Binary);
    assert!(error(&lab.source(Format::Dotenv)).await.1.contains("line 1"));
}

#[tokio::test]
async fn the_identity_is_its_owners_alone() {
    let lab = Lab::new();
    lab.encrypt(b"A=hunter2", Armor::Binary);
    let key = lab.path("key.txt");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    let (kind, text) = error(&lab.source(Format::Dotenv)).await;
    assert_eq!(kind, ErrorKind::Denied);
    assert!(text.contains(&format!("chmod 600 {}", key.display())), "{text}");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    for bad in ["", "hunter2", "# only a comment\n", "AGE-SECRET-KEY-1HUNTER2"] {
        fs::write(&key, bad).unwrap();
        let (kind, text) = error(&lab.source(Format::Dotenv)).await;
        assert_eq!(kind, ErrorKind::Invalid, "{text}");
        assert!(text.contains("key.txt: it holds no identity of age"), "{text}");
    }
    fs::remove_file(&key).unwrap();
    assert_eq!(error(&lab.source(Format::Dotenv)).await.0, ErrorKind::NotFound);
}
