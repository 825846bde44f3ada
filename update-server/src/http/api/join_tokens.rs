//! `/api/v1/join-tokens`: a person invites clusters, and takes it back; below a cluster's own path,
//! that cluster again after it lost its key.

use actix_web::{HttpResponse, web};
use channels::names::ClusterId;
use channels::rollout::{Labels, labels};
use channels::wire::{JoinToken, JoinTokenRequest, OpenJoinToken, Page, ReinviteRequest};
use jiff::{SignedDuration, Timestamp};

use super::super::problem::{ApiError, Code};
use super::body::Json;
use super::clusters::find_to_change;
use super::paging::{self, PageQuery};
use super::state::from_disk;
use super::{Guarded, HubState, Operator, Scoped};
use crate::auth::{Secret, SecretKind};
use crate::store::{NewJoinToken, Reader};

/// A whole fleet by one token.
const MAX_USES: u32 = 100_000;
/// A forgotten token must not work for ever: 30 days.
const MAX_EXPIRES_IN_S: u64 = 30 * 24 * 3600;
/// Whoever has it becomes a cluster that is known and trusted: a working day and the night.
const MAX_REINVITE_EXPIRES_IN_S: u64 = 24 * 3600;
/// A sentence for the audit log.
const MAX_NOTE_CHARS: usize = 1000;

/// What is asked for.
struct Wanted {
    uses: u32,
    cluster: Option<ClusterId>,
    expires_in_s: u64,
    longest_s: u64,
    note: String,
    labels: Labels,
}

/// `POST /api/v1/join-tokens`
pub(super) async fn mint(
    by: Guarded<Operator>,
    state: web::Data<HubState>,
    request: Json<JoinTokenRequest>,
) -> Result<HttpResponse, ApiError> {
    let JoinTokenRequest { uses, expires_in_s, note, labels } = request.into_inner();
    let longest_s = MAX_EXPIRES_IN_S;
    let wanted = Wanted { uses, cluster: None, expires_in_s, longest_s, note, labels };
    make(&state, &by.actor, wanted).await
}

/// `GET /api/v1/join-tokens`: those that still work, newest first
pub(super) async fn list(
    _: Guarded<Operator>,
    state: web::Data<HubState>,
    query: web::Query<PageQuery>,
) -> Result<web::Json<Page<OpenJoinToken>>, ApiError> {
    let (before, limit) = query.read("join-tokens")?;
    let now = state.now();
    let read = move |reader: &Reader| reader.open_join_tokens(now, before, limit);
    let items = from_disk(&state, read).await?;
    Ok(web::Json(paging::newest_first("join-tokens", items, limit, |row| row.id)))
}

/// `DELETE /api/v1/join-tokens/{id}`
pub(super) async fn end(
    by: Guarded<Operator>,
    state: web::Data<HubState>,
    path: web::Path<u64>,
) -> Result<HttpResponse, ApiError> {
    state.store.end_join_token(*path, by.actor.clone(), state.now()).await?;
    tracing::info!(join_token.id = *path, by = by.actor, "join token ended");
    Ok(HttpResponse::NoContent().finish())
}

/// `POST /api/v1/clusters/{id or name}/join-tokens`
pub(super) async fn reinvite(
    by: Guarded<Scoped<Operator>>,
    state: web::Data<HubState>,
    path: web::Path<String>,
    request: Json<ReinviteRequest>,
) -> Result<HttpResponse, ApiError> {
    let ReinviteRequest { expires_in_s, note } = request.into_inner();
    let (row, _) = find_to_change(&state, &by, &path)?;
    let longest_s = MAX_REINVITE_EXPIRES_IN_S;
    // It keeps the labels it has.
    let labels = Labels::new();
    let wanted = Wanted { uses: 1, cluster: Some(row.id), expires_in_s, longest_s, note, labels };
    make(&state, &by.actor, wanted).await
}

/// A token that is made, before the store has it.
pub(super) struct Minted {
    /// What the store keeps.
    pub(super) new: NewJoinToken,
    /// What the person gets.
    pub(super) token: JoinToken,
}

/// Checks what is asked for when a cluster is invited again.
pub(super) fn check_reinvite(expires_in_s: u64, note: &str) -> Result<(), ApiError> {
    let longest_s = MAX_REINVITE_EXPIRES_IN_S;
    let (note, labels) = (note.to_owned(), Labels::new());
    check(&Wanted { uses: 1, cluster: None, expires_in_s, longest_s, note, labels })
}

/// Makes a token with which one cluster enrols again. The caller has checked what is asked for.
pub(super) fn mint_for(
    id: ClusterId,
    expires_in_s: u64,
    note: &str,
    by: &str,
    now: Timestamp,
) -> Result<Minted, ApiError> {
    let longest_s = MAX_REINVITE_EXPIRES_IN_S;
    let (note, labels) = (note.to_owned(), Labels::new());
    let wanted = Wanted { uses: 1, cluster: Some(id), expires_in_s, longest_s, note, labels };
    minted(wanted, by, now)
}

fn check(wanted: &Wanted) -> Result<(), ApiError> {
    let refuse = |detail: String| Err(ApiError::new(Code::Unprocessable, detail));
    let longest_s = wanted.longest_s;
    if !(1..=MAX_USES).contains(&wanted.uses) {
        return refuse(format!("uses must be between 1 and {MAX_USES}"));
    }
    if !(1..=longest_s).contains(&wanted.expires_in_s) {
        return refuse(format!("expires_in_s must be between 1 and {longest_s}"));
    }
    if wanted.note.chars().count() > MAX_NOTE_CHARS {
        return refuse(format!("note must have at most {MAX_NOTE_CHARS} characters"));
    }
    labels::check(&wanted.labels).or_else(|error| refuse(error.to_string()))
}

fn minted(wanted: Wanted, by: &str, now: Timestamp) -> Result<Minted, ApiError> {
    let Wanted { uses, cluster, expires_in_s, note, labels, .. } = wanted;
    let secret = Secret::generate(SecretKind::Join)
        .map_err(|error| ApiError::internal("make a join token", &error))?;
    let life = SignedDuration::from_secs(i64::try_from(expires_in_s).unwrap_or(i64::MAX));
    let expires_at =
        now.checked_add(life).map_err(|error| ApiError::internal("compute an expiry", &error))?;
    let (digest, by) = (secret.digest(), by.to_owned());
    let new = NewJoinToken { digest, uses, cluster, expires_at, note, labels, by, now };
    let token = JoinToken { token: secret.reveal().to_owned(), uses, expires_at };
    Ok(Minted { new, token })
}

async fn make(state: &HubState, by: &str, wanted: Wanted) -> Result<HttpResponse, ApiError> {
    check(&wanted)?;
    let Minted { new, token } = minted(wanted, by, state.now())?;
    let (uses, expires_at, cluster) = (new.uses, new.expires_at, new.cluster);
    state.store.create_join_token(new).await?;
    tracing::info!(
        by, uses, expires_at = %expires_at, cluster.id = cluster.map(tracing::field::display),
        "join token made"
    );
    Ok(HttpResponse::Created().json(token))
}
