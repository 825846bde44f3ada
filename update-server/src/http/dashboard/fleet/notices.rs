//! What stands above everything else: expired signatures, and what people stopped.

use channels::wire::{Hold, HoldScope};
use jiff::Timestamp;

use super::super::words::{self, Tone};
use super::FleetView;

/// Holds that are shown; with more of them each stops single clusters, and the list says which.
const MAX_HOLDS: usize = 10;

/// One of them.
#[derive(Debug)]
pub(super) struct Notice {
    pub(super) tone: Tone,
    pub(super) title: String,
    pub(super) text: String,
    pub(super) by: String,
}

/// All of them, the most urgent first.
pub(super) fn notices(view: &FleetView) -> Vec<Notice> {
    let plain = |tone, title: &str, text: String| Notice {
        tone,
        title: title.to_owned(),
        text,
        by: String::new(),
    };
    let mut notices = Vec::new();
    if let Some(problem) = &view.problem {
        let text = format!("{problem}. What follows is everything.");
        notices.push(plain(Tone::Bad, "The filter cannot be read.", text));
    }
    if view.status.root_version.is_none() {
        let text = "No graph can be served until the first publication.".to_owned();
        notices.push(plain(Tone::Mute, "Nothing is published.", text));
    }
    if let Some(reason) = &view.status.stale {
        let text = format!("{reason}; agents refuse updates until it is signed again.");
        notices.push(plain(Tone::Bad, "Signatures have expired.", text));
    }
    for role in &view.status.expired_roles {
        let text = format!("{role} must be signed again; other vendors are not affected.");
        notices.push(plain(Tone::Warn, "A vendor's signature has expired.", text));
    }
    let in_force: Vec<&Hold> = view.holds.iter().filter(|h| h.resumed_at.is_none()).collect();
    notices.extend(in_force.iter().take(MAX_HOLDS).map(|h| hold(h, view.at)));
    if in_force.len() > MAX_HOLDS {
        let text = "All of them: fairway hold list.".to_owned();
        let title = format!("{} more holds.", in_force.len() - MAX_HOLDS);
        notices.push(plain(Tone::Warn, &title, text));
    }
    notices
}

fn hold(hold: &Hold, now: Timestamp) -> Notice {
    let scope = match &hold.scope {
        HoldScope::Fleet => "the whole fleet".to_owned(),
        HoldScope::Product { product } => product.to_string(),
        HoldScope::Channel { product, channel } => format!("{product}, channel {channel}"),
        HoldScope::Release { product, version } => format!("moves of {product} to {version}"),
        HoldScope::Cluster { cluster } => format!("cluster {cluster}"),
    };
    let since = words::relative(now, hold.at);
    Notice {
        tone: Tone::Warn,
        title: format!("Held: {scope}."),
        text: hold.reason.clone(),
        by: format!("hold {} by {}, {since}", hold.id, hold.by),
    }
}
