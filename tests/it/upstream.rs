//! Servers behind the gateway: how they are reached, what they may do wrong, and that nothing is left of them.

mod edits;
mod environment;
mod failing;
mod http;
mod misbehaving;
mod processes;
mod shared;

use crate::support::eventually;

/// Waits until the process `pid` has no descendants.
pub async fn no_process_is_left(pid: u32) {
    eventually("all processes are gone", async || descendants(pid).is_empty().then_some(())).await;
}

/// The processes that descend from `pid`.
pub fn descendants(pid: u32) -> Vec<u32> {
    let mut parents = Vec::new();
    for entry in std::fs::read_dir("/proc").expect("/proc").flatten() {
        let Some(child) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        let Ok(stat) = std::fs::read_to_string(entry.path().join("stat")) else { continue };
        // The name may hold anything; what follows its last parenthesis doesn't.
        let Some((_, rest)) = stat.rsplit_once(')') else { continue };
        let mut fields = rest.split_whitespace();
        let is_zombie = fields.next() == Some("Z");
        if let Some(parent) = fields.next().and_then(|parent| parent.parse::<u32>().ok())
            && !is_zombie
        {
            parents.push((child, parent));
        }
    }
    let mut found = vec![pid];
    let mut at = 0;
    while let Some(parent) = found.get(at).copied() {
        found.extend(parents.iter().filter(|(_, of)| *of == parent).map(|(child, _)| *child));
        at += 1;
    }
    found.split_off(1)
}

/// Whether a process of that id runs.
pub fn runs(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

/// The memory that a process holds.
pub fn resident_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("VmRSS");
    line.split_whitespace().next().expect("a figure").parse().expect("a number")
}
