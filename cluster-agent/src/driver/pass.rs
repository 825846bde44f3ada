//! What one look at a stage may do on the way.

/// Whether a look at a stage carries it on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pass {
    /// It does what is due.
    Act,
    /// It changes nothing: another agent may be acting, or what people ordered is not known yet.
    Look,
}

impl Pass {
    /// What a stage waits for, of which `rest` is still to do.
    pub(crate) fn waits(self, rest: String) -> String {
        match self {
            Self::Act => rest,
            Self::Look => format!("waiting for the lease; {rest}"),
        }
    }
}
