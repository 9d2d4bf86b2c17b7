//! Bulk changes of identities and twins.

use std::collections::HashSet;

use serde_json::{Map, Value, json};

use super::Hub;
use super::authentication::{invalid, object, text};
use super::clock::UnixMillis;
use super::identity::{IdentitySpec, IfMatch};
use super::ids::{DeviceId, IdentityId, ModuleId};
use super::service_error::{ErrorCode, ServiceError};

/// Most entries of a bulk request.
pub const MAX_BULK: usize = 100;

/// What is done with an entry. `true`: only if the entity tag matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Create,
    CreateOrUpdate(bool),
    Update(bool),
    Delete(bool),
    UpdateTwin(bool),
}

impl Mode {
    /// Clients differ in the case of these words. Without one an entry is created or updated.
    fn parse(word: Option<&str>) -> Result<Self, ServiceError> {
        let Some(word) = word else { return Ok(Self::CreateOrUpdate(false)) };
        let modes = [
            ("create", Self::Create),
            ("createOrUpdate", Self::CreateOrUpdate(false)),
            ("createOrUpdateIfMatchETag", Self::CreateOrUpdate(true)),
            ("update", Self::Update(false)),
            ("updateIfMatchETag", Self::Update(true)),
            ("delete", Self::Delete(false)),
            ("deleteIfMatchETag", Self::Delete(true)),
            ("updateTwin", Self::UpdateTwin(false)),
            ("updateTwinIfMatchETag", Self::UpdateTwin(true)),
        ];
        let mode = modes.into_iter().find(|(name, _)| name.eq_ignore_ascii_case(word));
        mode.map(|(_, mode)| mode).ok_or_else(|| invalid("importMode is not one of the known ones"))
    }
}

/// What became of the entries of a bulk request.
#[derive(Clone, Debug, Default)]
pub struct BulkResult {
    /// One for each entry that failed: whose it is, and why. The ids are as they were given.
    pub errors: Vec<(String, Option<String>, ServiceError)>,
}

impl BulkResult {
    /// Whether all entries have been done.
    #[must_use]
    pub fn is_successful(&self) -> bool {
        self.errors.is_empty()
    }

    /// The document that answers the request.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let errors = self.errors.iter().map(|(device, module, error)| {
            let mut entry = json!({
                "deviceId": device,
                "errorCode": error.code().number(),
                "errorStatus": format!("{}: {}", error.code(), error.text()),
            });
            if let Some(module) = module {
                entry["moduleId"] = module.as_str().into();
            }
            entry
        });
        json!({
            "isSuccessful": self.is_successful(),
            "errors": errors.collect::<Vec<_>>(),
            "warnings": [],
        })
    }
}

impl Hub {
    /// Does what each entry of a bulk request says, in their order. Entries that are fine are done, also when others fail;
    /// of an entry that fails nothing is done. `properties.reported` of an entry is taken when it creates its device or
    /// module; later they are the device's own, and not looked at.
    ///
    /// # Errors
    /// Nothing is done then. *TooManyDevices* for more than [`MAX_BULK`] entries, *DeviceDefinedMultipleTimes* if two
    /// entries are of one device, *ArgumentInvalid* if an entry does not say which device it is of.
    pub fn bulk(&mut self, now: UnixMillis, entries: &Value) -> Result<BulkResult, ServiceError> {
        let entries = entries.as_array().ok_or_else(|| invalid("the body must be an array of devices"))?;
        if entries.is_empty() {
            return Err(invalid("the body must have at least one device"));
        }
        if entries.len() > MAX_BULK {
            let text = format!("a bulk request has at most {MAX_BULK} devices, not {}", entries.len());
            return Err(ServiceError::new(ErrorCode::TooManyDevices, text));
        }
        let mut seen = HashSet::new();
        let mut read = Vec::with_capacity(entries.len());
        for entry in entries {
            let entry = object(entry, "an entry")?;
            let device = text(entry, &["id"])?.ok_or_else(|| invalid("an entry has no id"))?;
            if !seen.insert(device) {
                return Err(ServiceError::new(ErrorCode::DeviceDefinedMultipleTimes, device));
            }
            read.push((device, text(entry, &["moduleId"])?, entry));
        }
        let mut result = BulkResult::default();
        for (device, module, entry) in read {
            if let Err(error) = self.bulk_entry(now, device, module, entry) {
                result.errors.push((device.to_owned(), module.map(str::to_owned), error));
            }
        }
        Ok(result)
    }

    fn bulk_entry(
        &mut self,
        now: UnixMillis,
        device: &str,
        module: Option<&str>,
        entry: &Map<String, Value>,
    ) -> Result<(), ServiceError> {
        let id = IdentityId {
            device: DeviceId::new(device).map_err(|error| invalid(format!("id: {error}")))?,
            module: module.map(ModuleId::new).transpose().map_err(|error| invalid(format!("moduleId: {error}")))?,
        };
        let mode = Mode::parse(text(entry, &["importMode"])?)?;
        let exists = self.registry.get(&id).is_some();
        let mode = match mode {
            Mode::CreateOrUpdate(_) if !exists => Mode::Create,
            Mode::CreateOrUpdate(if_match) => Mode::Update(if_match),
            mode => mode,
        };
        match mode {
            Mode::Create => self.bulk_create(now, id, entry),
            Mode::Update(if_match) => self.bulk_update(now, id, &condition(entry, "eTag", if_match)?, entry),
            Mode::Delete(if_match) => self.delete_identity(now, &condition(entry, "eTag", if_match)?, &id),
            Mode::UpdateTwin(if_match) => {
                let condition = condition(entry, "twinETag", if_match)?;
                self.patch_twin(now, &id, &condition, &Value::Object(entry.clone())).map(drop)
            }
            Mode::CreateOrUpdate(_) => Ok(()),
        }
    }

    fn bulk_create(&mut self, now: UnixMillis, id: IdentityId, entry: &Map<String, Value>) -> Result<(), ServiceError> {
        let document = Value::Object(entry.clone());
        self.create_identity(now, IdentitySpec::parse(id.clone(), &document)?)?;
        let reported = document.pointer("/properties/reported");
        let written = self
            .patch_twin(now, &id, &IfMatch::Any, &document)
            .map(drop)
            .and_then(|()| reported.map_or(Ok(()), |reported| self.import_reported(now, &id, reported)));
        if written.is_err() {
            self.delete_identity(now, &IfMatch::Any, &id)?;
        }
        written
    }

    /// The twin first: what it has to say against the change is known before anything is changed.
    fn bulk_update(
        &mut self,
        now: UnixMillis,
        id: IdentityId,
        if_match: &IfMatch,
        entry: &Map<String, Value>,
    ) -> Result<(), ServiceError> {
        if_match.check(self.identity(&id)?.etag())?;
        let document = Value::Object(entry.clone());
        let spec = IdentitySpec::parse(id.clone(), &document)?;
        let twin_condition = match text(entry, &["twinETag"])? {
            None => IfMatch::Any,
            Some(_) => condition(entry, "twinETag", true)?,
        };
        self.patch_twin(now, &id, &twin_condition, &document)?;
        self.update_identity(now, if_match, spec).map(drop)
    }
}

/// The precondition that an entry states in a field, with or without quotes.
fn condition(entry: &Map<String, Value>, field: &str, if_match: bool) -> Result<IfMatch, ServiceError> {
    if !if_match {
        return Ok(IfMatch::Any);
    }
    let tag = text(entry, &[field])?.map(|tag| tag.trim_matches('"'));
    match tag {
        None => Err(ServiceError::new(ErrorCode::ArgumentNull, format!("the importMode needs {field}"))),
        Some("*") => Ok(IfMatch::Any),
        Some(tag) => Ok(IfMatch::Exactly(tag.into())),
    }
}
