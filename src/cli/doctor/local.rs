//! What can be looked at on this machine: the data directory, the database's file, the key's file.

use std::{
    fs,
    io::Read,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use rustix::fs::{Access, access};

use super::{Finding, Verdict};
use crate::{config::Config, vault::KeySource};

/// What every SQLite file begins with.
const SQLITE: &[u8] = b"SQLite format 3\0";

/// Looks at everything there is.
pub(super) fn examine(config: &Config) -> Vec<Finding> {
    let database = database_file(&config.database_url());
    let has_database = database.as_ref().is_some_and(|file| file.exists());
    vec![
        data_directory(&config.data_dir),
        look_at_database(database.as_deref()),
        key(&config.key_source(), has_database),
    ]
}

fn data_directory(path: &Path) -> Finding {
    let name = format!("data directory {}", path.display());
    match fs::metadata(path) {
        Err(_) => Finding::new(&name, Verdict::Note, "is not there; the first start makes it"),
        Ok(data) if !data.is_dir() => {
            Finding::new(&name, Verdict::Failed, "is not a directory").next("set ATRYUM_DATA_DIR to another place")
        }
        Ok(_) if access(path, Access::WRITE_OK | Access::EXEC_OK).is_err() => {
            Finding::new(&name, Verdict::Failed, "cannot be written to")
                .next("give its owner the right, or set ATRYUM_DATA_DIR")
        }
        Ok(data) if data.permissions().mode() & 0o077 != 0 => {
            Finding::new(&name, Verdict::Note, "can be looked into by other users")
                .next(format!("chmod 700 {}", path.display()))
        }
        Ok(_) => Finding::new(&name, Verdict::Ok, "is there and can be written to"),
    }
}

/// The file of a SQLite URL; `None` for a database that is a server.
pub(in crate::cli) fn database_file(url: &str) -> Option<PathBuf> {
    let path = url.strip_prefix("sqlite:")?.split('?').next().unwrap_or_default();
    Some(PathBuf::from(path.strip_prefix("//").unwrap_or(path)))
}

fn look_at_database(file: Option<&Path>) -> Finding {
    let Some(file) = file else {
        return Finding::new("database", Verdict::Note, "is a server's; the gateway looks at it when it starts");
    };
    let name = format!("database {}", file.display());
    let mut head = [0; SQLITE.len()];
    match fs::File::open(file).and_then(|mut file| file.read_exact(&mut head)) {
        Ok(()) if head == SQLITE => Finding::new(&name, Verdict::Ok, "is there and is an SQLite database"),
        Ok(()) => Finding::new(&name, Verdict::Failed, "is not an SQLite database").next("restore it from a backup"),
        Err(_) if !file.exists() => Finding::new(&name, Verdict::Note, "is not there; the first start makes it"),
        Err(error) => {
            Finding::new(&name, Verdict::Failed, format!("cannot be read: {error}")).next("restore it from a backup")
        }
    }
}

fn key(source: &KeySource, has_database: bool) -> Finding {
    let path = match source {
        KeySource::Value { name, .. } => return Finding::new("master key", Verdict::Ok, format!("comes from {name}")),
        KeySource::Keyring(_) => {
            let detail = "is kept in the OS keyring; the gateway looks at it when it starts";
            return Finding::new("master key", Verdict::Note, detail);
        }
        KeySource::File(path) => path,
    };
    let name = format!("master key {}", path.display());
    match fs::metadata(path) {
        Ok(data) if data.permissions().mode() & 0o077 != 0 => {
            Finding::new(&name, Verdict::Failed, "can be read by others").next(format!("chmod 600 {}", path.display()))
        }
        Ok(_) => Finding::new(&name, Verdict::Ok, "is there, and only its owner may read it"),
        Err(_) if has_database => {
            let finding = Finding::new(&name, Verdict::Failed, "is not there, but the database is");
            finding.next("bring the key back from a backup, or name it with ATRYUM_MASTER_KEY_PATH")
        }
        Err(_) => Finding::new(&name, Verdict::Note, "is not there; the first start makes it"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_of_a_database_url_is_found() {
        assert_eq!(database_file("sqlite:/a/b.db?mode=rwc").unwrap(), Path::new("/a/b.db"));
        assert_eq!(database_file("sqlite:///a/b.db").unwrap(), Path::new("/a/b.db"));
        assert_eq!(database_file("sqlite:b.db").unwrap(), Path::new("b.db"));
        assert_eq!(database_file("postgres://localhost/x"), None);
    }

    #[test]
    fn a_key_that_is_gone_is_worse_when_there_is_a_database() {
        let source = KeySource::File("/no/such/key".into());
        assert_eq!(key(&source, false).verdict, Verdict::Note);
        assert_eq!(key(&source, true).verdict, Verdict::Failed);
    }

    #[test]
    fn a_file_that_is_no_database_is_told_from_one_that_is_not_there() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("x.db");
        assert_eq!(look_at_database(Some(&file)).verdict, Verdict::Note);
        fs::write(&file, "something else entirely").unwrap();
        assert_eq!(look_at_database(Some(&file)).verdict, Verdict::Failed);
        fs::write(&file, [SQLITE, b"more"].concat()).unwrap();
        assert_eq!(look_at_database(Some(&file)).verdict, Verdict::Ok);
    }

    #[test]
    fn a_directory_that_others_may_look_into_is_noted() {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(data_directory(folder.path()).verdict, Verdict::Note);
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700)).unwrap();
        assert_eq!(data_directory(folder.path()).verdict, Verdict::Ok);
        assert_eq!(data_directory(&folder.path().join("gone")).verdict, Verdict::Note);
    }
}
