//! A server that answers as it is told, path by path, and keeps a ledger: an authorization server, or what passes for one.
//!
//! It has a thread and a port of its own and lives as long as its [`Provider`]. What it was not told is 404.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, oneshot};

use super::remote::Request;
use super::remote::wire;

/// What is answered at one path.
#[derive(Clone, Debug)]
pub enum Said {
    /// A status, headers and a body.
    Whole(u16, Vec<(&'static str, String)>, String),
    /// That, when it is [released](Provider::release).
    Held(Box<Said>),
    /// The head, and then nothing more.
    Hung,
    /// Bytes as they are; then the connection is closed.
    Raw(Vec<u8>),
}

impl Said {
    pub fn json(status: u16, body: &Value) -> Self {
        Self::Whole(status, vec![("content-type", "application/json".into())], body.to_string())
    }

    pub fn html(status: u16) -> Self {
        Self::Whole(status, vec![("content-type", "text/html".into())], "<html>hello</html>".into())
    }

    pub fn redirect(to: &str) -> Self {
        Self::Whole(302, vec![("location", to.to_owned())], String::new())
    }
}

#[derive(Default)]
struct State {
    ledger: Vec<Request>,
    /// by method and path; of several the first is said once, the last for ever
    said: HashMap<String, Vec<Said>>,
    release: Arc<Notify>,
}

/// A running one.
pub struct Provider {
    /// `http://127.0.0.1:<port>`
    pub origin: String,
    state: Arc<Mutex<State>>,
    _stop: oneshot::Sender<()>,
}

impl Provider {
    pub fn start() -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        listener.set_nonblocking(true).expect("a socket");
        let origin = format!("http://{}", listener.local_addr().expect("an address"));
        let state = Arc::<Mutex<State>>::default();
        let (stop, stopped) = oneshot::channel();
        let served = state.clone();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async move {
                let listener = TcpListener::from_std(listener).expect("a listener");
                let accept = async {
                    loop {
                        let Ok((socket, _)) = listener.accept().await else { continue };
                        tokio::spawn(serve(socket, served.clone()));
                    }
                };
                tokio::select! {
                    () = accept => {}
                    _ = stopped => {}
                }
            });
        });
        Self { origin, state, _stop: stop }
    }

    /// One that does all as it should: an MCP server at `/mcp` that is its own authorization server.
    pub fn well_behaved() -> Self {
        let provider = Self::start();
        let origin = &provider.origin;
        provider.says("GET /.well-known/oauth-protected-resource/mcp", Said::json(200, &provider.resource()));
        provider.says("GET /.well-known/oauth-authorization-server", Said::json(200, &provider.metadata(origin)));
        let registered = json!({"client_id": "registered", "client_secret": "s3cret"});
        provider.says("POST /register", Said::json(201, &registered));
        provider
    }

    /// Its address as an MCP server.
    pub fn mcp(&self) -> String {
        format!("{}/mcp", self.origin)
    }

    /// What it says of itself as an MCP server.
    pub fn resource(&self) -> Value {
        json!({"resource": self.mcp(), "authorization_servers": [self.origin], "scopes_supported": ["read", "write"]})
    }

    /// What it says of itself as an authorization server of that name.
    pub fn metadata(&self, issuer: &str) -> Value {
        let at = |path: &str| format!("{}{path}", self.origin);
        json!({
            "issuer": issuer,
            "authorization_endpoint": at("/authorize"),
            "token_endpoint": at("/token"),
            "registration_endpoint": at("/register"),
            "code_challenge_methods_supported": ["S256"],
            "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post", "none"],
        })
    }

    /// From now on. `what` is method and path.
    pub fn says(&self, what: &str, said: Said) {
        self.state().said.insert(what.to_owned(), vec![said]);
    }

    /// The first is said once, and so on; the last for ever.
    pub fn says_in_turn(&self, what: &str, said: Vec<Said>) {
        self.state().said.insert(what.to_owned(), said);
    }

    /// Lets one held answer go.
    pub fn release(&self) {
        self.state().release.notify_one();
    }

    /// How often somebody wanted a token renewed.
    pub fn refreshes(&self) -> usize {
        self.state().ledger.iter().filter(|request| request.body.contains("grant_type=refresh_token")).count()
    }

    /// What the token endpoint was shown under that name, each time.
    pub fn shown(&self, name: &str) -> Vec<String> {
        let state = self.state();
        let forms = state.ledger.iter().flat_map(|request| url::form_urlencoded::parse(request.body.as_bytes()));
        forms.filter(|(known, _)| known == name).map(|(_, value)| value.into_owned()).collect()
    }

    /// Nothing is there any more.
    pub fn forgets(&self, what: &str) {
        self.state().said.remove(what);
    }

    /// Methods and paths, in order.
    pub fn asked(&self) -> Vec<String> {
        self.state().ledger.iter().map(|request| format!("{} {}", request.method, request.path)).collect()
    }

    /// All that it read so far.
    pub fn ledger(&self) -> Vec<Request> {
        self.state().ledger.clone()
    }

    /// The last request, with its body read as a form.
    pub fn last(&self) -> (Request, HashMap<String, String>) {
        let request = self.state().ledger.last().expect("it was asked").clone();
        let form = url::form_urlencoded::parse(request.body.as_bytes()).into_owned().collect();
        (request, form)
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().expect("no test panics in here")
    }
}

async fn serve(mut socket: TcpStream, state: Arc<Mutex<State>>) {
    while let Some(request) = wire::read(&mut socket).await {
        let (said, release) = {
            let mut state = state.lock().expect("no test panics in here");
            let what = format!("{} {}", request.method, request.path);
            state.ledger.push(request);
            let said = match state.said.get_mut(&what) {
                Some(said) if said.len() > 1 => said.remove(0),
                Some(said) => said[0].clone(),
                None => Said::html(404),
            };
            (said, state.release.clone())
        };
        let said = match said {
            Said::Held(said) => {
                release.notified().await;
                *said
            }
            said => said,
        };
        match said {
            Said::Held(_) => unreachable!("nothing is held twice"),
            Said::Whole(status, headers, body) => {
                let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
                if socket.write_all(&wire::answer(status, &headers, body.as_bytes())).await.is_err() {
                    return;
                }
            }
            Said::Hung => {
                let _ = socket.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n").await;
                std::future::pending::<()>().await;
            }
            Said::Raw(bytes) => {
                let _ = socket.write_all(&bytes).await;
                return;
            }
        }
    }
}
