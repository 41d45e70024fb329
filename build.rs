//! Generates the parser of the language from `src/lang.lalrpop` (feature `server` only), and the
//! types of messages from `proto/`.
//!
//! Both generators are written in Rust: a build needs cargo and a linker, but no `protoc`.

use protobuf_codegen::Customize;

fn main() {
    println!("cargo::rerun-if-changed=src/lang.lalrpop");
    println!("cargo::rerun-if-changed=proto");
    #[cfg(feature = "server")]
    lalrpop::Configuration::new()
        .use_cargo_dir_conventions()
        .process()
        .expect("src/lang.lalrpop is a valid grammar");
    protobuf_codegen::Codegen::new()
        .pure()
        .includes(["proto"])
        .inputs(["proto/hello.proto", "proto/client.proto", "proto/peer.proto"])
        .customize(Customize::default().tokio_bytes(true))
        .cargo_out_dir("proto")
        .run_from_script();
}
