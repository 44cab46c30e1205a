//! Warnings of libraries and of parts that know no listener → notices, so that they stand in the daemon's log like all others.

use std::collections::HashMap;
use std::fmt::{Debug, Write as _};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::{Context, Layer};

use super::notice::{Listener, Notice};

/// How long the same text is not told again.
const AGAIN: Duration = Duration::from_secs(3600);

/// Takes what is traced. What comes before it is connected waits.
#[derive(Clone, Default)]
pub struct Traced(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    listener: Option<Arc<dyn Listener>>,
    waiting: Vec<String>,
    /// The texts of the last while, each with when it was told.
    told: HashMap<String, Instant>,
}

impl Traced {
    /// Tells a listener from now on.
    pub fn connect(&self, listener: &Arc<dyn Listener>) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.listener = Some(Arc::clone(listener));
        let waiting = std::mem::take(&mut state.waiting);
        drop(state);
        waiting.into_iter().for_each(|message| listener.tell(&Notice::Warned { message }));
    }

    fn tell(&self, message: String, now: Instant) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.told.retain(|_, at| now.duration_since(*at) < AGAIN);
        if state.told.contains_key(&message) {
            return;
        }
        state.told.insert(message.clone(), now);
        match state.listener.clone() {
            None => state.waiting.push(message),
            Some(listener) => {
                drop(state);
                listener.tell(&Notice::Warned { message });
            }
        }
    }
}

impl<S: Subscriber> Layer<S> for Traced {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut text = Text::default();
        event.record(&mut text);
        let fields = if text.fields.is_empty() { String::new() } else { format!(" ({})", text.fields) };
        self.tell(text.message + &fields, Instant::now());
    }
}

/// What an event says: its message, and its fields as `name value`.
#[derive(Default)]
struct Text {
    message: String,
    fields: String,
}

impl Visit for Text {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        // Writing to a String cannot fail.
        let _ = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            name => {
                let comma = if self.fields.is_empty() { "" } else { ", " };
                write!(self.fields, "{comma}{name} {value:?}")
            }
        };
    }
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    #[derive(Default)]
    struct Heard(Mutex<Vec<String>>);

    impl Listener for Heard {
        fn tell(&self, notice: &Notice) {
            self.0.lock().unwrap().push(format!("{notice:?}"));
        }
    }

    #[test]
    fn a_warning_is_a_notice_even_before_anybody_listens_and_each_text_is_told_once_an_hour() {
        let (traced, heard) = (Traced::default(), Arc::new(Heard::default()));
        tracing::subscriber::with_default(tracing_subscriber::registry().with(traced.clone()), || {
            tracing::warn!(file = %"/a", "everybody may read it");
            traced.connect(&(Arc::clone(&heard) as Arc<dyn Listener>));
            for status in [401, 401, 403] {
                tracing::warn!("no token (HTTP status {status})");
            }
        });
        let told = |message: &str| format!("{:?}", Notice::Warned { message: message.to_owned() });
        let begun = ["everybody may read it (file /a)", "no token (HTTP status 401)", "no token (HTTP status 403)"];
        assert_eq!(*heard.0.lock().unwrap(), begun.map(told));
        let now = Instant::now();
        for (later, count) in [(AGAIN / 2, 3), (AGAIN + Duration::from_secs(1), 4), (AGAIN * 3 / 2, 4)] {
            traced.tell("no token (HTTP status 403)".to_owned(), now + later);
            assert_eq!(heard.0.lock().unwrap().len(), count, "after {later:?}");
        }
    }
}
