//! The certificate authority that the emulator makes, and the server's certificate.
//!
//! Clients are given the authority's certificate as a PEM file and verify as they always do. With a directory, the
//! authority is kept from one start to the next; the server's certificate is issued again at each start.

use core::fmt;
use core::time::Duration;
use std::fs;
use std::io::{self, Write};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose,
};
use thiserror::Error;
use zeroize::Zeroizing;

/// The authority's certificate, in the directory that it is kept in.
pub(crate) const CERTIFICATE_FILE: &str = "ca.pem";
/// The authority's key, readable by its owner only.
pub(crate) const KEY_FILE: &str = "ca-key.pem";

const DAY: u64 = 24 * 60 * 60;
const AUTHORITY_DAYS: u64 = 3650;
/// Some clients refuse server certificates that are good for more than 398 days.
const SERVER_DAYS: u64 = 365;

/// Why there is no authority or no server certificate.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CaError {
    /// A file or the directory could not be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// Which one.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The certificate is there without the key. Delete it, or bring the key back.
    #[error("{} is missing beside {}; delete both to get a new authority", missing.display(), found.display())]
    HalfThere {
        /// The file that is there.
        found: PathBuf,
        /// The file that is not.
        missing: PathBuf,
    },
    /// A file is not what it should be. Delete both to get a new authority.
    #[error("{}: {reason}; delete the directory's two files to get a new authority", path.display())]
    Unusable {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The file of the policies' keys is not what it should be. Delete it to get new keys.
    #[error("{}: {reason}; delete the file to get new keys", path.display())]
    PolicyKeys {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A certificate could not be made, most likely because the host name cannot be in one.
    #[error("no certificate could be made for this host name: {0}")]
    Certificate(#[from] rcgen::Error),
}

/// A certificate authority with its key.
pub(crate) struct Authority {
    certificate_pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Authority(..)")
    }
}

/// A server's certificate with its chain, and its key, both as PEM.
pub(crate) struct ServerCertificate {
    pub(crate) chain_pem: String,
    pub(crate) key_pem: Zeroizing<String>,
}

impl Authority {
    /// A new authority that lives in memory only.
    pub(crate) fn generate() -> Result<Self, CaError> {
        let (authority, _) = Self::generate_with_key()?;
        Ok(authority)
    }

    fn generate_with_key() -> Result<(Self, Zeroizing<String>), CaError> {
        let key = KeyPair::generate()?;
        let key_pem = Zeroizing::new(key.serialize_pem());
        Ok((Self::with_key(key)?, key_pem))
    }

    fn with_key(key: KeyPair) -> Result<Self, CaError> {
        let mut parameters = authority_parameters();
        validity(&mut parameters, AUTHORITY_DAYS);
        let certificate: Certificate = parameters.self_signed(&key)?;
        let issuer = Issuer::new(parameters, key);
        Ok(Self { certificate_pem: certificate.pem(), issuer })
    }

    /// The authority kept in `directory`; a new one is made and kept there if it holds none. Programs that do this at
    /// the same time get the same authority.
    pub(crate) fn open(directory: &Path) -> Result<Self, CaError> {
        let is_there = |name| directory.join(name).exists();
        if is_there(CERTIFICATE_FILE) && is_there(KEY_FILE) {
            // Each file is whole once it is there, so a directory that cannot be written is enough.
            return Self::open_locked(directory);
        }
        let io = |source| CaError::Io { path: directory.to_path_buf(), source };
        fs::create_dir_all(directory).map_err(io)?;
        let _lock = lock(directory).map_err(io)?;
        Self::open_locked(directory)
    }

    fn open_locked(directory: &Path) -> Result<Self, CaError> {
        let (certificate_path, key_path) = (directory.join(CERTIFICATE_FILE), directory.join(KEY_FILE));
        match (read(&certificate_path)?, read(&key_path)?) {
            (Some(certificate_pem), Some(key_pem)) => {
                Self::restore(certificate_pem, &key_pem, &certificate_path, &key_path)
            }
            (Some(_), None) => Err(CaError::HalfThere { found: certificate_path, missing: key_path }),
            (None, Some(key_pem)) => {
                // A start that was killed has left the key. Its certificate is as good as any: no client has seen it, or it
                // is of the same name and key as the one that somebody has deleted.
                let key = KeyPair::from_pem(&key_pem)
                    .map_err(|_| CaError::Unusable { path: key_path, reason: "not a private key in PEM" })?;
                let authority = Self::with_key(key)?;
                write(&certificate_path, &authority.certificate_pem, 0o644)?;
                Ok(authority)
            }
            (None, None) => {
                let (authority, key_pem) = Self::generate_with_key()?;
                write(&key_path, &key_pem, 0o600)?;
                write(&certificate_path, &authority.certificate_pem, 0o644)?;
                Ok(authority)
            }
        }
    }

    fn restore(
        certificate_pem: Zeroizing<String>,
        key_pem: &str,
        certificate_path: &Path,
        key_path: &Path,
    ) -> Result<Self, CaError> {
        let unusable = |path: &Path, reason| CaError::Unusable { path: path.to_path_buf(), reason };
        let key = KeyPair::from_pem(key_pem).map_err(|_| unusable(key_path, "not a private key in PEM"))?;
        let der = der_of(&certificate_pem).ok_or_else(|| unusable(certificate_path, "not a certificate in PEM"))?;
        let public_key = key.public_key_raw();
        if !der.windows(public_key.len()).any(|window| window == public_key) {
            return Err(unusable(certificate_path, "does not belong to the key beside it"));
        }
        let issuer = Issuer::new(authority_parameters(), key);
        Ok(Self { certificate_pem: certificate_pem.as_str().into(), issuer })
    }

    /// The authority's certificate.
    pub(crate) fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    /// A certificate for `host_name`, for what is below it, for this machine's loopback, and for `more` names.
    pub(crate) fn issue(&self, host_name: &str, more: &[String]) -> Result<ServerCertificate, CaError> {
        let mut names = vec![host_name.to_owned()];
        if host_name.parse::<IpAddr>().is_err() {
            names.push(format!("*.{host_name}"));
        }
        for name in ["localhost", "127.0.0.1", "::1"].into_iter().chain(more.iter().map(String::as_str)) {
            if !names.iter().any(|known| known.eq_ignore_ascii_case(name)) {
                names.push(name.into());
            }
        }
        let mut parameters = CertificateParams::new(names)?;
        parameters.distinguished_name = DistinguishedName::new();
        parameters.distinguished_name.push(DnType::CommonName, "iothub-emulator");
        parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        parameters.use_authority_key_identifier_extension = true;
        validity(&mut parameters, SERVER_DAYS);
        let key = KeyPair::generate()?;
        let certificate = parameters.signed_by(&key, &self.issuer)?;
        let chain_pem = format!("{}{}", certificate.pem(), self.certificate_pem);
        Ok(ServerCertificate { chain_pem, key_pem: Zeroizing::new(key.serialize_pem()) })
    }
}

/// What is the same in every authority, so that an issuer can be made again from the key alone.
fn authority_parameters() -> CertificateParams {
    let mut parameters = CertificateParams::default();
    parameters.distinguished_name = DistinguishedName::new();
    parameters.distinguished_name.push(DnType::CommonName, "iothub-emulator certificate authority");
    parameters.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    parameters
}

/// From a day ago, for clocks that are a little behind, for that many days.
fn validity(parameters: &mut CertificateParams, days: u64) {
    let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    parameters.not_before = epoch + Duration::from_secs(since_1970.saturating_sub(DAY));
    parameters.not_after = epoch + Duration::from_secs(since_1970.saturating_add(days.saturating_mul(DAY)));
}

/// The octets of the first certificate of a PEM text.
fn der_of(pem: &str) -> Option<Vec<u8>> {
    use base64::Engine as _;
    let (_, rest) = pem.split_once("-----BEGIN CERTIFICATE-----")?;
    let (base64, _) = rest.split_once("-----END CERTIFICATE-----")?;
    let base64: String = base64.split_ascii_whitespace().collect();
    base64::engine::general_purpose::STANDARD.decode(base64).ok()
}

pub(crate) fn read(path: &Path) -> Result<Option<Zeroizing<String>>, CaError> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(Zeroizing::new(text))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(CaError::Io { path: path.to_path_buf(), source }),
    }
}

/// Waits until no other program makes an authority in `directory`, and keeps them waiting until it is dropped.
pub(crate) fn lock(directory: &Path) -> io::Result<fs::File> {
    // A directory that can be locked itself needs no file that stays behind.
    #[cfg(unix)]
    let file = fs::File::open(directory)?;
    #[cfg(not(unix))]
    let file = fs::OpenOptions::new().create(true).write(true).truncate(false).open(directory.join("ca.lock"))?;
    match file.lock() {
        // Some file systems have no locks. Both files are written as wholes even so.
        Err(error) if error.kind() != io::ErrorKind::Unsupported => Err(error),
        _ => Ok(file),
    }
}

/// Writes a file as a whole: under another name first, so that half of it is never found.
pub(crate) fn write(path: &Path, text: &str, mode: u32) -> Result<(), CaError> {
    let mut unfinished = path.as_os_str().to_owned();
    unfinished.push(".new");
    let unfinished = PathBuf::from(unfinished);
    let written = (|| {
        let mut options = fs::OpenOptions::new();
        options.write(true).create(true).truncate(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, mode);
        let mut file = options.open(&unfinished)?;
        // The mode above counts for a new file only, and less the umask.
        #[cfg(unix)]
        file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(mode))?;
        #[cfg(not(unix))]
        let _ = mode;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&unfinished, path)
    })();
    written.map_err(|source| CaError::Io { path: path.to_path_buf(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_later_start_keeps_the_authority_and_issues_a_new_certificate() {
        let directory = tempfile::tempdir().unwrap();
        let kept = directory.path().join("deeper");
        let first = Authority::open(&kept).unwrap();
        let second = Authority::open(&kept).unwrap();
        assert_eq!(first.certificate_pem(), second.certificate_pem());
        let (a, b) = (first.issue("localhost", &[]).unwrap(), second.issue("localhost", &[]).unwrap());
        assert_ne!(a.chain_pem, b.chain_pem);
        assert!(a.chain_pem.ends_with(first.certificate_pem()) && b.chain_pem.ends_with(first.certificate_pem()));
    }

    #[test]
    fn those_who_open_at_the_same_time_get_the_same_authority() {
        for _ in 0..10 {
            let directory = tempfile::tempdir().unwrap();
            let kept = directory.path().join("ca");
            let together = std::sync::Barrier::new(16);
            let opened: Vec<String> = std::thread::scope(|scope| {
                let open = || {
                    together.wait();
                    Authority::open(&kept).unwrap().certificate_pem().to_owned()
                };
                let threads: Vec<_> = (0..16).map(|_| scope.spawn(open)).collect();
                threads.into_iter().map(|thread| thread.join().unwrap()).collect()
            });
            assert!(opened.iter().all(|pem| *pem == opened[0]));
            #[cfg(unix)]
            assert_eq!(fs::read_dir(&kept).unwrap().count(), 2, "nothing but the two files stays behind");
        }
    }

    #[cfg(unix)]
    #[test]
    fn the_key_is_readable_by_its_owner_only() {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().unwrap();
        Authority::open(directory.path()).unwrap();
        let mode = fs::metadata(directory.path().join(KEY_FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn half_an_authority_and_a_foreign_key_are_refused() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name| directory.path().join(name);
        Authority::open(directory.path()).unwrap();
        fs::rename(at(KEY_FILE), at("away")).unwrap();
        assert!(matches!(Authority::open(directory.path()), Err(CaError::HalfThere { .. })));
        fs::write(at(KEY_FILE), KeyPair::generate().unwrap().serialize_pem()).unwrap();
        assert!(matches!(Authority::open(directory.path()), Err(CaError::Unusable { .. })));
        fs::write(at(KEY_FILE), "no key").unwrap();
        let error = Authority::open(directory.path()).unwrap_err().to_string();
        assert!(error.contains("ca-key.pem") && error.contains("not a private key"), "{error}");
        fs::rename(at("away"), at(KEY_FILE)).unwrap();
        assert!(Authority::open(directory.path()).is_ok());
    }

    #[test]
    fn a_start_that_was_killed_between_the_two_files_is_finished_by_the_next() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name| directory.path().join(name);
        Authority::open(directory.path()).unwrap();
        let key = fs::read_to_string(at(KEY_FILE)).unwrap();
        fs::remove_file(at(CERTIFICATE_FILE)).unwrap();
        // Half of a file that was not finished.
        fs::write(at("ca.pem.new"), "-----BEGIN CERT").unwrap();
        let finished = Authority::open(directory.path()).unwrap();
        assert_eq!(fs::read_to_string(at(KEY_FILE)).unwrap(), key);
        assert_eq!(Authority::open(directory.path()).unwrap().certificate_pem(), finished.certificate_pem());
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 2, "nothing else stays behind");
        fs::remove_file(at(CERTIFICATE_FILE)).unwrap();
        fs::write(at(KEY_FILE), "no key").unwrap();
        assert!(matches!(Authority::open(directory.path()), Err(CaError::Unusable { .. })));
    }

    #[test]
    fn a_host_name_that_is_an_address_gets_no_wildcard() {
        let authority = Authority::generate().unwrap();
        assert!(authority.issue("127.0.0.1", &[]).is_ok());
        assert!(authority.issue("hub.example", &["hub".into(), "192.0.2.1".into(), "LOCALHOST".into()]).is_ok());
        assert!(authority.issue("hüb", &[]).is_err());
    }
}
