//! `/api/v1/servers`

mod create;
mod delete;
mod http;
mod list;
mod live;
mod login;
mod secrets;
mod update;
