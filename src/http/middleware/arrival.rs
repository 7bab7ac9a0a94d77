//! How long the body of a request may take to arrive.
//!
//! The framework waits for a body as long as its sender likes; a sender who likes to wait would hold a place for nothing.
//! Here every body ends after a while, whoever reads it and whether it was read to its end or not.

use std::future::Future as _;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use actix_web::body::MessageBody;
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::error::PayloadError;
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage as _, web};
use futures_util::{Stream, StreamExt as _};
use tokio::time::Sleep;

/// How long a body may take, from the head of its request to its last byte.
pub const ARRIVES_WITHIN: Duration = Duration::from_secs(30);

/// Bounds the body's time.
pub async fn bound<B: MessageBody>(mut request: ServiceRequest, next: Next<B>) -> Result<ServiceResponse<B>, Error> {
    let payload = request.take_payload();
    if !matches!(payload, Payload::None) {
        let bounded = Bounded { payload, deadline: Box::pin(tokio::time::sleep(ARRIVES_WITHIN)) };
        request.set_payload(Payload::Stream { payload: Box::pin(bounded) });
    }
    next.call(request).await
}

/// Returns whether a body was given up because it took too long.
#[must_use]
pub fn is_too_late(error: &PayloadError) -> bool {
    matches!(error, PayloadError::Io(error) if error.kind() == io::ErrorKind::TimedOut)
}

struct Bounded {
    payload: Payload,
    deadline: Pin<Box<Sleep>>,
}

impl Stream for Bounded {
    type Item = Result<web::Bytes, PayloadError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        match self.payload.poll_next_unpin(context) {
            Poll::Ready(chunk) => Poll::Ready(chunk),
            Poll::Pending => self.deadline.as_mut().poll(context).map(|()| {
                let error = io::Error::new(io::ErrorKind::TimedOut, "the body did not arrive in time");
                Some(Err(PayloadError::Io(error)))
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::stream;

    use super::*;

    fn bounded(body: impl Stream<Item = Result<web::Bytes, PayloadError>> + 'static) -> Bounded {
        let deadline = Box::pin(tokio::time::sleep(ARRIVES_WITHIN));
        Bounded { payload: Payload::Stream { payload: Box::pin(body) }, deadline }
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_comes_bit_by_bit_is_given_up_all_the_same() {
        let drip = stream::unfold((), |()| async {
            tokio::time::sleep(Duration::from_secs(7)).await;
            Some((Ok(web::Bytes::from_static(b"x")), ()))
        });
        let began = tokio::time::Instant::now();
        let chunks: Vec<_> =
            bounded(Box::pin(drip)).take_while(|chunk| std::future::ready(chunk.is_ok())).collect().await;
        assert_eq!((chunks.len(), began.elapsed()), (4, ARRIVES_WITHIN));
        let mut silent = bounded(stream::pending());
        assert!(silent.next().await.is_some_and(|chunk| chunk.is_err_and(|error| is_too_late(&error))));
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_is_there_is_read_however_late_it_is_asked_for() {
        let mut body = bounded(stream::iter([Ok(web::Bytes::from_static(b"{}"))]));
        tokio::time::sleep(2 * ARRIVES_WITHIN).await;
        assert!(body.next().await.is_some_and(|chunk| chunk.is_ok()));
        assert!(body.next().await.is_none());
    }
}
