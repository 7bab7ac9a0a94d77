//! `atryum login`: from the printed link to a token that lets one in.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use super::run::{atryum, done};

#[test]
fn the_printed_link_gives_a_token_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut gateway = atryum(&["serve", "--listen", "127.0.0.1:0"])
        .env("HOME", folder.path())
        .current_dir(folder.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(gateway.stdout.take().unwrap()).lines().map(Result::unwrap);
    let link = lines.find_map(|line| line.split_whitespace().find(|word| word.contains("#code=")).map(str::to_owned));
    let link = link.unwrap();

    let login = done(&mut atryum(&["login", &link])).ok();
    let script = format!("{}\nexec \"$0\" server list", login.out);
    let listed = done(Command::new("/bin/sh").args(["-c", &script, env!("CARGO_BIN_EXE_atryum")]).env_clear()).ok();
    assert!(listed.out.starts_with("NAME"), "{listed:?}");

    let again = done(&mut atryum(&["login", &link]));
    assert!(again.code == 1 && again.out.is_empty(), "{again:?}");
    gateway.kill().unwrap();
    gateway.wait().unwrap();
}
