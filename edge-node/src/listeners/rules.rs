//! The rules by which a connection is refused before any app hears of a request.

use http::StatusCode;

/// What a client broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rule {
    /// RFC 9112 §3.
    #[error(
        "the request line is not METHOD SP TARGET SP HTTP/1.1, or its target neither a path nor a URL, or with a fragment"
    )]
    RequestLine,
    /// RFC 9112 §2.3.
    #[error("the version of HTTP is not one that this node speaks: HTTP/1.0, HTTP/1.1, HTTP/2, HTTP/3")]
    Version,
    /// RFC 9112 §3.
    #[error("the request's target is longer than 16,384 bytes")]
    TargetTooLong,
    /// RFC 6585 §5.
    #[error("the request's head is larger than this node takes")]
    HeadTooLarge,
    /// RFC 6585 §5.
    #[error("the request has more than 100 header fields")]
    TooManyHeaders,
    /// RFC 9112 §2.2: lines end in CR LF, and neither stands alone.
    #[error("a line does not end in CR LF, or has a CR or NUL inside")]
    LineEnd,
    /// RFC 9112 §5.2.
    #[error("a header field is folded over several lines")]
    Folded,
    /// RFC 9112 §5.1: a token, a colon, and no space between them.
    #[error("a header line is not NAME: VALUE")]
    Header,
    /// RFC 9112 §6.3.
    #[error("Content-Length is not one number")]
    Length,
    /// RFC 9112 §6.1, §11.2: the sign of request smuggling.
    #[error("the request has both Content-Length and Transfer-Encoding")]
    LengthAndChunked,
    /// RFC 9112 §6.1.
    #[error("a transfer coding other than chunked, alone and once, is not supported")]
    Coding,
    /// RFC 9112 §7.1.
    #[error("a chunk of the body is malformed")]
    Chunk,
    /// RFC 9112 §7.1.1.
    #[error("the extensions of the body's chunks are larger than this node takes")]
    ChunkExtension,
    /// RFC 9110 §10.1.1.
    #[error("the only expectation that this node meets is 100-continue")]
    Expectation,
    /// RFC 9110 §15.5.9.
    #[error("the request's head did not arrive in time")]
    HeadTimeout,
    /// RFC 9110 §15.5.9.
    #[error("the request's body did not arrive in time")]
    BodyTimeout,
}

impl Rule {
    /// A stable word for the `Atoll-Error` header, logs and metrics.
    pub fn code(self) -> &'static str {
        match self {
            Self::RequestLine => "request-line-invalid",
            Self::Version => "version-unsupported",
            Self::TargetTooLong => "target-too-long",
            Self::HeadTooLarge => "head-too-large",
            Self::TooManyHeaders => "headers-too-many",
            Self::LineEnd => "line-end-invalid",
            Self::Folded => "header-folded",
            Self::Header => "header-invalid",
            Self::Length => "content-length-invalid",
            Self::LengthAndChunked => "length-and-chunked",
            Self::Coding => "transfer-encoding-unsupported",
            Self::Chunk => "chunk-invalid",
            Self::ChunkExtension => "chunk-extension-too-large",
            Self::Expectation => "expectation-failed",
            Self::HeadTimeout => "head-timeout",
            Self::BodyTimeout => "body-timeout",
        }
    }

    /// The status a client sees.
    pub fn status(self) -> StatusCode {
        match self {
            Self::RequestLine
            | Self::LineEnd
            | Self::Folded
            | Self::Header
            | Self::Length
            | Self::LengthAndChunked
            | Self::Chunk => StatusCode::BAD_REQUEST,
            Self::HeadTimeout | Self::BodyTimeout => StatusCode::REQUEST_TIMEOUT,
            Self::ChunkExtension => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TargetTooLong => StatusCode::URI_TOO_LONG,
            Self::Expectation => StatusCode::EXPECTATION_FAILED,
            Self::HeadTooLarge | Self::TooManyHeaders => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::Coding => StatusCode::NOT_IMPLEMENTED,
            Self::Version => StatusCode::HTTP_VERSION_NOT_SUPPORTED,
        }
    }
}
