//! Published and exposed ports.

use super::{
    field::{Field, Result},
    model::Port,
};

/// Most ports that a range may stand for, and a service may have.
const MOST_PORTS: u16 = 4096;

/// Reads `ports:`; ranges become one entry a port.
pub(super) fn read(field: &Field<'_>) -> Result<Vec<Port>> {
    let mut ports = Vec::new();
    for item in field.items()? {
        let read = if item.is_scalar() { short(&item)? } else { long(&item)? };
        if read.iter().any(|port| port.target == 0) {
            return Err(item.problem("the port in the container must not be 0"));
        }
        for port in read {
            if !ports.contains(&port) {
                ports.push(port);
            }
        }
        check_count(&item, ports.len())?;
    }
    Ok(ports)
}

/// Reads `expose:`.
pub(super) fn exposed(field: &Field<'_>) -> Result<Vec<String>> {
    let mut exposed = Vec::new();
    for item in field.items()? {
        let text = item.scalar()?;
        let (ports, protocol) = with_protocol(&item, &text)?;
        let (first, last) = range(&item, ports)?;
        for port in first..=last {
            exposed.push(match protocol {
                "tcp" => port.to_string(),
                other => format!("{port}/{other}"),
            });
        }
        check_count(&item, exposed.len())?;
    }
    Ok(exposed)
}

fn check_count(item: &Field<'_>, count: usize) -> Result<()> {
    if count > usize::from(MOST_PORTS) {
        return Err(item.problem(format!("the service has more than {MOST_PORTS} ports")));
    }
    Ok(())
}

/// `[[address:]host:]container[/protocol]`.
fn short(field: &Field<'_>) -> Result<Vec<Port>> {
    let text = field.scalar()?;
    let (rest, protocol) = with_protocol(field, &text)?;
    let (rest, target) = match rest.rsplit_once(':') {
        Some((rest, target)) => (Some(rest), target),
        None => (None, rest),
    };
    let (host_ip, published) = match rest {
        None => (None, None),
        Some(rest) => {
            let (address, published) = match rest.rsplit_once(':') {
                Some((address, published)) => (Some(address), published),
                None => (None, rest),
            };
            let address = address.filter(|address| !address.is_empty()).map(|address| {
                let inner = address.strip_prefix('[').and_then(|a| a.strip_suffix(']'));
                inner.unwrap_or(address).to_owned()
            });
            if let Some(address) = &address
                && address.parse::<std::net::IpAddr>().is_err()
            {
                return Err(field.problem(format!(
                    "`{address}` in `{text}` is no address; write for example 127.0.0.1:8080:80"
                )));
            }
            (address, Some(published).filter(|published| !published.is_empty()))
        }
    };
    let (first, last) = range(field, target)?;
    let host = published.map(|published| range(field, published)).transpose()?;
    let mut ports = Vec::new();
    for target in first..=last {
        let published = match host {
            None => None,
            Some((low, high)) if high - low == last - first => {
                Some((low + (target - first)).to_string())
            }
            // One container port may be published on any port of a range.
            Some((low, high)) if first == last => Some(format!("{low}-{high}")),
            Some(_) => {
                return Err(field
                    .problem(format!("the ranges in `{text}` differ in length; make them equal")));
            }
        };
        let protocol = protocol.to_owned();
        ports.push(Port { target, published, host_ip: host_ip.clone(), protocol });
    }
    Ok(ports)
}

fn long(field: &Field<'_>) -> Result<Vec<Port>> {
    let mut target = None;
    let mut port = Port { target: 0, published: None, host_ip: None, protocol: "tcp".to_owned() };
    for pair in field.pairs()? {
        let value = &pair.value;
        match pair.key {
            "target" => target = Some(value.small::<u16>()?),
            "published" => {
                let text = value.scalar()?;
                if !text.is_empty() {
                    range(value, &text)?;
                    port.published = Some(text);
                }
            }
            "host_ip" => port.host_ip = value.set_text()?,
            "protocol" => {
                value.one_of(&[("tcp", ()), ("udp", ()), ("sctp", ())])?;
                port.protocol = value.text()?;
            }
            "mode" => value.one_of(&[("host", ()), ("ingress", ())])?,
            "name" | "app_protocol" => {}
            _ if pair.is_extension() => {}
            _ => {
                return Err(pair.unknown(&[
                    "target",
                    "published",
                    "host_ip",
                    "protocol",
                    "mode",
                    "name",
                    "app_protocol",
                ]));
            }
        }
    }
    port.target = target.ok_or_else(|| field.problem("`target:` is missing"))?;
    Ok(vec![port])
}

fn with_protocol<'t>(field: &Field<'_>, text: &'t str) -> Result<(&'t str, &'static str)> {
    let Some((rest, written)) = text.split_once('/') else { return Ok((text, "tcp")) };
    ["tcp", "udp", "sctp"]
        .into_iter()
        .find(|protocol| protocol.eq_ignore_ascii_case(written))
        .map(|protocol| (rest, protocol))
        .ok_or_else(|| field.problem(format!("`{written}` is no protocol; write tcp, udp or sctp")))
}

fn range(field: &Field<'_>, text: &str) -> Result<(u16, u16)> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let parse = |part: &str| {
        part.parse::<u16>().map_err(|_| {
            field.problem(format!("`{part}` is no port; ports are numbers from 0 to 65535"))
        })
    };
    let (first, last) = (parse(first)?, parse(last)?);
    if last < first || last - first >= MOST_PORTS {
        return Err(field.problem(format!(
            "`{text}` is no range of at most {MOST_PORTS} ports; write the smaller port first"
        )));
    }
    Ok((first, last))
}
