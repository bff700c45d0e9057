//! Plain scalars that YAML 1.1 takes for a time: Compose prints them as Go prints a time.

/// What Compose makes of `text`, or nothing when it is no time.
///
/// `2001-01-01`, `2001-01-01 10:20:30`, `2001-01-01T10:20:30.5+02:00`, one or two digits for all
/// but the year.
pub(super) fn printed(text: &str) -> Option<String> {
    let (year, rest) = text.split_once('-')?;
    let (month, rest) = rest.split_once('-')?;
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let (day, time) = rest.split_at(end);
    if year.len() != 4 {
        return None;
    }
    let (year, month, day) = (digits(year, 4)?, digits(month, 2)?, digits(day, 2)?);
    if !(1..=12).contains(&month) || day < 1 || day > days(year, month) {
        return None;
    }
    let date = format!("{year:04}-{month:02}-{day:02}");
    if time.is_empty() {
        return Some(format!("{date} 00:00:00 +0000 UTC"));
    }
    let zoned = time.starts_with(['T', 't']);
    if !zoned && !time.starts_with(' ') {
        return None;
    }
    let time = &time[1..];
    let end = time.find(|c: char| !(c.is_ascii_digit() || c == ':' || c == '.'));
    let (clock, zone) = time.split_at(end.unwrap_or(time.len()));
    let clock = self::clock(clock)?;
    match (zoned, zone) {
        (false, "") | (true, "Z") => Some(format!("{date} {clock} +0000 UTC")),
        (true, zone) => {
            let offset = self::offset(zone)?;
            let name = if offset.ends_with("0000") { "UTC" } else { offset.as_str() };
            Some(format!("{date} {clock} {offset} {name}"))
        }
        _ => None,
    }
}

/// `9:5:7.50` as `09:05:07.5`.
fn clock(text: &str) -> Option<String> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let mut parts = whole.split(':');
    let (hour, minute, second) = (parts.next()?, parts.next()?, parts.next()?);
    let (hour, minute, second) = (digits(hour, 2)?, digits(minute, 2)?, digits(second, 2)?);
    if parts.next().is_some()
        || hour > 23
        || minute > 59
        || second > 59
        || !fraction.bytes().all(|byte| byte.is_ascii_digit())
        || text.ends_with('.')
    {
        return None;
    }
    let nanos: String = fraction.chars().take(9).collect();
    let nanos = nanos.trim_end_matches('0');
    let point = if nanos.is_empty() { "" } else { "." };
    Some(format!("{hour:02}:{minute:02}:{second:02}{point}{nanos}"))
}

/// `+05:30` as `+0530`.
fn offset(text: &str) -> Option<String> {
    let sign = text.chars().next().filter(|c| matches!(c, '+' | '-'))?;
    let (hours, minutes) = text[1..].split_once(':')?;
    if hours.len() != 2 || minutes.len() != 2 {
        return None;
    }
    let (hours, minutes) = (digits(hours, 2)?, digits(minutes, 2)?);
    (hours <= 24 && minutes < 60).then(|| {
        let sign = if hours + minutes == 0 { '+' } else { sign };
        format!("{sign}{hours:02}{minutes:02}")
    })
}

fn digits(text: &str, most: usize) -> Option<u16> {
    let fits = (1..=most).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    fits.then(|| text.parse().ok()).flatten()
}

fn days(year: u16, month: u16) -> u16 {
    match month {
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => {
            29
        }
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_printed_as_go_prints_them() {
        for (text, expected) in [
            ("2001-01-01", Some("2001-01-01 00:00:00 +0000 UTC")),
            ("2001-1-2", Some("2001-01-02 00:00:00 +0000 UTC")),
            ("2001-12-14t21:59:43.10-05:00", Some("2001-12-14 21:59:43.1 -0500 -0500")),
            ("2001-12-14T21:59:43Z", Some("2001-12-14 21:59:43 +0000 UTC")),
            ("2001-12-14 1:2:3", Some("2001-12-14 01:02:03 +0000 UTC")),
            ("2000-02-29", Some("2000-02-29 00:00:00 +0000 UTC")),
            ("2001-02-29", None),
            ("2001-12-14 21:59", None),
            ("2001-12-14T21:59:43", None),
            ("201-12-14", None),
            ("2001-12-14-1", None),
            ("1.2.3-4", None),
        ] {
            assert_eq!(printed(text).as_deref(), expected, "{text}");
        }
    }
}
