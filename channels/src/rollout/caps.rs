//! Caps: how many clusters may be granted at a time.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::amount::Period;
use super::labels::Labels;
use super::why::WhyNot;

/// How many clusters at a time. A missing cap does not bind.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Caps {
    /// Most clusters between grant and end, in the whole rollout.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub concurrent: Option<u32>,
    /// Most grants within a sliding period.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_period: Option<PerPeriod>,
    /// Most clusters between grant and end in one failure domain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_failure_domain: Option<PerFailureDomain>,
}

/// Most grants within a sliding period.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PerPeriod {
    /// How many.
    pub grants: u32,
    /// In how much time.
    pub period: Period,
}

/// Most clusters at a time that fail together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PerFailureDomain {
    /// The label whose value names the domain. Clusters without it share one.
    pub label: String,
    /// How many.
    pub concurrent: u32,
}

/// What counts against the caps at a moment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Load {
    in_flight: u32,
    by_domain: BTreeMap<String, u32>,
    granted_at: Vec<Timestamp>,
}

impl Load {
    /// Counts a cluster between its grant and its end. `labels` are the hub's.
    pub fn count_in_flight(&mut self, caps: &Caps, labels: &Labels) {
        self.count_in_domain(caps.domain_of(labels));
    }

    /// The same for a cluster whose failure domain is known.
    pub fn count_in_domain(&mut self, domain: Option<&str>) {
        self.in_flight = self.in_flight.saturating_add(1);
        if let Some(domain) = domain {
            let count = self.by_domain.entry(domain.to_owned()).or_default();
            *count = count.saturating_add(1);
        }
    }

    /// Takes a cluster that ended out of the count.
    pub fn end_in_flight(&mut self, caps: &Caps, labels: &Labels) {
        self.end_in_domain(caps.domain_of(labels));
    }

    /// The same for a cluster that was counted in this failure domain.
    pub fn end_in_domain(&mut self, domain: Option<&str>) {
        self.in_flight = self.in_flight.saturating_sub(1);
        if let Some(domain) = domain
            && let Some(count) = self.by_domain.get_mut(domain)
        {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.by_domain.remove(domain);
            }
        }
    }

    /// The same grants, and nobody on the way: to count those anew.
    #[must_use]
    pub fn grants_only(&self) -> Self {
        Self { granted_at: self.granted_at.clone(), ..Self::default() }
    }

    /// Counts a grant for the cap per period; grants that have left the period are forgotten.
    pub fn count_grant(&mut self, caps: &Caps, at: Timestamp) {
        if let Some(PerPeriod { period, .. }) = caps.per_period {
            self.granted_at.retain(|granted| within(*granted, period, at));
            let place = self.granted_at.partition_point(|granted| *granted <= at);
            self.granted_at.insert(place, at);
        }
    }

    /// Clusters between grant and end.
    pub fn in_flight(&self) -> u32 {
        self.in_flight
    }
}

fn within(granted: Timestamp, period: Period, now: Timestamp) -> bool {
    now.duration_since(granted) < period.duration()
}

impl Caps {
    /// The failure domain of a cluster, if domains are capped; "" for clusters without the label.
    pub fn domain_of<'l>(&self, labels: &'l Labels) -> Option<&'l str> {
        let PerFailureDomain { label, .. } = self.per_failure_domain.as_ref()?;
        Some(labels.get(label).map_or("", String::as_str))
    }

    /// How many more clusters may be granted at `now`, failure domains aside; `u32::MAX` without
    /// caps.
    pub fn room(&self, load: &Load, now: Timestamp) -> u32 {
        let concurrent = self.concurrent.map(|limit| limit.saturating_sub(load.in_flight));
        let period = self.per_period.map(|cap| {
            let granted = load.granted_at.iter().filter(|at| within(**at, cap.period, now)).count();
            cap.grants.saturating_sub(u32::try_from(granted).unwrap_or(u32::MAX))
        });
        concurrent.into_iter().chain(period).min().unwrap_or(u32::MAX)
    }

    /// Every cap that keeps a cluster with these labels from being granted at `now`.
    pub fn why_not(&self, load: &Load, labels: &Labels, now: Timestamp) -> Vec<WhyNot> {
        let mut reasons = Vec::new();
        if let Some(limit) = self.concurrent.filter(|limit| load.in_flight >= *limit) {
            reasons.push(WhyNot::CapConcurrent { in_flight: load.in_flight, limit });
        }
        if let Some(PerPeriod { grants: limit, period }) = self.per_period {
            let counted: Vec<Timestamp> =
                load.granted_at.iter().copied().filter(|at| within(*at, period, now)).collect();
            let granted = u32::try_from(counted.len()).unwrap_or(u32::MAX);
            if granted >= limit {
                // Room for one comes when all but `limit - 1` of them have left the period.
                let leaves = usize::try_from(granted - limit).ok().and_then(|i| counted.get(i));
                let frees_at = leaves.filter(|_| limit > 0);
                let frees_at = frees_at.and_then(|at| at.checked_add(period.duration()).ok());
                reasons.push(WhyNot::CapPeriod { granted, limit, period, frees_at });
            }
        }
        if let (Some(cap), Some(domain)) = (&self.per_failure_domain, self.domain_of(labels)) {
            let in_flight = load.by_domain.get(domain).copied().unwrap_or(0);
            if in_flight >= cap.concurrent {
                let (label, domain) = (cap.label.clone(), domain.to_owned());
                let limit = cap.concurrent;
                reasons.push(WhyNot::CapFailureDomain { label, domain, in_flight, limit });
            }
        }
        reasons
    }
}
