//! The HTTP server: its socket, its limits, and what every request passes on its way in.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use actix_web::dev::Server;
use actix_web::middleware::from_fn;
use actix_web::{App, HttpServer, web};

use super::gateway::Gateway;
use super::middleware::door::{self, Door};
use super::middleware::{arrival, request_id};
use super::routes;

/// How long a client may take to send the head of a request.
const HEAD_WITHIN: Duration = Duration::from_secs(5);
/// How long a connection is kept for the next request.
const KEPT_ALIVE_FOR: Duration = Duration::from_secs(75);
/// How long requests that are under way may take to end, once the gateway is told to stop.
const STOP_WITHIN_SECS: u64 = 30;

/// Why the gateway can't listen.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// Another program has the port.
    #[error(
        "cannot listen on {address}: another program listens there; stop it, or choose another address with --listen \
         or ATRYUM_LISTEN (port 0 picks a free one)"
    )]
    InUse {
        /// What was to be listened on.
        address: SocketAddr,
    },
    /// The port is one that this user may not have, or the address is not of this machine.
    #[error("cannot listen on {address}: choose another address with --listen or ATRYUM_LISTEN")]
    Refused {
        /// What was to be listened on.
        address: SocketAddr,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// A socket that is listened on, and not yet answered from.
#[derive(Debug)]
pub struct Listening {
    listener: TcpListener,
    address: SocketAddr,
}

impl Listening {
    /// Takes the configured address. From here on clients are kept waiting instead of being turned away.
    ///
    /// # Errors
    /// The address can't be had.
    pub fn on(address: SocketAddr) -> Result<Self, ListenError> {
        let refused = |source: io::Error| {
            if source.kind() == io::ErrorKind::AddrInUse {
                ListenError::InUse { address }
            } else {
                ListenError::Refused { address, source }
            }
        };
        let listener = TcpListener::bind(address).map_err(refused)?;
        let address = listener.local_addr().map_err(refused)?;
        Ok(Self { listener, address })
    }

    /// Returns the address with the port that was picked.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers from the rooms of `gateway` until the returned server is stopped.
    ///
    /// # Errors
    /// The socket can't be handed over.
    pub fn serve(self, gateway: Gateway) -> io::Result<Server> {
        let config = gateway.config.clone();
        let http = &config.http;
        let door = Door::new(self.address, &gateway.public_url, &http.allowed_hosts, &http.allowed_origins);
        let (gateway, door) = (web::Data::new(gateway), web::Data::new(door));
        let body_bytes_max = http.body_bytes_max;
        let server = HttpServer::new(move || {
            App::new()
                .app_data(gateway.clone())
                .app_data(door.clone())
                .app_data(web::PayloadConfig::new(body_bytes_max))
                .configure(routes::configure)
                // The last that is added is the first that is passed.
                .wrap(from_fn(door::guard))
                .wrap(from_fn(arrival::bound))
                .wrap(from_fn(request_id::name))
        });
        Ok(server
            .workers(http.workers)
            // Whoever asks for a stop decides when: signals are for the program as a whole.
            .disable_signals()
            .shutdown_timeout(STOP_WITHIN_SECS)
            .keep_alive(KEPT_ALIVE_FOR)
            .client_request_timeout(HEAD_WITHIN)
            // Otherwise an agent that hangs up while its call waits would not be noticed.
            .h1_allow_half_closed(false)
            .listen(self.listener)?
            .run())
    }
}
