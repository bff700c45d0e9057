//! Networks of a service.

use indexmap::IndexMap;

use super::{
    field::{Field, Result},
    model::Attachment,
};

/// Reads `networks:` of a service; the highest priority comes first.
pub(super) fn read(field: &Field<'_>) -> Result<IndexMap<String, Attachment>> {
    let mut networks: IndexMap<String, Attachment> = IndexMap::new();
    if !field.is_mapping() {
        for item in field.items()? {
            if networks.insert(item.text()?, Attachment::default()).is_some() {
                return Err(item.problem("it is in the list twice; remove one of them"));
            }
        }
        return Ok(networks);
    }
    for entry in field.pairs()? {
        let mut attachment = Attachment::default();
        for pair in entry.value.pairs_or_null()? {
            let value = &pair.value;
            match pair.key {
                "aliases" => attachment.aliases = value.texts()?,
                "ipv4_address" => attachment.ipv4_address = value.set_text()?,
                "ipv6_address" => attachment.ipv6_address = value.set_text()?,
                "link_local_ips" => attachment.link_local_ips = value.texts()?,
                "mac_address" => attachment.mac_address = value.set_text()?,
                "priority" => attachment.priority = Some(value.integer()?),
                "gw_priority" => attachment.gw_priority = Some(value.integer()?),
                "driver_opts" => attachment.driver_opts = value.options()?,
                "interface_name" => {
                    return Err(pair.unsupported("remove it: engines before API 1.49 lack it"));
                }
                _ if pair.is_extension() => {}
                _ => {
                    return Err(pair.unknown(&[
                        "aliases",
                        "ipv4_address",
                        "ipv6_address",
                        "link_local_ips",
                        "mac_address",
                        "priority",
                        "gw_priority",
                        "driver_opts",
                    ]));
                }
            }
        }
        networks.insert(entry.key.to_owned(), attachment);
    }
    networks.sort_by(|left_key, left, right_key, right| {
        let (left, right) = (left.priority.unwrap_or(0), right.priority.unwrap_or(0));
        right.cmp(&left).then_with(|| left_key.cmp(right_key))
    });
    Ok(networks)
}
