//! Trees and contents for the tests of bundles.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use longshore_core::bundle::{PackFile, PackOptions, Packed, pack};

pub(crate) const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// Text that deflate makes smaller, the same on every run.
pub(crate) fn text(length: usize) -> Vec<u8> {
    let mut state = 7_u32;
    let mut bytes = Vec::with_capacity(length + 16);
    while bytes.len() < length {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        bytes.extend_from_slice(format!("word{} ", state >> 22).as_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// Bytes that deflate cannot make smaller, the same on every run.
pub(crate) fn noise(length: usize) -> Vec<u8> {
    let mut state = 88_172_645_463_325_252_u64;
    let mut byte = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    (0..length).map(|_| byte()).collect()
}

pub(crate) fn file(root: &Path, path: &str, mode: u32, bytes: &[u8]) -> PackFile {
    let from = root.join(path);
    fs::create_dir_all(from.parent().unwrap()).unwrap();
    fs::write(&from, bytes).unwrap();
    fs::set_permissions(&from, fs::Permissions::from_mode(mode)).unwrap();
    PackFile { path: path.parse().unwrap(), from }
}

pub(crate) fn link(root: &Path, path: &str, target: &str) -> PackFile {
    let from = root.join(path);
    fs::create_dir_all(from.parent().unwrap()).unwrap();
    symlink(target, &from).unwrap();
    PackFile { path: path.parse().unwrap(), from }
}

pub(crate) fn options(threads: usize) -> PackOptions {
    PackOptions {
        application: "shop".parse().unwrap(),
        commit: COMMIT.parse().unwrap(),
        dirty: false,
        time: 1_795_228_867,
        images: Vec::new(),
        threads,
    }
}

pub(crate) fn pack_to(files: Vec<PackFile>, to: &Path) -> Packed {
    pack(files, &options(2), to, &|_| {}).unwrap()
}

/// Every kind of entry that the format treats in its own way. `loose` modes carry no more meaning than `strict` ones.
pub(crate) fn every_kind(root: &Path, strict: bool) -> Vec<PackFile> {
    let (plain, executable) = if strict { (0o600, 0o700) } else { (0o664, 0o775) };
    let half = [text(900_000), noise(900_000)].concat();
    vec![
        file(root, "appspec.yml", plain, "version: 0.0\nos: linux\n".repeat(9).as_bytes()),
        file(root, "scripts/start.sh", executable, b"#!/bin/sh\nexec true\n"),
        file(root, "scripts.d/x", plain, b"sorts after scripts/ by bytes? no: before"),
        file(root, "empty", plain, b""),
        file(root, "größe/日本.txt", plain, "a name beyond ASCII; ".repeat(9).as_bytes()),
        file(root, "data/small.noise", plain, &noise(3000)),
        file(root, "data/probe.noise", plain, &noise(70_000)),
        file(root, "data/one-block.txt", plain, &text(1 << 20)),
        file(root, "data/blocks.txt", plain, &text((3 << 20) + 12_345)),
        file(root, "data/blocks.noise", plain, &noise((2 << 20) + 1)),
        file(root, "data/blocks.mixed", executable, &half),
        link(root, "current", "data/one-block.txt"),
        link(root, "scripts/up", "../appspec.yml"),
    ]
}
