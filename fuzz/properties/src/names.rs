//! Names, ids and URLs: what is accepted is safe, and its text form means the same.

use std::fmt::{Debug, Display};
use std::path::{Component, Path};
use std::str::FromStr;

use longshore_core::bundle::BundlePath;
use longshore_core::ids::{ApplicationName, CommitHash, DeploymentId, GroupId, GroupName};
use longshore_core::lifecycle::LifecycleEvent;
use longshore_core::store::{ObjectUrl, StoreUrl};

/// The first line is read as each of them, the second as the key of an object.
pub fn names(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    let (text, key) = text.split_once('\n').unwrap_or((text, "shop/1.zip"));

    let parts = [
        same::<ApplicationName>(text).map(String::from),
        same::<GroupName>(text).map(String::from),
        same::<GroupId>(text).map(String::from),
        same::<DeploymentId>(text).map(String::from),
        same::<CommitHash>(text).map(String::from),
    ];
    for part in parts.iter().flatten() {
        let parts: Vec<Component<'_>> = Path::new(&part).components().collect();
        assert!(matches!(parts[..], [Component::Normal(name)] if name == part.as_str()), "{part:?} is no file name");
    }
    same::<LifecycleEvent>(text);

    for path in [same::<BundlePath>(text), BundlePath::normalized(text).ok()].into_iter().flatten() {
        let inside = Path::new(path.as_str()).components().all(|part| matches!(part, Component::Normal(_)));
        assert!(inside, "{path:?} can leave its folder");
        assert_eq!(path.parts().collect::<Vec<_>>().join("/").parse(), Ok(path.clone()));
        match path.parent() {
            Some(parent) => assert_eq!(path.below(&parent), Some(path.file_name())),
            None => assert_eq!(path.as_str(), path.file_name()),
        }
        assert_eq!(BundlePath::normalized(&format!("/{path}/")), Ok(path));
    }

    let store = same::<StoreUrl>(text);
    if let Some(store) = &store
        && !key.is_empty()
        && !key.contains(['?', '\0', '\n'])
    {
        let object = store.object(key);
        if let Ok(again) = object.to_string().parse::<ObjectUrl>() {
            assert_eq!(again, object, "{object}");
        }
    }
    parts.iter().any(Option::is_some) || store.is_some() | same::<ObjectUrl>(text).is_some()
}

/// A value whose text form reads back as the same value.
fn same<T>(text: &str) -> Option<T>
where
    T: FromStr<Err: Display> + Display + Debug + PartialEq,
{
    let value = match text.parse::<T>() {
        Ok(value) => value,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return None;
        }
    };
    match value.to_string().parse::<T>() {
        Ok(again) => assert_eq!(again, value),
        Err(error) => panic!("{value:?} is written as a text that is refused: {error}"),
    }
    Some(value)
}
