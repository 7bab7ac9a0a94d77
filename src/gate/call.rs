//! The immutable question that is put to the rules.

use std::sync::Arc;

use crate::mcp::method::{self, Class};

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
}

impl Call {
    /// How the method is gated.
    #[must_use]
    pub fn class(&self) -> Class {
        method::class(&self.method)
    }
}
