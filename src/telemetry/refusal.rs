//! Why a request was refused: an upgrade on the ingest port, or one on the HTTP port for its bytes.

/// Why an upgrade request was refused; each is the code of an answer as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// `/`: the dashboard has its own port.
    DashboardElsewhere,
    /// Not an HTTP/1.1 request.
    BadRequest,
    /// `Sec-WebSocket-Key` is not 16 bytes in base64.
    BadKey,
    /// `Sec-WebSocket-Key` or `Sec-WebSocket-Version` comes more than once.
    RepeatedHeader,
    /// Not exactly one `Host`.
    BadHost,
    /// It has a body.
    UnexpectedBody,
    /// A page of an origin that may not send events.
    ForeignOrigin,
    /// Another path than `/ws/ingest`.
    NotFound,
    /// No WebSocket is asked for.
    UpgradeRequired,
    /// Another version of WebSocket than 13.
    UnsupportedVersion,
    /// More than `ingest.handshake_size`.
    RequestTooLarge,
    /// More headers than are taken.
    TooManyHeaders,
    /// It was not whole when the daemon ended.
    Draining,
    /// It was not whole within `ingest.handshake_timeout`; who has sent nothing gets no answer.
    Timeout,
}

impl Refusal {
    /// All reasons, in the order of [`Refusal::index`].
    pub const ALL: [Self; 14] = [
        Self::DashboardElsewhere,
        Self::BadRequest,
        Self::BadKey,
        Self::RepeatedHeader,
        Self::BadHost,
        Self::UnexpectedBody,
        Self::ForeignOrigin,
        Self::NotFound,
        Self::UpgradeRequired,
        Self::UnsupportedVersion,
        Self::RequestTooLarge,
        Self::TooManyHeaders,
        Self::Draining,
        Self::Timeout,
    ];

    /// The code in the answer, and the label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::DashboardElsewhere => "dashboard_elsewhere",
            Self::BadRequest => "bad_request",
            Self::BadKey => "bad_websocket_key",
            Self::RepeatedHeader => "repeated_header",
            Self::BadHost => "bad_host",
            Self::UnexpectedBody => "unexpected_body",
            Self::ForeignOrigin => "foreign_origin",
            Self::NotFound => "not_found",
            Self::UpgradeRequired => "upgrade_required",
            Self::UnsupportedVersion => "unsupported_version",
            Self::RequestTooLarge => "request_too_large",
            Self::TooManyHeaders => "too_many_headers",
            Self::Draining => "draining",
            Self::Timeout => "timeout",
        }
    }

    /// Position in [`Refusal::ALL`].
    pub fn index(self) -> usize {
        self as usize
    }
}

/// Why requests on the HTTP port are refused before anybody reads them: the codes of the answers. Those that
/// are late, too many or cannot be handed on are counted by themselves.
pub const HTTP_REASONS: [&str; 8] = [
    "bad_request",
    "bad_header",
    "bad_host",
    "bad_length",
    "length_required",
    "too_long",
    "head_too_long",
    "http_version",
];

/// Why changes over HTTP are refused: the codes of the answers.
pub const CHANGE_REASONS: [&str; 3] = ["unsupported_media_type", "foreign_host", "foreign_origin"];
