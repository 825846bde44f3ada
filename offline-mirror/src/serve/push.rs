//! Pushing blobs and manifests, and deleting them.

use actix_web::http::{StatusCode, header};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder, web};

use super::answer::{self, CONTENT_DIGEST, Parameters, State, location};
use super::body::{blocking, drained, received, whole};
use super::error::{Refusal, manifest_too_large};
use super::range;
use crate::oci::{Algorithm, Digest, MANIFEST_BYTES_MAX, Repository, Tag};
use crate::store::{Children, Put, Reference, StoreError, Upload, UploadId};

/// `POST`: a mount, a blob in one request, or the beginning of an upload.
pub(super) async fn begin(
    state: &web::Data<State>,
    request: &HttpRequest,
    payload: web::Payload,
    repository: Repository,
    parameters: &Parameters,
) -> Result<HttpResponse, Refusal> {
    if let Some(digest) = parameters.digest("mount")?
        && mounted(state, &repository, digest, parameters).await?
    {
        drained(payload).await;
        return Ok(created(&repository, &digest));
    }
    let digest = parameters.digest("digest")?;
    let algorithm = match (digest, parameters.get("digest-algorithm")) {
        (Some(digest), _) => digest.algorithm(),
        (None, Some(name)) => Algorithm::ALL
            .into_iter()
            .find(|known| known.as_str() == name)
            .ok_or_else(|| digest_invalid(format!("{name:?} is not sha256 or sha512")))?,
        (None, None) => Algorithm::Sha256,
    };
    let (store, now) = (state.store.clone(), state.now());
    let name = repository.clone();
    let upload = blocking(move || store.begin_upload(&name, algorithm, now)).await?;
    let Some(digest) = digest else {
        drained(payload).await;
        let mut response = HttpResponse::Accepted();
        at(&mut response, &repository, upload.id(), 0);
        return Ok(response.finish());
    };
    let id = upload.id();
    let sent = match received(payload, upload, length(request), &state.metrics).await {
        Ok(upload) => blocking(move || upload.finish(&digest, now)).await,
        Err(refusal) => Err(refusal),
    };
    if let Err(refusal) = sent {
        // The client never learned where it is, so nobody can go on with it.
        let (store, name) = (state.store.clone(), repository.clone());
        drop(blocking(move || store.cancel_upload(&name, id)).await);
        return Err(refusal);
    }
    Ok(created(&repository, &digest))
}

async fn mounted(
    state: &web::Data<State>,
    repository: &Repository,
    digest: Digest,
    parameters: &Parameters,
) -> Result<bool, Refusal> {
    let from = match parameters.get("from").filter(|from| !from.is_empty()).map(str::parse) {
        // Somewhere else than here: then the client must push.
        Some(Err(_)) => return Ok(false),
        Some(Ok(from)) => Some(from),
        None => None,
    };
    let (store, now, repository) = (state.store.clone(), state.now(), repository.clone());
    blocking(move || store.mount(&repository, &digest, from.as_ref(), now)).await
}

/// `PATCH`: one piece, or a stream of unknown length.
pub(super) async fn piece(
    state: &web::Data<State>,
    request: &HttpRequest,
    payload: web::Payload,
    repository: Repository,
    id: UploadId,
) -> Result<HttpResponse, Refusal> {
    let upload = match resumed(state, request, &repository, id).await {
        Ok(Ok(upload)) => upload,
        Ok(Err(misplaced)) => {
            drained(payload).await;
            return Ok(misplaced);
        }
        Err(refusal) => {
            drained(payload).await;
            return Err(refusal);
        }
    };
    let upload = received(payload, upload, length(request), &state.metrics).await?;
    let mut response = HttpResponse::Accepted();
    at(&mut response, &repository, id, upload.offset());
    Ok(response.finish())
}

/// `PUT`: the last piece, or none, and the digest.
pub(super) async fn finish(
    state: &web::Data<State>,
    request: &HttpRequest,
    payload: web::Payload,
    repository: Repository,
    id: UploadId,
    parameters: &Parameters,
) -> Result<HttpResponse, Refusal> {
    let digest = match parameters.digest("digest") {
        Ok(Some(digest)) => digest,
        Ok(None) => {
            drained(payload).await;
            return Err(digest_invalid("the digest is missing".to_owned()));
        }
        Err(refusal) => {
            drained(payload).await;
            return Err(refusal);
        }
    };
    let upload = match resumed(state, request, &repository, id).await {
        Ok(Ok(upload)) => upload,
        Ok(Err(misplaced)) => {
            drained(payload).await;
            return Ok(misplaced);
        }
        Err(refusal) => {
            drained(payload).await;
            return Err(refusal);
        }
    };
    upload.expect(digest.algorithm());
    let upload = received(payload, upload, length(request), &state.metrics).await?;
    let now = state.now();
    blocking(move || upload.finish(&digest, now)).await?;
    Ok(created(&repository, &digest))
}

/// The upload, if the request goes on where it is; else the answer that says where it is.
async fn resumed(
    state: &web::Data<State>,
    request: &HttpRequest,
    repository: &Repository,
    id: UploadId,
) -> Result<Result<Upload, HttpResponse>, Refusal> {
    let (store, name) = (state.store.clone(), repository.clone());
    let upload = blocking(move || store.upload(&name, id)).await?;
    let Some(text) = answer::header(request, "content-range") else { return Ok(Ok(upload)) };
    let invalid = |why: String| Refusal::new(StatusCode::BAD_REQUEST, "BLOB_UPLOAD_INVALID", why);
    let Some((from, size)) = range::piece(text) else {
        return Err(invalid(format!("Content-Range is {text:?}")));
    };
    if length(request).is_some_and(|length| length != size) {
        return Err(invalid(format!("Content-Range is {text:?}, Content-Length another")));
    }
    match upload.continues_at(from) {
        Ok(()) => Ok(Ok(upload)),
        Err(error @ StoreError::OutOfOrder { expected, .. }) => {
            Ok(Err(misplaced(error, repository, id, expected)))
        }
        Err(error) => Err(error.into()),
    }
}

fn misplaced(
    error: StoreError,
    repository: &Repository,
    id: UploadId,
    offset: u64,
) -> HttpResponse {
    let refusal = Refusal::from(error);
    let mut builder = HttpResponse::build(refusal.status);
    at(&mut builder, repository, id, offset);
    let mut response = refusal.response();
    for (name, value) in builder.finish().headers() {
        response.headers_mut().insert(name.clone(), value.clone());
    }
    response
}

/// `GET` of an upload: where it is.
pub(super) async fn status(
    state: &web::Data<State>,
    repository: Repository,
    id: UploadId,
) -> Result<HttpResponse, Refusal> {
    let (store, name) = (state.store.clone(), repository.clone());
    let offset = blocking(move || store.upload_offset(&name, id)).await?;
    let mut response = HttpResponse::NoContent();
    at(&mut response, &repository, id, offset);
    Ok(response.finish())
}

/// `DELETE` of an upload.
pub(super) async fn cancel(
    state: &web::Data<State>,
    repository: Repository,
    id: UploadId,
) -> Result<HttpResponse, Refusal> {
    let store = state.store.clone();
    blocking(move || store.cancel_upload(&repository, id)).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// `PUT` of a manifest, by tag or by digest; by digest it may bring tags along (`?tag=`, repeatable).
pub(super) async fn manifest(
    state: &web::Data<State>,
    request: &HttpRequest,
    payload: web::Payload,
    repository: Repository,
    reference: Reference,
    parameters: &Parameters,
) -> Result<HttpResponse, Refusal> {
    let tags: Result<Vec<Tag>, _> = parameters.all("tag").map(str::parse).collect();
    let tags = match (tags, &reference) {
        (Ok(tags), Reference::Digest(_)) => tags,
        (Ok(_), Reference::Tag(_)) => Vec::new(),
        (Err(error), _) => {
            drained(payload).await;
            let (status, message) = (StatusCode::BAD_REQUEST, error.to_string());
            return Err(Refusal::new(status, "MANIFEST_INVALID", message));
        }
    };
    let bytes = whole(payload, MANIFEST_BYTES_MAX, manifest_too_large).await?;
    let said = answer::header(request, "content-type");
    let said = said.map(|said| said.split(';').next().unwrap_or(said).trim().to_owned());
    let (store, now, name, named) =
        (state.store.clone(), state.now(), repository.clone(), tags.clone());
    let put = blocking(move || {
        let how = Put {
            reference: &reference,
            media_type: said.as_deref(),
            children: Children::MustBeHeld,
        };
        let put = store.put_manifest(&name, &bytes, &how, now)?;
        for tag in &named {
            store.tag(&name, tag, &put.digest)?;
        }
        Ok(put)
    })
    .await?;
    let mut response = HttpResponse::Created();
    response
        .insert_header(location(&repository, &format!("manifests/{}", put.digest)))
        .insert_header((CONTENT_DIGEST, put.digest.to_string()));
    if let Some(subject) = put.subject {
        response.insert_header(("oci-subject", subject.to_string()));
    }
    for tag in tags {
        response.append_header(("oci-tag", tag.to_string()));
    }
    Ok(response.finish())
}

/// `DELETE` of a blob: the repository lets go of it.
pub(super) async fn delete_blob(
    state: &web::Data<State>,
    repository: Repository,
    digest: Digest,
) -> Result<HttpResponse, Refusal> {
    let (store, now) = (state.store.clone(), state.now());
    blocking(move || store.unlink_blob(&repository, &digest, now)).await?;
    Ok(HttpResponse::Accepted().finish())
}

/// `DELETE` of a manifest with its tags, or of one tag.
pub(super) async fn delete_manifest(
    state: &web::Data<State>,
    repository: Repository,
    reference: Reference,
) -> Result<HttpResponse, Refusal> {
    let (store, now) = (state.store.clone(), state.now());
    let pushes = state.allowed.push;
    blocking(move || {
        if let (Reference::Digest(digest), true) = (&reference, pushes) {
            store.promise_blobs_of(&repository, digest, now)?;
        }
        store.delete_manifest(&repository, &reference, now)
    })
    .await?;
    Ok(HttpResponse::Accepted().finish())
}

fn digest_invalid(message: String) -> Refusal {
    Refusal::new(StatusCode::BAD_REQUEST, "DIGEST_INVALID", message)
}

fn length(request: &HttpRequest) -> Option<u64> {
    answer::header(request, "content-length").and_then(|text| text.parse().ok())
}

fn created(repository: &Repository, digest: &Digest) -> HttpResponse {
    HttpResponse::Created()
        .insert_header(location(repository, &format!("blobs/{digest}")))
        .insert_header((CONTENT_DIGEST, digest.to_string()))
        .finish()
}

/// Says where an upload is: its path, and the range of bytes it has. An upload without bytes has no
/// range that could be written; `0-0` is what clients expect there.
fn at(response: &mut HttpResponseBuilder, repository: &Repository, id: UploadId, offset: u64) {
    response
        .insert_header(location(repository, &format!("blobs/uploads/{id}")))
        .insert_header((header::RANGE, format!("0-{}", offset.saturating_sub(1))))
        .insert_header(("docker-upload-uuid", id.to_string()));
}
