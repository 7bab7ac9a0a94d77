//! `atryum serve`: what it says when it starts, and when it cannot.

use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use super::run::{Done, atryum, done};
use crate::support::app::{ADMIN_TOKEN, App};

fn serve(arguments: &[&str], variables: &[(&str, &str)]) -> (Done, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let mut command = atryum(&[&["serve", "--listen", "127.0.0.1:0"], arguments].concat());
    command.env("HOME", folder.path()).current_dir(folder.path()).envs(variables.iter().copied());
    (done(&mut command), folder)
}

#[test]
fn every_problem_of_the_configuration_is_told_before_anything_is_made() {
    let (refused, folder) = serve(&[], &[("ATRYUM_HTTP__WORKERS", "none"), ("ATRYUM_DATA_DRI", "x")]);
    assert_eq!(refused.code, 1);
    assert!(refused.err.contains("ATRYUM_HTTP__WORKERS: http.workers must be a whole number"), "{refused:?}");
    assert!(refused.err.contains("did you mean ATRYUM_DATA_DIR?"), "{refused:?}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn an_address_that_others_could_reach_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let refused =
        done(atryum(&["serve", "--listen", "0.0.0.0:0"]).env("HOME", folder.path()).current_dir(folder.path()));
    assert_eq!(refused.code, 1);
    assert!(refused.err.starts_with("atryum: --listen: cannot listen on 0.0.0.0:0: other machines"), "{refused:?}");
}

#[test]
fn a_level_that_is_none_is_refused() {
    let (refused, _folder) = serve(&[], &[("ATRYUM_LOG__LEVEL", "atryum=loud")]);
    assert!(refused.code == 1 && refused.err.contains("log.level \"atryum=loud\" is not a level"), "{refused:?}");
}

#[actix_rt::test]
async fn the_state_is_for_its_owner_alone_and_sigterm_ends_well() {
    let mut app = App::start().await;
    let mode = std::fs::metadata(app.dir().join("data")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
    assert_eq!(app.terminate().await, Some(0));
}

/// Who is nobody in particular.
const NOBODY: u32 = 65_534;

/// Runs as somebody without rights of root, whoever runs the tests.
fn ordinary(command: &mut Command) -> &mut Command {
    if nix::unistd::geteuid().is_root() { command.uid(NOBODY).gid(NOBODY) } else { command }
}

#[test]
fn other_processes_of_the_same_user_cannot_look_into_the_gateway_and_it_leaves_no_core_file() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
    // where anybody may run it from
    let binary = folder.path().join("atryum");
    std::fs::copy(env!("CARGO_BIN_EXE_atryum"), &binary).unwrap();
    let probes = ["environ", "mem", "maps", "fd", "auxv"];
    let readable = |pid: u32| {
        let read = |what: &&&str| {
            // a byte of a file, the names in a directory
            let script = format!("test -d /proc/{pid}/{what} && ls /proc/{pid}/{what} || head -c1 /proc/{pid}/{what}");
            // memory begins nowhere: that it may be opened is enough
            let script = if **what == "mem" { format!("exec 3</proc/{pid}/mem") } else { script };
            let ended = ordinary(Command::new("sh").args(["-c", &script])).output().unwrap();
            ended.status.success()
        };
        probes.iter().filter(read).copied().collect::<Vec<_>>()
    };
    let mut gateway = Command::new(&binary);
    ordinary(&mut gateway)
        .arg("serve")
        .env_clear()
        .env("HOME", folder.path())
        .env("ATRYUM_LISTEN", "127.0.0.1:0")
        .env("ATRYUM_ADMIN_TOKEN", ADMIN_TOKEN)
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let mut gateway = gateway.spawn().unwrap();
    let mut line = String::new();
    BufReader::new(gateway.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert!(line.starts_with("listening on "), "{line}");
    assert_eq!(readable(gateway.id()), Vec::<&str>::new());
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", gateway.id())).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().nth(4), Some("0"), "{core}");
    gateway.kill().unwrap();
    gateway.wait().unwrap();
    // a process that hides nothing is read, so the probes can tell
    let mut open = ordinary(Command::new("sleep").arg("600")).spawn().unwrap();
    let seen = readable(open.id());
    open.kill().unwrap();
    open.wait().unwrap();
    assert_eq!(seen, probes);
}
