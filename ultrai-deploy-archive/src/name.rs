//! Names and targets of links. Pure.

use crate::limits::{COMPONENT, NAME};

/// A name that stays inside, without what means nothing in it; empty for the root.
pub(crate) fn clean(name: &[u8]) -> Result<Vec<u8>, String> {
    check(name)?;
    if name.starts_with(b"/") {
        return Err("its name is absolute".to_owned());
    }
    let mut parts = Vec::new();
    for part in name.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => return Err("its name leads out by `..`".to_owned()),
            part => parts.push(part),
        }
    }
    Ok(parts.join(&b'/'))
}

/// Checks that a symbolic link at `path` leads to something inside.
///
/// A `..` may only come first: after a name it means another place when that name is a link itself.
pub(crate) fn check_target(path: &[u8], target: &[u8]) -> Result<(), String> {
    check(target)?;
    if target.is_empty() {
        return Err("it links to nothing".to_owned());
    }
    if target.starts_with(b"/") {
        return Err(format!("it links to the absolute `{}`", crate::failure::quote(target)));
    }
    let mut above = parents(path).count();
    let mut has_descended = false;
    for part in target.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." if has_descended || above == 0 => {
                let target = crate::failure::quote(target);
                return Err(format!("its link to `{target}` leads out, or could"));
            }
            b".." => above -= 1,
            _ => has_descended = true,
        }
    }
    Ok(())
}

/// The directories above a clean name, without the root.
pub(crate) fn parents(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    let slashes = path.iter().enumerate().filter(|(_, byte)| **byte == b'/');
    slashes.map(|(at, _)| &path[..at])
}

fn check(name: &[u8]) -> Result<(), String> {
    if name.len() > NAME {
        return Err(format!("a name of {} bytes is too long", name.len()));
    }
    if name.contains(&0) {
        return Err("a name holds a NUL".to_owned());
    }
    if name.split(|byte| *byte == b'/').any(|part| part.len() > COMPONENT) {
        return Err(format!("a part of its name is longer than {COMPONENT} bytes"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_stay_inside() {
        for (name, cleaned) in
            [("./", ""), ("a", "a"), ("./a//b/./c/", "a/b/c"), ("..a/b..", "..a/b..")]
        {
            assert_eq!(clean(name.as_bytes()).unwrap(), cleaned.as_bytes(), "{name}");
        }
        for name in ["/", "/a", "..", "a/..", "a/../b", "../a", "a\0b"] {
            assert!(clean(name.as_bytes()).is_err(), "{name}");
        }
        assert!(clean(&[b'a'; 256]).is_err());
        assert!(clean("a/".repeat(2100).as_bytes()).is_err());
    }

    #[test]
    fn targets_that_stay_inside() {
        for (path, target) in [("l", "x"), ("a/l", "../x"), ("a/b/l", "../../x/y"), ("l", ".")] {
            check_target(path.as_bytes(), target.as_bytes()).unwrap();
        }
        for (path, target) in [
            ("l", ".."),
            ("l", "/x"),
            ("a/l", "../../x"),
            ("l", "a/../b"),
            ("l", "a/../../b"),
            ("l", ""),
        ] {
            assert!(check_target(path.as_bytes(), target.as_bytes()).is_err(), "{path} {target}");
        }
    }
}
