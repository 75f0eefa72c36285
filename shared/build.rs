//! Compiles the protocol files without protoc, and keeps their descriptors
//! (with comments) for reflection, documents and documentation.

use std::error::Error;
use std::path::{Path, PathBuf};

use prost::Message;

fn main() -> Result<(), Box<dyn Error>> {
    let root = Path::new("../proto");
    let mut files: Vec<PathBuf> = std::fs::read_dir(root.join("evenkeel/v1"))?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()?;
    files.retain(|file| file.extension().is_some_and(|kind| kind == "proto"));
    files.sort();

    let mut compiler = protox::Compiler::new([root])?;
    compiler.include_source_info(true).include_imports(true);
    compiler.open_files(&files)?;
    let descriptors = compiler.file_descriptor_set();

    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    std::fs::write(out.join("descriptors.bin"), descriptors.encode_to_vec())?;
    tonic_prost_build::configure()
        .btree_map(".")
        // Holds private keys; `proto` has one that does not show them.
        .skip_debug(["evenkeel.v1.DataSource"])
        .compile_fds(descriptors)?;
    println!("cargo::rerun-if-changed=../proto");
    Ok(())
}
