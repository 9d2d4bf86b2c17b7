//! Which changes of the desired properties an application is given, and when the twin has to be read for it.
//!
//! No clock and no IO: the owner does what [`poll`](Tracker::poll) says, and reports what came of it.

use super::document::{DesiredChange, Properties};
use serde_json::{Map, Value};
use std::collections::VecDeque;

/// Notifications that are kept while the twin is being read; beyond it the twin is read once more.
const MAX_HELD: usize = 64;

/// A change as the hub notifies of it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Notification {
    pub(super) values: Map<String, Value>,
    /// `None` if the hub did not say.
    pub(super) version: Option<i64>,
}

/// What is to be done next.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Step {
    /// Ask the hub for notifications.
    Subscribe,
    /// Read the twin.
    Read,
    /// Give this to the application.
    Deliver(DesiredChange),
    /// Wait for a notification.
    Wait,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Unsubscribed,
    Reading,
    Following,
}

/// Follows the versions of the desired properties.
#[derive(Clone, Debug)]
pub(super) struct Tracker {
    phase: Phase,
    /// The version of what the application was given last.
    seen: Option<i64>,
    /// Notifications that came before the twin was read.
    held: VecDeque<Notification>,
    ready: VecDeque<DesiredChange>,
    /// Whether a notification was lost while the twin was being read.
    missed: bool,
}

impl Tracker {
    /// For an application that has seen this version.
    pub(super) fn new(seen: Option<i64>) -> Self {
        Self { phase: Phase::Unsubscribed, seen, held: VecDeque::new(), ready: VecDeque::new(), missed: false }
    }

    /// The version of what the application was given last.
    pub(super) fn seen(&self) -> Option<i64> {
        // What waits to be delivered was not given yet.
        self.seen
    }

    /// Whether something is to be delivered.
    pub(super) fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    pub(super) fn poll(&mut self) -> Step {
        if let Some(change) = self.ready.pop_front() {
            self.seen = Some(change.version());
            return Step::Deliver(change);
        }
        match self.phase {
            Phase::Unsubscribed => Step::Subscribe,
            Phase::Reading => Step::Read,
            Phase::Following => Step::Wait,
        }
    }

    /// The hub will notify from now on: what was changed before it is to be read.
    pub(super) fn handle_subscribed(&mut self) {
        if self.phase == Phase::Unsubscribed {
            self.phase = Phase::Reading;
        }
    }

    /// The twin was read.
    pub(super) fn handle_read(&mut self, desired: Properties) {
        self.phase = if std::mem::take(&mut self.missed) { Phase::Reading } else { Phase::Following };
        self.ready.clear();
        let read = desired.version();
        // An older version is that of a device that was deleted and created again.
        if self.seen != Some(read) {
            self.ready.push_back(DesiredChange::All(desired));
        }
        for notification in std::mem::take(&mut self.held) {
            if notification.version.is_none_or(|version| version > read) {
                self.handle_notification(notification);
            }
        }
    }

    pub(super) fn handle_notification(&mut self, notification: Notification) {
        if self.phase != Phase::Following {
            return self.hold(notification);
        }
        let last = self.ready.back().map(DesiredChange::version).or(self.seen);
        match (notification.version, last) {
            (Some(version), Some(last)) if version <= last => {}
            (Some(version), Some(last)) if version == last + 1 => {
                self.ready.push_back(DesiredChange::patch(notification.values, version));
            }
            // One is missing, or the hub has not said which one this is.
            (Some(_), _) => {
                self.phase = Phase::Reading;
                self.hold(notification);
            }
            (None, _) => self.phase = Phase::Reading,
        }
    }

    fn hold(&mut self, notification: Notification) {
        if notification.version.is_none() || self.held.len() >= MAX_HELD {
            self.missed = true;
        } else {
            self.held.push_back(notification);
        }
    }

    /// Notifications were lost.
    pub(super) fn handle_missed(&mut self) {
        match self.phase {
            Phase::Following => self.phase = Phase::Reading,
            Phase::Reading => self.missed = true,
            // The twin is read afterwards in any case.
            Phase::Unsubscribed => {}
        }
    }

    /// The links are other ones now: the hub has to be asked again for notifications.
    pub(super) fn handle_reconnected(&mut self) {
        self.phase = Phase::Unsubscribed;
        self.held.clear();
        self.missed = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn properties(version: i64) -> Properties {
        let text = json!({"desired": {"at": version, "$version": version}}).to_string();
        super::super::document::DeviceTwin::parse(text.as_bytes()).expect("a twin").desired
    }

    fn notification(version: impl Into<Option<i64>>) -> Notification {
        let version = version.into();
        let values = Map::from_iter([("at".to_owned(), json!(version))]);
        Notification { values, version }
    }

    fn all(version: i64) -> Step {
        Step::Deliver(DesiredChange::All(properties(version)))
    }

    fn patch(version: i64) -> Step {
        Step::Deliver(DesiredChange::Patch(properties(version)))
    }

    /// One that has read this version, and given it to the application.
    fn following(version: i64) -> Tracker {
        let mut tracker = Tracker::new(None);
        assert_eq!(tracker.poll(), Step::Subscribe);
        tracker.handle_subscribed();
        assert_eq!(tracker.poll(), Step::Read);
        tracker.handle_read(properties(version));
        assert_eq!(tracker.poll(), all(version));
        assert_eq!(tracker.poll(), Step::Wait);
        tracker
    }

    #[test]
    fn it_subscribes_before_it_reads_and_reads_before_it_delivers() {
        let tracker = following(5);
        assert_eq!(tracker.seen(), Some(5));
    }

    #[test]
    fn changes_in_sequence_are_patches() {
        let mut tracker = following(5);
        tracker.handle_notification(notification(6));
        tracker.handle_notification(notification(7));
        assert_eq!((tracker.poll(), tracker.poll(), tracker.poll()), (patch(6), patch(7), Step::Wait));
    }

    #[test]
    fn what_is_not_newer_than_what_was_read_is_dropped() {
        let mut tracker = following(5);
        tracker.handle_notification(notification(4));
        tracker.handle_notification(notification(5));
        assert_eq!(tracker.poll(), Step::Wait);
    }

    #[test]
    fn notifications_that_overtake_the_read_are_held_and_only_newer_ones_delivered() {
        let mut tracker = Tracker::new(None);
        tracker.handle_subscribed();
        for version in [3, 4, 5] {
            tracker.handle_notification(notification(version));
        }
        assert_eq!(tracker.poll(), Step::Read, "nothing is delivered before the read");
        tracker.handle_read(properties(4));
        assert_eq!((tracker.poll(), tracker.poll(), tracker.poll()), (all(4), patch(5), Step::Wait));
    }

    #[test]
    fn a_gap_is_closed_by_reading_the_twin() {
        let mut tracker = following(5);
        tracker.handle_notification(notification(8));
        assert_eq!(tracker.poll(), Step::Read);
        tracker.handle_notification(notification(9));
        tracker.handle_read(properties(8));
        assert_eq!((tracker.poll(), tracker.poll(), tracker.poll()), (all(8), patch(9), Step::Wait));
    }

    #[test]
    fn a_read_that_is_behind_a_notification_is_repeated() {
        let mut tracker = following(5);
        tracker.handle_notification(notification(8));
        tracker.handle_read(properties(6));
        assert_eq!((tracker.poll(), tracker.poll()), (all(6), Step::Read));
        tracker.handle_read(properties(8));
        assert_eq!((tracker.poll(), tracker.poll()), (all(8), Step::Wait));
    }

    #[test]
    fn a_notification_without_a_version_is_answered_by_reading() {
        let mut tracker = following(5);
        tracker.handle_notification(notification(None));
        assert_eq!(tracker.poll(), Step::Read);
        // One more while the twin is being read: that read may be older.
        tracker.handle_notification(notification(None));
        tracker.handle_read(properties(6));
        assert_eq!((tracker.poll(), tracker.poll()), (all(6), Step::Read));
        tracker.handle_read(properties(6));
        assert_eq!(tracker.poll(), Step::Wait);
    }

    #[test]
    fn lost_notifications_are_made_up_for() {
        let mut tracker = following(5);
        tracker.handle_missed();
        assert_eq!(tracker.poll(), Step::Read);
        tracker.handle_read(properties(9));
        assert_eq!((tracker.poll(), tracker.poll()), (all(9), Step::Wait));
    }

    #[test]
    fn what_is_held_is_bounded() {
        let mut tracker = Tracker::new(None);
        tracker.handle_subscribed();
        for version in 2..=(i64::try_from(MAX_HELD).expect("small") + 10) {
            tracker.handle_notification(notification(version));
        }
        assert_eq!(tracker.held.len(), MAX_HELD);
        tracker.handle_read(properties(1));
        assert_eq!(tracker.poll(), all(1));
        // What was not kept is read.
        let last = std::iter::from_fn(|| match tracker.poll() {
            Step::Deliver(change) => Some(change.version()),
            step => {
                assert_eq!(step, Step::Read);
                None
            }
        });
        assert_eq!(last.last(), None, "held ones wait for the second read");
        tracker.handle_read(properties(74));
        assert_eq!((tracker.poll(), tracker.poll()), (all(74), Step::Wait));
    }

    #[test]
    fn after_a_reconnection_it_subscribes_first_and_then_reads() {
        let mut tracker = following(5);
        tracker.handle_notification(notification(6));
        tracker.handle_reconnected();
        assert_eq!(tracker.poll(), patch(6), "what had come is delivered");
        assert_eq!(tracker.poll(), Step::Subscribe);
        tracker.handle_subscribed();
        tracker.handle_notification(notification(6));
        assert_eq!(tracker.poll(), Step::Read);
        tracker.handle_read(properties(6));
        assert_eq!(tracker.poll(), Step::Wait, "nothing has changed meanwhile");
        tracker.handle_notification(notification(6));
        assert_eq!(tracker.poll(), Step::Wait);
        tracker.handle_notification(notification(7));
        assert_eq!(tracker.poll(), patch(7));
    }

    #[test]
    fn what_changed_while_there_was_no_connection_is_delivered_as_a_whole() {
        let mut tracker = following(5);
        tracker.handle_reconnected();
        tracker.handle_subscribed();
        tracker.handle_read(properties(8));
        assert_eq!((tracker.poll(), tracker.poll()), (all(8), Step::Wait));
    }

    #[test]
    fn an_application_that_knows_the_version_is_not_given_it_again() {
        let mut tracker = Tracker::new(Some(5));
        tracker.handle_subscribed();
        tracker.handle_read(properties(5));
        assert_eq!(tracker.poll(), Step::Wait);
    }

    #[test]
    fn a_device_that_was_created_again_begins_again() {
        let mut tracker = following(5);
        tracker.handle_reconnected();
        tracker.handle_subscribed();
        tracker.handle_read(properties(1));
        assert_eq!((tracker.poll(), tracker.seen()), (all(1), Some(1)));
        tracker.handle_notification(notification(2));
        assert_eq!(tracker.poll(), patch(2));
    }
}
