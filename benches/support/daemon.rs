//! A daemon process, and what it costs.

use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::wall_us;

/// A daemon process on free ports, ended when dropped.
pub struct Daemon {
    child: Child,
    pub ingest: SocketAddr,
    pub http: SocketAddr,
    dir: std::path::PathBuf,
}

impl Daemon {
    pub fn start() -> Self {
        Self::with("")
    }

    /// With this configuration; an empty one is the defaults.
    pub fn with(config: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("flumen-bench-{}-{}", std::process::id(), wall_us()));
        std::fs::create_dir_all(&dir).expect("a temporary folder");
        let addresses = dir.join("addresses");
        let file = dir.join("flumen.toml");
        std::fs::write(&file, config).expect("a configuration");
        let child = Command::new(env!("CARGO_BIN_EXE_flumen"))
            .env("FLUMEN_CONFIG", &file)
            .args([
                "serve",
                "--ingest-listen",
                "127.0.0.1:0",
                "--http-listen",
                "127.0.0.1:0",
                "--addresses-file",
            ])
            .arg(&addresses)
            .stderr(Stdio::null())
            .spawn()
            .expect("the daemon starts");
        let start = Instant::now();
        let text = loop {
            if let Ok(text) = std::fs::read_to_string(&addresses) {
                break text;
            }
            assert!(start.elapsed() < Duration::from_secs(30), "the daemon was never ready");
            std::thread::sleep(Duration::from_millis(5));
        };
        let address = |name| {
            let found = text.lines().find_map(|line| line.strip_prefix(name));
            found.and_then(|address| address.parse().ok()).expect("an address")
        };
        Self { child, ingest: address("ingest="), http: address("http="), dir }
    }

    pub fn url(&self) -> String {
        format!("ws://{}/ws/ingest", self.ingest)
    }

    /// Resident memory, bytes.
    pub fn rss_bytes(&self) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or("0");
        line.trim().trim_end_matches(" kB").parse::<f64>().unwrap_or(0.0) * 1024.0
    }

    /// CPU time so far of the threads that live, ns, from the scheduler's own account. The
    /// daemon's threads live as long as it does.
    pub fn cpu_ns(&self) -> u64 {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.child.id()));
        let tasks = tasks.into_iter().flatten().flatten();
        tasks.map(|task| sched_ns(&task.path().to_string_lossy())).sum()
    }
}

/// CPU time of one thread, `/proc/PID/task/TID`, ns; 0 where the kernel keeps no such account.
pub fn sched_ns(task: &str) -> u64 {
    let text = std::fs::read_to_string(format!("{task}/schedstat")).unwrap_or_default();
    text.split(' ').next().and_then(|ns| ns.parse().ok()).unwrap_or(0)
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
        std::fs::remove_dir_all(&self.dir).ok();
    }
}
