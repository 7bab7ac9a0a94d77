//! The house rules that a compiler does not hold: who may know whom, and how long a file may be.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::support::app::repo;

/// The rooms in their line: each may know only those before it.
const LINE: [&str; 30] = [
    "clock",
    "backoff",
    "glob",
    "mcp",
    "guard",
    "demo",
    "child",
    "metrics",
    "supervision",
    "trail",
    "store",
    "journal",
    "vault",
    "config",
    "identity",
    "gate",
    "egress",
    "audit",
    "notify",
    "oauth",
    "credential",
    "upstream",
    "connect",
    "invocation",
    "downstream",
    "http",
    "app",
    "telemetry",
    "cli",
    "main",
];

/// What only some rooms may name.
const KEPT: [(&str, &[&str]); 5] = [
    ("sea_orm", &["store"]),
    ("entity::", &["store"]),
    ("actix_web::", &["http", "app"]),
    ("awc::", &["egress", "cli"]),
    ("std::env::", &["config", "child", "guard", "cli", "main", "app"]),
];

const LINES_MAX: usize = 500;

fn sources() -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut folders = vec![repo("src")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push((path.clone(), std::fs::read_to_string(&path).expect("a source file")));
            }
        }
    }
    found
}

fn room(path: &Path) -> String {
    let inside = path.strip_prefix(repo("src")).expect("below src");
    let first = inside.components().next().expect("a name").as_os_str().to_string_lossy().into_owned();
    first.trim_end_matches(".rs").to_owned()
}

/// The code alone: no comments, no unit tests.
fn code(path: &Path, text: &str) -> String {
    if path.ends_with("tests.rs") {
        return String::new();
    }
    let shipped = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
    shipped.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

/// The rooms named after `crate::`: one, or those of a group.
fn first_names(path: &str) -> Vec<String> {
    let name = |text: &str| text.chars().take_while(|char| char.is_alphanumeric() || *char == '_').collect::<String>();
    let Some(group) = path.strip_prefix('{') else { return vec![name(path)] };
    let mut depth = 0;
    let mut names = Vec::new();
    let mut start = true;
    for (at, char) in group.char_indices() {
        match char {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => start = true,
            _ if start && !char.is_whitespace() => {
                names.push(name(&group[at..]));
                start = false;
            }
            _ => {}
        }
    }
    names
}

#[test]
fn each_room_knows_only_rooms_to_its_left() {
    let place: BTreeMap<_, _> = LINE.iter().enumerate().map(|(at, room)| (*room, at)).collect();
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        let room = room(&path);
        if room == "lib" {
            continue;
        }
        let own = *place.get(room.as_str()).unwrap_or_else(|| panic!("{room} has no place in the line"));
        let code = code(&path, &text);
        for name in code.split("crate::").skip(1).flat_map(first_names) {
            if place.get(name.as_str()).is_some_and(|at| *at > own) {
                wrong.push(format!("{}: {room} must not know {name}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Whether the word stands there by itself, and not as the end of another.
fn names(code: &str, word: &str) -> bool {
    let continues = |char: char| char.is_alphanumeric() || char == '_';
    code.match_indices(word).any(|(at, _)| !code[..at].ends_with(continues))
}

#[test]
fn what_belongs_to_one_room_is_named_in_no_other() {
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        let room = room(&path);
        for (word, rooms) in KEPT {
            if names(&code(&path, &text), word) && !rooms.contains(&room.as_str()) {
                wrong.push(format!("{}: {word} belongs to {rooms:?}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_file_says_what_it_is_and_is_short_and_well_named() {
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
        if !text.starts_with("//!") {
            wrong.push(format!("{}: does not begin by saying what it is", path.display()));
        }
        if text.lines().count() > LINES_MAX {
            wrong.push(format!("{}: has more than {LINES_MAX} lines", path.display()));
        }
        if ["mod", "utils", "helpers", "common", "manager", "misc"].contains(&name.as_str()) {
            wrong.push(format!("{}: says nothing by its name", path.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
