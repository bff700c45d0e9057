//! Which images a Dockerfile begins from.

/// The references that the builder will pull: of `FROM`, and of `COPY --from=`. One that is put
/// together from variables is left out, and so are the names of earlier stages.
pub(super) fn bases(dockerfile: &str) -> Vec<String> {
    let (mut bases, mut stages) = (Vec::new(), vec!["scratch".to_owned()]);
    for line in dockerfile.lines() {
        let mut named = None;
        let mut words = line.split_whitespace();
        let Some(instruction) = words.next().map(str::to_ascii_uppercase) else { continue };
        let base = match instruction.as_str() {
            "FROM" => {
                let mut words = words.filter(|word| !word.starts_with("--"));
                let base = words.next();
                // `FROM image AS name`
                named = words.nth(1).map(str::to_ascii_lowercase);
                base
            }
            "COPY" => words.find_map(|word| word.strip_prefix("--from=")),
            _ => None,
        };
        let is_image = |base: &&str| {
            let is_stage = stages.contains(&base.to_ascii_lowercase());
            !is_stage && !base.contains('$') && base.parse::<usize>().is_err()
        };
        bases.extend(base.filter(is_image).map(str::to_owned));
        stages.extend(named);
    }
    bases
}

#[cfg(test)]
mod tests {
    use super::bases;

    #[test]
    fn what_is_pulled_is_found() {
        let dockerfile = "# FROM comment\nARG V=1\nfrom --platform=linux/amd64 r.io/a:1 as Build\n\
            FROM redis:$V\nFROM scratch\nFROM build\nCOPY --chown=1 --from=r.io/b@sha256:0 /x /y\n\
            COPY --from=build /a /b\nCOPY --from=0 /a /b\nCOPY . .\nRUN echo FROM x\n";
        assert_eq!(bases(dockerfile), ["r.io/a:1", "r.io/b@sha256:0"]);
        assert_eq!(bases("FROM a AS a\nFROM a\n"), ["a"]);
    }
}
