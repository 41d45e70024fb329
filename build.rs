//! Generates the parser from `src/lang.lalrpop`, for nodes, and the wire types from `proto/`.
//!
//! Both generators are plain Rust: nothing but cargo and a linker is needed, no `protoc`.

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
