//! Sessions of people: begun, ended, swept. Each change that a person makes with its audit row.

use jiff::{SignedDuration, Timestamp};
use rusqlite::params;
use serde_json::json;
use signing::Sha256Digest;

use super::audit::Event;
use super::db::DbResult;
use super::{Batch, Refusal, Stop, Store};
use crate::auth::{Access, SESSIONS_MAX, Scope, SessionRecord};

/// Somebody signed in.
#[derive(Debug, Clone)]
pub struct NewSession {
    /// Who.
    pub name: String,
    /// What they may do.
    pub access: Access,
    /// For which clusters.
    pub scope: Scope,
    /// SHA-256 of the cookie's secret.
    pub digest: Sha256Digest,
    /// When it ends at the latest.
    pub expires_at: Timestamp,
    /// When they signed in.
    pub now: Timestamp,
}

impl Store {
    /// Begins a session.
    pub async fn begin_session(&self, new: NewSession) -> Result<SessionRecord, Refusal> {
        self.submit(move |batch| batch.begin_session(new)).await
    }

    /// Ends a session.
    pub async fn end_session(&self, id: u64, by: String, now: Timestamp) -> Result<(), Refusal> {
        self.submit(move |batch| batch.end_session(id, by, now)).await
    }

    /// Forgets sessions that are over.
    pub async fn sweep_sessions(
        &self,
        idle: SignedDuration,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        self.submit(move |batch| batch.sweep_sessions(idle, now)).await
    }
}

impl Batch<'_> {
    fn begin_session(&mut self, new: NewSession) -> Result<SessionRecord, Stop> {
        let mut sessions = self.sessions();
        while sessions.len() >= SESSIONS_MAX {
            let Some(idlest) = sessions.idlest() else { break };
            sessions.remove(idlest);
            self.delete_session(idlest)?;
        }
        let id = self.db.insert(
            "INSERT INTO session (digest, name, access, selector, created_at, expires_at, \
                 active_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?5) RETURNING id",
            params![
                new.digest.as_bytes(),
                new.name,
                new.access.as_str(),
                new.scope.text(),
                new.now.as_millisecond(),
                new.expires_at.as_millisecond(),
            ],
        )?;
        let record = SessionRecord {
            id: super::id_of(id),
            name: new.name,
            access: new.access,
            scope: new.scope,
            created_at: new.now,
            expires_at: new.expires_at,
            active_at: new.now,
        };
        self.audit(&Event {
            at: record.created_at,
            actor: record.name.clone(),
            action: "sign_in",
            object: format!("session/{}", record.id),
            detail: json!({ "access": record.access, "selector": record.scope }),
        })?;
        sessions.insert(new.digest, record.clone());
        self.changes.sessions = Some(sessions);
        Ok(record)
    }

    fn end_session(&mut self, id: u64, by: String, now: Timestamp) -> Result<(), Stop> {
        let mut sessions = self.sessions();
        let gone = sessions.remove(id).ok_or(Refusal::UnknownSession { id })?;
        self.delete_session(id)?;
        self.audit(&Event {
            at: now,
            actor: by,
            action: "sign_out",
            object: format!("session/{id}"),
            detail: json!({ "name": gone.name }),
        })?;
        self.changes.sessions = Some(sessions);
        Ok(())
    }

    fn sweep_sessions(&mut self, idle: SignedDuration, now: Timestamp) -> Result<(), Stop> {
        let mut sessions = self.sessions();
        let over: Vec<u64> = sessions
            .list()
            .into_iter()
            .filter(|session| session.is_over(session.active_at, idle, now))
            .map(|session| session.id)
            .collect();
        if over.is_empty() {
            return Ok(());
        }
        for id in over {
            sessions.remove(id);
            self.delete_session(id)?;
        }
        self.changes.sessions = Some(sessions);
        Ok(())
    }

    fn delete_session(&self, id: u64) -> DbResult<()> {
        self.db.execute("DELETE FROM session WHERE id = ?1", params![super::int(id)]).map(drop)
    }
}
