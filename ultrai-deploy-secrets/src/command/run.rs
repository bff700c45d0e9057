//! One run of a program: bounded in time and output, and never left behind.

use std::{
    io, os::unix::process::ExitStatusExt, process::ExitStatus, process::Stdio, time::Duration,
};

use rustix::process::{Pid, Signal};
use tokio::{
    io::{AsyncRead, AsyncReadExt},
    process::{Child, Command},
    time::timeout,
};
use ultrai_deploy_core::{
    Error, ErrorKind, Result,
    name::SecretName,
    redact::Redactor,
    secret::{Secret, Secrets},
};
use zeroize::Zeroizing;

/// How long output may take to arrive that was written before the program ended: nothing but what a
/// process outside of its group holds open takes longer than an instant.
const DRAIN: Duration = Duration::from_millis(500);
/// How much of the standard error is kept, in bytes.
const KEPT: usize = 8 * 1024;
/// When more was printed, in bytes, looking for all of it takes too long.
const LOOKED_FOR: usize = 64 * 1024;
/// How many of its last lines are shown, and how many bytes of them.
const SHOWN: (usize, usize) = (5, 1000);
/// Values that are shorter would cut up ordinary words, and are not looked for.
const SHORTEST: usize = 6;

/// Runs `command` and gives what it printed, as text. `program` names it in errors.
pub(super) async fn run(
    mut command: Command,
    program: &str,
    limit: Duration,
    most: usize,
) -> Result<Zeroizing<String>> {
    let failed = |kind, message: String| {
        Error::new(kind, "run a command for secrets", format!("`{program}` {message}"))
            .without_effect()
    };
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true);
    let mut child = command.spawn().map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => failed(ErrorKind::NotFound, "does not exist".to_owned())
            .with_advice("install it, or look whether PATH leads to it")
            .with_source(error),
        io::ErrorKind::PermissionDenied => {
            failed(ErrorKind::Denied, "may not be run".to_owned()).with_source(error)
        }
        _ => failed(ErrorKind::Unexpected, "does not start".to_owned()).with_source(error),
    })?;
    let group = Group::of(&child);
    let (mut out, mut err) = (Output::with_room(most), Tail::default());
    let ended = timeout(limit, follow(&mut child, &group, &mut out, &mut err)).await;
    drop(group);
    let status = match ended {
        Err(_) => {
            let message = format!("did not end within {} s and was killed", limit.as_secs_f64());
            let error = failed(ErrorKind::Timeout, message).retryable();
            return Err(with_tail(error, &out, &err)
                .with_advice("give it more time, or look whether it asks for something"));
        }
        Ok(Err(Broken::TooMuch)) => {
            return Err(failed(ErrorKind::Invalid, format!("prints more than {most} bytes")));
        }
        Ok(Err(Broken::Io(error))) => {
            return Err(failed(ErrorKind::Io, "cannot be read from".to_owned()).with_source(error));
        }
        Ok(Ok(status)) => status,
    };
    if !status.success() {
        let error = failed(ErrorKind::Unavailable, how(status));
        return Err(with_tail(error, &out, &err));
    }
    // Not the source: it shows the bytes.
    let text = std::str::from_utf8(&out.bytes)
        .map_err(|_| failed(ErrorKind::Invalid, "prints something that is not UTF-8".to_owned()))?;
    Ok(Zeroizing::new(text.to_owned()))
}

fn how(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("failed with exit code {code}"),
        (None, Some(signal)) => format!("was ended by signal {signal}"),
        (None, None) => "ended in an unknown way".to_owned(),
    }
}

/// Adds what the program said last; nothing of what it printed is in it.
fn with_tail(error: Error, out: &Output, err: &Tail) -> Error {
    let text = err.text(&out.bytes);
    if text.is_empty() { error } else { error.with_source(text) }
}

/// A process group that is killed when it is dropped.
struct Group(Option<Pid>);

impl Group {
    fn of(child: &Child) -> Self {
        Self(child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?)))
    }

    /// While anything of the group runs, its number is given to nothing else.
    fn kill(&self) {
        if let Some(group) = self.0 {
            // It may be gone already.
            let _gone = rustix::process::kill_process_group(group, Signal::KILL);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}

enum Broken {
    TooMuch,
    Io(io::Error),
}

/// Reads until the program and its output have ended.
async fn follow(
    child: &mut Child,
    group: &Group,
    out: &mut Output,
    err: &mut Tail,
) -> Result<ExitStatus, Broken> {
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let reading = async {
        let (out, err) = tokio::join!(out.read(stdout), err.read(stderr));
        out.and(err)
    };
    tokio::pin!(reading);
    tokio::select! {
        biased;
        read = &mut reading => {
            read?;
            child.wait().await.map_err(Broken::Io)
        }
        status = child.wait() => {
            let status = status.map_err(Broken::Io)?;
            // What it left in the background would hold the pipes open.
            group.kill();
            if let Ok(read) = timeout(DRAIN, reading).await {
                read?;
            }
            Ok(status)
        }
    }
}

/// What is printed, up to a bound.
struct Output {
    bytes: Zeroizing<Vec<u8>>,
    most: usize,
}

impl Output {
    fn with_room(most: usize) -> Self {
        Self { bytes: Zeroizing::new(Vec::new()), most }
    }

    async fn read(&mut self, pipe: Option<impl AsyncRead + Unpin>) -> Result<(), Broken> {
        let Some(mut pipe) = pipe else { return Ok(()) };
        let mut piece = Zeroizing::new([0_u8; 4096]);
        loop {
            let length = pipe.read(&mut piece[..]).await.map_err(Broken::Io)?;
            if length == 0 {
                return Ok(());
            }
            if self.bytes.len() + length > self.most {
                return Err(Broken::TooMuch);
            }
            self.add(&piece[..length]);
        }
    }

    /// A buffer that grows leaves no copy behind.
    fn add(&mut self, piece: &[u8]) {
        let needed = self.bytes.len() + piece.len();
        if needed > self.bytes.capacity() {
            let mut larger = Zeroizing::new(Vec::with_capacity(needed.max(2 * self.bytes.len())));
            larger.extend_from_slice(&self.bytes);
            self.bytes = larger;
        }
        self.bytes.extend_from_slice(piece);
    }
}

/// The end of what is written to standard error, however much that is.
#[derive(Default)]
struct Tail {
    bytes: Zeroizing<Vec<u8>>,
    is_cut: bool,
}

impl Tail {
    async fn read(&mut self, pipe: Option<impl AsyncRead + Unpin>) -> Result<(), Broken> {
        let Some(mut pipe) = pipe else { return Ok(()) };
        let mut piece = Zeroizing::new([0_u8; 4096]);
        if self.bytes.capacity() == 0 {
            self.bytes.reserve_exact(2 * KEPT);
        }
        loop {
            let length = pipe.read(&mut piece[..]).await.map_err(Broken::Io)?;
            if length == 0 {
                return Ok(());
            }
            if self.bytes.len() + length > 2 * KEPT {
                let old = self.bytes.len() - KEPT;
                self.bytes.drain(..old);
                self.is_cut = true;
            }
            self.bytes.extend_from_slice(&piece[..length]);
        }
    }

    /// The last lines, without anything of what was `printed`.
    fn text(&self, printed: &[u8]) -> String {
        let text = Zeroizing::new(String::from_utf8_lossy(&self.bytes).into_owned());
        // The first line may begin within a value.
        let whole =
            if self.is_cut { text.split_once('\n').map_or("", |(_, rest)| rest) } else { &text };
        if printed.len() > LOOKED_FOR && !whole.trim().is_empty() {
            return "what it says is not shown: it may repeat some of the much that it printed"
                .to_owned();
        }
        let printed = Zeroizing::new(String::from_utf8_lossy(printed).into_owned());
        let short = printed.split_whitespace().filter(|word| word.len() < SHORTEST);
        if short.into_iter().any(|word| has_word(whole, word)) {
            return "what it says is not shown: it repeats what it printed".to_owned();
        }
        let clean = redactor(&printed).text(whole);
        let lines: Vec<_> = clean.lines().filter(|line| !line.trim().is_empty()).collect();
        let last = lines[lines.len().saturating_sub(SHOWN.0)..].join("\n");
        let mut from = last.len().saturating_sub(SHOWN.1);
        while !last.is_char_boundary(from) {
            from += 1;
        }
        let plain = |c: char| if c.is_control() && c != '\n' { '\u{fffd}' } else { c };
        last[from..].trim().chars().map(plain).collect()
    }
}

/// Whether `text` has `word`, and not as a part of another one.
fn has_word(text: &str, word: &str) -> bool {
    let is_letter = |c: char| c.is_alphanumeric();
    text.match_indices(word).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let after = text[at + word.len()..].chars().next();
        !before.is_some_and(is_letter) && !after.is_some_and(is_letter)
    })
}

/// Looks for all that was printed: as a whole, its lines, and what may be values in them.
fn redactor(printed: &str) -> Redactor {
    let delimiter = |c: char| c.is_whitespace() || "\"'`=,:{}[]".contains(c);
    let assigned = printed.lines().filter_map(|line| line.split_once(['=', ':']));
    let assigned = assigned.map(|(_, value)| value.trim_matches(delimiter));
    let words = printed.split(delimiter);
    let texts = std::iter::once(printed).chain(assigned).chain(words);
    let named = texts.enumerate().filter_map(|(at, text)| {
        Some((SecretName::new(format!("PRINTED_{at}")).ok()?, Secret::new(text)))
    });
    Redactor::new(&named.collect::<Secrets>())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tail(err: &[u8], printed: &str) -> String {
        Tail { bytes: Zeroizing::new(err.to_vec()), is_cut: false }.text(printed.as_bytes())
    }

    #[test]
    fn what_was_printed_is_not_in_the_tail() {
        let json = "{\n  \"KEY\": \"hunter2-a b\"\n}\n";
        assert_eq!(tail(b"no such item", "hunter2"), "no such item");
        assert_eq!(tail(b"got hunter2\nfailed", "hunter2\n"), "got ***\nfailed");
        assert_eq!(tail(b"bad: hunter2-a b!", json), "bad: ***!");
        assert_eq!(tail(b"bad: hunter2x", "KEY='hunter2x' # old\n"), "bad: ***");
        assert!(tail(b"pin 123 is wrong", "123\n").contains("not shown"));
        assert_eq!(tail(b"error 1234", "123\n"), "error 1234");
        assert_eq!(tail(b"\x1b[31mred\xff", ""), "\u{fffd}[31mred\u{fffd}");
    }

    #[test]
    fn a_long_tail_is_cut_after_it_was_cleaned() {
        let mut err = vec![b'x'; SHOWN.1 - 3];
        err.splice(0..0, *b"hunter2-hunter2");
        let shown = tail(&err, "hunter2-hunter2");
        assert_eq!(shown.len(), SHOWN.1);
        assert!(shown.starts_with("***x"), "{shown}");
        let cut = Tail { bytes: Zeroizing::new(b"ter2\nlast".to_vec()), is_cut: true };
        assert_eq!(cut.text(b"hunter2"), "last");
        let many = (0..100).map(|line| line.to_string()).collect::<Vec<_>>().join("\n");
        assert_eq!(tail(many.as_bytes(), ""), "95\n96\n97\n98\n99");
        let much = "hunter2 ".repeat(LOOKED_FOR / 8 + 1);
        assert!(tail(b"hunter2", &much).contains("not shown"));
        assert_eq!(tail(b" \n", &much), "");
    }
}
