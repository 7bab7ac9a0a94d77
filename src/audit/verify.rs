//! Looks at a whole record, in a database or in an export, and tells what does not hold.

mod file;

use std::io;
use std::path::{Path, PathBuf};

use super::line::{Line, line_of_checkpoint, line_of_event};
use crate::store::StoreError;
use crate::store::audit::Archive;
use crate::trail::{Checkpoint, Finding, PublicKey, Report, Verifier};
use file::Lines;

/// How many rows are read at once.
const PAGE_ROWS: u64 = 1_000;
/// What is found where a table has two rows in one place, which its key forbids.
const HIDDEN: &str = "rows of the chain have no place of their own: the table is not as the gateway made it";

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

/// Looks at the record in a database. Without a key, the one that the first checkpoint of the record names is
/// taken.
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
        verify_checkpoints(archive, chain, &mut verifier).await?;
        verify_events(archive, chain, &mut verifier).await?;
    }
    Ok(verifier.finish())
}

async fn key_in(archive: &Archive, chains: &[i64]) -> Result<Option<PublicKey>, VerifyError> {
    let Some(chain) = chains.first() else { return Ok(None) };
    let first = archive.checkpoints_after(*chain, None, 1).await?;
    Ok(first.first().and_then(|checkpoint| checkpoint.key.parse().ok()))
}

async fn verify_checkpoints(archive: &Archive, chain: i64, verifier: &mut Verifier) -> Result<(), VerifyError> {
    let (mut last, mut seen) = (None, 0);
    loop {
        let page = archive.checkpoints_after(chain, last, PAGE_ROWS).await?;
        let Some(end) = page.last() else { break };
        last = Some(end.seq);
        for checkpoint in &page {
            verifier.checkpoint(checkpoint);
            seen += 1;
        }
    }
    if let Some(seq) = last
        && archive.count_checkpoints(chain, seq).await? > seen
    {
        verifier.note(Finding { chain, seq, what: HIDDEN.to_owned() });
    }
    Ok(())
}

async fn verify_events(archive: &Archive, chain: i64, verifier: &mut Verifier) -> Result<(), VerifyError> {
    let (mut last, mut seen) = (None, 0);
    loop {
        let page = archive.events_after(chain, last, PAGE_ROWS).await?;
        let Some(end) = page.last() else { break };
        last = Some(end.seq);
        for link in &page {
            verifier.event(link);
            seen += 1;
        }
    }
    // fewer may have been removed meanwhile, by a gateway that runs
    if let Some(seq) = last
        && archive.count_events(chain, seq).await? > seen
    {
        verifier.note(Finding { chain, seq, what: HIDDEN.to_owned() });
    }
    Ok(())
}

/// Looks at the record in an export. Without a key, the one that its first checkpoint names is taken.
pub fn verify_export(path: &Path, key: Option<PublicKey>, known: Vec<Checkpoint>) -> Result<Report, VerifyError> {
    let failed = |source| VerifyError::File { path: path.to_owned(), source };
    let named = || key_in_export(path).map_err(failed);
    let key = match key {
        Some(key) => key,
        None => named()?.ok_or(VerifyError::NoKey)?,
    };
    let mut verifier = Verifier::new(key);
    for checkpoint in known {
        verifier.known(checkpoint);
    }
    for (number, line) in (1..).zip(Lines::open(path).map_err(failed)?) {
        match read(line.map_err(failed)?) {
            Ok(Line::Checkpoint(checkpoint)) => verifier.checkpoint(&checkpoint),
            Ok(Line::Event(_)) => {}
            Err(why) => verifier.note(Finding { chain: 0, seq: number, what: format!("line {number}: {why}") }),
        }
    }
    for line in Lines::open(path).map_err(failed)? {
        if let Ok(Line::Event(link)) = read(line.map_err(failed)?) {
            verifier.event(&link);
        }
    }
    Ok(verifier.finish())
}

fn key_in_export(path: &Path) -> io::Result<Option<PublicKey>> {
    for line in Lines::open(path)? {
        if let Ok(Line::Checkpoint(checkpoint)) = read(line?) {
            return Ok(checkpoint.key.parse().ok());
        }
    }
    Ok(None)
}

/// Reads a line; one that says the same in other words was written by somebody else.
fn read(line: Result<String, file::Unread>) -> Result<Line, String> {
    let text = line.map_err(|unread| unread.to_string())?;
    let line = Line::parse(&text).map_err(|error| error.to_string())?;
    let written = match &line {
        Line::Event(event) => line_of_event(event),
        Line::Checkpoint(checkpoint) => line_of_checkpoint(checkpoint),
    };
    if written == text { Ok(line) } else { Err("it is not as it was written".to_owned()) }
}
