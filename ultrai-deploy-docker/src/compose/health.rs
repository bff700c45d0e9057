//! The health check of a service.

use super::{
    field::{Field, Result},
    model::{HealthCheck, HealthTest},
};

/// Reads `healthcheck:`.
pub(super) fn read(field: &Field<'_>) -> Result<HealthCheck> {
    let mut check = HealthCheck {
        test: HealthTest::Inherit,
        interval: None,
        timeout: None,
        retries: None,
        start_period: None,
        start_interval: None,
    };
    let mut disabled = false;
    for pair in field.pairs()? {
        let value = &pair.value;
        match pair.key {
            "test" => check.test = test(value)?,
            "interval" => check.interval = Some(value.duration()?),
            "timeout" => check.timeout = Some(value.duration()?),
            "retries" => check.retries = Some(value.small()?),
            "start_period" => check.start_period = Some(value.duration()?),
            "start_interval" => check.start_interval = Some(value.duration()?),
            "disable" => disabled = value.flag()?,
            _ if pair.is_extension() => {}
            _ => {
                return Err(pair.unknown(&[
                    "test",
                    "interval",
                    "timeout",
                    "retries",
                    "start_period",
                    "start_interval",
                    "disable",
                ]));
            }
        }
    }
    if disabled {
        check.test = HealthTest::None;
    }
    if check.start_interval.is_some() && check.start_period.is_none() {
        return Err(field.problem("`start_interval` needs `start_period`"));
    }
    Ok(check)
}

fn test(field: &Field<'_>) -> Result<HealthTest> {
    if field.is_scalar() {
        return Ok(HealthTest::Shell(field.text()?));
    }
    let mut words = field.texts()?;
    if words.is_empty() {
        return Ok(HealthTest::Inherit);
    }
    match words.remove(0).as_str() {
        "NONE" => Ok(HealthTest::None),
        "CMD" if words.is_empty() => Err(field.problem("a command must follow CMD")),
        "CMD" => Ok(HealthTest::Command(words)),
        "CMD-SHELL" if words.len() == 1 => Ok(HealthTest::Shell(words.remove(0))),
        "CMD-SHELL" => Err(field.problem("one line for the shell must follow CMD-SHELL")),
        other => Err(field.problem(format!(
            "the list begins with `{other}`; it must begin with CMD, CMD-SHELL or NONE"
        ))),
    }
}
