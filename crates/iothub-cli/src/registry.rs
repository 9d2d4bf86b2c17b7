//! `iothub registry`: devices and modules.

use crate::{
    arguments::Hidden,
    cli::{AuthType, CreateOptions, DeleteOptions, ListOptions, ShowOptions},
    failure::Failure,
    output::Output,
    rest::{client, condition, document},
};
use iothub::{
    RegistryClient,
    registry::{Authentication, Device, DeviceStatus, IdentityId, Module, SymmetricKey},
};
use serde_json::{Map, Value, json};
use std::{process::ExitCode, time::SystemTime};

pub(crate) async fn create(options: CreateOptions) -> Result<ExitCode, Failure> {
    let authentication = authentication(&options)?;
    let registry = client(&options.hub)?;
    let shown = match &options.identity.module {
        Some(_) if options.disabled => return Err(Failure::usage("a module is disabled with its device, not alone")),
        Some(module) => {
            let module = Module::new(&options.identity.device, module).authentication(authentication);
            module_json(&registry, &registry.create_module(&module).await?, options.keys)
        }
        None => {
            let status = if options.disabled { DeviceStatus::Disabled } else { DeviceStatus::Enabled };
            let device = Device::new(&options.identity.device).authentication(authentication).status(status);
            device_json(&registry, &registry.create_device(&device).await?, options.keys)
        }
    };
    document(&Output::new(options.hub.json), &shown);
    Ok(ExitCode::SUCCESS)
}

fn authentication(options: &CreateOptions) -> Result<Authentication, Failure> {
    let (keys, thumbprint) = (options.primary_key.is_some(), options.thumbprint.is_some());
    match options.auth_type {
        AuthType::Sas if !thumbprint => {
            let key = |key: &Option<Hidden>| key.as_ref().map(|key| SymmetricKey::new(key.expose()));
            let (primary, secondary) = (key(&options.primary_key), key(&options.secondary_key));
            Ok(primary.zip(secondary).map_or_else(Authentication::generated_keys, |(primary, secondary)| {
                Authentication::keys(primary.expose(), secondary.expose())
            }))
        }
        AuthType::SelfSigned if !keys => match (&options.thumbprint, &options.secondary_thumbprint) {
            (Some(primary), None) => Ok(Authentication::thumbprint(primary)),
            (Some(primary), Some(secondary)) => Ok(Authentication::thumbprints(primary, secondary)),
            (None, _) => Err(Failure::usage("--auth-type self-signed wants --thumbprint")),
        },
        AuthType::CertificateAuthority if !keys && !thumbprint => Ok(Authentication::CertificateAuthority),
        AuthType::None if !keys && !thumbprint => Ok(Authentication::None),
        _ if keys => Err(Failure::usage("keys go with --auth-type sas alone")),
        _ => Err(Failure::usage("thumbprints go with --auth-type self-signed alone")),
    }
}

pub(crate) async fn list(options: ListOptions) -> Result<ExitCode, Failure> {
    let (output, registry) = (Output::new(options.hub.json), client(&options.hub)?);
    match &options.device {
        Some(device) => {
            for module in registry.modules(device).await? {
                document(&output, &module_json(&registry, &module, false));
            }
        }
        None => {
            for device in registry.devices(options.top).await? {
                document(&output, &device_json(&registry, &device, false));
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

pub(crate) async fn show(options: ShowOptions) -> Result<ExitCode, Failure> {
    let registry = client(&options.hub)?;
    let device = &options.identity.device;
    let shown = match &options.identity.module {
        Some(module) => module_json(&registry, &registry.module(device, module).await?, options.keys),
        None => device_json(&registry, &registry.device(device).await?, options.keys),
    };
    document(&Output::new(options.hub.json), &shown);
    Ok(ExitCode::SUCCESS)
}

pub(crate) async fn delete(options: DeleteOptions) -> Result<ExitCode, Failure> {
    let registry = client(&options.hub)?;
    let condition = condition(options.if_match.as_deref());
    let device = &options.identity.device;
    let name = match &options.identity.module {
        Some(module) => {
            registry.delete_module(device, module, condition).await?;
            format!("module {module} of device {device}")
        }
        None => {
            registry.delete_device(device, condition).await?;
            format!("device {device}")
        }
    };
    Output::new(options.hub.json).say(
        &format!("The hub has deleted {name}."),
        &json!({"event": "deleted", "device": device, "module": options.identity.module}),
    );
    Ok(ExitCode::SUCCESS)
}

fn device_json(registry: &RegistryClient, device: &Device, with_keys: bool) -> Value {
    let mut shown = Map::new();
    let mut set = |name: &str, value: Value| shown.insert(name.to_owned(), value);
    set("device", device.device_id.as_str().into());
    set("status", if device.status == DeviceStatus::Enabled { "enabled" } else { "disabled" }.into());
    set("status_reason", json!(device.status_reason));
    set("generation_id", json!(device.generation_id));
    set("etag", json!(device.etag));
    set("connection_state", json!(device.connection_state));
    set("last_activity", time(device.last_activity));
    set("messages_waiting", device.cloud_to_device_message_count.into());
    authentication_json(&mut shown, registry, &device.authentication, &device.into(), with_keys);
    shown.into()
}

fn module_json(registry: &RegistryClient, module: &Module, with_keys: bool) -> Value {
    let mut shown = Map::new();
    let mut set = |name: &str, value: Value| shown.insert(name.to_owned(), value);
    set("device", module.device_id.as_str().into());
    set("module", module.module_id.as_str().into());
    set("managed_by", json!(module.managed_by));
    set("generation_id", json!(module.generation_id));
    set("etag", json!(module.etag));
    set("connection_state", json!(module.connection_state));
    set("last_activity", time(module.last_activity));
    set("messages_waiting", module.cloud_to_device_message_count.into());
    authentication_json(&mut shown, registry, &module.authentication, &module.into(), with_keys);
    shown.into()
}

/// Keys are shown only when they were asked for.
fn authentication_json(
    shown: &mut Map<String, Value>,
    registry: &RegistryClient,
    authentication: &Authentication,
    id: &IdentityId,
    with_keys: bool,
) {
    let mut set = |name: &str, value: Value| shown.insert(name.to_owned(), value);
    set("auth_type", authentication.name().into());
    if let Authentication::SelfSigned { primary, secondary } = authentication {
        set("thumbprints", json!([Some(primary), secondary.as_ref()]));
    }
    if let (true, Some(key)) = (with_keys, authentication.primary_key()) {
        set("primary_key", key.expose().into());
        set("secondary_key", json!(authentication.secondary_key().map(SymmetricKey::expose)));
        set("connection_string", registry.connection_string(id.clone(), key).into());
    }
}

/// A time as programs read it.
pub(crate) fn time(time: Option<SystemTime>) -> Value {
    json!(time.map(iothub::to_iso8601))
}
