//! What this machine needs, now, for the two things that a report cannot do without: a trivial
//! answer of the same hub, and one strict verification. In these a cost can be compared with that of
//! another machine, whose kernel and whose arithmetic are faster or slower by other factors.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::time::Instant;

use super::paths::Asking;
use super::process::Usage;
use super::roster::key;
use crate::error::{CliError, Result};

/// The answer of a hub that has nothing to look up.
const TRIVIAL: &str = "/livez";
/// How long each is measured: processor time is told in hundredths of a second.
const FOR: Duration = Duration::from_secs(2);
/// Over so many connections, as `bench paths` asks: more cost the kernel more.
const CONNECTIONS: u32 = 64;
/// Bytes of what is signed in a report (RFC 9421 signature base).
const MESSAGE_BYTES: usize = 360;
/// Verifications between two looks at the clock.
const ROUND: u32 = 100;

/// Microseconds of processor time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Yardstick {
    /// One strict ed25519 verification, with reading the key.
    pub(super) verification_us: f64,
    /// One trivial answer of the hub.
    pub(super) trivial_us: f64,
}

impl Yardstick {
    /// Measures both, one after the other.
    pub(super) async fn measure(server: SocketAddr, pid: u32) -> Result<Self> {
        let asking = Asking { server, pid, duration: FOR, connections: CONNECTIONS };
        let (trivial, _) = asking.measure(TRIVIAL, None).await?;
        let verified = tokio::task::spawn_blocking(verification_us).await;
        let verification_us =
            verified.map_err(|e| CliError::because("a verification broke the run", &e))??;
        Ok(Self { verification_us, trivial_us: trivial.server_cpu_us })
    }

    /// What of `cost_us` is left beside the verification, in trivial answers.
    pub(super) fn beside_verification(&self, cost_us: f64) -> f64 {
        (cost_us - self.verification_us) / self.trivial_us.max(0.01)
    }
}

fn verification_us() -> Result<f64> {
    let broken = |e: signing::KeyError| CliError::because("failed to verify", &e);
    let (secret, message) = (key(0, 0), [b'x'; MESSAGE_BYTES]);
    let signature = secret.sign(&message);
    let public = secret.public();
    let (_, bytes) = public.value();
    let bytes = <[u8; 32]>::try_from(bytes)
        .map_err(|e| CliError::because("a key of the fleet is not of ed25519", &e))?;
    let (me, began) = (std::process::id(), Instant::now());
    let (before, mut rounds) = (Usage::of(me)?, 0_u32);
    while began.elapsed() < FOR {
        for _ in 0..ROUND {
            let key = signing::PublicKey::ed25519(&bytes).map_err(broken)?;
            key.verify(&message, &signature).map_err(broken)?;
        }
        rounds = rounds.saturating_add(1);
    }
    let cpu_s = Usage::of(me)?.cpu_s - before.cpu_s;
    Ok(cpu_s * 1e6 / (f64::from(rounds) * f64::from(ROUND)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_beside_the_verification_is_told_in_trivial_answers() {
        let here = Yardstick { verification_us: 30.0, trivial_us: 12.0 };
        assert!((here.beside_verification(66.0) - 3.0).abs() < 1e-9);
    }
}
