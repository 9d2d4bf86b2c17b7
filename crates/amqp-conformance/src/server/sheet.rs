//! The capability sheet: the peer's own description of itself, before it is judged.

mod limits;
mod offered;

use super::{ServerTarget, ServerTrial};
use crate::{case::Need, verdict::Stop};
use amqp1_codec::performative::Open;
use serde::{Deserialize, Serialize};
use std::{fmt, time::Duration};

/// The capabilities of a peer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Sheet {
    /// The product, from its open's properties.
    pub product: Option<String>,
    /// The version, from its open's properties.
    pub version: Option<String>,
    /// `container-id`.
    pub container_id: String,
    /// `max-frame-size`, in octets.
    pub max_frame_size: u32,
    /// `channel-max`.
    pub channel_max: u16,
    /// `handle-max` of its sessions.
    pub handle_max: Option<u32>,
    /// `max-message-size` of its links, in octets.
    pub max_message_size: Option<u64>,
    /// `idle-time-out`, in milliseconds.
    pub idle_time_out: Option<u32>,
    /// The capabilities that its open offers.
    pub capabilities: Vec<String>,
    /// The SASL mechanisms, in its order. Of a client, the one that it uses.
    pub mechanisms: Vec<String>,
    /// The settle modes of senders to which it agrees: `unsettled`, `settled`, `mixed`.
    pub sender_settle_modes: Vec<String>,
    /// The settle modes of its receivers to which it agrees: `first`, `second`.
    pub receiver_settle_modes: Vec<String>,
    /// The filters that it takes over, by the name of their descriptor.
    pub filters: Vec<String>,
    /// The durability that it grants to a source of which the most is asked: `none`, `configuration`,
    /// `unsettled-state`.
    pub durability: Option<String>,
    /// Whether a server says that a link is drained.
    pub drains: bool,
    /// The features that it has.
    pub features: Vec<Need>,
    /// The scenarios that a client plays.
    pub scenarios: Vec<String>,
}

/// The longest wait for an answer that may not come.
const PATIENCE: Duration = Duration::from_secs(2);

impl Sheet {
    /// Asks a server.
    ///
    /// # Errors
    ///
    /// If no connection can be opened.
    pub fn of(target: &ServerTarget) -> Result<Self, Stop> {
        let target = ServerTarget { patience: target.patience.min(PATIENCE), ..target.clone() };
        let unknown = Self::default();
        let mut trial = ServerTrial::new(&target, &unknown, false);
        let opened = trial.opened()?;
        let mut sheet = Self::of_open(&opened.open);
        drop(opened);
        sheet.mechanisms = offered::mechanisms(&mut trial);
        limits::add(&mut trial, &mut sheet);
        sheet.drains = offered::drains(&mut trial);
        sheet.features = offered::features(&mut trial, &sheet);
        if sheet.has(Need::Selector) {
            sheet.filters.push(String::from("apache.org:selector-filter:string"));
        }
        Ok(sheet)
    }

    /// Asks a server for its SASL mechanisms alone; none without SASL, or if it cannot be reached.
    pub fn mechanisms_of(target: &ServerTarget) -> Vec<String> {
        let none = Self::default();
        offered::mechanisms(&mut ServerTrial::new(target, &none, false))
    }

    /// The part of it that an open tells.
    pub(crate) fn of_open(open: &Open) -> Self {
        let property = |name: &str| {
            let value = open.properties.as_ref().and_then(|properties| properties.get(name));
            value.and_then(|value| value.as_text()).map(String::from)
        };
        Self {
            product: property("product"),
            version: property("version"),
            container_id: open.container_id.to_string(),
            max_frame_size: open.max_frame_size,
            channel_max: open.channel_max,
            idle_time_out: open.idle_time_out,
            capabilities: open.offered_capabilities.iter().map(ToString::to_string).collect(),
            ..Self::default()
        }
    }

    /// Returns `true` if the peer has this feature.
    pub fn has(&self, need: Need) -> bool {
        self.features.contains(&need)
    }
}

/// A few lines: the product, the limits, the mechanisms and the features.
impl fmt::Display for Sheet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let product = self.product.as_deref().unwrap_or("unnamed product");
        let version = self.version.as_deref().map(|version| format!(" {version}")).unwrap_or_default();
        writeln!(f, "{product}{version}, container {:?}", self.container_id)?;
        write!(f, "  limits:     max-frame-size {}, channel-max {}", self.max_frame_size, self.channel_max)?;
        if let Some(handle_max) = self.handle_max {
            write!(f, ", handle-max {handle_max}")?;
        }
        if let Some(octets) = self.max_message_size {
            write!(f, ", max-message-size {octets}")?;
        }
        if let Some(milliseconds) = self.idle_time_out {
            write!(f, ", idle-time-out {milliseconds} ms")?;
        }
        writeln!(f)?;
        let lines = [
            ("mechanisms", self.mechanisms.join(", ")),
            ("settling", [&self.sender_settle_modes[..], &self.receiver_settle_modes].concat().join(", ")),
            ("filters", self.filters.join(", ")),
            ("durability", self.durability.clone().unwrap_or_default()),
            ("scenarios", self.scenarios.join(", ")),
            ("features", self.features.iter().map(|need| need.name()).collect::<Vec<_>>().join(", ")),
            ("offers", self.capabilities.join(", ")),
        ];
        for (name, text) in lines.into_iter().filter(|(_, text)| !text.is_empty()) {
            writeln!(f, "  {:11} {text}", format!("{name}:"))?;
        }
        Ok(())
    }
}
