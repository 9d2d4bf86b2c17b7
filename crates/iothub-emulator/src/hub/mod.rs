//! The pure model of an IoT hub: what it keeps and what it decides. No IO, no AMQP, no clock of its own.
//!
//! The fronts call into a [`Hub`] behind a lock. Time is an argument of every call that needs it; randomness comes
//! from a seed. So the same calls give the same answers, and tests run on a virtual clock. Keys alone come from the
//! operating system's generator.
//!
//! # How the front drives it
//!
//! 1. Call a method. It answers at once: `take_next`, `take_feedback` and `read` give what there is, or nothing.
//! 2. Drain [`Hub::take_wakes`] and, after the lock is let go, wake **all** tasks that wait for what is named there.
//!    They ask again; a wake-up says that there may be something, not that there is.
//! 3. Sleep no longer than until [`Hub::next_deadline`], then call [`Hub::handle_timeout`] and drain the wakes.
//!
//! # Where things are
//!
//! | What | Where |
//! |---|---|
//! | identities, how they authenticate, their connection state | `registry`, `identity`, `identities`, `authentication` |
//! | devices as they are given at the start | `devices_file` |
//! | twins | `twin`, `twins` |
//! | queries of twins | [`query`] |
//! | policies, keys | `policy`, `key` |
//! | tokens: which key, and what they allow | `resource`, `grant`, `plain`, `access` |
//! | link addresses, selector filters | `address`, `selector` |
//! | cloud-to-device queues, feedback | `lock_queue`, `queue`, `feedback`, `messaging` |
//! | events of the hub itself | `notices` |
//! | tiers: throttles and quotas | `throttle` |
//! | direct methods | `methods` |
//! | inputs of modules, connections of one identity | `inputs`, `link_owners` |
//! | bulk changes | `bulk` |
//! | file uploads and their notifications | `uploads`, `file_uploads`, `blob_endpoint` |
//! | telemetry | `partition`, `telemetry`, `ownership` |

use std::collections::{BTreeMap, BTreeSet};

mod access;
mod address;
mod authentication;
mod blob_endpoint;
mod bulk;
mod certificate;
mod clock;
mod devices_file;
mod edge;
mod feedback;
mod file_uploads;
mod grant;
mod identities;
mod identity;
mod ids;
mod inputs;
mod key;
mod link_owners;
mod lock_queue;
mod messaging;
mod methods;
mod notices;
mod ownership;
mod partition;
mod plain;
mod policy;
pub mod query;
mod queue;
mod random;
mod registry;
mod resource;
mod selector;
mod service_error;
mod settings;
mod telemetry;
mod throttle;
mod twin;
mod twins;
mod uploads;

pub use access::{AttachError, Redirect};
pub use address::Address;
pub use authentication::{Authentication, AuthenticationSpec, Thumbprint, ThumbprintError};
pub use blob_endpoint::{BlobEndpoint, BlobEndpointError};
pub use bulk::{BulkResult, MAX_BULK};
pub use certificate::{CertificateRefusal, ClientCertificate};
pub use clock::{Iso8601, UnixMillis};
pub use devices_file::{DeviceArgumentError, DeviceSpec, DevicesFileError, EntryName, parse_devices};
pub use feedback::{FEEDBACK_CONTENT_TYPE, FeedbackDelivery, FeedbackStatus};
pub use grant::{AuthError, Challenge, Grant, Signer, Verdict};
pub use identities::{MAX_IDENTITIES, MAX_MODULES, Presence};
pub use identity::{Identity, IdentitySpec, IfMatch};
pub use ids::{ConsumerId, DeviceId, IdError, IdentityId, MAX_ID_LENGTH, ModuleId};
pub use inputs::{MAX_WAITING_INPUTS, ModuleInput};
pub use key::{Key, KeyError};
pub use link_owners::ConnectionId;
pub use lock_queue::LockLost;
pub use messaging::Locks;
pub use methods::{
    MAX_IN_FLIGHT_METHODS, MAX_METHOD_NAME, MAX_METHOD_PAYLOAD, MethodAnswer, MethodCallId, MethodInvocation,
    MethodRequest,
};
pub use notices::{Notice, NoticeKind};
pub use ownership::{Displaced, MAX_READERS, OwnershipError};
pub use partition::{Cursor, Event, EventOrigin, EventPosition, PartitionProperties, PositionError};
pub use policy::{Policies, Policy, PolicyArgumentError, Rights, WELL_KNOWN_POLICIES};
pub use queue::{AckMode, CloudToDevice, CloudToDeviceDelivery, EnqueueError, Enqueued, Outcome};
pub use random::{LockToken, LockTokenError};
pub use resource::{Resource, ResourceError, ResourceStyle};
pub use selector::SelectorError;
pub use service_error::{ErrorCode, ServiceError};
pub use settings::{
    CloudToDeviceSettings, EventSettings, FeedbackSettings, FileUploadSettings, HttpsSettings, Settings, SettingsError,
    TelemetrySettings, TwinSettings,
};
pub use telemetry::AppendError;
pub use throttle::{Operation, Scale, Tier, TierError};
pub(crate) use twin::check_integers;
pub use twin::{DesiredChange, MAX_PENDING_CHANGES, Twin};

pub use uploads::{FILE_NOTIFICATION_CONTENT_TYPE, FileNotification, UploadTicket, UploadedFile};

pub(crate) use address::decode;
use feedback::Feedback;
use inputs::Inputs;
use link_owners::LinkOwners;
use methods::Methods;
use ownership::Owners;
use partition::Partition;
use queue::DeviceQueue;
use random::Random;
use registry::Registry;
use uploads::Uploads;

/// Who may have work now.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Wake {
    /// All that has to do with this device and its modules: one of them was removed, disabled or updated, or connected again,
    /// and links that may not go on are to be detached.
    Device(DeviceId),
    /// Receivers of the cloud-to-device messages of this device or module.
    DeviceQueue(IdentityId),
    /// The links on which this module receives its inputs.
    Inputs(IdentityId),
    /// The one who waits for the outcome of this call.
    Method(MethodCallId),
    /// The links on which this device or module takes calls of methods.
    Methods(IdentityId),
    /// Receivers of feedback.
    Feedback,
    /// Receivers of file notifications.
    FileNotifications,
    /// Readers of this partition.
    Partition(u32),
    /// This reader of a partition, which has been pushed out: see [`Hub::poll_displaced`].
    Reader(ConsumerId),
    /// Those who watch the desired properties of this twin: see [`Hub::take_desired`].
    Twin(IdentityId),
}

/// The hub. See the module's documentation for how it is driven.
#[derive(Debug)]
pub struct Hub {
    settings: Settings,
    policies: Policies,
    registry: Registry,
    queues: BTreeMap<IdentityId, DeviceQueue>,
    deadlines: Deadlines,
    feedback: Feedback,
    uploads: Uploads,
    methods: Methods,
    inputs: Inputs,
    link_owners: LinkOwners,
    partitions: Vec<Partition>,
    owners: Owners,
    wakes: BTreeSet<Wake>,
    random: Random,
    last_consumer: u64,
    last_notice: u64,
    usage: throttle::Usage,
    query_secret: query::Secret,
}

impl Hub {
    /// A hub without devices.
    ///
    /// # Errors
    /// [`SettingsError`] names the setting that is out of range.
    pub fn new(settings: Settings, policies: Policies) -> Result<Self, SettingsError> {
        settings.check()?;
        let random = Random::new(settings.seed);
        let uploads = Uploads::new(&settings.file_uploads, &mut random.clone());
        let query_secret = query::Secret::new(&mut random.clone());
        Ok(Self {
            policies,
            registry: Registry::default(),
            queues: BTreeMap::new(),
            deadlines: Deadlines::default(),
            feedback: Feedback::new(&settings.feedback),
            uploads,
            methods: Methods::default(),
            inputs: Inputs::default(),
            link_owners: LinkOwners::default(),
            partitions: (0..settings.partitions).map(|n| Partition::new(n, &settings.telemetry)).collect(),
            owners: Owners::default(),
            wakes: BTreeSet::new(),
            random,
            last_consumer: 0,
            last_notice: 0,
            usage: throttle::Usage::default(),
            query_secret,
            settings,
        })
    }

    /// The settings.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The shared access policies.
    #[must_use]
    pub fn policies(&self) -> &Policies {
        &self.policies
    }

    /// A name for a new receiving link. Unique for the life of the hub.
    pub fn add_consumer(&mut self) -> ConsumerId {
        self.last_consumer += 1;
        ConsumerId(self.last_consumer)
    }

    /// A name for one delivery. Some clients make a UUID of it.
    pub(crate) fn delivery_tag(&mut self) -> LockToken {
        self.random.lock_token()
    }

    /// A name for one answer, for those who look for it in a log: 32 hexadecimal digits.
    pub fn tracking_id(&mut self) -> String {
        self.random.lock_token().to_string().replace('-', "")
    }

    /// Who may have work now. Changed by every method that takes `&mut self`.
    pub fn take_wakes(&mut self) -> Vec<Wake> {
        core::mem::take(&mut self.wakes).into_iter().collect()
    }

    /// When [`Hub::handle_timeout`] is to be called next. Changed by every method that takes `now`, and by
    /// [`Hub::remove_device`].
    #[must_use]
    pub fn next_deadline(&self) -> Option<UnixMillis> {
        let queues = self.deadlines.first();
        [queues, self.feedback.next_deadline(), self.methods.next_deadline(), self.uploads.next_deadline()]
            .into_iter()
            .flatten()
            .min()
    }

    /// Does what time has done: messages expire, locks run out, feedback batches close. Calling it early or late does
    /// no harm: what it would do is also done by the calls that would notice the difference.
    pub fn handle_timeout(&mut self, now: UnixMillis) {
        for id in self.deadlines.due(now) {
            self.with_queue(now, &id, |queue, _| queue.handle_timeout(now));
        }
        self.feedback.handle_timeout(now);
        self.wake_feedback();
        self.expire_methods(now);
        self.uploads.handle_timeout(now);
        self.wake_file_notifications();
    }
}

/// The next deadline of each queue that has one, in order.
#[derive(Debug, Default)]
struct Deadlines {
    by_identity: BTreeMap<IdentityId, UnixMillis>,
    ordered: BTreeSet<(UnixMillis, IdentityId)>,
}

impl Deadlines {
    fn set(&mut self, id: &IdentityId, deadline: Option<UnixMillis>) {
        if self.by_identity.get(id).copied() == deadline {
            return;
        }
        if let Some(old) = self.by_identity.remove(id) {
            self.ordered.remove(&(old, id.clone()));
        }
        if let Some(new) = deadline {
            self.by_identity.insert(id.clone(), new);
            self.ordered.insert((new, id.clone()));
        }
    }

    fn first(&self) -> Option<UnixMillis> {
        self.ordered.first().map(|(at, _)| *at)
    }

    fn due(&self, now: UnixMillis) -> Vec<IdentityId> {
        self.ordered.iter().take_while(|(at, _)| *at <= now).map(|(_, id)| id.clone()).collect()
    }
}

#[cfg(test)]
mod tests;
