//! `atryum serve`: what it says when it starts, and when it cannot.

use std::os::unix::fs::PermissionsExt;

use super::run::{Done, atryum, done};
use crate::support::app::App;

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

#[actix_rt::test]
async fn other_processes_cannot_read_the_gateways_memory() {
    let app = App::start().await;
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", app.pid)).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().nth(4), Some("0"), "{core}");
    let owner = std::os::unix::fs::MetadataExt::uid(&std::fs::metadata(format!("/proc/{}/environ", app.pid)).unwrap());
    assert_eq!(owner, 0, "what is not dumpable belongs to root");
}
