//! Errors of `/api/v1` as `application/problem+json` (RFC 9457).
//!
//! One table maps a code to its slug, status and title; the slug is part of the API (`type`
//! `/problems/<slug>`), a metric label and a field in logs. Details of 5xx never leave the process.

use std::fmt;

use actix_web::error::{PathError, QueryPayloadError};
use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, RETRY_AFTER, WWW_AUTHENTICATE};
use actix_web::{HttpRequest, HttpResponse, ResponseError};
use channels::wire::{Problem, media_type};
use signing::causes::chain;

/// A full queue drains in seconds, a disk takes longer; one report interval later would be a herd.
pub const RETRY_AFTER_S: u64 = 5;

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $slug:literal, $status:literal, $title:literal;)*) => {
        /// What went wrong, as a client can tell it apart.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Code { $($(#[$doc])* $name,)* }

        impl Code {
            /// Every code, for documentation and tests.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// Slug, HTTP status and title.
            fn row(self) -> (&'static str, u16, &'static str) {
                match self { $(Self::$name => ($slug, $status, $title),)* }
            }
        }
    };
}

codes! {
    /// A parameter, header or field that cannot be read.
    InvalidRequest = "invalid_request", 400, "The request cannot be read";
    /// A body that is not the JSON document asked for.
    InvalidJson = "invalid_json", 400, "The body is not the expected JSON document";
    /// A paging cursor this server did not make.
    InvalidCursor = "invalid_cursor", 400, "The cursor is not one of this server's";
    /// A well-formed publication that breaks a rule of publications.
    InvalidPublication = "invalid_publication", 422, "The publication is not acceptable";
    /// A publication that a client would refuse.
    PublicationUnverified = "publication_unverified", 422, "The publication does not verify";
    /// A release document differs from the one published under the same path.
    ReleaseImmutable = "release_immutable", 409, "A published release cannot change";
    /// A published release document is no longer listed.
    ReleaseRemoved = "release_removed", 409, "A published release cannot be withdrawn";
    /// Metadata older than, or different from, what is served under the same version.
    PublicationConflict = "publication_conflict", 409, "The publication is older than what is served";
    /// Root names other snapshot or timestamp keys than the hub's own.
    OnlineKeysMismatch = "online_keys_mismatch", 422, "Root does not name this hub's online keys";
    /// The first publication came without root 1.
    RootMissing = "root_missing", 422, "The first publication must contain root 1";
    /// No credentials, or unknown ones.
    Unauthenticated = "unauthenticated", 401, "Credentials are missing or unknown";
    /// A request signature that is missing, malformed or wrong.
    InvalidSignature = "invalid_signature", 401, "The request's signature does not verify";
    /// A request signature created too long ago or in the future.
    SignatureExpired = "signature_expired", 401, "The request was signed too long ago";
    /// A key no cluster enrolled with.
    UnknownCluster = "unknown_cluster", 401, "No enrolled cluster has this key";
    /// A key that its cluster has replaced.
    KeyReplaced = "key_replaced", 401, "The cluster has another key by now";
    /// A join token that is unknown, used up or expired.
    InvalidJoinToken = "invalid_join_token", 401, "The join token is unknown, used up or expired";
    /// An answer of the provider to no sign-in of this browser.
    SignInState = "sign_in_state", 400, "The answer belongs to no sign-in of this browser";
    /// An ID token made for another sign-in.
    SignInNonce = "sign_in_nonce", 401, "The ID token is that of another sign-in";
    /// An ID token that is not to be believed.
    SignInToken = "sign_in_token", 401, "The ID token is not to be believed";
    /// The provider says no, to the person or to the code.
    SignInRefused = "sign_in_refused", 401, "The OpenID provider refused the sign-in";
    /// Somebody whom no rule gives a role.
    NoRole = "no_role", 403, "No rule of this hub gives the person a role";
    /// Known, but not allowed.
    Forbidden = "forbidden", 403, "The role does not allow this";
    /// Allowed, but not for these clusters.
    OutOfScope = "out_of_scope", 403, "Not among the clusters that the caller may see or change";
    /// A change with a browser's credentials that may be another page's.
    CrossSite = "cross_site", 403, "The request may be another site's";
    /// The key of a cluster that was retired.
    ClusterRetired = "cluster_retired", 403, "The cluster was retired";
    /// The key of a cluster that a person took out of force.
    KeyRevoked = "key_revoked", 403, "The cluster's key was revoked";
    /// No such resource.
    NotFound = "not_found", 404, "There is no such resource";
    /// A resource, but not with this method.
    MethodNotAllowed = "method_not_allowed", 405, "The resource does not take this method";
    /// Nothing acceptable to the client.
    NotAcceptable = "not_acceptable", 406, "No acceptable representation";
    /// The state of the resource does not allow it.
    Conflict = "conflict", 409, "The state does not allow this";
    /// What a person agreed to is not what would be done by now.
    SelectionChanged = "selection_changed", 409, "The clusters are not those that were shown";
    /// A report whose `seq` does not grow.
    ReplayedReport = "replayed_report", 409, "The report's sequence number does not grow";
    /// A key that some cluster has, or had.
    KeyInUse = "key_in_use", 409, "The key is in use already";
    /// More than one agent uses a cluster's key.
    IdentityConflict = "identity_conflict", 409, "More than one agent uses the cluster's key";
    /// A site that nobody has registered.
    UnknownSite = "unknown_site", 404, "No such site is registered";
    /// A status file that cannot be believed.
    StatusUnverified = "status_unverified", 422, "The status does not verify";
    /// A status file that is older than what is known.
    StatusRollback = "status_rollback", 409, "The status is older than what is known";
    /// A status file made in the future.
    StatusFromFuture = "status_from_future", 422, "The status was made in the future";
    /// A cluster name someone else has.
    NameTaken = "name_taken", 409, "The name is taken";
    /// A resource that was removed.
    Gone = "gone", 410, "The resource was removed";
    /// A body over the limit.
    BodyTooLarge = "body_too_large", 413, "The body is larger than the limit";
    /// A compressed body that unpacks to more than a plain one may have.
    CompressionBomb = "compression_bomb", 413, "The body unpacks to more than the limit";
    /// A body in a form this server does not read.
    UnsupportedMediaType = "unsupported_media_type", 415, "The body's media type is not supported";
    /// Readable, but the values contradict each other or a limit.
    Unprocessable = "unprocessable", 422, "The values are not acceptable";
    /// A report whose `seq` no clock reaches.
    SeqOutOfReach = "seq_out_of_reach", 422, "The sequence number is far ahead of the clock";
    /// Too many requests of one caller.
    RateLimited = "rate_limited", 429, "Too many requests";
    /// A bug.
    Internal = "internal", 500, "The server failed";
    /// The provider of sign-ins does not answer, or not as it should.
    ProviderUnavailable = "provider_unavailable", 502, "The OpenID provider cannot be used";
    /// Nothing published.
    NotReady = "not_ready", 503, "Nothing has been published here";
    /// The write queue is full.
    QueueFull = "queue_full", 503, "The server is busy";
    /// A full disk, a database that is locked or away.
    StoreUnavailable = "store_unavailable", 503, "The server cannot write now";
    /// The server is going down.
    ShuttingDown = "shutting_down", 503, "The server is shutting down";
}

impl Code {
    /// The stable slug.
    pub fn slug(self) -> &'static str {
        self.row().0
    }

    /// The HTTP status.
    pub fn status(self) -> StatusCode {
        StatusCode::from_u16(self.row().1).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// The title.
    pub fn title(self) -> &'static str {
        self.row().2
    }
}

/// An error of a handler.
#[derive(Debug)]
pub struct ApiError {
    code: Code,
    detail: String,
    attack: Option<String>,
    retry_after_s: Option<u64>,
    last_seq: Option<u64>,
}

impl ApiError {
    /// An error whose detail says what, where and what to do.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), attack: None, retry_after_s: None, last_seq: None }
    }

    /// An internal failure: `error` and its sources go to the log, the client gets a fixed text.
    pub fn internal(operation: &'static str, error: &(dyn std::error::Error + 'static)) -> Self {
        let chain = chain(error);
        tracing::error!(operation, error = chain, "request failed");
        Self::new(Code::Internal, format!("{operation}: {chain}"))
    }

    /// A failure to write that a person or time can mend: `error` and its sources go to the log.
    pub fn unavailable(operation: &'static str, error: &(dyn std::error::Error + 'static)) -> Self {
        tracing::error!(operation, error = chain(error), "the server cannot write");
        Self::new(Code::StoreUnavailable, "nothing was changed; the log of the server says why")
            .with_retry_after(RETRY_AFTER_S)
    }

    /// Names the TUF attack that was met.
    #[must_use]
    pub fn with_attack(mut self, attack: Option<String>) -> Self {
        self.attack = attack;
        self
    }

    /// Tells an agent how far it had counted.
    #[must_use]
    pub fn with_last_seq(mut self, seq: u64) -> Self {
        self.last_seq = Some(seq);
        self
    }

    /// Tells the client when to come back, in seconds.
    #[must_use]
    pub fn with_retry_after(mut self, seconds: u64) -> Self {
        self.retry_after_s = Some(seconds);
        self
    }

    /// The code.
    pub fn code(&self) -> Code {
        self.code
    }

    /// The detail, for logs and the audit trail; not for clients when the status is 5xx.
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// The document sent to the client.
    pub fn problem(&self) -> Problem {
        let detail = if self.code == Code::Internal {
            "The log of the server says more.".to_owned()
        } else {
            self.detail.clone()
        };
        Problem {
            kind: format!("/problems/{}", self.code.slug()),
            title: self.code.title().to_owned(),
            status: self.code.status().as_u16(),
            detail,
            attack: self.attack.clone(),
            last_seq: self.last_seq,
        }
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code.slug(), self.detail)
    }
}

impl std::error::Error for ApiError {}

impl ResponseError for ApiError {
    fn status_code(&self) -> StatusCode {
        self.code.status()
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponse::build(self.status_code());
        response.content_type(media_type::PROBLEM).insert_header((CACHE_CONTROL, "no-store"));
        if let Some(seconds) = self.retry_after_s {
            response.insert_header((RETRY_AFTER, seconds.to_string()));
        }
        if self.code == Code::Unauthenticated {
            // A browser then asks for a password: the token goes there.
            response
                .insert_header((WWW_AUTHENTICATE, "Basic realm=\"fairway\", charset=\"UTF-8\""));
        }
        let problem = self.problem();
        // A string of our own making: serialising it cannot fail.
        let mut response = response.body(serde_json::to_string(&problem).unwrap_or_default());
        // For whoever asked for a page: it says the same.
        response.extensions_mut().insert(problem);
        response
    }
}

/// Error handler for `web::QueryConfig`.
#[expect(clippy::needless_pass_by_value, reason = "the signature actix asks for")]
pub fn query_error(error: QueryPayloadError, _request: &HttpRequest) -> actix_web::Error {
    ApiError::new(Code::InvalidRequest, format!("query: {error}")).into()
}

/// Error handler for `web::PathConfig`: a path that cannot name anything names nothing.
#[expect(clippy::needless_pass_by_value, reason = "the signature actix asks for")]
pub fn path_error(error: PathError, _request: &HttpRequest) -> actix_web::Error {
    ApiError::new(Code::NotFound, format!("path: {error}")).into()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[::core::prelude::v1::test]
    fn every_slug_is_its_own_and_every_status_is_an_error() {
        let slugs: BTreeSet<_> = Code::ALL.iter().map(|code| code.slug()).collect();
        assert_eq!(slugs.len(), Code::ALL.len());
        for code in Code::ALL {
            assert_eq!(code.status().as_u16(), code.row().1);
            assert!(code.status().is_client_error() || code.status().is_server_error());
        }
    }

    #[::core::prelude::v1::test]
    fn the_detail_of_an_internal_error_stays_inside() {
        let secret = std::io::Error::other("/var/lib/secret is full");
        let problem = ApiError::internal("store", &secret).problem();
        assert!(!problem.detail.contains("secret"), "{problem:?}");
        assert_eq!(problem.kind, "/problems/internal");
    }

    #[::core::prelude::v1::test]
    fn an_attack_is_named_in_the_problem() {
        let error = ApiError::new(Code::PublicationUnverified, "targets went back")
            .with_attack(Some("rollback".to_owned()));
        assert_eq!(error.problem().attack.as_deref(), Some("rollback"));
        assert_eq!(error.status_code().as_u16(), 422);
    }

    #[actix_web::test]
    async fn a_full_queue_says_when_to_come_back() {
        let response = ApiError::new(Code::QueueFull, "queue").with_retry_after(7).error_response();
        assert_eq!(response.status().as_u16(), 503);
        assert_eq!(response.headers().get(RETRY_AFTER).unwrap(), "7");
    }
}
