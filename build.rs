//! Notes the compiler's version for `flumen_build_info`; nothing else happens at build time.

use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc).arg("--version").output();
    let said = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    // Not FLUMEN_...: cargo hands it on to what it runs, and the daemon refuses variables it does not know.
    // "rustc 1.88.0 (6b00bc388 2025-06-23)"
    let version = said.split_whitespace().nth(1).unwrap_or("unknown");
    println!("cargo::rustc-env=BUILT_WITH_RUSTC={version}");
}
