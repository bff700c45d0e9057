//! All that a program logs, whoever logs it and however much.

use std::{
    fmt::{self, Write as _},
    sync::{Arc, Mutex, PoisonError},
};

use tracing::{
    Dispatch, Event, Metadata, Subscriber,
    field::{Field, Visit},
    instrument::WithSubscriber as _,
    span::{Attributes, Id, Record},
};

/// What `work` ends with, and every event and span of every crate on the way, at every level.
pub async fn of<T>(work: impl Future<Output = T>) -> (T, String) {
    let seen = Arc::default();
    // Of one alone only the thread that comes first to a place in the code is asked whether anybody
    // listens there, and that may be another test's.
    let both = [(); 2].map(|()| Dispatch::new(Everything(Arc::clone(&seen))));
    let ended = work.with_subscriber(both[0].clone()).await;
    drop(both);
    let seen = seen.lock().unwrap_or_else(PoisonError::into_inner).clone();
    (ended, seen)
}

struct Everything(Arc<Mutex<String>>);

impl Everything {
    fn write(&self, record: impl FnOnce(&mut Words<'_>)) {
        record(&mut Words(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner)));
    }
}

impl Subscriber for Everything {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        self.write(|words| span.record(words));
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, values: &Record<'_>) {
        self.write(|words| values.record(words));
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        self.write(|words| event.record(words));
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

struct Words<'a>(&'a mut String);

impl Visit for Words<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // A text takes in whatever it is given.
        let _ = write!(self.0, "{field}={value:?} ");
    }
}
