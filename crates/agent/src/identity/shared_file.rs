//! The credentials file of the AWS CLI, as far as a session's credentials stand in it: its `[default]` profile. Pure.

use longshore_core::store::Keys;

/// The keys of the default profile, or what is wrong with the file. Nothing of its contents is shown.
pub(super) fn parse(text: &str) -> Result<Keys, String> {
    let (mut inside, mut seen) = (false, false);
    let (mut id, mut secret, mut token) = (None, None, None);
    for line in text.lines().map(str::trim) {
        if let Some(section) = line.strip_prefix('[') {
            let name = section.split(']').next().unwrap_or_default().trim();
            inside = name == "default" || name == "profile default";
            seen |= inside;
            continue;
        }
        if !inside || line.starts_with(['#', ';']) {
            continue;
        }
        let Some((key, value)) = line.split_once('=') else { continue };
        let value = Some(value.trim().to_owned()).filter(|value| !value.is_empty());
        match key.trim() {
            "aws_access_key_id" => id = value,
            "aws_secret_access_key" => secret = value,
            "aws_session_token" | "aws_security_token" => token = value,
            _ => {}
        }
    }
    match (id, secret) {
        (Some(access_key_id), Some(secret_access_key)) => {
            Ok(Keys { access_key_id, secret_access_key, session_token: token })
        }
        (None, _) if !seen => Err("has no profile `[default]`".to_owned()),
        (None, _) => Err("has no `aws_access_key_id` in its profile `[default]`".to_owned()),
        (Some(_), None) => Err("has no `aws_secret_access_key` in its profile `[default]`".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_profile_is_read_and_what_is_missing_is_named() {
        let keys = "# a comment\n[other]\naws_access_key_id = no\n\n[default]\nregion = eu-central-1\n\
                    aws_access_key_id = ASIA\naws_secret_access_key=a=b/c+d==\r\n  aws_session_token = token\n[last]\n\
                    aws_access_key_id = no\n";
        let keys = parse(keys).unwrap();
        assert_eq!(keys.access_key_id, "ASIA");
        assert_eq!(keys.secret_access_key, "a=b/c+d==");
        assert_eq!(keys.session_token.as_deref(), Some("token"));
        for (text, expected) in [
            ("", "has no profile `[default]`"),
            ("[other]\naws_access_key_id = x\n", "has no profile `[default]`"),
            ("[default]\naws_secret_access_key = x\n", "has no `aws_access_key_id` in its profile `[default]`"),
            ("[default]\naws_access_key_id = x\n", "has no `aws_secret_access_key` in its profile `[default]`"),
            (
                "[default]\naws_access_key_id = x\naws_secret_access_key =\n",
                "has no `aws_secret_access_key` in its profile `[default]`",
            ),
        ] {
            assert_eq!(parse(text).unwrap_err(), expected, "{text}");
        }
    }
}
