//! The one task per connection: it reads, it writes, it keeps the time.

pub(crate) mod transport;
mod turn;
mod woken;

use self::{turn::Turn, woken::Woken};
use crate::{
    observe::{ConnectionInfo, Logged, Observed, Spans, Wire},
    state::{drain::TurnState, shared::Shared},
    types::error::{Error, ErrorKind},
};
use amqp1_engine::{Instant, TransmitQueue};
use bytes::{Buf, BytesMut};
use std::{
    future::Future,
    io::{self, IoSlice},
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll, Waker, ready},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite},
    time::Sleep,
};
use tracing::Instrument;

/// How much is encoded under one hold of the lock, in octets.
const TRANSMIT: usize = 64 * 1024;

/// The least and the most that the read buffer makes room for.
const READ: (usize, usize) = (2 * 1024, 64 * 1024);

/// Turns before other tasks get theirs, and octets that are read before that: a runtime looks for input of other
/// connections only when some dozens of tasks had their turn.
const TURNS: usize = 16;
const TURN_OCTETS: usize = 64 * 1024;

/// Pieces of one vectored write.
const SLICES: usize = 32;

/// How long what the peer has said is looked for when it does not listen any more.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// How long nothing may have been read or written before memory is given back that a quiet connection does not need.
const QUIET: Duration = Duration::from_millis(250);

/// How long a connection that is over may take to write its last octets and to see the peer leave.
const LINGER: Duration = Duration::from_secs(5);

struct Driver<IO> {
    shared: Arc<Shared>,
    io: IO,
    input: BytesMut,
    /// So many answers wait to be written that nothing is read.
    congested: bool,
    /// Input is left that the engine has not looked at, since it has too much to say: nothing more is read before.
    held_up: bool,
    read_size: usize,
    /// Octets were read since the engine last looked.
    heard: bool,
    /// Octets that were read since other tasks had their turn.
    read: usize,
    read_ended: bool,
    output: TransmitQueue,
    /// Octets that were written so far.
    written: u64,
    /// Who waits for a flush, and after how many octets it is done.
    flush: Option<(u64, u64)>,
    unflushed: bool,
    write_failed: bool,
    /// Why reading ended, if not by the peer's leave.
    read_error: Option<io::Error>,
    write_error: Option<io::Error>,
    timer: Pin<Box<Sleep>>,
    armed: Option<Instant>,
    /// When something was read or written last, and when to look whether the connection is quiet since.
    busy: Instant,
    shrink_at: Option<Instant>,
    waker: Option<Waker>,
    stage: Stage,
    /// When a stage other than `Running` is over, or when a peer that does not listen is given up.
    give_up: Option<Instant>,
    /// The turn of the application's tasks that a drain waits for.
    drain_turn: Turn,
    /// How long nothing of what waits may be written.
    write_timeout: Option<Duration>,
    /// Since when nothing was.
    blocked: Option<Instant>,
    /// Something was written since that was last looked at.
    moved: bool,
    /// Woken by the transport when it can write on: a transport that buffers holds octets of its own.
    writable: Arc<Woken>,
    /// It, as a waker.
    write_waker: Waker,
    /// The observers of the octets, and whether there are any.
    wire: Wire,
    is_watched: bool,
    spans: Spans,
}

/// In the order in which they follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Running,
    /// All is written: say so to the transport.
    ShuttingDown,
    /// Wait for the peer to leave. To leave first with octets unread would make TCP drop what was written last.
    Leaving,
    Done,
}

/// The findings of a turn under the lock.
struct Seen {
    finished: bool,
    more: bool,
    /// The engine has more to say, or more input to look at, whether or not anything can be written.
    unpolled: bool,
    /// Input was left that is not just a part of a frame.
    held_up: bool,
    congested: bool,
    wants_turn: bool,
}

impl<IO: AsyncRead + AsyncWrite + Unpin> Driver<IO> {
    /// Reads what is there. Whether anything came or ended.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> bool {
        if self.read_ended {
            return false;
        }
        if self.input.is_empty() && self.input.capacity() > self.read_size.saturating_mul(4) {
            // A large buffer for little traffic is given back.
            self.input = BytesMut::new();
        }
        self.input.reserve(self.read_size);
        match pin!(self.io.read_buf(&mut self.input)).poll(cx) {
            Poll::Pending => {
                if self.shrink_at.is_none() && self.input.is_empty() {
                    // A connection that is quiet holds no buffer.
                    self.input = BytesMut::new();
                }
                return false;
            }
            Poll::Ready(Ok(0)) => self.read_ended = true,
            Poll::Ready(Ok(count)) => {
                self.read = self.read.saturating_add(count);
                self.heard = true;
                if self.is_watched {
                    self.wire.received(&self.input, count, self.shared.now());
                }
                let (least, most) = READ;
                let wanted = if count >= self.read_size {
                    self.read_size.saturating_mul(2)
                } else {
                    self.read_size.saturating_sub(self.read_size / 8).max(count)
                };
                self.read_size = wanted.clamp(least, most);
            }
            Poll::Ready(Err(error)) => {
                self.read_ended = true;
                self.read_error = Some(error);
            }
        }
        true
    }

    /// Writes what waits, and flushes when nothing waits: TLS buffers inside. Whether anything was written.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        let mut any = false;
        while !self.output.is_empty() {
            let mut slices = [IoSlice::new(&[]); SLICES];
            let mut used = 0;
            for (slot, segment) in slices.iter_mut().zip(self.output.segments()) {
                *slot = IoSlice::new(segment);
                used += 1;
            }
            let written = match slices.get(..used) {
                Some(slices) if self.io.is_write_vectored() => Pin::new(&mut self.io).poll_write_vectored(cx, slices),
                _ => Pin::new(&mut self.io).poll_write(cx, self.output.chunk()),
            };
            match written {
                Poll::Pending if any => return Poll::Ready(Ok(true)),
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(count)) => {
                    if self.is_watched {
                        self.wire.sent(self.output.segments(), count, self.shared.now());
                    }
                    self.output.advance(count);
                    self.written = self.written.saturating_add(octets(count));
                    self.moved = true;
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
            }
            self.unflushed = true;
            any = true;
        }
        if self.unflushed {
            ready!(Pin::new(&mut self.io).poll_flush(cx))?;
            (self.unflushed, self.moved) = (false, true);
            any = true;
        }
        Poll::Ready(Ok(any))
    }

    /// Tells those who wait for what is written by now. Under load the output is never empty, so that the transport is
    /// flushed here.
    fn poll_flushed(&mut self, cx: &mut Context<'_>) {
        let Some((asked, position)) = self.flush else { return };
        if self.written < position || self.write_failed {
            return;
        }
        if self.unflushed && !matches!(Pin::new(&mut self.io).poll_flush(cx), Poll::Ready(Ok(()))) {
            return;
        }
        self.flush = None;
        // If the engine is broken, that is seen in the next turn.
        let _ = self.shared.drive(|state, aside| {
            state.flush.done = asked;
            state.waiting.wake(aside);
        });
    }

    /// Lets the engine look at the input and the clock, and takes its output. `None` if the engine is broken.
    fn consult(&mut self, turn: TurnState) -> Option<Seen> {
        let now = self.shared.now();
        let (input, output) = (&mut self.input, &mut self.output);
        let silent = self.write_failed && self.give_up.is_some_and(|at| at <= now);
        let lost = self.read_ended || silent;
        let errors = (self.read_error.take(), self.write_error.take_if(|_| lost));
        let errors = [errors.0, errors.1].into_iter().flatten();
        let error = errors.map(transport::lost).next();
        let write_failed = self.write_failed;
        let (written, flush) = (self.written, &mut self.flush);
        let armed = self.armed;
        let shrinks = self.shrink_at.is_some_and(|at| at <= now);
        let is_quiet = shrinks && input.is_empty() && output.is_empty() && self.busy + QUIET <= now;
        let received = std::mem::take(&mut self.heard);
        let mut log: Option<Vec<Logged>> = Spans::is_on().then(Vec::new);
        let seen = self.shared.drive(|state, aside| {
            if !input.is_empty() {
                state.engine.handle_input(now, input);
            }
            // Input that was left because too much waited is taken when that has been taken.
            let held_up = !input.is_empty() && state.engine.is_congested();
            if lost {
                if let Some(error) = error {
                    state.transport_error.get_or_insert(error);
                }
                if !state.engine.is_finished() {
                    state.engine.handle_eof(now);
                }
            }
            if state.engine.earliest_timeout().is_some_and(|at| at <= now) {
                state.engine.handle_timeout(now);
            }
            let heard = state.engine.last_received();
            state.receipts.expire(now, heard, aside);
            state.dispatch(aside, &mut log);
            state.expire_transactions(now, aside);
            let wants_turn = state.answer_drains(now, turn);
            state.engine.transmit(now, TRANSMIT, output);
            state.answer_held();
            state.wake_flushing(aside);
            // Messages that were sent settled are settled by having left.
            state.dispatch(aside, &mut log);
            // Octets that are not written are dropped when the lock is released.
            let waiting = if write_failed { 0 } else { output.remaining() };
            if flush.is_none() && state.flush.asked > state.flush.done && !state.engine.has_frames() {
                *flush = Some((state.flush.asked, written.saturating_add(octets(waiting))));
            }
            let more = state.engine.has_output();
            state.asleep = waiting == 0 && !more;
            let next = state.next_timeout();
            state.armed = next.into_iter().chain(armed).min();
            // With nothing left to wait for, it is finished but for what is to be written.
            let idle = state.closed.is_some() && state.engine.poll_timeout().is_none();
            let congested = state.engine.is_congested();
            let finished = idle || state.engine.is_finished();
            let unpolled = state.engine.has_events() || held_up && !congested;
            let warnings = std::mem::take(&mut state.warnings);
            if is_quiet && waiting == 0 {
                state.shrink();
            }
            (Seen { finished, more, unpolled, held_up, congested, wants_turn }, next, warnings)
        });
        self.output.release();
        if received || !self.output.is_empty() {
            self.busy = now;
            self.shrink_at = self.shrink_at.filter(|_| !shrinks).or(Some(now + QUIET));
        } else if is_quiet {
            (self.input, self.read_size) = (BytesMut::new(), READ.0);
            self.shared.shrink_encoder();
            self.output.shrink();
            self.shrink_at = None;
        } else if shrinks {
            // With a part of a frame in the buffer, the rest of it is waited for.
            self.shrink_at = Some(self.busy + QUIET).filter(|at| *at > now);
        }
        if write_failed {
            self.lose_output();
        }
        log.into_iter().flatten().for_each(|event| self.spans.log(event));
        let (seen, next, warnings) = seen.ok()?;
        for warning in warnings {
            tracing::warn!("{warning}");
        }
        self.arm(next);
        Some(seen)
    }

    /// Makes sure that the timer fires no later than this. That it may fire sooner is no harm, and saves setting it each
    /// time that a deadline moves on.
    fn arm(&mut self, next: Option<Instant>) {
        let due = next.into_iter().chain(self.give_up).chain(self.cut_at()).chain(self.shrink_at);
        let Some(next) = due.min() else { return };
        if self.armed.is_none_or(|armed| next < armed) {
            self.armed = Some(next);
            self.timer.as_mut().reset(self.shared.deadline(next));
        }
    }

    /// Whether the time has come to look at the clock.
    fn poll_timer(&mut self, cx: &mut Context<'_>) -> bool {
        let fired = self.armed.is_some() && self.timer.as_mut().poll(cx).is_ready();
        if fired {
            self.armed = None;
        }
        fired
    }

    /// When a peer is cut that does not read.
    fn cut_at(&self) -> Option<Instant> {
        Some(self.blocked? + self.write_timeout?)
    }

    /// Notes whether what waits to be written moves, and cuts a peer that has not read for too long. What waits within a
    /// transport that buffers is not seen to move; but the transport is woken when the peer has made room for some of it.
    fn watch_writing(&mut self, woken: bool) {
        let moved = std::mem::take(&mut self.moved) || woken;
        if self.output.is_empty() && !self.unflushed || self.write_failed {
            self.blocked = None;
            return;
        }
        let now = self.shared.now();
        if moved || self.blocked.is_none() {
            self.blocked = Some(now);
            self.arm(None);
        } else if let (true, Some(limit)) = (self.cut_at().is_some_and(|at| at <= now), self.write_timeout) {
            let text = format!("the peer has read nothing for {limit:?}: the connection was cut");
            let error = Error::new(ErrorKind::WriteTimeout, text);
            // Losses are reported by the driver's end, if the lock is broken.
            let _ = self.shared.drive(|state, aside| {
                state.transport_error.get_or_insert(error);
                if !state.engine.is_finished() {
                    state.engine.handle_eof(now);
                }
                // There is no further turn for what is left.
                while state.engine.has_events() {
                    state.dispatch(aside, &mut None);
                }
            });
            self.stage = Stage::Done;
        }
    }

    /// Looks whether anything looks on at the octets.
    fn watch(&mut self) {
        self.is_watched = self.wire.is_on();
        if self.is_watched && self.output.is_empty() {
            self.wire.at_boundary();
        }
    }

    fn is_given_up(&self) -> bool {
        self.give_up.is_some_and(|at| at <= self.shared.now())
    }

    /// One turn while the engine lives; whether there is more to do at once.
    fn turn(&mut self, cx: &mut Context<'_>) -> bool {
        self.watch();
        // A peer that does not take its answers is not listened to until it does.
        let mut again = !self.congested && !self.held_up && self.poll_read(cx);
        let turn = self.drain_turn.poll(cx);
        let seen = self.consult(turn);
        self.report_unsent();
        let Some(seen) = seen else {
            self.stage = Stage::Done;
            return true;
        };
        if seen.wants_turn {
            // Those whose turn it is were woken when the lock was released.
            self.drain_turn.begin();
            again = true;
        }
        again |= seen.unpolled || self.held_up && !seen.held_up || self.congested && !seen.congested;
        self.held_up = seen.held_up;
        self.congested = seen.congested;
        let woken = self.writable.take();
        let waker = self.write_waker.clone();
        let write_cx = &mut Context::from_waker(&waker);
        let written = self.poll_write(write_cx);
        self.watch_writing(woken);
        if self.stage == Stage::Done {
            return true;
        }
        match written {
            Poll::Ready(Ok(wrote)) => again |= wrote || (self.output.is_empty() && seen.more),
            Poll::Ready(Err(error)) => {
                // The peer may have said why before it went: what it sent is read to its end.
                self.write_failed = true;
                self.write_error = Some(error);
                self.lose_output();
                self.unflushed = false;
                self.give_up = Some(self.shared.now() + LAST_WORDS);
                again = true;
            }
            Poll::Pending => {}
        }
        self.poll_flushed(write_cx);
        if seen.finished {
            self.wire.input_ended();
            let over = self.output.is_empty() && !self.unflushed && !seen.more;
            if over || self.is_given_up() {
                self.stage = Stage::ShuttingDown;
                again = true;
            } else if !self.write_failed && self.give_up.is_none() {
                self.give_up = Some(self.shared.now() + LINGER);
                self.arm(None);
            }
        }
        self.poll_timer(cx) || again
    }

    /// One turn when the engine is done; whether there is more to do at once.
    fn wind_up(&mut self, cx: &mut Context<'_>) -> bool {
        self.watch();
        let until = *self.give_up.get_or_insert_with(|| self.shared.now() + LINGER);
        self.shrink_at = None;
        self.arm(None);
        if until <= self.shared.now() {
            self.stage = Stage::Done;
            return true;
        }
        let done = match self.stage {
            Stage::Running | Stage::Done => true,
            // A peer that has gone already is none of our worry here.
            Stage::ShuttingDown => self.write_failed || Pin::new(&mut self.io).poll_shutdown(cx).is_ready(),
            Stage::Leaving => {
                let read = self.poll_read(cx);
                self.input.clear();
                if read && !self.read_ended {
                    return true;
                }
                self.read_ended
            }
        };
        if !done {
            return self.poll_timer(cx);
        }
        if self.stage == Stage::ShuttingDown {
            self.stage = Stage::Leaving;
            let told = self.shared.drive(|state, aside| {
                state.shut = true;
                state.waiting.wake(aside);
            });
            if told.is_ok() {
                return true;
            }
        }
        self.stage = Stage::Done;
        true
    }
}

impl<IO> Driver<IO> {
    /// Nothing of the output will be written.
    fn lose_output(&mut self) {
        self.wire.lost(self.output.segments());
        self.output.clear();
    }

    /// Tells the observer of the messages that are lost while they are queued.
    fn report_unsent(&mut self) {
        if self.wire.is_observed() {
            let lost = self.shared.look(|state| state.unsent_log.as_mut().map(|log| log.take()).unwrap_or_default());
            self.wire.unsent(&lost);
        }
    }
}

impl<IO> Drop for Driver<IO> {
    fn drop(&mut self) {
        self.lose_output();
        self.report_unsent();
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> Future for Driver<IO> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        if !this.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            this.waker = Some(cx.waker().clone());
            (this.writable, this.write_waker) = Woken::new(cx.waker());
            this.shared.set_driver(cx.waker().clone());
        }
        this.read = 0;
        for _ in 0..TURNS {
            if this.read >= TURN_OCTETS {
                break;
            }
            let again = match this.stage {
                Stage::Running => this.turn(cx),
                Stage::ShuttingDown | Stage::Leaving => this.wind_up(cx),
                Stage::Done => return Poll::Ready(()),
            };
            if !again {
                return Poll::Pending;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

fn octets(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

/// Tells everyone when the task goes, for whatever reason.
struct Epitaph(Arc<Shared>);

impl Drop for Epitaph {
    fn drop(&mut self) {
        self.0.driver_gone();
    }
}

/// Parameters of the task of a connection.
pub(crate) struct Setup {
    /// How long a peer may read nothing before it is cut.
    pub(crate) write_timeout: Option<Duration>,
    pub(crate) connection: ConnectionInfo,
    pub(crate) observed: Observed,
}

/// Starts the task of a connection.
pub(crate) fn spawn<IO>(shared: &Arc<Shared>, io: IO, setup: Setup) -> Result<(), Error>
where
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let runtime = tokio::runtime::Handle::try_current()
        .map_err(|_| Error::new(ErrorKind::Config, "there is no tokio runtime here"))?;
    let (writable, write_waker) = Woken::new(Waker::noop());
    let Setup { write_timeout, connection, observed: Observed(observer) } = setup;
    if observer.is_some() {
        shared.look(|state| state.unsent_log = Some(Box::default()));
    }
    let spans = Spans::new(&connection);
    let span = spans.connection().clone();
    let driver = Driver {
        shared: shared.clone(),
        io,
        input: BytesMut::new(),
        congested: false,
        held_up: false,
        read_size: READ.0,
        heard: false,
        read: 0,
        read_ended: false,
        output: TransmitQueue::default(),
        written: 0,
        flush: None,
        unflushed: false,
        write_failed: false,
        read_error: None,
        write_error: None,
        timer: Box::pin(tokio::time::sleep(Duration::ZERO)),
        armed: None,
        busy: Instant::default(),
        shrink_at: None,
        waker: None,
        stage: Stage::Running,
        give_up: None,
        drain_turn: Turn::default(),
        write_timeout,
        blocked: None,
        moved: false,
        writable,
        write_waker,
        wire: Wire::new(connection, observer),
        is_watched: false,
        spans,
    };
    // Not in the task, so that it speaks even if the task is never polled.
    let epitaph = Epitaph(shared.clone());
    let task = async move {
        let _epitaph = epitaph;
        driver.await;
    };
    runtime.spawn(task.instrument(span));
    Ok(())
}
