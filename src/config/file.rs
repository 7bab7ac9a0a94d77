//! The configuration file: found, read, and taken apart into keys with their lines.
//!
//! In comes a path, out go raw values. Which keys exist and what may stand for them is not known here.

use std::{
    fs, io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use toml::de::{DeTable, DeValue};

use super::{Environment, Flags, Problem, value::Raw};

const NAME: &str = "atryum.toml";
const OF_SYSTEM: &str = "/etc/atryum/atryum.toml";

/// One line of a file that sets something.
#[derive(Debug)]
pub(super) struct Entry {
    /// The key, with its sections and dots.
    pub(super) key: String,
    pub(super) raw: Raw,
    /// From 1.
    pub(super) line: usize,
}

/// A file that was read.
#[derive(Debug)]
pub(super) struct Document {
    pub(super) path: PathBuf,
    pub(super) entries: Vec<Entry>,
    /// Whether every user of the machine may read it.
    pub(super) is_public: bool,
}

/// Reads the file that was named, or the first of the usual ones that is there.
pub(super) fn read(environment: &Environment, flags: &Flags) -> Result<Option<Document>, Problem> {
    let by_flag = flags.file.clone().map(|path| ("--config", path));
    let by_variable = environment.variable("ATRYUM_CONFIG").map(|path| ("ATRYUM_CONFIG", PathBuf::from(path)));
    if let Some((named_by, path)) = by_flag.or(by_variable) {
        let path = environment.directory().join(path);
        return match open(&path) {
            Ok((text, is_public)) => parse(&path, &text, is_public).map(Some),
            Err(source) => Err(Problem::Unreadable { named_by: named_by.into(), path, source }),
        };
    }
    for path in usual_places(environment) {
        match open(&path) {
            Ok((text, is_public)) => return parse(&path, &text, is_public).map(Some),
            Err(error) if is_absent(&error) => {}
            Err(source) => return Err(Problem::Unreadable { named_by: "configuration".into(), path, source }),
        }
    }
    Ok(None)
}

fn usual_places(environment: &Environment) -> impl Iterator<Item = PathBuf> {
    let of_user = environment.base("XDG_CONFIG_HOME", ".config").map(|base| base.join("atryum").join(NAME));
    [Some(environment.directory().join(NAME)), of_user, Some(PathBuf::from(OF_SYSTEM))].into_iter().flatten()
}

fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

fn open(path: &Path) -> io::Result<(String, bool)> {
    let text = fs::read_to_string(path)?;
    Ok((text, fs::metadata(path)?.permissions().mode() & 0o004 != 0))
}

fn parse(path: &Path, text: &str, is_public: bool) -> Result<Document, Problem> {
    let table = DeTable::parse(text).map_err(|error| Problem::NotToml {
        path: path.to_owned(),
        line: line_at(text, error.span().map_or(0, |span| span.start)),
        what: error.message().to_owned(),
    })?;
    let mut entries = Vec::new();
    flatten(text, "", table.get_ref(), &mut entries);
    entries.sort_by_key(|entry| entry.line);
    Ok(Document { path: path.to_owned(), entries, is_public })
}

/// Every value with the whole name of its key; an empty table is a value too, so that a misspelt section is noticed.
fn flatten(text: &str, prefix: &str, table: &DeTable<'_>, entries: &mut Vec<Entry>) {
    for (name, value) in table {
        let key = if prefix.is_empty() { name.get_ref().to_string() } else { format!("{prefix}.{}", name.get_ref()) };
        if let DeValue::Table(inner) = value.get_ref()
            && !inner.is_empty()
        {
            flatten(text, &key, inner, entries);
        } else {
            entries.push(Entry { key, raw: raw(value.get_ref()), line: line_at(text, name.span().start) });
        }
    }
}

fn raw(value: &DeValue<'_>) -> Raw {
    match value {
        DeValue::String(text) => Raw::Text(text.to_string()),
        DeValue::Integer(number) => {
            Raw::Number(u64::from_str_radix(number.as_str(), number.radix()).ok(), number.to_string())
        }
        DeValue::Boolean(flag) => Raw::Flag(*flag),
        DeValue::Array(items) => {
            let texts: Option<Vec<String>> = items.iter().map(|item| item.get_ref().as_str().map(Into::into)).collect();
            texts.map_or(Raw::Other("list of other things than texts"), Raw::List)
        }
        DeValue::Float(_) | DeValue::Datetime(_) | DeValue::Table(_) => Raw::Other(value.type_str()),
    }
}

fn line_at(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1
}
