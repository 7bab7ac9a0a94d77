//! The lines of a file that anybody may have written: neither their length nor their bytes are taken on trust.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read as _};
use std::path::Path;

/// How long a line may be; what is told of the largest edit takes less.
const LINE_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// A line that is no text of ours.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unread {
    /// See the constant.
    #[error("it is longer than {LINE_BYTES_MAX} bytes")]
    TooLong,
    /// Its bytes are no text.
    #[error("it is not UTF-8")]
    NotText,
}

/// See the module. A line goes out without its end, `\n`.
pub(super) struct Lines {
    file: BufReader<File>,
}

impl Lines {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        Ok(Self { file: BufReader::new(File::open(path)?) })
    }

    fn read(&mut self) -> io::Result<Option<Result<String, Unread>>> {
        let mut bytes = Vec::new();
        if self.file.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut bytes)? == 0 {
            return Ok(None);
        }
        if bytes.last() == Some(&b'\n') {
            bytes.pop();
        } else if bytes.len() as u64 == LINE_BYTES_MAX {
            self.file.skip_until(b'\n')?;
            return Ok(Some(Err(Unread::TooLong)));
        }
        Ok(Some(String::from_utf8(bytes).map_err(|_| Unread::NotText)))
    }
}

impl Iterator for Lines {
    type Item = io::Result<Result<String, Unread>>;

    fn next(&mut self) -> Option<Self::Item> {
        self.read().transpose()
    }
}
