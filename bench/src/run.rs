//! The whole benchmark: a check of the journal, then row by row, direct and through in turn.

use std::net::SocketAddr;

use crate::Result;
use crate::direct::Direct;
use crate::gateway::{Gateway, SERVER};
use crate::journal;
use crate::load::{self, Caller, Measured};
use crate::message::Era;
use crate::options::{Kind, Options, Row};
use crate::remote::Remote;
use crate::report::{Floor, Memory, Report, Round, RowFound, Verified};
use crate::through::{Alive, Through};

/// Sessions that share the calls whose rows are counted.
const VERIFYING_SESSIONS: usize = 16;

/// Measures everything and reports it.
pub(crate) async fn run(options: &Options) -> Result<()> {
    let verified = if options.verify > 0 { Some(verify(options).await?) } else { None };
    let floor = floor(options).await?;
    let mut rows = Vec::new();
    for row in &options.rows {
        eprintln!("{} sessions, {} bytes", row.sessions, row.bytes);
        rows.push(measure_row(options, *row).await?);
    }
    let report = Report { verified, floor, rows };
    print!("{}", report.table(options));
    if let Some(file) = &options.json {
        std::fs::write(file, format!("{:#}\n", report.json(options)?))?;
    }
    match report.verified {
        Some(Verified { calls, rows }) if calls != rows => {
            Err(format!("{calls} calls were made and {rows} are in the journal").into())
        }
        _ => Ok(()),
    }
}

/// Makes calls and counts their rows, which takes too long for the many calls of a measurement.
async fn verify(options: &Options) -> Result<Verified> {
    let remote = remote(options).await?;
    let gateway = Gateway::start(options, remote.as_ref().map(|remote| remote.address)).await?;
    let mut through = open_through(&gateway, options.era, Row { sessions: VERIFYING_SESSIONS, bytes: 1024 }).await?;
    load::make(&mut through, options.verify).await?;
    let rows = journal::completed_calls(&gateway).await?;
    drop(through);
    gateway.stop().await?;
    // Opening a session makes one call, too.
    Ok(Verified { calls: options.verify + VERIFYING_SESSIONS as u64, rows })
}

/// What HTTP alone costs.
async fn floor(options: &Options) -> Result<Floor> {
    let gateway = Gateway::start(options, None).await?;
    let mut alive = vec![Alive::open(gateway.address).await?];
    let (measured, cpu_us) = measure_watched(&gateway, options, &mut alive).await?;
    drop(alive);
    gateway.stop().await?;
    Ok(Floor { p50_us: measured.p50_us, cpu_us })
}

/// The server that is reached over HTTP, if it is.
async fn remote(options: &Options) -> Result<Option<Remote>> {
    Ok(match options.upstream {
        Kind::Stdio => None,
        kind => Some(Remote::start(kind).await?),
    })
}

async fn measure_row(options: &Options, row: Row) -> Result<RowFound> {
    let Some(remote) = remote(options).await? else {
        let mut direct = Vec::new();
        for _ in 0..row.sessions {
            direct.push(Direct::open(options.era, row.bytes).await?);
        }
        return measure_in_turn(options, row, None, direct).await;
    };
    let mut direct = Vec::new();
    for _ in 0..row.sessions {
        direct.push(Through::open(remote.address, "/mcp", "nobody-asks", options.era, row.bytes).await?);
    }
    measure_in_turn(options, row, Some(remote.address), direct).await
}

async fn measure_in_turn<C: Caller>(
    options: &Options,
    row: Row,
    remote: Option<SocketAddr>,
    mut direct: Vec<C>,
) -> Result<RowFound> {
    let gateway = Gateway::start(options, remote).await?;
    let idle = gateway.resident_mib()?;
    let mut through = open_through(&gateway, options.era, row).await?;
    let opened = gateway.resident_mib()?;
    let mut rounds = Vec::new();
    for _ in 0..options.rounds {
        let direct = load::measure(&mut direct, options.warm_up, options.seconds, || Ok(())).await?;
        let (through, cpu_us) = measure_watched(&gateway, options, &mut through).await?;
        rounds.push(Round { direct, through, cpu_us });
    }
    let memory = Memory { idle, opened, loaded: gateway.resident_mib()? };
    drop((through, direct));
    gateway.stop().await?;
    Ok(RowFound { row, rounds, memory })
}

/// Measures, and how much processor time the gateway spends on a call meanwhile.
async fn measure_watched<C: Caller>(
    gateway: &Gateway,
    options: &Options,
    callers: &mut Vec<C>,
) -> Result<(Measured, f64)> {
    let mut marks = Vec::new();
    let measured = load::measure(callers, options.warm_up, options.seconds, || {
        marks.push(gateway.cpu_us()?);
        Ok(())
    })
    .await?;
    let spent = marks.last().zip(marks.first()).map_or(0.0, |(end, begin)| end - begin);
    let cpu_us = spent / measured.calls as f64;
    Ok((measured, cpu_us))
}

/// Opens the sessions one after another: processes that start together would only wait for each other.
async fn open_through(gateway: &Gateway, era: Era, row: Row) -> Result<Vec<Through>> {
    let shared_key = gateway.agent("bench").await?;
    let path = format!("/mcp/{SERVER}");
    let mut through = Vec::new();
    for number in 0..row.sessions {
        // Without sessions an agent's requests share one connection; so that each has its own here, too, each is an agent.
        let key = match era {
            Era::Legacy => shared_key.clone(),
            Era::Modern => gateway.agent(&format!("bench-{number}")).await?,
        };
        through.push(Through::open(gateway.address, &path, &key, era, row.bytes).await?);
    }
    Ok(through)
}
