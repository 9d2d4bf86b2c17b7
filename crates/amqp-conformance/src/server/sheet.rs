//! The capability sheet: what a server says of itself before it is judged.

mod offered;

use super::{ServerTarget, ServerTrial};
use crate::{case::Need, verdict::Stop};
use amqp1_codec::performative::Open;
use serde::{Deserialize, Serialize};
use std::fmt;

/// What the server offers.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
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
    /// `idle-time-out`, in milliseconds.
    pub idle_time_out: Option<u32>,
    /// The SASL mechanisms, in its order.
    pub mechanisms: Vec<String>,
    /// The features that it has.
    pub features: Vec<Need>,
}

impl Sheet {
    /// Asks the server.
    ///
    /// # Errors
    ///
    /// If no connection can be opened.
    pub fn of(target: &ServerTarget) -> Result<Self, Stop> {
        let sheet = Self::default();
        let mut trial = ServerTrial::new(target, &sheet, false);
        let opened = trial.opened()?;
        let open: &Open = &opened.open;
        Ok(Self {
            container_id: open.container_id.to_string(),
            max_frame_size: open.max_frame_size,
            channel_max: open.channel_max,
            features: offered::features(&mut trial, open),
            ..Self::default()
        })
    }

    /// Returns `true` if the server has this feature.
    pub fn has(&self, need: Need) -> bool {
        self.features.contains(&need)
    }
}

/// A few lines: the product, the limits, the mechanisms and the features.
impl fmt::Display for Sheet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let product = self.product.as_deref().unwrap_or("unnamed product");
        writeln!(f, "{product} {}, container {:?}", self.version.as_deref().unwrap_or_default(), self.container_id)?;
        write!(f, "max-frame-size {}, channel-max {}", self.max_frame_size, self.channel_max)?;
        if let Some(milliseconds) = self.idle_time_out {
            write!(f, ", idle-time-out {milliseconds} ms")?;
        }
        writeln!(f)?;
        writeln!(f, "mechanisms: {}", self.mechanisms.join(", "))?;
        write!(f, "features: {}", self.features.iter().map(|need| need.name()).collect::<Vec<_>>().join(", "))
    }
}
