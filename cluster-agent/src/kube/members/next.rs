//! What to do next about one member of a StatefulSet. Pure.

use channels::wire::Role;

use super::set::{Crew, ON_DELETE};
use crate::config::StatefulSetPool;
use crate::kube::object::Mark;

/// The next thing to do for a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Next {
    /// Nothing: this has to happen first.
    Wait(String),
    /// Change the template, for all members at once; none changes by it.
    PatchTemplate,
    /// Ask this pod to go.
    Evict {
        /// Its name.
        pod: String,
    },
    /// The member has been made anew from the wanted template.
    Made,
    /// It cannot be done, and waiting does not help.
    Impossible(String),
}

/// Why a step must not begin; `None` = it may.
pub(super) fn refusal(
    crew: &Crew,
    mark: &Mark,
    pool: &StatefulSetPool,
    role: Role,
) -> Option<String> {
    let (set, unit) = (&crew.set, mark.unit.as_str());
    let name = &set.metadata.name;
    if let Some(why) = wrong_strategy(crew) {
        return Some(why);
    }
    if let Some(missing) = set.spec.template.lacks(&pool.wanted) {
        return Some(format!("StatefulSet {name} has no container {missing}"));
    }
    if set.spec.selector.match_labels.is_empty() {
        return Some(format!("StatefulSet {name} does not select its pods by labels"));
    }
    if !set.pod_names().iter().any(|pod| pod == unit) {
        let count = set.replicas();
        return Some(format!("{role} {unit} is none of the {count} members of StatefulSet {name}"));
    }
    let (member, why) = crew.first_unready(left_out(crew, mark, pool))?;
    Some(format!("member {member} is not Ready: {why}"))
}

/// The member that need not be Ready for the next move: the unit itself, once the template is what
/// it should be, or if the owner lets a release mend a member.
fn left_out<'a>(crew: &Crew, mark: &'a Mark, pool: &StatefulSetPool) -> Option<&'a str> {
    let told = crew.set.spec.template.is_at(mark, &pool.wanted);
    (told || pool.mend).then_some(mark.unit.as_str())
}

fn wrong_strategy(crew: &Crew) -> Option<String> {
    let strategy = crew.set.spec.update_strategy.name();
    (strategy != ON_DELETE).then(|| {
        format!(
            "StatefulSet {} has updateStrategy {strategy}; it must be {ON_DELETE}, or Kubernetes rolls every member by itself",
            crew.set.metadata.name
        )
    })
}

/// The next thing to do, from what is, for a step whose mark is on the set.
///
/// The template changes only while every member is Ready: from then on a member that restarts for
/// whatever reason comes back in the new version, so no other one may be away at that moment.
pub(super) fn next(crew: &Crew, mark: &Mark, pool: &StatefulSetPool) -> Next {
    if let Some(why) = wrong_strategy(crew) {
        return Next::Impossible(why);
    }
    let set = &crew.set;
    let unit = mark.unit.as_str();
    if !set.spec.template.is_at(mark, &pool.wanted) {
        return match crew.first_unready(left_out(crew, mark, pool)) {
            None => Next::PatchTemplate,
            Some((member, why)) => Next::Wait(format!(
                "member {member} is not Ready ({why}); the template is changed only when all are"
            )),
        };
    }
    if !set.is_observed() || set.status.update_revision.is_empty() {
        // A pod that goes now would be made from the old template again.
        return Next::Wait(format!(
            "the controller of StatefulSet {} has not seen its new template",
            set.metadata.name
        ));
    }
    let Some(pod) = crew.pods.get(unit) else {
        return Next::Wait(format!("pod {unit} is gone and has not been made anew"));
    };
    if pod.metadata.deletion_timestamp.is_some() {
        return Next::Wait(format!("pod {unit} is stopping"));
    }
    if set.made(pod) {
        return Next::Made;
    }
    match crew.first_unready(Some(unit)) {
        None => Next::Evict { pod: unit.to_owned() },
        Some((member, why)) => Next::Wait(format!("member {member} is not Ready: {why}")),
    }
}
