//! What a server is given: its arguments verbatim, a short list of variables, three files and no more.

use std::collections::BTreeSet;

use atryum::child::{INHERITED, Launch};
use rustix::io::{FdFlags, fcntl_setfd};

use super::support::{lines, output, shell, spawn};

fn env(variables: &[(&str, &str)]) -> Launch {
    let env = variables.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
    Launch { command: "env".into(), env, ..Launch::default() }
}

#[tokio::test]
async fn a_server_sees_the_short_list_and_its_own_variables_only() {
    let seen = output(&mut spawn(&env(&[("TOKEN", "s3cret=x y"), ("LANG", "C.UTF-8")]))).await;
    let names: BTreeSet<&str> = seen.lines().filter_map(|line| line.split('=').next()).collect();
    let here = INHERITED.into_iter().filter(|name| std::env::vars_os().any(|(set, _)| set == **name));
    assert_eq!(names, here.chain(["TOKEN", "LANG"]).collect());
    assert!(seen.lines().any(|line| line == "TOKEN=s3cret=x y"), "{seen}");
    assert!(seen.lines().any(|line| line == "LANG=C.UTF-8"), "the operator's value wins: {seen}");
    let kept_back = std::env::vars_os().any(|(name, _)| name.to_str().is_none_or(|name| !INHERITED.contains(&name)));
    assert!(kept_back, "this process has nothing that could leak; the test shows nothing");
}

#[tokio::test]
async fn arguments_arrive_verbatim() {
    let nasty = ["", " ", "a b", "$HOME", "`id`", "$(id)", "'\"\\", "*", "--", "-x", ";", "é\n\t"];
    let mut args: Vec<String> = vec!["%s\\0".into()];
    args.extend(nasty.iter().map(ToString::to_string));
    let seen = output(&mut spawn(&Launch { command: "printf".into(), args, ..Launch::default() })).await;
    assert_eq!(seen.split_terminator('\0').collect::<Vec<_>>(), nasty);
}

#[tokio::test]
async fn a_server_starts_in_its_directory() {
    let folder = tempfile::tempdir().unwrap();
    let launch = Launch { cwd: Some(folder.path().into()), ..shell("pwd -P") };
    assert_eq!(output(&mut spawn(&launch)).await.trim(), folder.path().canonicalize().unwrap().to_str().unwrap());
}

#[tokio::test]
async fn a_file_left_open_by_others_is_closed() {
    let stray = tempfile::tempfile().unwrap();
    fcntl_setfd(&stray, FdFlags::empty()).unwrap();
    let mut child = spawn(&shell("echo $$; read line"));
    let id = lines(&mut child).next_line().await.unwrap().unwrap();
    let files = std::fs::read_dir(format!("/proc/{id}/fd")).unwrap();
    let mut numbers: Vec<_> = files.map(|file| file.unwrap().file_name()).collect();
    numbers.sort();
    assert_eq!(numbers, ["0", "1", "2"]);
}

#[tokio::test]
async fn a_server_can_neither_leave_a_core_file_nor_gain_privileges() {
    let seen = output(&mut spawn(&shell("ulimit -c; ulimit -H -c; grep NoNewPrivs /proc/self/status"))).await;
    assert_eq!(seen.split_whitespace().collect::<Vec<_>>(), ["0", "0", "NoNewPrivs:", "1"]);
}

#[tokio::test]
async fn a_server_finds_signals_as_a_shell_would_leave_them() {
    let seen = output(&mut spawn(&shell("grep -E 'SigIgn|SigBlk' /proc/self/status"))).await;
    let masks = seen.lines().map(|line| u64::from_str_radix(line.split_whitespace().nth(1).unwrap(), 16).unwrap());
    // 32 and 33 belong to the C library, which ignores them in every process it spawns
    let of_interest = masks.map(|mask| mask & 0x7fff_ffff);
    assert_eq!(of_interest.collect::<Vec<_>>(), [0, 0], "{seen}");
}
