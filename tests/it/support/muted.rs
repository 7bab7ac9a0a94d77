//! A way to PostgreSQL on which no notification arrives.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

/// The first byte of the server's message that brings a notification.
const NOTIFICATION: u8 = b'A';

/// See the module.
pub struct Muted {
    pub url: String,
    swallowed: Arc<AtomicUsize>,
}

impl Muted {
    /// Beside the way that the URL names, which must not be encrypted.
    pub fn start(url: &str) -> Self {
        let mut url = url::Url::parse(url).expect("a url");
        let server = (url.host_str().expect("a host").to_owned(), url.port().expect("a port"));
        let (told, listens) = std::sync::mpsc::channel();
        let swallowed = Arc::<AtomicUsize>::default();
        let counted = swallowed.clone();
        // on a thread of its own: a test that starts a gateway lets nothing else run on its own
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(serve(server, told, counted));
        });
        let port = listens.recv().expect("it listens");
        url.set_port(Some(port)).expect("a url with a port");
        Self { url: url.into(), swallowed }
    }

    /// How many notifications would have arrived.
    pub fn swallowed(&self) -> usize {
        self.swallowed.load(Ordering::Relaxed)
    }
}

async fn serve(server: (String, u16), told: std::sync::mpsc::Sender<u16>, swallowed: Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    told.send(listener.local_addr().expect("its address").port()).expect("somebody wants to know");
    while let Ok((client, _)) = listener.accept().await {
        let Ok(server) = TcpStream::connect(server.clone()).await else { return };
        let ((mut from_client, to_client), (from_server, mut to_server)) = (client.into_split(), server.into_split());
        let swallowed = swallowed.clone();
        tokio::spawn(async move { tokio::io::copy(&mut from_client, &mut to_server).await });
        tokio::spawn(async move { pass(from_server, to_client, &swallowed).await });
    }
}

/// Each message of the server is a byte, a length that counts itself, and the rest.
async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, swallowed: &AtomicUsize) -> Option<()> {
    loop {
        let kind = from.read_u8().await.ok()?;
        let length = from.read_u32().await.ok()?;
        let mut rest = vec![0; usize::try_from(length).ok()?.checked_sub(4)?];
        from.read_exact(&mut rest).await.ok()?;
        if kind == NOTIFICATION {
            swallowed.fetch_add(1, Ordering::Relaxed);
            continue;
        }
        let mut message = vec![kind];
        message.extend(length.to_be_bytes());
        message.extend(rest);
        to.write_all(&message).await.ok()?;
    }
}
