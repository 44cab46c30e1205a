//! How what is stored in S3 is sent and kept: options, above the environment, above `longshore.toml`. What S3 would refuse is
//! refused when the store is opened.

use longshore_core::failure::{Exit, Failure};
use longshore_core::store::{S3Options, S3Upload, Sending};

use crate::cli::UploadArgs;
use crate::settings::{PartSettings, Settings, is_of_kms};

/// Why options were refused.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
enum UploadError {
    /// No `=`.
    #[error("`--{option} {text}` has no `=`: write NAME=VALUE")]
    Pair { option: &'static str, text: String },
}

/// What holds, but for the region. `settings`: what file and environment say.
pub(crate) fn options(args: &UploadArgs, settings: &Settings) -> Result<S3Options, Failure> {
    decide(args, &settings.upload, &settings.parts).map_err(|error| Failure::new(Exit::Usage, error))
}

fn decide(args: &UploadArgs, settings: &S3Upload, parts: &PartSettings) -> Result<S3Options, UploadError> {
    let or = |flag: &Option<String>, set: &Option<String>| flag.clone().or_else(|| set.clone());
    // The key that the settings name is for what they say.
    let keyless = args.sse.as_deref().is_some_and(|encryption| !is_of_kms(encryption));
    let upload = S3Upload {
        encryption: or(&args.sse, &settings.encryption),
        kms_key: or(&args.sse_kms_key, &settings.kms_key.clone().filter(|_| !keyless)),
        storage_class: or(&args.storage_class, &settings.storage_class),
        tags: merged(&settings.tags, &pairs("tag", &args.tag)?),
        metadata: merged(&settings.metadata, &pairs("metadata", &args.metadata)?),
    };
    let default = Sending::default();
    let sending = Sending {
        part_size: args
            .part_size
            .or(parts.size.map(u64::from))
            .map_or(default.part_size, |mib| mib.saturating_mul(1 << 20)),
        parallel_parts: args
            .parallel_parts
            .or(parts.parallel.map(|count| count as usize))
            .unwrap_or(default.parallel_parts),
    };
    Ok(S3Options { upload, sending, ..S3Options::default() })
}

fn pairs(option: &'static str, texts: &[String]) -> Result<Vec<(String, String)>, UploadError> {
    let pair = |text: &String| match text.split_once('=') {
        Some((name, value)) => Ok((name.to_owned(), value.to_owned())),
        None => Err(UploadError::Pair { option, text: text.clone() }),
    };
    texts.iter().map(pair).collect()
}

/// What the settings say, unless an option says something else of the same name.
fn merged(settings: &[(String, String)], given: &[(String, String)]) -> Vec<(String, String)> {
    let kept = settings.iter().filter(|(name, _)| given.iter().all(|(other, _)| other != name));
    kept.chain(given).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn none() -> UploadArgs {
        UploadArgs {
            sse: None,
            sse_kms_key: None,
            storage_class: None,
            tag: Vec::new(),
            metadata: Vec::new(),
            part_size: None,
            parallel_parts: None,
        }
    }

    fn pair(name: &str, value: &str) -> (String, String) {
        (name.to_owned(), value.to_owned())
    }

    #[test]
    fn an_option_wins_over_the_environment_and_over_the_settings() {
        let parts = PartSettings { size: Some(16), parallel: Some(2) };
        let settings = S3Upload {
            encryption: Some("AES256".to_owned()),
            storage_class: Some("STANDARD_IA".to_owned()),
            tags: vec![pair("team", "shop"), pair("stage", "dev")],
            ..S3Upload::default()
        };
        let options = decide(&none(), &settings, &parts).unwrap();
        assert_eq!(options.upload, settings);
        assert_eq!(options.sending, Sending { part_size: 16 << 20, parallel_parts: 2 });
        let args = UploadArgs {
            sse: Some("aws:kms".to_owned()),
            tag: vec!["stage=prod".to_owned(), "equals=a=b".to_owned()],
            part_size: Some(32),
            ..none()
        };
        let options = decide(&args, &settings, &parts).unwrap();
        let tags = vec![pair("team", "shop"), pair("stage", "prod"), pair("equals", "a=b")];
        assert_eq!(options.upload, S3Upload { encryption: Some("aws:kms".to_owned()), tags, ..settings });
        assert_eq!(options.sending, Sending { part_size: 32 << 20, parallel_parts: 2 });
        let keyed =
            S3Upload { encryption: Some("aws:kms".to_owned()), kms_key: Some("k".to_owned()), ..S3Upload::default() };
        let args = UploadArgs { sse: Some("AES256".to_owned()), ..none() };
        assert_eq!(decide(&args, &keyed, &parts).unwrap().upload.kms_key, None);
        let options = decide(&none(), &S3Upload::default(), &PartSettings::default()).unwrap();
        assert_eq!((options.upload, options.sending), (S3Upload::default(), Sending::default()));
    }

    #[test]
    fn what_is_no_pair_is_refused() {
        let args = UploadArgs { metadata: vec!["build".to_owned()], ..none() };
        let refused = decide(&args, &S3Upload::default(), &PartSettings::default()).unwrap_err().to_string();
        assert_eq!(refused, "`--metadata build` has no `=`: write NAME=VALUE");
    }
}
