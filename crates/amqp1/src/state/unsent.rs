//! Messages that wait to leave a link, and those that are lost before any of them has left.

use crate::{
    state::{
        aside::Aside,
        ids::{LinkKey, Mark},
        shared::State,
    },
    types::error::Error,
};
use amqp1_engine::{ApiMisuse, Event, LinkId};

impl State {
    /// Counts for an observer that a message is lost of which nothing has left.
    pub(crate) fn log_unsent(&mut self, link: LinkId) {
        if let Some(log) = &mut self.unsent_log {
            log.add(link, 1);
        }
    }

    /// Follows links for an observer.
    pub(crate) fn log_link(&mut self, event: &Event) {
        if let Some(log) = &mut self.unsent_log {
            log.follow(&mut self.engine, event);
        }
    }

    /// Notes that a message is lost of which nothing has left.
    #[cold]
    pub(crate) fn note_unsent(&mut self, id: Option<LinkKey>) {
        self.unsent = self.unsent.saturating_add(1);
        if let Some(link) = id.and_then(|id| self.links.get_mut(&id)) {
            link.unsent = link.unsent.saturating_add(1);
        }
    }

    /// Counts a delivery that was queued on a link.
    pub(crate) fn count_queued(&mut self, id: LinkKey) {
        if let Some(link) = self.links.get_mut(&id) {
            link.queued = link.queued.saturating_add(1);
        }
    }

    /// Gives up a delivery that has not left completely.
    pub(crate) fn abort_delivery(&mut self, id: LinkKey, token: u64) -> Result<(), ApiMisuse> {
        let mut sender = self.engine.sender(id)?;
        let before = sender.waiting();
        sender.abort(token)?;
        let removed = sender.waiting() < before;
        if let Some(link) = self.links.get_mut(&id).filter(|_| removed) {
            link.removed = link.removed.saturating_add(1);
        }
        Ok(())
    }

    /// The end of a link's queue. A delivery that is still written piece by piece stands behind it.
    pub(crate) fn mark(&mut self, id: LinkKey) -> Mark {
        let is_open = self.engine.sender(id).is_ok_and(|sender| sender.is_last_open());
        let (queued, removed) = self.links.get(&id).map_or((0, 0), |link| (link.queued, link.removed));
        Mark { id, queued: queued.saturating_sub(u64::from(is_open)), removed }
    }

    /// How many deliveries of a link wait to leave, or are lost without any of them having left.
    pub(crate) fn unsent(&mut self, id: LinkKey) -> u64 {
        let mark = self.mark(id);
        self.unsent_before(mark)
    }

    /// As [`unsent`](Self::unsent), before a mark.
    pub(crate) fn unsent_before(&mut self, mark: Mark) -> u64 {
        self.waiting_before(mark).saturating_add(self.lost_before(mark))
    }

    /// How many deliveries were queued behind a mark and not taken out again. What is written piece by piece is the last
    /// of the queue, so that it stands behind each mark if it is taken out.
    fn queued_behind(&self, mark: Mark) -> u64 {
        let Some(link) = self.links.get(&mark.id) else { return 0 };
        let removed = link.removed.saturating_sub(mark.removed);
        link.queued.saturating_sub(mark.queued).saturating_sub(removed)
    }

    /// How many deliveries before a mark have not left completely.
    pub(crate) fn waiting_before(&mut self, mark: Mark) -> u64 {
        let waiting = self.engine.sender(mark.id).map_or(0, |sender| sender.waiting());
        u64::try_from(waiting).unwrap_or(u64::MAX).saturating_sub(self.queued_behind(mark))
    }

    /// How many deliveries before a mark are lost without any of them having left. Those at the front of the queue leave
    /// first, so those behind the mark are among the lost ones.
    pub(crate) fn lost_before(&self, mark: Mark) -> u64 {
        let lost = self.links.get(&mark.id).map_or(0, |link| link.unsent);
        lost.saturating_sub(self.queued_behind(mark))
    }

    /// Whether everything before a mark has left. If it has not, the driver wakes those who wait at the link when it has.
    pub(crate) fn left_before(&mut self, mark: Mark) -> Option<Result<(), Error>> {
        if let Err(error) = self.live_link(mark.id).map(|_| ()) {
            return Some(Err(error));
        }
        if self.waiting_before(mark) == 0 {
            return Some(Ok(()));
        }
        if !self.flushing.contains(&mark) {
            self.flushing.push(mark);
        }
        None
    }

    /// Wakes those who wait until what was queued on their link has left.
    pub(crate) fn wake_flushing(&mut self, aside: &mut Aside<'_>) {
        if self.flushing.is_empty() {
            return;
        }
        let mut flushing = std::mem::take(&mut self.flushing);
        flushing.retain(|mark| {
            if self.waiting_before(*mark) > 0 {
                return true;
            }
            if let Some(link) = self.links.get_mut(&mark.id) {
                link.waiting.wake(aside);
            }
            false
        });
        self.flushing = flushing;
    }
}
