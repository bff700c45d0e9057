//! One pattern of an ignore file: Go's `filepath.Match` with `**`.

/// A compiled pattern; matches whole paths that are relative to the context, `/` between names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pattern {
    tokens: Vec<Token>,
    names: Vec<Vec<Token>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    /// This character.
    Literal(char),
    /// `?`: one character other than `/`.
    One,
    /// `*`: any number of characters other than `/`.
    Many,
    /// `[…]`: one character of a set; as in Go, `/` is not excepted.
    Class { negated: bool, ranges: Vec<(char, char)> },
    /// `**` before something: nothing, or anything that ends with `/`.
    Directories,
    /// `**` at the end: anything.
    Anything,
}

impl Pattern {
    /// Compiles a cleaned pattern, or says why Go's `filepath.Match` would refuse it.
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        let tokens = tokens(text)?;
        Ok(Self::from_tokens(tokens))
    }

    /// A pattern that matches exactly `path`.
    pub(super) fn literal(path: &str) -> Self {
        Self::from_tokens(path.chars().map(Token::Literal).collect())
    }

    fn from_tokens(tokens: Vec<Token>) -> Self {
        let names =
            tokens.split(|token| *token == Token::Literal('/')).map(<[Token]>::to_vec).collect();
        Self { tokens, names }
    }

    /// Whether it matches the whole of `path`.
    pub(super) fn matches(&self, path: &[char]) -> bool {
        matches(&self.tokens, path)
    }

    /// Whether it may match something below the directory `path`. Errs on the side of yes.
    pub(super) fn may_match_below(&self, path: &[char]) -> bool {
        let mut names = self.names.iter();
        for directory in path.split(|c| *c == '/') {
            match names.next() {
                None => return false,
                Some(name) if name.iter().any(Token::crosses_directories) => return true,
                Some(name) if !matches(name, directory) => return false,
                Some(_) => {}
            }
        }
        names.next().is_some()
    }
}

impl Token {
    fn crosses_directories(&self) -> bool {
        match self {
            Self::Directories | Self::Anything => true,
            Self::Class { .. } => self.accepts('/'),
            Self::Literal(_) | Self::One | Self::Many => false,
        }
    }

    /// Whether it takes `c`, for tokens that take exactly one character.
    fn accepts(&self, c: char) -> bool {
        match self {
            Self::Literal(literal) => *literal == c,
            Self::One => c != '/',
            Self::Class { negated, ranges } => {
                ranges.iter().any(|(low, high)| (*low..=*high).contains(&c)) != *negated
            }
            Self::Many | Self::Directories | Self::Anything => false,
        }
    }
}

/// Carries the set of positions in `path` that each token can end at: linear in both lengths,
/// however many stars there are.
fn matches(tokens: &[Token], path: &[char]) -> bool {
    let mut reached = vec![false; path.len() + 1];
    reached[0] = true;
    for token in tokens {
        let mut next = vec![false; path.len() + 1];
        let mut any_before = false;
        for position in 0..=path.len() {
            let last = position.checked_sub(1).map(|before| (before, path[before]));
            next[position] = match token {
                Token::Many => {
                    reached[position] || last.is_some_and(|(before, c)| c != '/' && next[before])
                }
                Token::Directories => {
                    reached[position] || last.is_some_and(|(_, c)| c == '/' && any_before)
                }
                Token::Anything => reached[position] || any_before,
                one => last.is_some_and(|(before, c)| reached[before] && one.accepts(c)),
            };
            any_before |= reached[position];
        }
        reached = next;
    }
    reached[path.len()]
}

fn tokens(text: &str) -> Result<Vec<Token>, &'static str> {
    let mut tokens = Vec::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        tokens.push(match c {
            '*' if chars.next_if_eq(&'*').is_some() => {
                let slash = chars.next_if_eq(&'/').is_some();
                let rest: String = chars.clone().collect();
                // `**name` at the very beginning matches by suffix, but only when nothing else in
                // it is special: that is how Docker does it.
                let by_suffix =
                    tokens.is_empty() && !slash && !rest.contains(['*', '?', '[', '\\']);
                if rest.is_empty() || by_suffix { Token::Anything } else { Token::Directories }
            }
            '*' => Token::Many,
            '?' => Token::One,
            '\\' => Token::Literal(chars.next().ok_or("it ends with `\\`")?),
            '[' => class(&mut chars)?,
            c => Token::Literal(c),
        });
    }
    Ok(tokens)
}

fn class(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Result<Token, &'static str> {
    let negated = chars.next_if_eq(&'^').is_some();
    let mut ranges = Vec::new();
    loop {
        if !ranges.is_empty() && chars.next_if_eq(&']').is_some() {
            return Ok(Token::Class { negated, ranges });
        }
        let low = member(chars)?;
        let high = if chars.next_if_eq(&'-').is_some() { member(chars)? } else { low };
        if high < low {
            return Err("a range in `[…]` runs backwards");
        }
        ranges.push((low, high));
    }
}

fn member(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Result<char, &'static str> {
    match chars.next() {
        None => Err("a `[` is not closed"),
        Some('\\') => chars.next().ok_or("it ends with `\\`"),
        Some('-' | ']') => Err("`-` and `]` in `[…]` need a `\\` before them"),
        Some(c) => Ok(c),
    }
}
