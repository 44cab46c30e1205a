//! A log file of the AWS agent 1.8.1: its line, a new file each day, the last seven kept.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use jiff::Zoned;
use jiff::civil::Date;

/// How many files of earlier days are kept.
const KEPT: usize = 7;

/// The log file. Losing it loses nothing else.
pub(super) struct Rolled {
    folder: PathBuf,
    program: String,
    state: Mutex<State>,
}

struct State {
    file: File,
    /// The day of its lines, local time.
    day: Date,
}

impl Rolled {
    /// Opens `<folder>/<program>.log` for appending; the folder is made when it is missing.
    pub(super) fn open(folder: &Path, program: &str) -> io::Result<Rolled> {
        fs::create_dir_all(folder)?;
        let path = folder.join(format!("{program}.log"));
        let file = File::options().append(true).create(true).open(&path)?;
        // A file of an earlier day is put away by the first line.
        let written = jiff::Timestamp::try_from(file.metadata()?.modified()?).map_err(io::Error::other)?;
        let day = written.to_zoned(jiff::tz::TimeZone::system()).date();
        let state = Mutex::new(State { file, day });
        Ok(Rolled { folder: folder.to_owned(), program: program.to_owned(), state })
    }

    /// One line.
    pub(super) fn write(&self, now: &Zoned, level: &str, text: &str) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if now.date() != state.day {
            // A full disk, or a folder that is gone, is the log's loss.
            let _ = self.roll(&mut state, now.date());
        }
        let line = format!("{} {level} [{}({})]: {text}\n", super::stamp(now), self.program, std::process::id());
        let _ = state.file.write_all(line.as_bytes());
    }

    /// Puts the file away under its day, and removes the oldest.
    fn roll(&self, state: &mut State, today: Date) -> io::Result<()> {
        let path = self.folder.join(format!("{}.log", self.program));
        if state.file.metadata()?.len() > 0 {
            let kept = self.folder.join(format!("{}.{}.log", self.program, state.day.strftime("%Y%m%d")));
            fs::rename(&path, kept)?;
            state.file = File::options().append(true).create(true).open(&path)?;
        }
        state.day = today;
        let mut old: Vec<PathBuf> = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            let name = entry.file_name();
            let day = name
                .to_str()
                .and_then(|name| name.strip_prefix(self.program.as_str())?.strip_prefix('.')?.strip_suffix(".log"));
            if day.is_some_and(|day| day.len() == 8 && day.bytes().all(|byte| byte.is_ascii_digit())) {
                old.push(entry.path());
            }
        }
        old.sort();
        let too_many = old.len().saturating_sub(KEPT);
        old[..too_many].iter().try_for_each(fs::remove_file)
    }
}
