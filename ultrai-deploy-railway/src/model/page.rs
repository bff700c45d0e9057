//! Lists that come in pages.

use serde::{Deserialize, Deserializer};

use super::open::or_default;

/// One page of a list.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", bound = "T: Deserialize<'de>")]
pub(crate) struct Page<T> {
    #[serde(default = "Vec::new", rename = "edges", deserialize_with = "nodes")]
    pub(crate) nodes: Vec<T>,
    #[serde(default, deserialize_with = "or_default")]
    pub(crate) page_info: PageInfo,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PageInfo {
    #[serde(default, deserialize_with = "or_default")]
    pub(crate) has_next_page: bool,
    pub(crate) end_cursor: Option<String>,
}

/// What one may not see is null, and left out.
fn nodes<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Vec<T>, D::Error> {
    #[derive(Deserialize)]
    #[serde(bound = "T: Deserialize<'de>")]
    struct Edge<T> {
        #[serde(default = "Option::default")]
        node: Option<T>,
    }
    let edges = Option::<Vec<Option<Edge<T>>>>::deserialize(deserializer)?;
    Ok(edges.into_iter().flatten().flatten().filter_map(|edge| edge.node).collect())
}
