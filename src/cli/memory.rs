//! Secrets in the memory of this process, and who else could read them.

use std::io;

use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};

/// Keeps what is in memory from other processes of the same user, and out of core files, where the kernel can.
pub(super) fn hide() -> io::Result<()> {
    let hidden = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    let no_core = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
    Ok(hidden.and(no_core)?)
}
