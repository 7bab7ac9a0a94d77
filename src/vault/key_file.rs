//! The file of a master key, and those beside it while the key is changed.
//!
//! | file | what |
//! |---|---|
//! | `master.key` | the key |
//! | `master.key.next` | the key of a change that is under way; complete and on the disk before anything is sealed with it |
//! | `master.key.<8 hex>` | a key from before a change, by its fingerprint |
//!
//! No file of a key is ever written over or removed but by another name that it has got: another database may share it,
//! and backups need it.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::VaultError;

/// What the key of a change that is under way is called beside the present one.
pub(super) const NEXT: &str = "next";
/// Longer than a key in base64 with a line end; nothing that is longer is read.
const KEY_FILE_BYTES_MAX: u64 = 128;

/// Reads a file that only its owner may read; none when it is not there.
pub(super) fn read(path: &Path) -> Result<Option<Zeroizing<String>>, VaultError> {
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

/// Makes a file that is not there yet. It is complete and on the disk before it has its name.
pub(super) fn make(path: &Path, text: &str) -> Result<(), VaultError> {
    write(path, text).map_err(|source| VaultError::File { path: path.to_owned(), source })
}

/// The file of the key that a change is about to put in the place of this one.
pub(super) fn next(path: &Path) -> PathBuf {
    beside(path, NEXT)
}

/// Puts the next key in the place of the present one, which keeps a name by its fingerprint; returns that name. It can be
/// done again after it was cut off.
pub(super) fn promote_next(path: &Path, fingerprint: Option<&str>) -> Result<Option<PathBuf>, VaultError> {
    let before = fingerprint.map(|fingerprint| beside(path, fingerprint));
    rename(path, before.as_deref()).map_err(|source| VaultError::NotInPlace {
        next: next(path),
        path: path.to_owned(),
        source,
    })?;
    Ok(before)
}

fn rename(path: &Path, before: Option<&Path>) -> io::Result<()> {
    match before.map_or(Ok(()), |before| fs::hard_link(path, before)) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    // the name of the key before is on the disk before it loses its other one
    sync(folder(path))?;
    fs::rename(next(path), path)?;
    sync(folder(path))
}

fn write(path: &Path, text: &str) -> io::Result<()> {
    let folder = folder(path);
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let unfinished = beside(path, "new");
    // left over from a start that was cut off
    let _ = fs::remove_file(&unfinished);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&unfinished)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    // unlike a rename, a link does not take the place of a key that is there after all
    let linked = fs::hard_link(&unfinished, path);
    fs::remove_file(&unfinished)?;
    linked?;
    sync(folder)
}

fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn beside(path: &Path, what: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(".");
    name.push(what);
    name.into()
}
