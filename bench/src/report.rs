//! The figures, for people and for programs. Of several rounds the median is told; the rounds themselves are in the JSON.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::Result;
use crate::load::Measured;
use crate::options::{Options, Row};

/// One measurement without the gateway and the one through it that followed.
pub(crate) struct Round {
    pub(crate) direct: Measured,
    pub(crate) through: Measured,
    /// The gateway's, a call.
    pub(crate) cpu_us: f64,
}

/// The gateway's resident memory in MiB.
pub(crate) struct Memory {
    /// After its start.
    pub(crate) idle: f64,
    /// With its sessions open.
    pub(crate) opened: f64,
    /// After all rounds.
    pub(crate) loaded: f64,
}

/// All about one row.
pub(crate) struct RowFound {
    pub(crate) row: Row,
    pub(crate) rounds: Vec<Round>,
    pub(crate) memory: Memory,
}

/// What a request costs that only asks whether the gateway is alive.
pub(crate) struct Floor {
    pub(crate) p50_us: f64,
    pub(crate) cpu_us: f64,
}

/// Calls that were made, and rows that were found.
pub(crate) struct Verified {
    pub(crate) calls: u64,
    pub(crate) rows: u64,
}

/// Everything.
pub(crate) struct Report {
    pub(crate) verified: Option<Verified>,
    pub(crate) floor: Floor,
    pub(crate) rows: Vec<RowFound>,
}

impl RowFound {
    fn median(&self, figure: impl Fn(&Round) -> f64) -> f64 {
        let mut figures: Vec<f64> = self.rounds.iter().map(figure).collect();
        figures.sort_by(f64::total_cmp);
        let half = figures.len() / 2;
        if figures.len() % 2 == 1 { figures[half] } else { f64::midpoint(figures[half - 1], figures[half]) }
    }

    fn ratio(&self) -> f64 {
        self.median(|round| round.through.calls_per_second / round.direct.calls_per_second)
    }

    fn added_p50_us(&self) -> f64 {
        self.median(|round| round.through.p50_us - round.direct.p50_us)
    }
}

impl Report {
    pub(crate) fn table(&self, options: &Options) -> String {
        let mut text = String::new();
        let _ = writeln!(
            text,
            "server over {}, {} agents, journal.durability = {}, median of {} rounds of {} s\n",
            options.upstream.word(),
            options.era.revision(),
            options.durability,
            options.rounds,
            options.seconds.as_secs_f64()
        );
        text.push_str("                 |          direct            |          through           |       | added  | gateway | gateway RSS, MiB\n");
        text.push_str("sessions  result |  calls/s  p50 µs  p99 µs   |  calls/s  p50 µs  p99 µs   | ratio | p50 µs | CPU µs  | idle  open  loaded\n");
        for found in &self.rows {
            let _ = writeln!(
                text,
                "{:>8} {:>7} | {:>8.0} {:>7.0} {:>7.0}   | {:>8.0} {:>7.0} {:>7.0}   | {:>5.3} | {:>6.0} | {:>7.1} | {:>4.0} {:>5.0} {:>7.0}",
                found.row.sessions,
                found.row.bytes,
                found.median(|round| round.direct.calls_per_second),
                found.median(|round| round.direct.p50_us),
                found.median(|round| round.direct.p99_us),
                found.median(|round| round.through.calls_per_second),
                found.median(|round| round.through.p50_us),
                found.median(|round| round.through.p99_us),
                found.ratio(),
                found.added_p50_us(),
                found.median(|round| round.cpu_us),
                found.memory.idle,
                found.memory.opened,
                found.memory.loaded,
            );
        }
        let _ = writeln!(
            text,
            "\nHTTP alone (GET /healthz, 1 connection): p50 {:.0} µs, gateway CPU {:.1} µs",
            self.floor.p50_us, self.floor.cpu_us
        );
        if let Some(Verified { calls, rows }) = self.verified {
            let _ = writeln!(text, "journal: {calls} calls made, {rows} completed rows found");
        }
        text
    }

    pub(crate) fn json(&self, options: &Options) -> Result<Value> {
        let measured = |measured: &Measured| {
            json!({
                "calls": measured.calls,
                "calls_per_second": measured.calls_per_second,
                "p50_us": measured.p50_us,
                "p99_us": measured.p99_us,
            })
        };
        let round = |round: &Round| {
            json!({
                "direct": measured(&round.direct),
                "through": measured(&round.through),
                "gateway_cpu_us": round.cpu_us,
            })
        };
        let row = |found: &RowFound| {
            json!({
                "sessions": found.row.sessions,
                "result_bytes": found.row.bytes,
                "ratio": found.ratio(),
                "added_p50_us": found.added_p50_us(),
                "gateway_cpu_us": found.median(|round| round.cpu_us),
                "resident_mib": {
                    "idle": found.memory.idle,
                    "opened": found.memory.opened,
                    "loaded": found.memory.loaded,
                },
                "rounds": found.rounds.iter().map(round).collect::<Vec<_>>(),
            })
        };
        Ok(json!({
            "machine": { "cores": std::thread::available_parallelism()?.get(), "memory_mib": memory_mib()? },
            "upstream": options.upstream.word(),
            "revision": options.era.revision(),
            "durability": options.durability,
            "log_level": options.log_level,
            "seconds": options.seconds.as_secs_f64(),
            "warm_up_seconds": options.warm_up.as_secs_f64(),
            "rows": self.rows.iter().map(row).collect::<Vec<_>>(),
            "http_alone": { "p50_us": self.floor.p50_us, "gateway_cpu_us": self.floor.cpu_us },
            "journal": self.verified.as_ref().map(|verified| json!({ "calls": verified.calls, "rows": verified.rows })),
        }))
    }
}

fn memory_mib() -> Result<u64> {
    let text = std::fs::read_to_string("/proc/meminfo")?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:")).ok_or("/proc/meminfo can't be read")?;
    Ok(line.trim().trim_end_matches("kB").trim().parse::<u64>()? / 1024)
}
