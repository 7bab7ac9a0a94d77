//! Looks at a whole record, in a database or in an export, and tells what does not hold.

use std::io::{self, BufRead as _, Read as _, Seek as _};
use std::path::{Path, PathBuf};

use super::line::Line;
use crate::store::StoreError;
use crate::store::audit::Archive;
use crate::trail::{Checkpoint, Finding, PublicKey, Report, Verifier};

/// How many rows are read at once.
const PAGE_ROWS: u64 = 1_000;

/// Why a record can't be looked at.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The database can't be read.
    #[error("the database can't be read")]
    Store(#[from] StoreError),
    /// The file can't be read.
    #[error("cannot read {}", path.display())]
    File {
        /// which one
        path: PathBuf,
        /// why
        source: io::Error,
    },
    /// Nobody said whose signatures are looked for, and there are none.
    #[error(
        "there is no checkpoint, so nothing is signed yet; name the key with --public-key to look at the hashes alone"
    )]
    NoKey,
}

/// Looks at the record in a database. Without a key, the one that the record itself names last is taken.
pub async fn verify_database(
    archive: &Archive,
    key: Option<PublicKey>,
    known: Vec<Checkpoint>,
) -> Result<Report, VerifyError> {
    let chains = archive.chains().await?;
    let mut verifier = match key {
        Some(key) => Verifier::new(key),
        None => Verifier::new(key_in(archive, &chains).await?.ok_or(VerifyError::NoKey)?),
    };
    for checkpoint in known {
        verifier.known(checkpoint);
    }
    for chain in chains {
        let mut after = i64::MIN;
        loop {
            let page = archive.checkpoints_after(chain, after, PAGE_ROWS).await?;
            let Some(last) = page.last() else { break };
            after = last.seq;
            for checkpoint in page {
                verifier.checkpoint(checkpoint);
            }
        }
        let mut after = i64::MIN;
        loop {
            let page = archive.events_after(chain, after, PAGE_ROWS).await?;
            let Some(last) = page.last() else { break };
            after = last.seq;
            for link in &page {
                verifier.event(link);
            }
        }
    }
    Ok(verifier.finish())
}

async fn key_in(archive: &Archive, chains: &[i64]) -> Result<Option<PublicKey>, VerifyError> {
    let Some(chain) = chains.first() else { return Ok(None) };
    let first = archive.checkpoints_after(*chain, i64::MIN, 1).await?;
    Ok(first.first().and_then(|checkpoint| checkpoint.key.parse().ok()))
}

/// Looks at the record in an export. Without a key, the one that its first checkpoint names is taken.
pub fn verify_export(path: &Path, key: Option<PublicKey>, known: Vec<Checkpoint>) -> Result<Report, VerifyError> {
    let failed = |source| VerifyError::File { path: path.to_owned(), source };
    let mut file = io::BufReader::new(std::fs::File::open(path).map_err(failed)?);
    let mut checkpoints = Vec::new();
    let mut strange = Vec::new();
    for (number, line) in (1..).zip(file.by_ref().lines()) {
        match Line::parse(&line.map_err(failed)?) {
            Ok(Line::Checkpoint(checkpoint)) => checkpoints.push(checkpoint),
            Ok(Line::Event(_)) => {}
            Err(error) => strange.push(Finding { chain: 0, seq: number, what: format!("line {number}: {error}") }),
        }
    }
    let named = || checkpoints.first().and_then(|checkpoint| checkpoint.key.parse().ok());
    let mut verifier = Verifier::new(key.or_else(named).ok_or(VerifyError::NoKey)?);
    for checkpoint in known {
        verifier.known(checkpoint);
    }
    for checkpoint in checkpoints {
        verifier.checkpoint(checkpoint);
    }
    file.rewind().map_err(failed)?;
    for line in file.lines() {
        if let Ok(Line::Event(link)) = Line::parse(&line.map_err(failed)?) {
            verifier.event(&link);
        }
    }
    let mut report = verifier.finish();
    report.findings.splice(0..0, strange);
    Ok(report)
}
