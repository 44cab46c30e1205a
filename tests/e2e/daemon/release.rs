//! Releases whose scripts write down that they ran, and wait where a test wants it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use e2e::command_service::Revision;

/// The events that scripts hang on.
pub(crate) const SCRIPTED: [&str; 9] = [
    "BeforeBlockTraffic",
    "AfterBlockTraffic",
    "ApplicationStop",
    "BeforeInstall",
    "AfterInstall",
    "ApplicationStart",
    "ValidateService",
    "BeforeAllowTraffic",
    "AfterAllowTraffic",
];

/// A release: a folder with an appspec, scripts for events, and files for `www`.
#[derive(Debug, Clone)]
pub(crate) struct Release {
    /// Its name, which its scripts write down.
    pub(crate) name: &'static str,
    /// The events that it has scripts for.
    pub(crate) events: Vec<&'static str>,
    /// What the script of an event does beside writing down that it ran.
    pub(crate) also: Vec<(&'static str, &'static str)>,
    /// Seconds that each script has.
    pub(crate) timeout: u32,
    /// How many files are installed beside `version`.
    pub(crate) files: usize,
}

impl Release {
    /// A release with a script for every event.
    pub(crate) fn new(name: &'static str) -> Release {
        Release { name, events: SCRIPTED.to_vec(), also: Vec::new(), timeout: 60, files: 0 }
    }

    /// The script of this event does this, too.
    pub(crate) fn with(mut self, event: &'static str, script: &'static str) -> Release {
        self.also.push((event, script));
        self
    }

    /// Writes it into a folder of the host's, which it returns.
    pub(crate) fn write(&self, host: &Path) -> PathBuf {
        let folder = host.join("releases").join(self.name);
        fs::create_dir_all(folder.join("www")).unwrap();
        fs::write(folder.join("www/version"), format!("{}\n", self.name)).unwrap();
        for number in 0..self.files {
            fs::write(folder.join(format!("www/file-{number}")), format!("{} {number}\n", self.name)).unwrap();
        }
        let www = host.join("www");
        let mut appspec =
            format!("version: 0.0\nos: linux\nfiles:\n  - source: www\n    destination: {}\nhooks:\n", www.display());
        for event in &self.events {
            appspec += &format!("  {event}:\n    - location: {event}.sh\n      timeout: {}\n", self.timeout);
            let also: String = self.also.iter().filter(|(of, _)| of == event).map(|(_, script)| *script).collect();
            let (host, name) = (host.display(), self.name);
            let script = format!(
                "#!/bin/sh\necho \"{name} $LIFECYCLE_EVENT\" >> {host}/trace\nhost={host}\n\
                 [ -p \"$host/gate-$LIFECYCLE_EVENT\" ] && read -r _ < \"$host/gate-$LIFECYCLE_EVENT\"\n{also}\nexit 0\n"
            );
            let path = folder.join(format!("{event}.sh"));
            fs::write(&path, script).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        fs::write(folder.join("appspec.yml"), appspec).unwrap();
        folder
    }

    /// The release as a folder on the host.
    pub(crate) fn folder(&self, host: &Path) -> Revision {
        Revision::LocalDirectory(self.write(host).display().to_string())
    }

    /// The release as a zip on the host.
    pub(crate) fn zip(&self, host: &Path) -> PathBuf {
        let folder = self.write(host);
        let zip = folder.with_extension("zip");
        let made = Command::new("zip").args(["-qr"]).arg(&zip).arg(".").current_dir(&folder).output().unwrap();
        assert!(made.status.success(), "{made:?}");
        zip
    }
}
