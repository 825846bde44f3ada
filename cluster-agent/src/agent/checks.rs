//! Runs the checks that the plan asks for, one after another, and hands their results to the core.
//!
//! Nothing of it is persisted: a check changes nothing, so an agent that starts anew makes it again.

use std::collections::BTreeMap;

use channels::names::{ProductRef, UnitName};
use jiff::Timestamp;
use signing::causes::chain;

use super::AgentError;
use crate::config::Settings;
use crate::driver::{CheckOrder, Checker, CommandSpec, StepId, StepStatus};
use crate::phase::{command_failed, elapsed_ms};
use crate::plan::{CheckOutcome, CheckResult};

/// Results older than this count nowhere, whatever the configuration says (milliseconds).
const KEPT_MS: u64 = 24 * 3_600_000;

type Key = (ProductRef, String, Option<UnitName>);

/// The owner's checks.
#[derive(Debug)]
pub(super) struct Checks {
    checker: Checker,
    specs: BTreeMap<(ProductRef, String), CommandSpec>,
    running: Option<(StepId, CheckOrder)>,
    results: BTreeMap<Key, CheckResult>,
}

impl Checks {
    /// Knows every configured check; none has been made.
    pub(super) fn open(settings: &Settings) -> Result<Self, AgentError> {
        let checker = Checker::open(&settings.state_dir)
            .map_err(|source| AgentError::Commands { source: Box::new(source) })?;
        let specs = settings.products.iter().flat_map(|(product, settings)| {
            let named = settings.checks.iter();
            named.map(move |(name, spec)| ((product.clone(), name.clone()), spec.clone()))
        });
        let (specs, running, results) = (specs.collect(), None, BTreeMap::new());
        Ok(Self { checker, specs, running, results })
    }

    /// Looks at the check that runs; starts the first of `wanted` if none does. All results so far,
    /// if there is news.
    pub(super) async fn look(
        &mut self,
        wanted: &[CheckOrder],
        now: Timestamp,
    ) -> Option<BTreeMap<ProductRef, Vec<CheckResult>>> {
        let news = match self.running.take() {
            Some((id, order)) => self.poll(id, order, now).await,
            None => match wanted.first() {
                Some(order) => self.begin(order.clone(), now).await,
                None => false,
            },
        };
        news.then(|| self.all(now))
    }

    async fn begin(&mut self, order: CheckOrder, now: Timestamp) -> bool {
        let Some(spec) = self.specs.get(&(order.product.clone(), order.name.clone())) else {
            return false;
        };
        let id = StepId::new();
        tracing::info!(product = %order.product, check = order.name, step.id = %id, "checking");
        let outcome = match self.checker.start(&id, spec, &order).await {
            Ok(()) => CheckOutcome::Running,
            Err(error) => CheckOutcome::Unknown { why: chain(&error) },
        };
        self.note(&order, outcome.clone(), now);
        if outcome == CheckOutcome::Running {
            self.running = Some((id, order));
        }
        true
    }

    async fn poll(&mut self, id: StepId, order: CheckOrder, now: Timestamp) -> bool {
        let Some(spec) = self.specs.get(&(order.product.clone(), order.name.clone())) else {
            return false;
        };
        let outcome = match self.checker.status(&id, spec).await {
            Ok(StepStatus::Running { .. }) => {
                self.running = Some((id, order));
                return false;
            }
            Ok(StepStatus::Finished { exit_code: 0, .. }) => CheckOutcome::Passed,
            Ok(StepStatus::Finished { exit_code, log_tail }) => {
                let why = command_failed(&order.name, exit_code, &log_tail, now).message;
                tracing::warn!(product = %order.product, check = order.name, "{why}");
                CheckOutcome::Failed { why }
            }
            Ok(StepStatus::Absent) => CheckOutcome::Unknown { why: "it was lost".to_owned() },
            Err(error) => CheckOutcome::Unknown { why: chain(&error) },
        };
        self.note(&order, outcome, now);
        true
    }

    fn note(&mut self, order: &CheckOrder, outcome: CheckOutcome, at: Timestamp) {
        let unit = order.unit.as_ref().map(|(key, _)| key.unit.clone());
        let (name, release) = (order.name.clone(), order.release);
        let result = CheckResult { name: name.clone(), release, unit: unit.clone(), outcome, at };
        let key = (order.product.clone(), name, unit);
        let known = self.results.get(&key).filter(|known| known.release == release);
        if result.outcome == CheckOutcome::Running && known.is_some_and(CheckResult::says_no) {
            // What said no says so until it says something else: whoever it let pass is not stopped
            // whenever it is asked again.
            return;
        }
        self.results.insert(key, result);
    }

    fn all(&mut self, now: Timestamp) -> BTreeMap<ProductRef, Vec<CheckResult>> {
        self.results.retain(|_, result| elapsed_ms(result.at, now) <= KEPT_MS);
        let mut all: BTreeMap<ProductRef, Vec<CheckResult>> = BTreeMap::new();
        for ((product, ..), result) in &self.results {
            all.entry(product.clone()).or_default().push(result.clone());
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use jiff::SignedDuration;
    use signing::Sha256Digest;

    use super::*;
    use crate::config::Overrides;

    const AGENT: &str = r#"
state_dir = "state"
[cluster]
name = "east"
[hub]
url = "http://127.0.0.1:9"
root = "root.json"
reports = false
[[products]]
product = "acme/kafka"
channel = "stable"
initial_version = "3.9.0"
[[products.checks.commands]]
name = "validate"
command = ["true"]
[[products.pools]]
name = "controllers"
role = "controller"
units = [{ name = "c-1", node_id = 1, metrics_url = "http://127.0.0.1:9/", on_node = "" }]
[products.pools.simulated]
url = "http://127.0.0.1:9"
"#;

    fn settings(dir: &Path, command: &str) -> Settings {
        let path = dir.join("agent.toml");
        std::fs::write(&path, AGENT.replace("true", command)).unwrap();
        Settings::load(&path, Overrides::default()).unwrap()
    }

    fn order() -> CheckOrder {
        CheckOrder {
            name: "validate".to_owned(),
            product: "acme/kafka".parse().unwrap(),
            from: "3.9.0".parse().unwrap(),
            to: "4.0.0".parse().unwrap(),
            release: Sha256Digest::of(b"4.0.0"),
            unit: None,
        }
    }

    type Results = BTreeMap<ProductRef, Vec<CheckResult>>;

    fn of(all: &Results) -> CheckResult {
        all[&order().product][0].clone()
    }

    /// What came of the check that runs.
    async fn ends(checks: &mut Checks, at: Timestamp) -> CheckResult {
        loop {
            if let Some(news) = checks.look(&[], at).await {
                return of(&news);
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    }

    #[tokio::test]
    async fn a_result_is_as_old_as_its_end_and_not_as_its_beginning() {
        let dir = tempfile::tempdir().unwrap();
        let mut checks = Checks::open(&settings(dir.path(), "true")).unwrap();
        let begun = crate::clock::now();
        let ended = begun + SignedDuration::from_mins(2);
        let first = of(&checks.look(&[order()], begun).await.unwrap());
        assert_eq!((first.outcome, first.at), (CheckOutcome::Running, begun));
        let last = ends(&mut checks, ended).await;
        assert_eq!((last.outcome, last.at), (CheckOutcome::Passed, ended));
    }

    #[tokio::test]
    async fn a_check_that_said_no_says_so_while_it_is_made_again() {
        let dir = tempfile::tempdir().unwrap();
        let mut checks = Checks::open(&settings(dir.path(), "false")).unwrap();
        let now = crate::clock::now();
        let _running = checks.look(&[order()], now).await.unwrap();
        assert!(ends(&mut checks, now).await.says_no());
        let again = checks.look(&[order()], now).await.unwrap();
        assert!(checks.running.is_some() && of(&again).says_no(), "{again:?}");
        assert!(ends(&mut checks, now).await.says_no());
    }
}
