//! The bytes of a configuration file, bounded, and at a reload without waiting for anybody.

use std::fs::{self, File};
use std::io::{Error, ErrorKind, Read, Result};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Far more than anybody writes; a device may have no end.
const MAX_BYTES: u64 = 16 << 20;

/// Reads a file: any that can be read at the start (`--config <(...)` is a pipe), and a regular one `again`. A pipe
/// would be empty then, which reads as "all defaults", or its writer might never come, and main hear no signal.
pub(super) fn read(path: &Path, again: bool) -> Result<Vec<u8>> {
    let file = if again { open_regular(path)? } else { File::open(path)? };
    let mut bytes = Vec::new();
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_BYTES {
        let message = format!("it has more than {} MiB; is it the configuration?", MAX_BYTES >> 20);
        return Err(Error::new(ErrorKind::FileTooLarge, message));
    }
    Ok(bytes)
}

fn open_regular(path: &Path) -> Result<File> {
    // So that a pipe without a writer is opened at once. Reading a regular file is the same with it.
    let file = fs::OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
    if !file.metadata()?.is_file() {
        let message = "not a regular file, and only such a one can be read again; a restart reads it anew";
        return Err(Error::new(ErrorKind::InvalidInput, message));
    }
    Ok(file)
}
