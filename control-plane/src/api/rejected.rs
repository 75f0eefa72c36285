//! Why a change was not made, and how a caller is told.

use evenkeel_shared::proto::v1;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, FieldViolation, StatusExt};

use crate::access::{Denial, Refusal, denied_text};
use crate::model::ModelFault;
use crate::seal::SealFault;
use crate::store::{ResourceKey, StoreError};

/// Details travel in a header, which clients take up to 16 KiB of.
const DETAIL_BYTES: usize = 6000;

/// A change that was not made.
#[derive(Debug, thiserror::Error)]
pub enum Rejected {
    /// Somebody else was faster.
    #[error(
        "the configuration is at revision {current}, not at the expected {expected}: read it again and repeat the change"
    )]
    Conflict {
        /// What the caller expected.
        expected: u64,
        /// The present revision.
        current: u64,
    },
    /// The caller may not do this to these resources.
    #[error("{}", denied_text(.subject, .denials))]
    Denied {
        /// Who the caller is.
        subject: String,
        /// All resources that it may not touch.
        denials: Vec<Denial>,
    },
    /// The caller's credentials ended while the change waited.
    #[error(transparent)]
    Ended(Refusal),
    /// A field of the request itself.
    #[error("{field}: {reason}")]
    Request {
        /// Which field.
        field: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// The configuration would be invalid.
    #[error("the configuration is invalid: {}", count(.0.len(), "fault"))]
    Invalid(Vec<ModelFault>),
    /// Something to be deleted is still in use; by whom.
    #[error("{}", referenced(.0))]
    Referenced(Vec<(ResourceKey, Vec<ResourceKey>)>),
    /// More would go than an oversight should take.
    #[error("{0}; repeat it with `--allow-mass-removal` if this is meant")]
    MassRemoval(String),
    /// There is no such revision any more, or not yet.
    #[error("there is no revision {0}")]
    NoRevision(u64),
    /// The store failed. Whether the change was made is known only after
    /// asking with the same apply id.
    #[error("the configuration store failed: {0}")]
    Store(#[from] StoreError),
    /// A secret could not be sealed.
    #[error("a secret could not be sealed: {0}")]
    Seal(#[from] SealFault),
    /// The control plane ends.
    #[error("the control plane is shutting down")]
    Closed,
    /// A defect in the control plane.
    #[error("the control plane failed to process the change")]
    Defect,
}

impl Rejected {
    /// One word for statistics.
    pub(super) fn label(&self) -> &'static str {
        match self {
            Self::Conflict { .. } => "conflict",
            Self::Request { .. } | Self::Invalid(_) | Self::NoRevision(_) => "invalid",
            Self::Referenced(_) => "referenced",
            Self::MassRemoval(_) => "mass_removal",
            Self::Denied { .. } | Self::Ended(_) => "denied",
            Self::Store(_) | Self::Seal(_) | Self::Closed | Self::Defect => "failed",
        }
    }

    /// The resources that were denied, if that is why it was refused.
    pub(super) fn denied(&self) -> Option<Vec<v1::Change>> {
        let Self::Denied { denials, .. } = self else {
            return None;
        };
        let changes = denials.iter().map(|denial| v1::Change {
            id: Some(denial.key.to_id()),
            ..v1::Change::default()
        });
        Some(changes.collect())
    }
}

impl From<Rejected> for Status {
    fn from(rejected: Rejected) -> Self {
        let text = rejected.to_string();
        match rejected {
            Rejected::Conflict { .. } => Self::aborted(text),
            Rejected::Denied { .. } => Self::permission_denied(text),
            Rejected::Ended(_) => Self::unauthenticated(text),
            Rejected::Request { field, reason } => {
                let details = ErrorDetails::with_bad_request_violation(field, reason);
                Self::with_error_details(Code::InvalidArgument, text, details)
            }
            Rejected::Invalid(faults) => {
                let details = ErrorDetails::with_bad_request(violations(&faults));
                Self::with_error_details(Code::InvalidArgument, text, details)
            }
            Rejected::Referenced(_) | Rejected::MassRemoval(_) => Self::failed_precondition(text),
            Rejected::NoRevision(_) => Self::not_found(text),
            Rejected::Store(_) | Rejected::Closed => Self::unavailable(text),
            Rejected::Seal(_) | Rejected::Defect => Self::internal(text),
        }
    }
}

/// As many faults as fit, and how many more there are.
fn violations(faults: &[ModelFault]) -> Vec<FieldViolation> {
    let mut found = Vec::new();
    let mut size = 0;
    for fault in faults {
        let field = if fault.invalid.path.is_empty() {
            fault.key.to_string()
        } else {
            format!("{}: {}", fault.key, fault.invalid.path)
        };
        size += field.len() + fault.invalid.reason.len() + 16;
        if size > DETAIL_BYTES {
            let more = count(faults.len() - found.len(), "more fault");
            found.push(FieldViolation::new("", format!("and {more}")));
            break;
        }
        found.push(FieldViolation::new(field, &fault.invalid.reason));
    }
    found
}

fn count(number: usize, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{plural}")
}

fn referenced(found: &[(ResourceKey, Vec<ResourceKey>)]) -> String {
    const SHOWN: usize = 10;
    let mut lines = Vec::new();
    for (key, by) in found.iter().take(SHOWN) {
        let mut names: Vec<String> = by.iter().take(SHOWN).map(ToString::to_string).collect();
        if by.len() > SHOWN {
            names.push(format!("{} more", by.len() - SHOWN));
        }
        lines.push(format!("{key} is used by {}", names.join(", ")));
    }
    if found.len() > SHOWN {
        lines.push(format!("{} more are in use", found.len() - SHOWN));
    }
    format!("cannot be deleted: {}", lines.join("; "))
}
