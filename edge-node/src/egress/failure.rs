//! Why an exchange with an origin came to nothing.

use std::error::Error;

use atoll_runtime::FetchFailure;
use http::Request;
use hyper::client::conn::TrySendError;

use super::connector::ConnectError;
use super::pace::Sending;
use super::retry::Lost;

const NO_HTTP: &str = "answered with something that is not HTTP";
const CLOSED: &str = "closed the connection before it answered";

/// A request that came to nothing on its connection.
pub struct Broken {
    /// Why.
    pub failure: Failure,
    /// How far it came.
    pub lost: Lost,
    /// The request, if nothing of it was sent.
    pub unsent: Option<Request<Sending>>,
}

impl From<TrySendError<Request<Sending>>> for Box<Broken> {
    fn from(mut error: TrySendError<Request<Sending>>) -> Self {
        let unsent = error.take_message();
        let error = error.into_error();
        let lost = if unsent.is_some() { Lost::Unsent } else { Failure::lost(&error) };
        Self::new(Broken { failure: Failure::Http(error), lost, unsent })
    }
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// There is no connection.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The connection failed.
    #[error(transparent)]
    Http(hyper::Error),
    /// The connection failed, over HTTP/2.
    #[error(transparent)]
    Http2(h2::Error),
    /// The body of the request failed.
    #[error("was not sent the whole request: its body failed")]
    Body,
    /// The answer did not begin in time.
    #[error("did not answer in time")]
    Late,
    /// All connections are in use, and others wait for them.
    #[error("has as many requests under way as it may")]
    Busy,
    /// It failed several times in a row just now.
    #[error("has failed several times in a row")]
    Open,
}

impl Failure {
    /// How far a request came whose connection failed.
    fn lost(error: &hyper::Error) -> Lost {
        // A body that failed, nonsense for an answer: not the connection's end.
        if error.is_incomplete_message() || error.is_closed() || is_reset(error) {
            Lost::Unanswered
        } else {
            Lost::Otherwise
        }
    }

    /// Whether it is the origin that failed, and not the request or the policy.
    pub fn is_origins(&self) -> bool {
        match self {
            Self::Connect(error) => match error {
                ConnectError::Dns(_)
                | ConnectError::Connect(_)
                | ConnectError::Timeout(_)
                | ConnectError::Tls { .. } => true,
                ConnectError::AddressForbidden(_) | ConnectError::PortForbidden(_) | ConnectError::Url(_) => false,
            },
            Self::Http(error) => !error.is_user(),
            Self::Http2(_) | Self::Late => true,
            Self::Body | Self::Busy | Self::Open => false,
        }
    }

    /// What the app is told of it.
    pub fn told(&self, host: &str) -> FetchFailure {
        let (code, message) = match self {
            Self::Connect(error) => (error.code(), error.to_string()),
            Self::Http(error) => return of_hyper(host, error),
            // What an origin says that HTTP/2 does not know.
            Self::Http2(error) if error.is_library() => ("protocol", format!("{host} {NO_HTTP}")),
            Self::Http2(_) => ("closed", format!("{host} {CLOSED}")),
            Self::Body => ("request-body", format!("{host} {self}")),
            Self::Late => ("timeout", format!("{host} did not answer in time")),
            Self::Busy => {
                ("origin-busy", format!("{host} has as many requests of this app under way, and waiting, as it may"))
            }
            Self::Open => (
                "circuit-open",
                format!("{host} has failed several times in a row; the next requests to it are not sent for a while"),
            ),
        };
        FetchFailure { code, message }
    }
}

fn of_hyper(host: &str, http: &hyper::Error) -> FetchFailure {
    let (code, problem) = if http.is_parse() {
        ("protocol", NO_HTTP)
    } else if http.is_timeout() {
        ("timeout", "did not answer in time")
    } else if http.is_user() {
        ("request-body", "was not sent the whole request: its body failed")
    } else {
        ("closed", CLOSED)
    };
    FetchFailure { code, message: format!("{host} {problem}") }
}

/// What an app is told of any error of this module.
pub fn failure(host: &str, error: &(dyn Error + 'static)) -> FetchFailure {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(connect) = error.downcast_ref::<ConnectError>() {
            return FetchFailure { code: connect.code(), message: connect.to_string() };
        }
        if let Some(http) = error.downcast_ref::<hyper::Error>() {
            return of_hyper(host, http);
        }
        cause = error.source();
    }
    FetchFailure { code: "connect", message: format!("the request to {host} failed") }
}

fn is_reset(error: &hyper::Error) -> bool {
    use std::io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset};
    let mut cause = error.source();
    while let Some(error) = cause {
        if let Some(io) = error.downcast_ref::<std::io::Error>() {
            return matches!(io.kind(), ConnectionReset | ConnectionAborted | BrokenPipe);
        }
        cause = error.source();
    }
    false
}
