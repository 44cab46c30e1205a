//! A pointer as an order. Pure.

use longshore_core::appspec::FileExists;
use longshore_core::ids::GroupId;
use longshore_core::lifecycle::{LifecycleEvent, ScriptsMap};
use longshore_core::pointer::{self, Pointer};
use longshore_core::store::ObjectUrl;

use crate::deployment::order::{Cause, Group, Order, Pace, Revision, StopFrom};
use crate::settings::Follow;

/// The order that a pointer amounts to on this host: exactly the object that it names, with exactly those contents.
pub(super) fn of(follow: &Follow, pointer: &Pointer) -> Order {
    let object = ObjectUrl {
        version: pointer.revision.version.clone(),
        etag: Some(pointer.revision.etag.clone()),
        ..follow.store.object(&pointer.revision.key)
    };
    Order {
        deployment: pointer.deployment.clone(),
        number: 0,
        application: follow.application.clone(),
        group: Group { id: GroupId::of(&follow.application, &follow.group), name: follow.group.clone() },
        revision: Revision::Object(object.to_string()),
        events: LifecycleEvent::ALL.to_vec(),
        skip: pointer.skip.clone(),
        stop_from: match pointer.stop_from {
            None | Some(pointer::StopFrom::Installed) => StopFrom::Installed,
            Some(pointer::StopFrom::New) => StopFrom::New,
        },
        file_exists: FileExists::Disallow,
        cause: Cause::Asked,
        scripts_map: ScriptsMap::InPlace,
        content_digest: Some(pointer.revision.content_digest),
        appspec_name: None,
        policy: follow.policy.clone(),
        pace: Pace::AtOnce,
        reuse: None,
        possible_events: None,
        blue_green: false,
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::time::Duration;

    use longshore_core::pointer::PointedRevision;

    use super::super::decide::tests::pointer;
    use super::*;

    /// Group `dev` of `shop`, followed in a store.
    pub(in super::super) fn follow(store: &str) -> Follow {
        Follow {
            store: store.parse().unwrap(),
            application: "shop".parse().unwrap(),
            group: "dev".parse().unwrap(),
            poll: Duration::from_secs(20),
            fast_poll: Duration::from_secs(2),
            heartbeat: Duration::from_secs(300),
            host: "web-1".to_owned(),
            policy: crate::deployment::order::Policy::default(),
        }
    }

    #[test]
    fn what_the_pointer_says_of_stopping_holds_for_the_order() {
        let skip = vec![LifecycleEvent::ApplicationStop];
        for (said, ordered) in [
            (None, StopFrom::Installed),
            (Some(pointer::StopFrom::Installed), StopFrom::Installed),
            (Some(pointer::StopFrom::New), StopFrom::New),
        ] {
            let pointer = Pointer { skip: skip.clone(), stop_from: said, ..pointer(7) };
            let order = of(&follow("file:///srv/store"), &pointer);
            assert_eq!((order.skip, order.stop_from), (skip.clone(), ordered));
        }
    }

    #[test]
    fn the_very_object_that_the_pointer_names_is_ordered() {
        let version = Some("v1".to_owned());
        let versioned = Pointer { revision: PointedRevision { version, ..pointer(7).revision }, ..pointer(7) };
        for (store, pointer, revision) in [
            ("s3://bucket/releases", &versioned, "s3://bucket/releases/shop/1.zip?versionId=v1&etag=e"),
            ("file:///srv/store", &pointer(7), "file:///srv/store/shop/1.zip?etag=e"),
        ] {
            let order = of(&follow(store), pointer);
            assert_eq!(order.revision, Revision::Object(revision.to_owned()));
            assert!(revision.parse::<ObjectUrl>().is_ok(), "it can be fetched");
            assert_eq!((order.deployment, order.group.id.as_str()), (pointer.deployment.clone(), "shop~dev"));
            assert_eq!(order.content_digest, Some(pointer.revision.content_digest));
        }
    }
}
