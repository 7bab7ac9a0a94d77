//! The master key: where it comes from, and what seals with it.
//!
//! A source comes in, a key goes out. Whether a new one may be made is decided by the vault.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::{Zeroize as _, Zeroizing};

use super::envelope::Sealer;
use super::subkey::{KEY_BYTES, Subkey, hmac};
use super::{KeySource, VaultError};

/// Longer than a key in base64 with a line end; nothing that is longer is read.
const KEY_FILE_BYTES_MAX: u64 = 128;

/// The key that seals the data key of every envelope, and nothing else.
pub(super) struct MasterKey(Zeroizing<[u8; KEY_BYTES]>);

impl MasterKey {
    /// Returns what seals and opens envelopes with this key.
    pub(super) fn sealer(&self) -> Sealer {
        Sealer::new(Subkey::new(hmac(&self.0, b"seal")))
    }

    fn parse(text: &str) -> Option<Self> {
        let mut bytes = STANDARD.decode(text.trim()).ok()?;
        let key = <[u8; KEY_BYTES]>::try_from(bytes.as_slice()).ok().map(|key| Self(Zeroizing::new(key)));
        bytes.zeroize();
        key
    }
}

/// Reads the key; none when its file is not there.
pub(super) fn read(source: &KeySource) -> Result<Option<MasterKey>, VaultError> {
    let text = match source {
        KeySource::Value { value, .. } => Zeroizing::new(value.expose().to_owned()),
        KeySource::File(path) => match read_file(path)? {
            Some(text) => text,
            None => return Ok(None),
        },
    };
    let key = MasterKey::parse(&text).ok_or_else(|| VaultError::Malformed { looked_at: source.to_string() })?;
    Ok(Some(key))
}

/// Makes a key file with a new key. It is complete and on the disk before it has its name.
pub(super) fn make(source: &KeySource) -> Result<MasterKey, VaultError> {
    let KeySource::File(path) = source else {
        return Err(VaultError::Missing { looked_at: source.to_string() });
    };
    let mut key = Zeroizing::new([0; KEY_BYTES]);
    getrandom::fill(key.as_mut_slice()).map_err(VaultError::NoRandomness)?;
    let text = Zeroizing::new(STANDARD.encode(key.as_slice()) + "\n");
    write_file(path, text.as_bytes()).map_err(|source| VaultError::File { path: path.clone(), source })?;
    Ok(MasterKey(key))
}

fn read_file(path: &Path) -> Result<Option<Zeroizing<String>>, VaultError> {
    let file_error = |source| VaultError::File { path: path.to_owned(), source };
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(file_error(source)),
    };
    // asked of the open file, so that it cannot be exchanged between the question and the reading
    let mode = file.metadata().map_err(file_error)?.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(VaultError::Exposed { path: path.to_owned(), mode });
    }
    let mut text = Zeroizing::new(String::new());
    file.take(KEY_FILE_BYTES_MAX).read_to_string(&mut text).map_err(file_error)?;
    Ok(Some(text))
}

fn write_file(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let unfinished = beside(path);
    // left over from a start that was cut off
    let _ = fs::remove_file(&unfinished);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&unfinished)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    // unlike a rename, a link does not take the place of a key that is there after all
    let linked = fs::hard_link(&unfinished, path);
    fs::remove_file(&unfinished)?;
    linked?;
    File::open(folder)?.sync_all()
}

fn beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    name.into()
}
