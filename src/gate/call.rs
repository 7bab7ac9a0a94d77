//! The immutable question that is put to the rules.

use std::sync::Arc;

use crate::mcp::method::{self, Class};

/// Most bytes of a tool's annotations that a condition reads.
pub(super) const HINTS_BYTES_MAX: usize = 4 * 1024;

/// Who wants to do what with which server.
#[derive(Debug, Clone)]
pub struct Call {
    /// The agent's name, from its key alone.
    pub agent: Arc<str>,
    /// The server's name.
    pub server: Arc<str>,
    /// The MCP method.
    pub method: String,
    /// The tool's or prompt's name or the resource's URI, where the method has one.
    pub tool: Option<String>,
    /// What it is made with.
    pub arguments: Arguments,
    /// The tool's annotations as the server claims them: the text of a JSON object, where they are known. Where they are
    /// too much to be kept the text is empty, which no condition can read.
    pub hints: Option<Arc<str>>,
}

/// What a call is made with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Arguments {
    /// Nobody has made the call; it stands for all that could be made.
    Unknown,
    /// Nothing was given.
    None,
    /// The text of strict JSON, as it was received.
    Text(Arc<str>),
}

impl Arguments {
    /// What was given, if anything was.
    #[must_use]
    pub fn given(text: Option<&str>) -> Self {
        text.map_or(Self::None, |text| Self::Text(text.into()))
    }

    /// Bytes of the text.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Unknown | Self::None => 0,
            Self::Text(text) => text.len(),
        }
    }
}

impl Call {
    /// How the method is gated.
    #[must_use]
    pub fn class(&self) -> Class {
        method::class(&self.method)
    }
}
