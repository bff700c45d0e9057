//! What is packed comes out again.

use std::{
    collections::BTreeMap,
    fs,
    io::Cursor,
    os::unix::fs::{MetadataExt, PermissionsExt, symlink},
    path::Path,
};

use proptest::{collection, prelude::*, sample};
use tokio::io::AsyncReadExt;
use ultrai_deploy_archive::{Limits, pack, unpack};

use super::{open, screened};

#[derive(Clone, Debug)]
enum Node {
    File(Vec<u8>, u32),
    Link(String),
    Directory(BTreeMap<String, Node>, u32),
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z.]{1,3}\\.[ -.0-~]{1,8}",
        "ä{1,5}x",
        collection::vec("n", 1..200).prop_map(|many| many.concat()),
    ]
}

fn node() -> impl Strategy<Value = Node> {
    let modes = sample::select(vec![0o644, 0o600, 0o755, 0o400, 0o777, 0o1777]);
    let sizes = prop_oneof![Just(0), 1_usize..2000, Just(512), Just(600_001)];
    let file = (sizes, any::<u8>(), modes.clone()).prop_map(|(size, seed, mode)| {
        let content =
            (0..=255_u8).cycle().map(|at| at.wrapping_mul(31).wrapping_add(seed)).take(size);
        Node::File(content.collect(), mode & 0o777)
    });
    let link = sample::select(vec!["x", "./y/z", "a/b c"]);
    let leaf = prop_oneof![4 => file, 1 => link.prop_map(|to| Node::Link(to.to_owned()))];
    leaf.prop_recursive(4, 40, 6, move |inner| {
        let directory = sample::select(vec![0o755, 0o700, 0o555, 0o1777]);
        (collection::btree_map(name(), inner, 0..6), directory)
            .prop_map(|(nodes, mode)| Node::Directory(nodes, mode))
    })
}

fn build(path: &Path, node: &Node) {
    match node {
        Node::File(content, mode) => {
            fs::write(path, content).unwrap();
            fs::set_permissions(path, fs::Permissions::from_mode(*mode)).unwrap();
        }
        Node::Link(to) => symlink(to, path).unwrap(),
        Node::Directory(nodes, mode) => {
            fs::create_dir(path).unwrap();
            for (name, node) in nodes {
                build(&path.join(name), node);
            }
            fs::set_permissions(path, fs::Permissions::from_mode(*mode)).unwrap();
        }
    }
}

/// Everything there is to know of a tree: kind, mode, time, content or target, by name.
fn describe(root: &Path) -> BTreeMap<String, (u32, i64, Vec<u8>)> {
    let mut all = BTreeMap::new();
    let mut left = vec![root.to_owned()];
    while let Some(path) = left.pop() {
        let found = fs::symlink_metadata(&path).unwrap();
        let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
        let told = if found.is_symlink() {
            // A link's own time and mode mean nothing.
            let to = fs::read_link(&path).unwrap();
            (0, 0, to.into_os_string().into_encoded_bytes())
        } else if found.is_dir() {
            left.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            (found.mode(), found.mtime(), Vec::new())
        } else {
            (found.mode(), found.mtime(), fs::read(&path).unwrap())
        };
        all.insert(name, told);
    }
    all
}

async fn round(node: &Node) {
    let base = tempfile::tempdir().unwrap();
    let (from, to) = (base.path().join("from"), base.path().join("to"));
    build(&from, &Node::Directory(BTreeMap::from([("tree".to_owned(), node.clone())]), 0o750));
    fs::create_dir(&to).unwrap();
    let mut archive = Vec::new();
    pack(open(&from), Limits::default()).read_to_end(&mut archive).await.unwrap();
    assert_eq!(screened(&archive, Limits::default()).await.unwrap(), archive);
    unpack(Cursor::new(&archive), &open(&to), Limits::default()).await.unwrap();
    assert_eq!(describe(&to), describe(&from));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn packed_and_unpacked_it_is_the_same(node in node()) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(round(&node));
    }
}

#[tokio::test]
async fn what_could_not_come_back_is_not_kept() {
    let base = tempfile::tempdir().unwrap();
    symlink("/etc", base.path().join("out")).unwrap();
    let error =
        pack(open(base.path()), Limits::default()).read_to_end(&mut Vec::new()).await.unwrap_err();
    assert!(error.to_string().contains("`out`: it links to the absolute `/etc`"), "{error}");
}

#[tokio::test]
async fn sockets_are_left_out() {
    let base = tempfile::tempdir().unwrap();
    let _listener = std::os::unix::net::UnixListener::bind(base.path().join("socket")).unwrap();
    fs::write(base.path().join("file"), "x").unwrap();
    let mut archive = Vec::new();
    pack(open(base.path()), Limits::default()).read_to_end(&mut archive).await.unwrap();
    let mut archive = tar::Archive::new(archive.as_slice());
    let names: Vec<_> = archive
        .entries()
        .unwrap()
        .map(|entry| entry.unwrap().path().unwrap().into_owned())
        .collect();
    assert_eq!(names, [Path::new("./"), Path::new("file")]);
}
