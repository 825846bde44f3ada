//! A body that nobody read ends its connection.
//!
//! A handler that refuses a request early drops its body. actix then reads a chunked one to its end
//! before it closes, however long that takes: whoever never ends it keeps a connection for ever,
//! known here or not. As long as the answer holds on to the body, it counts as unread instead, and
//! the connection is closed soon after the answer, as with bodies of an announced length.

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::{Payload, Service, ServiceRequest, ServiceResponse};
use actix_web::error::PayloadError;
use actix_web::http::header::TRANSFER_ENCODING;
use actix_web::web::Bytes;
use actix_web::{Error, HttpMessage as _};
use futures_util::Stream;
use futures_util::future::Either;

/// A body that its handler reads and the answer holds.
#[derive(Clone)]
struct Held(Rc<RefCell<Payload>>);

impl Stream for Held {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Pin::new(&mut *self.0.borrow_mut()).poll_next(context)
    }
}

/// An answer that lets go of the request's body when it is sent.
struct Holding {
    answer: BoxBody,
    _held: Held,
}

impl MessageBody for Holding {
    type Error = <BoxBody as MessageBody>::Error;

    fn size(&self) -> BodySize {
        self.answer.size()
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        Pin::new(&mut self.answer).poll_next(context)
    }
}

/// `App::new().wrap_fn(unread::close)`. Costs other requests the look at one header.
pub fn close<S>(
    mut request: ServiceRequest,
    service: &S,
) -> impl Future<Output = Result<ServiceResponse<BoxBody>, Error>> + use<S>
where
    S: Service<ServiceRequest, Response = ServiceResponse<BoxBody>, Error = Error>,
{
    if !request.headers().contains_key(TRANSFER_ENCODING) {
        return Either::Left(service.call(request));
    }
    let held = Held(Rc::new(RefCell::new(request.take_payload())));
    request.set_payload(Payload::Stream { payload: Box::pin(held.clone()) });
    let answer = service.call(request);
    Either::Right(async move {
        let answer = answer.await?;
        Ok(answer.map_body(|_, answer| BoxBody::new(Holding { answer, _held: held })))
    })
}
