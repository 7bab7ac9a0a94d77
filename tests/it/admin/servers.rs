//! `/api/v1/servers`

mod connect;
mod create;
mod credential;
mod delete;
mod http;
mod list;
mod live;
mod login;
mod oauth;
mod secrets;
mod update;
