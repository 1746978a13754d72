//! Counters of the file of dead letters.

use std::io::ErrorKind;

use super::counters::Counter;

/// Why dead letters did not get into the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lost {
    /// More came than the file takes.
    Busy,
    /// The disk, or a quota, is full.
    DiskFull,
    /// The daemon may not write there.
    Permission,
    /// The folder is not there.
    NoFolder,
    /// Anything else.
    Other,
}

impl Lost {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 5] = [Self::Busy, Self::DiskFull, Self::Permission, Self::NoFolder, Self::Other];

    /// As metrics and the log name it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Busy => "busy",
            Self::DiskFull => "disk_full",
            Self::Permission => "permission",
            Self::NoFolder => "no_folder",
            Self::Other => "other",
        }
    }

    /// What an error of the file system is.
    pub fn by(kind: ErrorKind) -> Self {
        match kind {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => Self::DiskFull,
            ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => Self::Permission,
            ErrorKind::NotFound | ErrorKind::NotADirectory => Self::NoFolder,
            _ => Self::Other,
        }
    }
}

/// `busy` is written by the publish thread, everything else by the thread of the file.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct LetterCounters {
    /// Lines in the file, since the start.
    pub written: Counter,
    lost: [Counter; Lost::ALL.len()],
}

impl LetterCounters {
    /// Counts dead letters that are not in the file.
    pub fn lose(&self, why: Lost, letters: u64) {
        self.lost[why as usize].add(letters);
    }

    /// How many were lost, by reason.
    pub fn lost(&self) -> impl Iterator<Item = (&'static str, u64)> {
        Lost::ALL.iter().map(|why| (why.as_str(), self.lost[*why as usize].get()))
    }
}
