//! `longshore inspect`.

use std::fmt::Write as _;

use longshore_core::appspec::{self, AppSpec, Hook, Parsed};
use longshore_core::bundle::{Bundle, BundlePath, Entry, EntryKind, Format, MANIFEST_PATH, ManifestImage};
use longshore_core::failure::{Exit, Failure};
use longshore_core::figures::{plural, size};
use longshore_core::problem::{Problem, SourceFile, visible};
use serde_json::{Value, json};

use crate::cli::InspectArgs;
use crate::commands::push::open_bundle;
use crate::display::Screen;
use crate::event::Event;

/// The largest appspec that is shown.
const APPSPEC_LIMIT: u64 = 1 << 20;

/// An appspec in a bundle.
struct Found {
    name: String,
    parsed: Parsed,
}

/// Shows what is in a bundle.
pub(crate) fn run(args: &InspectArgs, screen: &Screen) -> Result<(), Failure> {
    let bundle = open_bundle(&args.bundle)?;
    let found = find_appspec(&bundle)?;
    for warning in &bundle.warnings {
        screen.tell(&Event::Warned(warning.clone()));
    }
    match &found {
        Some(found) => screen.problems(&found.parsed.problems),
        None => screen.tell(&Event::Warned("there is no appspec in it, so no agent can deploy it".into())),
    }
    screen.result(&text(&bundle, found.as_ref()), &json(&bundle, found.as_ref()))
}

fn find_appspec(bundle: &Bundle) -> Result<Option<Found>, Failure> {
    for name in appspec::NAMES {
        let Ok(path) = name.parse::<BundlePath>() else { continue };
        let bytes = bundle.read(&path, APPSPEC_LIMIT).map_err(|error| Failure::new(Exit::BadBundle, error))?;
        if let Some(bytes) = bytes {
            let source = SourceFile::new(name, String::from_utf8_lossy(&bytes));
            return Ok(Some(Found { name: name.to_owned(), parsed: appspec::parse(&source) }));
        }
    }
    Ok(None)
}

fn text(bundle: &Bundle, found: Option<&Found>) -> String {
    let mut text = String::new();
    let mut row = |name: &str, value: &str| {
        let _ = writeln!(text, "{name:>11}  {}", visible(value));
    };
    row("bundle", &format!("{} ({})", bundle.path.display(), format_name(bundle.format)));
    if let Some(manifest) = &bundle.manifest {
        row("application", manifest.application.as_str());
        row("commit", &format!("{}{}", manifest.commit, if manifest.dirty { " (dirty)" } else { "" }));
        row("built by", &format!("{} {}, {}", manifest.tool.name, manifest.tool.version, manifest.tool.compressor));
    } else {
        row("manifest", "none: not built by longshore");
    }
    row("content", &format!("sha256:{}", bundle.content_digest));
    if let Some(digest) = bundle.archive_digest {
        row("archive", &format!("sha256:{digest}"));
    }
    let (files, bytes) = totals(bundle);
    row("files", &format!("{files} ({})", size(bytes)));
    if let Some(found) = found {
        let state = match &found.parsed.appspec {
            Some(_) => "valid".to_owned(),
            None => plural(found.parsed.problems.iter().filter(|problem| problem.is_error()).count(), "error"),
        };
        row("appspec", &format!("{}, {state}", found.name));
        if let Some(appspec) = &found.parsed.appspec {
            text.push_str(&appspec_text(appspec));
        }
    }
    text.push_str(&images_text(images(bundle)));
    text.push_str("\nfiles\n");
    for entry in &bundle.entries {
        let _ = writeln!(text, "  {}", visible(&entry_text(entry)));
    }
    text
}

/// Each group's services, and the image that each runs.
fn images_text(images: &[ManifestImage]) -> String {
    let mut text = String::new();
    for (index, image) in images.iter().enumerate() {
        if index == 0 {
            text.push_str("\nimages\n");
        }
        let ManifestImage { group, service, image, digest } = image;
        let digest = match digest {
            // A name that holds its digest says it once.
            Some(digest) if image.ends_with(digest.as_str()) => String::new(),
            Some(digest) => format!(" = {digest}"),
            None => String::new(),
        };
        let _ = writeln!(text, "  {}", visible(&format!("{group}: {service} {image}{digest}")));
    }
    text
}

fn appspec_text(appspec: &AppSpec) -> String {
    let mut text = String::new();
    if !appspec.files.is_empty() {
        text.push_str("\ninstalls\n");
    }
    for mapping in &appspec.files {
        let source = match &mapping.source {
            appspec::Source::Whole => "/",
            appspec::Source::Path(path) => path.as_str(),
        };
        let _ = writeln!(text, "  {} → {}", visible(source), visible(&mapping.destination));
    }
    if !appspec.hooks.is_empty() {
        text.push_str("\nhooks\n");
    }
    for (event, hooks) in &appspec.hooks {
        for hook in hooks {
            let user = who(hook).map(|who| format!(", {who}")).unwrap_or_default();
            let line = format!("{event:<18} {} ({}s{user})", hook.script, hook.timeout.as_secs());
            let _ = writeln!(text, "  {}", visible(&line));
        }
    }
    text
}

fn who(hook: &Hook) -> Option<String> {
    match (&hook.run_as, hook.sudo) {
        (Some(user), true) => Some(format!("as {user} with sudo")),
        (Some(user), false) => Some(format!("as {user}")),
        (None, true) => Some("with sudo".to_owned()),
        (None, false) => None,
    }
}

fn entry_text(entry: &Entry) -> String {
    let mode = entry.mode & 0o7777;
    match &entry.kind {
        EntryKind::File(_) => format!("{mode:04o} {:>12} {}", entry.size, entry.path),
        EntryKind::Directory => format!("{mode:04o} {:>12} {}/", "", entry.path),
        EntryKind::Link(target) => format!("link {:>12} {} → {target}", "", entry.path),
    }
}

/// Files and links, and their bytes; without the manifest, as `build` and `push` count.
fn totals(bundle: &Bundle) -> (usize, u64) {
    let files = bundle.entries.iter().filter(|entry| match entry.kind {
        EntryKind::File(_) | EntryKind::Link(_) => entry.path.as_str() != MANIFEST_PATH,
        EntryKind::Directory => false,
    });
    files.fold((0, 0), |(count, bytes), entry| (count + 1, bytes + entry.size))
}

/// What the groups run, as the manifest says.
fn images(bundle: &Bundle) -> &[ManifestImage] {
    bundle.manifest.as_ref().map_or(&[], |manifest| &manifest.images)
}

fn format_name(format: Format) -> &'static str {
    match format {
        Format::Zip => "zip",
        Format::Tar => "tar",
        Format::Tgz => "tgz",
        Format::Directory => "folder",
    }
}

fn json(bundle: &Bundle, found: Option<&Found>) -> Value {
    let (files, bytes) = totals(bundle);
    let manifest = bundle.manifest.as_ref().map(|manifest| {
        json!({
            "format": manifest.format,
            "tool": manifest.tool,
            "application": manifest.application,
            "commit": manifest.commit,
            "dirty": manifest.dirty,
            "time": manifest.time,
            "images": manifest.images,
        })
    });
    json!({
        "bundle": bundle.path,
        "format": format_name(bundle.format),
        "manifest": manifest,
        "content_digest": bundle.content_digest,
        "archive_digest": bundle.archive_digest,
        "images": images(bundle),
        "files": files,
        "bytes": bytes,
        "appspec": found.map(appspec_json),
        "entries": bundle.entries.iter().map(entry_json).collect::<Vec<_>>(),
        "warnings": bundle.warnings,
    })
}

fn appspec_json(found: &Found) -> Value {
    let problems: Vec<_> = found.parsed.problems.iter().map(Problem::to_json).collect();
    let hooks = found.parsed.appspec.as_ref().map(|appspec| {
        let hooks = appspec.hooks.iter().flat_map(|(event, hooks)| hooks.iter().map(move |hook| (event, hook)));
        hooks
            .map(|(event, hook)| {
                json!({
                    "event": event.name(),
                    "script": hook.script,
                    "timeout": hook.timeout.as_secs(),
                    "runas": hook.run_as,
                    "sudo": hook.sudo,
                })
            })
            .collect::<Vec<_>>()
    });
    json!({"name": found.name, "valid": found.parsed.appspec.is_some(), "hooks": hooks, "problems": problems})
}

fn entry_json(entry: &Entry) -> Value {
    let mode = format!("{:04o}", entry.mode & 0o7777);
    match &entry.kind {
        EntryKind::File(digest) => {
            json!({"path": entry.path, "kind": "file", "mode": mode, "size": entry.size, "sha256": digest})
        }
        EntryKind::Directory => json!({"path": entry.path, "kind": "folder", "mode": mode}),
        EntryKind::Link(target) => json!({"path": entry.path, "kind": "link", "target": target}),
    }
}
