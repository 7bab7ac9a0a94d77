//! Ending a server: by itself, gently, and by force.

use atryum::child::{Child, Exit, Launch, LaunchError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::support::{LONG, SHORT, Watched, lines, output, shell, spawn};

const CODE_0: Exit = Exit { code: Some(0), signal: None };

#[tokio::test]
async fn a_server_that_heeds_the_end_of_its_input_is_not_signalled() {
    let mut child = spawn(&Launch { command: "cat".into(), ..Launch::default() });
    assert_eq!(child.stop_within(LONG).await, CODE_0);
}

#[tokio::test]
async fn a_server_that_waits_for_sigterm_gets_it() {
    let mut child = spawn(&shell("trap 'exit 7' TERM; echo ready; while :; do read line || read line <&2 || :; done"));
    lines(&mut child).next_line().await.unwrap();
    let limits = atryum::child::StopLimits { terminate: LONG.end_of_input, ..SHORT };
    assert_eq!(child.stop_within(limits).await, Exit { code: Some(7), signal: None });
}

#[tokio::test]
async fn a_server_that_ignores_everything_is_killed() {
    let mut child = spawn(&shell("trap '' TERM; echo ready; exec sleep 1000"));
    let mut lines = lines(&mut child);
    lines.next_line().await.unwrap();
    assert_eq!(child.stop_within(SHORT).await, Exit { code: None, signal: Some(9) });
    assert_eq!(lines.next_line().await.unwrap(), None);
}

#[tokio::test]
async fn a_server_that_ends_at_once_gives_its_code() {
    let mut child = spawn(&shell("exit 3"));
    assert_eq!(child.wait().await, Exit { code: Some(3), signal: None });
    assert_eq!(child.stop().await, Exit { code: Some(3), signal: None }, "a second answer is the same");
}

#[tokio::test]
async fn a_server_that_a_signal_ends_gives_the_signal() {
    let mut child = spawn(&shell("kill -SEGV $$"));
    assert_eq!(child.wait().await, Exit { code: None, signal: Some(11) });
}

#[tokio::test]
async fn waiting_may_be_given_up_and_taken_up_again() {
    let mut child = spawn(&shell("read line; exit 4"));
    tokio::select! {
        biased;
        () = std::future::ready(()) => {}
        _ = child.wait() => panic!("nothing was written yet"),
    }
    child.stdin.as_mut().unwrap().write_all(b"go\n").await.unwrap();
    assert_eq!(child.wait().await, Exit { code: Some(4), signal: None });
}

#[tokio::test]
async fn bytes_pass_unchanged_in_both_directions() {
    let mut child = spawn(&Launch { command: "cat".into(), ..Launch::default() });
    let mut stdin = child.take_stdin().unwrap();
    let bytes: Vec<u8> = (0..=255).cycle().take(300_000).collect();
    let sent = bytes.clone();
    let writer = tokio::spawn(async move { stdin.write_all(&sent).await });
    let mut received = Vec::new();
    child.take_stdout().unwrap().read_to_end(&mut received).await.unwrap();
    writer.await.unwrap().unwrap();
    assert!(received == bytes, "{} of {} bytes came back", received.len(), bytes.len());
}

#[tokio::test]
async fn a_server_that_closes_its_output_is_seen_to_do_so_while_it_lives() {
    let mut child = spawn(&shell("echo last; exec >&-; read line"));
    assert_eq!(output(&mut child).await, "last\n");
    let guard = Watched::open(&child.id().unwrap().to_string());
    assert!(guard.is_alive());
    assert_eq!(child.stop_within(LONG).await, Exit { code: Some(1), signal: None }, "read reports the end of input");
}

#[tokio::test]
async fn dropping_a_child_kills_it() {
    let mut child = spawn(&shell("trap '' TERM; echo $$; exec sleep 1000"));
    let id = lines(&mut child).next_line().await.unwrap().unwrap();
    let server = Watched::open(&id);
    drop(child);
    assert!(server.ends());
}

#[tokio::test]
async fn a_command_that_is_not_there_is_not_started() {
    let error = Child::spawn(&Launch { command: "no-such-command".into(), ..Launch::default() }).unwrap_err();
    assert!(matches!(error, LaunchError::CommandNotFound { .. }), "{error}");
}

#[tokio::test]
async fn a_file_the_kernel_cannot_run_says_so_on_standard_error() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("server");
    std::fs::write(&file, "#!/no/such/interpreter\n").unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut child = spawn(&Launch { command: file.display().to_string(), ..Launch::default() });
    let mut complaint = String::new();
    child.take_stderr().unwrap().read_to_string(&mut complaint).await.unwrap();
    assert!(complaint.contains(&file.display().to_string()), "{complaint}");
    assert_eq!(child.wait().await, Exit { code: Some(127), signal: None });
}
