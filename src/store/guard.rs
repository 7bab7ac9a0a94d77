//! stub
#[derive(Debug)]
pub(super) struct Guard;
