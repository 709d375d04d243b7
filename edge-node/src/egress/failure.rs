//! Why an exchange with an origin came to nothing.

use std::error::Error;

use atoll_runtime::FetchFailure;

use super::connector::ConnectError;
use super::retry::Lost;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// There is no connection.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The connection failed.
    #[error(transparent)]
    Http(hyper::Error),
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
    pub fn lost(error: &hyper::Error) -> Lost {
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
            Self::Late => true,
            Self::Busy | Self::Open => false,
        }
    }

    /// What the app is told of it.
    pub fn told(&self, host: &str) -> FetchFailure {
        let (code, message) = match self {
            Self::Connect(error) => (error.code(), error.to_string()),
            Self::Http(error) => return of_hyper(host, error),
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
        ("protocol", "answered with something that is not HTTP")
    } else if http.is_timeout() {
        ("timeout", "did not answer in time")
    } else if http.is_user() {
        ("request-body", "was not sent the whole request: its body failed")
    } else {
        ("closed", "closed the connection before it answered")
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
