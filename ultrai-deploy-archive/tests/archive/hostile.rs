//! What is refused, and that nothing outside was touched.

use std::{
    fs,
    io::Cursor,
    os::unix::fs::PermissionsExt,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, ReadBuf};
use ultrai_deploy_archive::{Limits, unpack};
use ultrai_deploy_core::ErrorKind;

use super::{forge::Forge, open, screened};

fn forge() -> Forge {
    Forge::default()
}

/// What, the archive, and what the error must say.
fn refused() -> Vec<(&'static str, Vec<u8>, &'static str)> {
    let long = "n".repeat(300);
    let deep = "d/".repeat(2100);
    vec![
        ("tar slip", forge().entry(b'0', "../witness/file", b"x").end(), "leads out by `..`"),
        (
            "slip inside",
            forge().entry(b'0', "a/../../witness/file", b"x").end(),
            "leads out by `..`",
        ),
        ("absolute", forge().entry(b'0', "/tmp/x", b"x").end(), "is absolute"),
        (
            "outward link",
            forge().header(b'2', "l", "../witness", 0).entry(b'0', "l/file", b"x").end(),
            "leads out, or could",
        ),
        (
            "absolute link",
            forge().header(b'2', "l", "/etc", 0).end(),
            "links to the absolute `/etc`",
        ),
        (
            "link by way of a link",
            forge()
                .entry(b'5', "p/q/", b"")
                .header(b'2', "p/q/up", "../..", 0)
                .header(b'2', "out", "p/q/up/../witness", 0)
                .end(),
            "`out`: its link to",
        ),
        (
            "file through a link",
            forge()
                .entry(b'5', "d/", b"")
                .header(b'2', "l", "d", 0)
                .entry(b'0', "l/file", b"x")
                .end(),
            "`l/file`: its name leads through a link",
        ),
        (
            "link replaced",
            forge().header(b'2', "l", "d", 0).entry(b'5', "l/", b"").end(),
            "`l/`: it is there twice",
        ),
        ("hard link out", forge().header(b'1', "h", "../witness/file", 0).end(), "its target"),
        ("absolute hard link", forge().header(b'1', "h", "/etc/passwd", 0).end(), "is absolute"),
        ("hard link to nothing", forge().header(b'1', "h", "file", 0).end(), "which is not there"),
        (
            "hard link to a link",
            forge().header(b'2', "l", "x", 0).header(b'1', "h", "l", 0).end(),
            "`h`: it is another name of what a link leads to",
        ),
        ("character device", forge().header(b'3', "null", "", 0).end(), "`null`: it is a device"),
        ("block device", forge().header(b'4', "sda", "", 0).end(), "it is a device"),
        ("pipe", forge().header(b'6', "pipe", "", 0).end(), "it is a pipe"),
        ("GNU sparse bomb", forge().header(b'S', "bomb", "", 1 << 30).end(), "it is a sparse file"),
        (
            "POSIX sparse bomb",
            forge()
                .records(&[("GNU.sparse.major", "1"), ("GNU.sparse.realsize", "99999999999999")])
                .entry(b'0', "bomb", b"x")
                .end(),
            "it is a sparse file",
        ),
        (
            "name overridden",
            forge().records(&[("path", "../witness/file")]).entry(b'0', "good", b"x").end(),
            "`../witness/file`: its name leads out",
        ),
        (
            "target overridden",
            forge().records(&[("linkpath", "../witness")]).header(b'2', "l", "good", 0).end(),
            "leads out, or could",
        ),
        (
            "size overridden to hide an entry",
            forge().records(&[("size", "1024")]).header(b'0', "a", "", 0).end(),
            "ends too early",
        ),
        (
            "two extensions",
            forge().records(&[("path", "a")]).records(&[("path", "b")]).entry(b'0', "c", b"").end(),
            "two extensions",
        ),
        (
            "name twice",
            forge().records(&[("path", "a"), ("path", "b")]).entry(b'0', "c", b"").end(),
            "given twice",
        ),
        (
            "two long names",
            forge().entry(b'L', "x", b"a\0").entry(b'L', "x", b"b\0").entry(b'0', "c", b"").end(),
            "given twice",
        ),
        (
            "NUL in a name",
            forge().entry(b'L', "x", b"a\0b").entry(b'0', "c", b"").end(),
            "holds a NUL",
        ),
        (
            "unknown record",
            forge().records(&[("hdrcharset", "BINARY")]).entry(b'0', "c", b"").end(),
            "is not known",
        ),
        (
            "broken record",
            forge().entry(b'x', "x", b"99 path=a\n").entry(b'0', "c", b"").end(),
            "cannot be read",
        ),
        ("global extension", forge().entry(b'g', "x", b"").end(), "meaning of all entries"),
        (
            "long part",
            forge().entry(b'L', "x", long.as_bytes()).entry(b'0', "c", b"").end(),
            "longer than 255",
        ),
        (
            "long name",
            forge().entry(b'L', "x", deep.as_bytes()).entry(b'0', "c", b"").end(),
            "is too long",
        ),
        ("endless extension", forge().header(b'L', "x", "", 1 << 32).end(), "bytes is too long"),
        (
            "there twice",
            forge().entry(b'0', "a", b"1").entry(b'0', "./a", b"2").end(),
            "it is there twice",
        ),
        ("directory with content", forge().entry(b'5', "d", b"x").end(), "and is no file"),
        (
            "file called like a directory",
            forge().entry(b'0', "d/", b"x").end(),
            "the name of a directory",
        ),
        ("root replaced", forge().header(b'2', "./", "x", 0).end(), "replace the root"),
        ("unknown kind", forge().entry(b'Z', "z", b"").end(), "unknown kind `Z`"),
        (
            "negative size",
            forge().changed(b'0', "a", "", 0, |b| b[124..136].fill(0xff)).end(),
            "size is no number",
        ),
        (
            "huge size",
            forge()
                .changed(b'0', "a", "", 0, |b| {
                    b[124] = 0x80;
                    b[125..128].fill(0);
                    b[128..136].fill(0xff);
                })
                .end(),
            "there are more than",
        ),
        (
            "star",
            forge().changed(b'0', "a", "", 0, |b| b[508..512].copy_from_slice(b"tar\0")).end(),
            "`star`",
        ),
        (
            "old form",
            forge().changed(b'0', "a", "", 0, |b| b[257..265].fill(0)).end(),
            "neither a POSIX",
        ),
        ("no end", forge().entry(b'0', "a", b"x").open(), "ends too early"),
        (
            "half an end",
            [forge().entry(b'0', "a", b"x").open(), vec![0; 512]].concat(),
            "ends too early",
        ),
        ("extension without entry", forge().records(&[("path", "a")]).end(), "without its entry"),
        (
            "something after the end",
            [forge().end(), forge().entry(b'0', "../x", b"").end()].concat(),
            "after the end",
        ),
        ("endless end", vec![0; 3 << 20], "does not end"),
        ("nothing", Vec::new(), "ends too early"),
        ("garbage", vec![0xa5; 4096], "no tar archive"),
        ("text", b"hello".repeat(500), "no tar archive"),
    ]
}

#[tokio::test]
async fn nothing_outside_is_touched() {
    for (what, archive, why) in refused() {
        let base = tempfile::tempdir().unwrap();
        let (witness, into) = (base.path().join("witness"), base.path().join("into"));
        fs::create_dir(&witness).unwrap();
        fs::create_dir(&into).unwrap();
        fs::write(witness.join("file"), "untouched").unwrap();

        let error = screened(&archive, Limits::default()).await.expect_err(what);
        assert!(error.contains(why), "{what}: {error}");
        let unpacked = unpack(Cursor::new(&archive), &open(&into), Limits::default()).await;
        let unpacked = unpacked.expect_err(what);
        assert_eq!(unpacked.kind(), ErrorKind::Corrupt, "{what}: {unpacked}");
        assert_eq!(
            unpacked.message(),
            error.strip_prefix("cannot read an archive: ").unwrap_or(&error)
        );

        assert_eq!(fs::read_to_string(witness.join("file")).unwrap(), "untouched", "{what}");
        assert_eq!(fs::read_dir(&witness).unwrap().count(), 1, "{what}");
        assert_eq!(fs::read_dir(base.path()).unwrap().count(), 2, "{what}");
    }
}

#[tokio::test]
async fn what_is_refused_is_never_passed_on() {
    let good = forge().entry(b'0', "good", b"content");
    let passed = good.clone().open().len();
    let archive = good.entry(b'0', "../bad", b"x").end();
    let mut screen = ultrai_deploy_archive::screen(Cursor::new(&archive), Limits::default());
    let mut seen = Vec::new();
    let error = tokio::io::AsyncReadExt::read_to_end(&mut screen, &mut seen).await.unwrap_err();
    assert_eq!(seen, archive[..passed]);
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidData);
    // It does not go on after it.
    tokio::io::AsyncReadExt::read_to_end(&mut screen, &mut seen).await.unwrap_err();
    assert_eq!(seen.len(), passed);
}

/// More entries than anyone has place for, made while they are read.
#[derive(Debug, Default)]
struct Endless {
    made: u64,
    left: Vec<u8>,
}

impl AsyncRead for Endless {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        if self.left.is_empty() {
            self.left = forge().entry(b'0', &format!("{}", self.made), b"").open();
            self.made += 1;
        }
        let count = out.remaining().min(self.left.len());
        out.put_slice(&self.left[..count]);
        self.left.drain(..count);
        Poll::Ready(Ok(()))
    }
}

#[tokio::test]
async fn too_many_entries_and_too_much_content_end_at_the_limits() {
    let mut many = forge();
    for number in 0..1000 {
        many = many.entry(b'0', &format!("{number}"), b"");
    }
    let archive = many.end();
    screened(&archive, Limits { entries: 1000, ..Limits::default() }).await.unwrap();
    let limits = Limits { entries: 999, ..Limits::default() };
    let error = screened(&archive, limits).await.unwrap_err();
    assert!(error.contains("`999`: there are more than 999 entries"), "{error}");

    let mut endless = Endless::default();
    let mut screen =
        ultrai_deploy_archive::screen(&mut endless, Limits { entries: 100_000, ..limits });
    let error = tokio::io::copy(&mut screen, &mut tokio::io::sink()).await.unwrap_err();
    assert!(error.to_string().contains("more than 100000 entries"), "{error}");
    assert_eq!(endless.made, 100_001, "no more than that was read");

    let archive = forge().entry(b'0', "a", &[1; 600]).entry(b'0', "b", &[2; 600]).end();
    screened(&archive, Limits { bytes: 1200, ..Limits::default() }).await.unwrap();
    let error = screened(&archive, Limits { bytes: 1199, ..Limits::default() }).await.unwrap_err();
    assert!(error.contains("`b`: there are more than 1199 bytes"), "{error}");
}

#[tokio::test]
async fn cut_off_anywhere_it_fails() {
    let archive = forge()
        .entry(b'5', "d/", b"")
        .records(&[("path", "d/a")])
        .entry(b'0', "x", &[7; 700])
        .header(b'2', "l", "d/a", 0)
        .end();
    assert_eq!(screened(&archive, Limits::default()).await.unwrap(), archive);
    for length in 0..archive.len() {
        let error = screened(&archive[..length], Limits::default()).await.unwrap_err();
        assert!(error.contains("ends too early"), "{length}: {error}");
    }
}

#[tokio::test]
async fn nobody_gets_the_rights_of_an_owner() {
    let into = tempfile::tempdir().unwrap();
    let set = |block: &mut [u8; 512]| block[100..107].copy_from_slice(b"0006755");
    let archive = forge().changed(b'0', "tool", "", 0, set).end();
    unpack(Cursor::new(&archive), &open(into.path()), Limits::default()).await.unwrap();
    let mode = fs::metadata(into.path().join("tool")).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o755);
}

#[tokio::test]
async fn what_is_there_is_not_written_to() {
    let base = tempfile::tempdir().unwrap();
    let (witness, into) = (base.path().join("witness"), base.path().join("into"));
    fs::create_dir(&into).unwrap();
    fs::write(&witness, "untouched").unwrap();
    std::os::unix::fs::symlink("../witness", into.join("file")).unwrap();
    std::os::unix::fs::symlink("..", into.join("up")).unwrap();
    for name in ["file", "up/witness", "up/new"] {
        let archive = forge().entry(b'0', name, b"changed").end();
        let error = unpack(Cursor::new(&archive), &open(&into), Limits::default()).await;
        let error = error.unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Conflict | ErrorKind::Io), "{name}: {error}");
    }
    assert_eq!(fs::read_to_string(&witness).unwrap(), "untouched");
    assert_eq!(fs::read_dir(base.path()).unwrap().count(), 2);
}

#[tokio::test]
async fn a_directory_can_be_the_place_to_stay_inside() {
    let good = forge()
        .entry(b'5', "volume/", b"")
        .entry(b'0', "volume/a", b"x")
        .header(b'1', "volume/b", "volume/a", 0)
        .header(b'2', "volume/c", "a", 0);
    let screened = |archive: Vec<u8>| async move {
        let screen = ultrai_deploy_archive::screen(Cursor::new(archive), Limits::default());
        let mut passed = Vec::new();
        tokio::io::AsyncReadExt::read_to_end(&mut screen.within("volume"), &mut passed).await
    };
    screened(good.clone().end()).await.unwrap();
    for (bad, why) in [
        (good.clone().entry(b'0', "volumes", b""), "`volumes`: it is not in `volume`"),
        (good.clone().entry(b'0', "bin/sh", b""), "it is not in `volume`"),
        (good.clone().header(b'1', "volume/d", "a", 0), "`d`: its target: it is not in `volume`"),
        (good.clone().header(b'2', "volume/d", "../x", 0), "`d`: its link to `../x` leads out"),
        (good.clone().header(b'2', "volume", "x", 0), "replace the root"),
    ] {
        let error = screened(bad.end()).await.unwrap_err();
        assert!(error.to_string().contains(why), "{error}");
    }
}
