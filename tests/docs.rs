//! What the documents say is what the code does: the configuration table, the default file,
//! the subcommands, the metrics.

mod references;

use std::collections::BTreeSet;
use std::path::Path;

fn read(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// `UPDATE_DOCS=1 cargo test --test docs` writes the generated parts anew.
fn update() -> bool {
    std::env::var_os("UPDATE_DOCS").is_some()
}

#[test]
fn the_readme_has_the_table_of_options() {
    const OPEN: &str = "<!-- options: generated, see docs/DEVELOPING.md -->\n";
    const CLOSE: &str = "<!-- end of options -->\n";
    let table = flumen::config::options::markdown_table();
    let readme = read("README.md");
    let (before, rest) = readme.split_once(OPEN).expect("the table's beginning");
    let (found, after) = rest.split_once(CLOSE).expect("the table's end");
    if update() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
        std::fs::write(path, format!("{before}{OPEN}{table}{CLOSE}{after}")).unwrap();
    } else {
        assert_eq!(found, table, "run UPDATE_DOCS=1 cargo test --test docs");
    }
}

/// A file is the generated text, or becomes it.
fn is_generated(name: &str, text: &str) {
    if update() {
        std::fs::write(Path::new(env!("CARGO_MANIFEST_DIR")).join(name), text).unwrap();
    } else {
        assert_eq!(read(name), text, "run UPDATE_DOCS=1 cargo test --test docs");
    }
}

#[test]
fn the_default_file_is_the_generated_one() {
    is_generated("systemd/flumen.toml", &flumen::config::options::default_toml());
}

#[test]
fn the_table_of_metrics_is_the_catalog() {
    let text = format!(
        "# Metrics\n\n\
         What `/metrics` says, made from `src/telemetry/catalog/` (see DEVELOPING.md). The last column is what \
         one would\nask Prometheus. No label has a value that comes from an event. Process metrics are read from\n\
         `/proc/self` and absent where it cannot be read; the watermark is absent before the first event.\n\n\
         {}\n\
         Alert rules, recording rules and a Grafana dashboard that use them are in [monitoring/](monitoring/).\n",
        flumen::telemetry::catalog::markdown_table()
    );
    is_generated("docs/METRICS.md", &text);
}

#[test]
fn the_readme_names_every_subcommand_and_the_architecture_every_room() {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_flumen")).arg("--help").output().unwrap();
    let help = String::from_utf8(output.stdout).unwrap();
    let readme = read("README.md");
    let commands = help.lines().skip_while(|l| *l != "Commands:").skip(1).take_while(|l| !l.is_empty());
    let mut n = 0;
    for line in commands {
        let name = line.split_whitespace().next().unwrap();
        assert!(name == "help" || readme.contains(&format!("`flumen {name}")), "README names flumen {name}");
        n += 1;
    }
    assert!(n >= 7, "{help}");
    let architecture = read("docs/ARCHITECTURE.md");
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for entry in std::fs::read_dir(src).unwrap() {
        let name = entry.unwrap().file_name().to_string_lossy().into_owned();
        assert!(architecture.contains(&format!("`{name}")), "docs/ARCHITECTURE.md names src/{name}");
    }
}

/// Both ways: every path and method that is answered is described, and the other way round. HEAD goes
/// with GET; `/ws/ingest` is the other port's.
#[test]
fn the_openapi_document_lists_the_paths_the_api_answers() {
    let document: serde_json::Value = serde_json::from_str(&read("static/openapi.json")).unwrap();
    let mut described = BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        let methods = item.as_object().unwrap().keys().map(|key| key.to_uppercase());
        let methods = methods.filter(|key| ["GET", "POST", "PUT", "DELETE", "PATCH"].contains(&&**key));
        described.extend(methods.map(|method| format!("{method} {path}")));
    }
    let mut answered = BTreeSet::from([String::from("GET /ws/ingest")]);
    for (path, _, methods) in flumen::stages::http::routes::ROUTES {
        let methods = methods.split(", ").filter(|method| *method != "HEAD");
        answered.extend(methods.map(|method| format!("{method} {path}")));
    }
    assert_eq!(described, answered);
    assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
}

/// What a reader copies out of the documents is a good configuration.
#[test]
fn configurations_in_the_documents_are_good() {
    let mut found = 0;
    for name in ["README.md", "docs/WINDOWS.md"] {
        let text = read(name);
        for block in text.split("```toml\n").skip(1) {
            let block = block.split("```").next().unwrap();
            let file = std::env::temp_dir().join(format!("flumen-docs-{}-{found}.toml", std::process::id()));
            std::fs::write(&file, block).unwrap();
            let loaded =
                flumen::config::load(&flumen::config::Sources { file: Some(&file), ..Default::default() });
            std::fs::remove_file(&file).unwrap();
            assert!(loaded.is_ok(), "{name}: {}\n{block}", loaded.unwrap_err());
            found += 1;
        }
    }
    assert!(found >= 2, "{found} configurations");
}
