//! One link (§2.6): what both of its ends have, and what only a sender or only a receiver has.

mod attach;
mod credit;
mod flow;
mod incoming;
mod outgoing;
mod parts;
mod receiver;
mod resume;
mod sender;
mod settle;
mod state;
mod stream;

use crate::{
    metadata::{Charge, Kept, RemoteAttach},
    session::Ascending,
    store::SessionId,
    tags::Tags,
};
use alloc::boxed::Box;
use amqp1_codec::{
    definitions::{Fields, Role, SenderSettleMode},
    performative::{Attach, Flow},
};
pub(crate) use attach::{attach_violation, count_missing};
use bytes::Bytes;
pub(crate) use credit::DrainState;
pub(crate) use flow::AfterFlow;
pub(crate) use incoming::Refused;
pub(crate) use outgoing::Written;
pub(crate) use parts::LinkMut;
pub(crate) use receiver::{Buffered, ReceivingEnd};
pub(crate) use sender::SendingEnd;
pub(crate) use state::{Answer, AwaitedHandle, KnownBefore, LinkState};
pub(crate) use stream::{EmptiedStream, Skip};

/// Rarely used state is boxed, since most links are idle.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) session: SessionId,
    /// The attaches and detaches of each end.
    pub(crate) state: LinkState,
    /// Our attach.
    pub(crate) local: Box<Attach>,
    /// Our attach of a link that the peer has attached, for attaching it once more. `local` holds the rest.
    pub(crate) reattach: Option<Bytes>,
    /// The peer's attach.
    pub(crate) remote: Option<Box<RemoteAttach>>,
    /// The count of a link that the peer has attached beside that.
    pub(crate) charge: Charge,
    /// Both attaches are forgotten once the link is answered.
    pub(crate) forgets: bool,
    /// Whether what is not settled is kept for another endpoint.
    pub(crate) resumable: bool,
    /// Whether a flow is queued.
    pub(crate) flow_queued: bool,
    /// Beyond this many unsettled deliveries a window is not filled, and nothing is sent unsettled.
    pub(crate) max_unsettled: u32,
    /// Deliveries that were begun and are not settled, by their ids in the session.
    pub(crate) unsettled: Ascending<()>,
    /// The tags of deliveries that are not settled: at the receiving end where repeated ones are not tolerated, at the
    /// sending end those that the application has chosen, and all on a resumable link.
    pub(crate) tags: Tags,
    /// The flow of a link tells these too.
    pub(crate) flow_properties: Option<Box<Fields>>,
    pub(crate) remote_flow_properties: Option<Box<Kept>>,
    /// The state of this end's role.
    pub(crate) end: End,
}

/// Which end of a link this is, and what only such an end has.
#[derive(Debug)]
pub(crate) enum End {
    Sending(SendingEnd),
    Receiving(ReceivingEnd),
}

impl Link {
    pub(crate) fn new(session: SessionId, local: Attach, end: End, state: LinkState) -> Self {
        Self {
            session,
            state,
            local: Box::new(local),
            reattach: None,
            remote: None,
            charge: Charge::default(),
            forgets: false,
            resumable: false,
            flow_queued: false,
            max_unsettled: u32::MAX,
            unsettled: Ascending::default(),
            tags: Tags::default(),
            flow_properties: None,
            remote_flow_properties: None,
            end,
        }
    }

    /// Whether both ends are attached and none has detached.
    pub(crate) fn is_attached(&self) -> bool {
        self.state.is_attached()
    }

    /// Which end this is.
    pub(crate) fn role(&self) -> Role {
        match self.end {
            End::Sending(_) => Role::Sender,
            End::Receiving(_) => Role::Receiver,
        }
    }

    /// The sending end, if this is one.
    pub(crate) fn sending(&self) -> Option<&SendingEnd> {
        if let End::Sending(end) = &self.end { Some(end) } else { None }
    }

    /// The sending end, to be changed.
    pub(crate) fn sending_mut(&mut self) -> Option<&mut SendingEnd> {
        if let End::Sending(end) = &mut self.end { Some(end) } else { None }
    }

    /// The receiving end, if this is one.
    pub(crate) fn receiving(&self) -> Option<&ReceivingEnd> {
        if let End::Receiving(end) = &self.end { Some(end) } else { None }
    }

    /// The receiving end, to be changed.
    pub(crate) fn receiving_mut(&mut self) -> Option<&mut ReceivingEnd> {
        if let End::Receiving(end) = &mut self.end { Some(end) } else { None }
    }

    /// The mode in which the sending end sends: what either end demands.
    pub(crate) fn sender_settle_mode(&self) -> SenderSettleMode {
        match self.local.snd_settle_mode {
            SenderSettleMode::Mixed => self.remote.as_ref().map_or(SenderSettleMode::Mixed, |r| r.snd_settle_mode),
            mode => mode,
        }
    }

    /// The link's part of a flow.
    pub(crate) fn fill_flow(&self, flow: &mut Flow) {
        flow.handle = self.state.handle();
        flow.properties = self.flow_properties.as_deref().cloned();
        match &self.end {
            End::Sending(end) => {
                flow.link_credit = Some(end.credit.left());
                flow.delivery_count = Some(end.credit.delivery_count());
                flow.available = Some(end.available());
                flow.drain = end.credit.remote_drain();
            }
            End::Receiving(end) => {
                flow.link_credit = Some(end.credit.left());
                // Before the sender's attach, its initial count is not known.
                flow.delivery_count = self.remote.is_some().then_some(end.credit.delivery_count());
                flow.drain = end.credit.is_draining();
                flow.echo = self.state.stopping().is_some();
            }
        }
    }
}
