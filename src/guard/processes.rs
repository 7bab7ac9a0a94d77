//! The kernel's list of processes, as far as the guard needs it.
//!
//! In comes `/proc`, out go ids. The per-task list of children is not compiled into every kernel, so each process's
//! `stat` is read; one that ends meanwhile is left out.

use std::{fs, io};

use rustix::process::{self, Pid, Signal};

/// One line of the kernel's list.
#[derive(Debug, PartialEq, Eq)]
struct Process {
    id: Pid,
    parent: Option<Pid>,
    session: Option<Pid>,
}

/// The processes whose parent is the one given, zombies included.
pub(super) fn children_of(parent: Pid) -> io::Result<Vec<Pid>> {
    Ok(list()?.into_iter().filter(|process| process.parent == Some(parent)).map(|process| process.id).collect())
}

/// Kills every process of a session; for the case that the guard leading it was itself killed.
///
/// The kernel gives a session's id to nobody else while the session has members, so no stranger is met.
pub fn kill_session(leader: Pid) {
    for process in list().unwrap_or_default() {
        if process.session == Some(leader) {
            let _ = process::kill_process(process.id, Signal::KILL);
        }
    }
}

/// Every process there is.
fn list() -> io::Result<Vec<Process>> {
    let entries = fs::read_dir("/proc")?;
    let directories = entries.filter_map(Result::ok).map(|entry| entry.path());
    let numbered = directories.filter(|path| {
        path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.bytes().all(|b| b.is_ascii_digit()))
    });
    Ok(numbered.filter_map(|path| parse(&fs::read_to_string(path.join("stat")).ok()?)).collect())
}

/// Parses `ID (NAME) STATE PARENT GROUP SESSION …`; the name may hold anything, so the last bracket counts.
fn parse(stat: &str) -> Option<Process> {
    let (id, _) = stat.split_once(' ')?;
    let (_, rest) = stat.rsplit_once(") ")?;
    let mut fields = rest.split(' ').skip(1);
    let mut next = || fields.next()?.parse().ok();
    let (parent, _group, session): (i32, i32, i32) = (next()?, next()?, next()?);
    // a process that is just ending shows minus one for what it has already given up
    let known = |id: i32| if id > 0 { Pid::from_raw(id) } else { None };
    Some(Process { id: known(id.parse().ok()?)?, parent: known(parent), session: known(session) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_and_spaces_is_no_obstacle() {
        let process = parse("12 (a) R (b) 9) S 7 12 5 0 -1").unwrap();
        assert_eq!(
            process,
            Process { id: Pid::from_raw(12).unwrap(), parent: Pid::from_raw(7), session: Pid::from_raw(5) }
        );
    }

    #[test]
    fn a_process_that_is_just_ending_has_neither_group_nor_session() {
        let process = parse("12 (a) Z 0 -1 -1 0 -1").unwrap();
        assert_eq!(process, Process { id: Pid::from_raw(12).unwrap(), parent: None, session: None });
    }

    #[test]
    fn a_line_cut_short_is_left_out() {
        assert_eq!(parse("12 (a) S 7"), None);
        assert_eq!(parse(""), None);
    }

    #[test]
    fn this_process_is_among_its_parents_children() {
        let parent = process::getppid().unwrap();
        assert!(children_of(parent).unwrap().contains(&process::getpid()));
    }
}
