//! A real keyring: GNOME Keyring on a session bus of its own, with its files in a folder of its own.
//!
//! It ends with this process, however that ends: the shell that started it waits for a pipe to close.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

/// Says the bus's address when somebody answers for the Secret Service there, and runs until standard input is closed.
const RUN_UNTIL_STDIN_CLOSES: &str = r#"
printf 'a password' | gnome-keyring-daemon --foreground --unlock --components=secrets >&2 &
daemon=$!
until dbus-send --session --print-reply --dest=org.freedesktop.DBus / org.freedesktop.DBus.NameHasOwner \
    string:org.freedesktop.secrets | grep -q 'boolean true'; do
    kill -0 $daemon || exit 1
    sleep 0.05
done
echo "$DBUS_SESSION_BUS_ADDRESS"
cat >/dev/null
kill $daemon
wait $daemon
"#;

/// Gone, with all it holds, when it is dropped.
pub struct Keyring {
    session: Child,
    address: String,
    folder: TempDir,
}

impl Keyring {
    pub fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder for the keyring");
        let mut session = Command::new("dbus-run-session")
            .args(["--", "sh", "-c", RUN_UNTIL_STDIN_CLOSES])
            .env_clear()
            .env("PATH", std::env::var_os("PATH").expect("a path"))
            .env("HOME", folder.path())
            .env("XDG_RUNTIME_DIR", folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("dbus-run-session starts: install dbus-daemon, dbus-bin, gnome-keyring and libsecret-tools");
        let mut address = String::new();
        let read = BufReader::new(session.stdout.take().expect("stdout")).read_line(&mut address);
        assert!(read.is_ok_and(|read| read > 0), "no keyring: install dbus-bin, gnome-keyring and libsecret-tools");
        Self { session, address: address.trim().to_owned(), folder }
    }

    /// What a program needs to reach it.
    pub fn variables(&self) -> Vec<(String, String)> {
        let path = std::env::var("PATH").expect("a path");
        let folder = self.folder.path().display().to_string();
        let named = [("PATH", &path), ("DBUS_SESSION_BUS_ADDRESS", &self.address), ("XDG_RUNTIME_DIR", &folder)];
        named.into_iter().map(|(name, value)| (name.to_owned(), value.clone())).collect()
    }

    /// What `secret-tool` says, as a person would ask it.
    pub fn ask(&self, arguments: &[&str]) -> String {
        let output = Command::new("secret-tool").args(arguments).env_clear().envs(self.variables()).output();
        let output = output.expect("secret-tool starts");
        String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
    }
}

impl Drop for Keyring {
    fn drop(&mut self) {
        drop(self.session.stdin.take());
        let _ = self.session.wait();
    }
}
