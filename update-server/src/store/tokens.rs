//! API tokens: made, revoked, and when they were last used. Each change with its audit row.

use jiff::Timestamp;
use rusqlite::params;
use serde_json::json;
use signing::Sha256Digest;

use super::audit::Event;
use super::{Batch, Refusal, Stop, Store};
use crate::auth::{Access, Scope, TokenRecord, Used};

/// An API token to make.
#[derive(Debug, Clone)]
pub struct NewToken {
    /// Who or what will hold it.
    pub name: String,
    /// What it may do.
    pub access: Access,
    /// For which clusters.
    pub scope: Scope,
    /// When it stops working; `None` = when it is revoked.
    pub expires_at: Option<Timestamp>,
    /// SHA-256 of the secret.
    pub digest: Sha256Digest,
    /// Who makes it.
    pub by: String,
    /// When.
    pub now: Timestamp,
}

/// The admin tokens that never expire: without one nobody could administer the hub for ever.
fn is_lasting_admin(token: &TokenRecord) -> bool {
    token.access == Access::Admin && token.expires_at.is_none()
}

impl Store {
    /// Makes an API token.
    pub async fn create_token(&self, new: NewToken) -> Result<TokenRecord, Refusal> {
        self.submit(move |batch| batch.create_token(new)).await
    }

    /// Ends an API token, and the open join tokens that it minted.
    pub async fn revoke_token(&self, id: u64, by: String, now: Timestamp) -> Result<(), Refusal> {
        self.submit(move |batch| batch.revoke_token(id, by, now)).await
    }

    /// Keeps when tokens and sessions were last used. No audit row: nothing is decided by it.
    pub async fn note_use(&self, used: Used) -> Result<(), Refusal> {
        self.submit(move |batch| batch.note_use(&used)).await
    }

    /// Whether somebody can administer the hub for as long as nobody revokes it.
    pub fn has_lasting_admin(&self) -> bool {
        self.committed().tokens().list().iter().any(is_lasting_admin)
    }
}

impl Batch<'_> {
    fn create_token(&mut self, new: NewToken) -> Result<TokenRecord, Stop> {
        let mut tokens = self.tokens();
        // One that expired has no use for its name.
        if tokens.list().iter().any(|t| t.name == new.name && !t.is_expired(new.now)) {
            return Err(Refusal::TokenNameTaken { name: new.name }.into());
        }
        let id = self.db.insert(
            "INSERT INTO token (name, digest, access, selector, expires_at, created_at, \
                 created_by) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) RETURNING id",
            params![
                new.name,
                new.digest.as_bytes(),
                new.access.as_str(),
                new.scope.text(),
                new.expires_at.map(Timestamp::as_millisecond),
                new.now.as_millisecond(),
                new.by
            ],
        )?;
        let record = TokenRecord {
            id: super::id_of(id),
            name: new.name,
            access: new.access,
            scope: new.scope,
            created_at: new.now,
            created_by: new.by,
            expires_at: new.expires_at,
            last_used: None,
        };
        self.audit(&Event {
            at: record.created_at,
            actor: record.created_by.clone(),
            action: "create_token",
            object: format!("token/{}", record.id),
            detail: json!({
                "name": record.name, "access": record.access, "selector": record.scope,
                "expires_at": record.expires_at.map(|at| at.to_string()),
            }),
        })?;
        tokens.insert(new.digest, record.clone());
        self.changes.tokens = Some(tokens);
        Ok(record)
    }

    fn revoke_token(&mut self, id: u64, by: String, now: Timestamp) -> Result<(), Stop> {
        let mut tokens = self.tokens();
        let gone = tokens.remove(id).ok_or(Refusal::UnknownToken { id })?;
        if is_lasting_admin(&gone) && !tokens.list().iter().any(is_lasting_admin) {
            return Err(Refusal::LastAdmin.into());
        }
        self.db.execute(
            "UPDATE token SET revoked_at = ?2 WHERE id = ?1",
            params![super::int(id), now.as_millisecond()],
        )?;
        // Whoever held it may have kept what it minted.
        let ended = self.db.execute(
            "UPDATE join_token SET used = uses \
                 WHERE created_by = ?1 AND used < uses AND expires_at > ?2",
            params![gone.name, now.as_millisecond()],
        )?;
        self.audit(&Event {
            at: now,
            actor: by,
            action: "revoke_token",
            object: format!("token/{id}"),
            detail: json!({ "name": gone.name, "ends_join_tokens": ended }),
        })?;
        self.changes.tokens = Some(tokens);
        Ok(())
    }

    fn note_use(&mut self, used: &Used) -> Result<(), Stop> {
        if !used.tokens.is_empty() {
            let mut tokens = self.tokens();
            for (id, day) in &used.tokens {
                self.db.execute(
                    "UPDATE token SET last_used = ?2 WHERE id = ?1",
                    params![super::int(*id), day],
                )?;
                tokens.change(*id, |token| token.last_used = Some(*day));
            }
            self.changes.tokens = Some(tokens);
        }
        if !used.sessions.is_empty() {
            let mut sessions = self.sessions();
            for (id, at) in &used.sessions {
                self.db.execute(
                    "UPDATE session SET active_at = ?2 WHERE id = ?1",
                    params![super::int(*id), at.as_millisecond()],
                )?;
                sessions.change(*id, |session| session.active_at = *at);
            }
            self.changes.sessions = Some(sessions);
        }
        Ok(())
    }
}
