//! The table of keys: what can be set, of which kind, to which default.
//!
//! Everything that names a key follows from here: the environment, the file, the schema, the example, `config show`.

/// What may stand for a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Any text.
    Text,
    /// Any text, never shown.
    Secret,
    /// A path; `~/` is the home directory.
    Path,
    /// `HOST:PORT`, the host an IP address or `localhost`.
    Address,
    /// An `http` or `https` URL without query or fragment.
    Url,
    /// Where syslog is.
    Syslog,
    /// A URL of a database, which may hold a password: never shown.
    Database,
    /// `true` or `false`.
    Flag,
    /// A whole number from the first to the second.
    Number(u64, u64),
    /// One of these words.
    Choice(&'static [&'static str]),
    /// Texts; in the environment, with commas between them.
    List,
    /// Texts such as `NAME=7`, each number from the first to the second.
    Named(u64, u64),
}

/// What a key is when nobody sets it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Default {
    /// Nothing.
    Absent,
    /// This, as it would be written in the environment.
    Fixed(&'static str),
    /// Something that depends on the machine, in words.
    OfMachine(&'static str),
}

/// One key.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// The key with its section, such as `http.workers`.
    pub name: &'static str,
    /// What may stand for it.
    pub kind: Kind,
    /// What it is when nobody sets it.
    pub default: Default,
    /// One sentence for the operator.
    pub help: &'static str,
}

impl Key {
    /// The variable that sets this key: `ATRYUM_HTTP__WORKERS`.
    pub fn variable(&self) -> String {
        format!("ATRYUM_{}", self.name.replace('.', "__").to_uppercase())
    }

    /// Whether the value must not be shown.
    pub fn is_secret(&self) -> bool {
        matches!(self.kind, Kind::Secret | Kind::Database)
    }

    /// The section and the name within it; keys at the top have none.
    pub fn parts(&self) -> (Option<&'static str>, &'static str) {
        self.name.split_once('.').map_or((None, self.name), |(section, name)| (Some(section), name))
    }
}

/// Finds a key by its full name.
pub(super) fn find(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name)
}

/// Finds the key whose name is nearest to one that does not exist, if any is near.
pub(super) fn nearest(name: &str) -> Option<&'static Key> {
    let last = |name: &str| name.rsplit('.').next().unwrap_or_default().to_owned();
    let likeness = |key: &Key| {
        // the right name in the wrong section is a near miss as well
        strsim::jaro_winkler(name, key.name).max(0.97 * strsim::jaro_winkler(&last(name), &last(key.name)))
    };
    let best = KEYS.iter().max_by(|one, other| likeness(one).total_cmp(&likeness(other)))?;
    (likeness(best) >= 0.8).then_some(best)
}

const KIB: u64 = 1024;
const GIB: u64 = KIB * KIB * KIB;
const DAY: u64 = 86_400;
const WEEK: u64 = 7 * DAY;

const fn key(name: &'static str, kind: Kind, default: &'static str, help: &'static str) -> Key {
    Key { name, kind, default: Default::Fixed(default), help }
}

const fn optional(name: &'static str, kind: Kind, help: &'static str) -> Key {
    Key { name, kind, default: Default::Absent, help }
}

const fn of_machine(name: &'static str, kind: Kind, default: &'static str, help: &'static str) -> Key {
    Key { name, kind, default: Default::OfMachine(default), help }
}

/// Every key there is, in the order in which they are shown.
pub static KEYS: &[Key] = &[
    key("listen", Kind::Address, "127.0.0.1:8080", "address and port to listen on; port 0 picks a free one"),
    of_machine("data_dir", Kind::Path, "~/.local/share/atryum", "directory of the gateway's state"),
    optional(
        "database_url",
        Kind::Database,
        "sqlite:PATH or postgres://…; the file atryum.db in the data directory when absent",
    ),
    optional("public_url", Kind::Url, "base URL that browsers and agents use; http://<listen> when absent"),
    optional("admin_token", Kind::Secret, "a fixed operator token with the administrator role, for automation"),
    optional("master_key", Kind::Secret, "32 bytes in base64 that encrypt secrets; kept in a file when absent"),
    of_machine(
        "master_key_path",
        Kind::Path,
        "~/.config/atryum/master.key",
        "file of the master key, outside the data directory; made at the first start",
    ),
    key(
        "master_key_store",
        Kind::Choice(&["file", "keyring"]),
        "file",
        "where the master key is made and kept when master_key is absent: that file, or the keyring of the operating system",
    ),
    key("demo", Kind::Flag, "false", "start with a demo server, some rules and an agent"),
    key(
        "journal.durability",
        Kind::Choice(&["process", "disk"]),
        "process",
        "what a recorded call survives on SQLite: the end of the process, or the loss of power",
    ),
    key(
        "journal.keep_days",
        Kind::Number(0, 36_500),
        "90",
        "calls are removed this many days after they came; 0 keeps them",
    ),
    key(
        "journal.redact",
        Kind::List,
        "",
        "what is not written down, each as \"SERVER TOOL arguments|result|error POINTER\", such as \"mail send arguments /body\"",
    ),
    key("audit.keep_days", Kind::Number(0, 36_500), "400", "events are removed after this many days; 0 keeps them"),
    key(
        "audit.keep_bytes",
        Kind::Number(0, 1024 * GIB),
        "1073741824",
        "the oldest events are removed when all take more than this; 0 keeps them",
    ),
    optional(
        "audit.syslog",
        Kind::Syslog,
        "udp://HOST:PORT, tcp://HOST:PORT or unix:/PATH of a syslog that is told each event",
    ),
    optional("audit.webhook_url", Kind::Url, "URL that each event is posted to"),
    optional("audit.webhook_secret", Kind::Secret, "what those posts are signed with, as Standard Webhooks has it"),
    key(
        "gate.approval_timeout_seconds",
        Kind::Number(1, WEEK),
        "600",
        "how long a person has for an answer before that counts as a denial",
    ),
    key(
        "gate.approval_holds_seconds",
        Kind::Number(1, WEEK),
        "600",
        "how long an answer is good for the same call, made again by an agent that had left",
    ),
    key(
        "gate.approvals_per_agent",
        Kind::Number(1, 100_000),
        "20",
        "most questions of one agent that wait for a person; further calls that need one are refused",
    ),
    key(
        "gate.waits",
        Kind::Named(0, DAY),
        "claude-code=210,codex-mcp-client=210,copilot-cli=210,gemini-cli-mcp-client=210,opencode=210,atryum-call=600,*=50",
        "seconds that a call waits for a person before its agent is told to make it again, by the client's name; * is any other",
    ),
    key(
        "upstream.spawn_timeout_seconds",
        Kind::Number(1, 3_600),
        "120",
        "from the start of a server's process to the end of its handshake; installers are slow",
    ),
    key(
        "upstream.request_timeout_seconds",
        Kind::Number(1, DAY),
        "60",
        "without an answer or progress for this long a request is given up",
    ),
    key(
        "upstream.request_timeout_max_seconds",
        Kind::Number(1, DAY),
        "600",
        "however much progress there is, a request is given up after this",
    ),
    key("upstream.max_processes", Kind::Number(1, 4_096), "32", "most processes of one server"),
    key("upstream.idle_seconds", Kind::Number(1, WEEK), "900", "a connection unused for this long is closed"),
    key(
        "upstream.line_bytes_max",
        Kind::Number(64 * KIB, GIB),
        "16777216",
        "longest line that is read from a server's process",
    ),
    key("http.body_bytes_max", Kind::Number(KIB, GIB), "4194304", "longest request body"),
    of_machine("http.workers", Kind::Number(1, 1_024), "one for each processor", "threads that serve requests"),
    key(
        "http.allowed_hosts",
        Kind::List,
        "",
        "names, beside the loopback ones and the public URL's, that a request may be addressed to",
    ),
    key("http.allowed_origins", Kind::List, "", "origins, beside the gateway's own, whose pages may call"),
    key(
        "http.session_idle_seconds",
        Kind::Number(10, WEEK),
        "3600",
        "an agent's session that was silent for this long is closed",
    ),
    key("http.sessions_max", Kind::Number(1, 1_000_000), "1000", "most agents' sessions at a time"),
    key("log.level", Kind::Text, "info", "error, warn, info, debug, trace, or a filter in the form RUST_LOG has"),
    key(
        "log.format",
        Kind::Choice(&["auto", "pretty", "json"]),
        "auto",
        "auto is pretty on a terminal and JSON otherwise",
    ),
    optional(
        "oauth.client_metadata_url",
        Kind::Url,
        "address of the client id metadata document; the gateway's own when absent",
    ),
];
