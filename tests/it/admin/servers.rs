//! `/api/v1/servers`

mod create;
mod delete;
mod list;
mod live;
mod secrets;
mod update;
