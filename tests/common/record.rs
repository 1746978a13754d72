//! What tests have seen, for `docs/RELIABILITY.md`: a file of figures by test in `target/reliability`.

use std::path::Path;
use std::sync::Mutex;

use serde_json::Value;

static RECORD: Mutex<()> = Mutex::new(());

/// What one test has seen: nothing while it has not passed.
pub struct Record {
    file: &'static str,
    name: &'static str,
}

impl Record {
    /// Begins: what an earlier run has left under this name goes. `file` is without folder and end.
    pub fn begin(file: &'static str, name: &'static str) -> Self {
        let record = Self { file, name };
        record.write(None);
        record
    }

    /// The test has passed with these figures.
    pub fn passed(self, figures: Value) {
        self.write(Some(figures));
    }

    fn write(&self, value: Option<Value>) {
        let _one_at_a_time = RECORD.lock();
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("reliability");
        std::fs::create_dir_all(&folder).unwrap();
        let file = folder.join(format!("{}.json", self.file));
        let text = std::fs::read_to_string(&file).unwrap_or_else(|_| "{}".to_owned());
        let mut record: serde_json::Map<String, Value> = serde_json::from_str(&text).unwrap();
        match value {
            Some(value) => record.insert(self.name.to_owned(), value),
            None => record.remove(self.name),
        };
        std::fs::write(&file, serde_json::to_string_pretty(&record).unwrap() + "\n").unwrap();
    }
}
