//! Restore: the cordon is taken back, if it is this unit's and nobody else wants the node.

use jiff::Timestamp;

use super::super::super::{DriverError, Pass, StepOrder, StepStatus};
use super::{NodeDriver, done, running};
use crate::kube::node::gather_holds;
use crate::kube::node::hold::Holds;
use crate::kube::node::mark::{self, mark_of_unit};

impl NodeDriver {
    /// Takes mark and cordon off the node, whichever step of the unit put them there. Without a mark
    /// of this unit there is nothing to undo; a node that was unschedulable before stays so.
    pub(super) async fn uncordon(
        &self,
        order: &StepOrder,
        pass: Pass,
        now: Timestamp,
    ) -> Result<StepStatus, DriverError> {
        // A node that is gone needs no restoring.
        let Some(node) = self.node(order).await? else { return Ok(done()) };
        let Some(found) = mark_of_unit(&node, &order.key) else { return Ok(done()) };
        if pass == Pass::Look {
            return Ok(running(found.at, pass.waits("the node stays cordoned".to_owned())));
        }
        let mut holds = Holds::default();
        let mut failed = Vec::new();
        gather_holds(&self.kube, &mut holds, &mut failed, now).await;
        let unknown = failed.first().map(|(name, why)| format!("{name} cannot be told: {why}"));
        let held = holds.findings(&node).first().map(ToString::to_string).or(unknown);
        if let Some(why) = held {
            return Ok(running(found.at, format!("the node stays cordoned: {why}")));
        }
        self.change(order, |node| {
            Ok(mark_of_unit(node, &order.key).map(|mark| mark::uncordon(node, &mark)))
        })
        .await?;
        Ok(done())
    }
}
