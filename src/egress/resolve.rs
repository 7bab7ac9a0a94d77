//! The lookup of a host. The connection goes to the very addresses that were judged here.

use std::error::Error as StdError;
use std::net::SocketAddr;

use actix_tls::connect::Resolve;
use futures_util::future::LocalBoxFuture;

use super::reach::Reach;

/// Looks a host up; when one of its addresses is out of reach, the host is refused as a whole.
pub(super) struct Checked(pub(super) Reach);

impl Resolve for Checked {
    fn lookup<'a>(
        &'a self,
        host: &'a str,
        port: u16,
    ) -> LocalBoxFuture<'a, Result<Vec<SocketAddr>, Box<dyn StdError>>> {
        Box::pin(async move {
            // An IPv6 address stands in brackets in a URL.
            let host = host.trim_start_matches('[').trim_end_matches(']');
            let found: Vec<SocketAddr> = tokio::net::lookup_host((host, port)).await?.collect();
            for address in &found {
                self.0.check_address(host, address.ip())?;
            }
            Ok(found)
        })
    }
}
