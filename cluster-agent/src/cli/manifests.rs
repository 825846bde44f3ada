//! `manifests`: prints what is applied to a cluster before an agent runs in it.

use clap::{Args, Subcommand};

use super::Answer;
use crate::kube::manifests::{self, Part};

/// `manifests`.
#[derive(Debug, Clone, Subcommand)]
pub enum ManifestsCommand {
    /// The definition of the resource `ClusterUpdate`.
    Crd,
    /// The agent's account, its roles with the reason for each right, and their bindings.
    Rbac(RbacArgs),
}

/// `manifests rbac`.
#[derive(Debug, Clone, Args)]
pub struct RbacArgs {
    /// The namespace that the agent runs in.
    #[arg(long, default_value = manifests::NAMESPACE)]
    pub namespace: String,
    /// Lets the agent roll members, strimzi or workloads in a namespace; may be repeated.
    #[arg(long, value_name = "PART=NAMESPACE", value_parser = bind)]
    pub bind: Vec<(Part, String)>,
}

fn bind(text: &str) -> Result<(Part, String), String> {
    let (part, namespace) =
        text.split_once('=').ok_or("write PART=NAMESPACE, such as members=kafka")?;
    let part = <Part as clap::ValueEnum>::from_str(part, false)?;
    label(namespace)?;
    Ok((part, namespace.to_owned()))
}

/// Namespaces are DNS labels; anything else could end the YAML value it is printed into.
fn label(name: &str) -> Result<(), String> {
    let good = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    if name.is_empty() || name.len() > 63 || !name.bytes().all(good) || name.starts_with('-') {
        return Err(format!("{name:?} is not a namespace"));
    }
    Ok(())
}

pub(super) fn print(command: &ManifestsCommand) -> anyhow::Result<Answer> {
    Ok(Answer::yes(match command {
        ManifestsCommand::Crd => manifests::crd()?,
        ManifestsCommand::Rbac(args) => {
            label(&args.namespace).map_err(anyhow::Error::msg)?;
            manifests::rbac(&args.namespace, &args.bind)
        }
    }))
}
