//! Why a verb did not do what it was asked, and the exit code that says so.

use std::io;

use crate::render::fault::Fault;

/// What a verb that did its work found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Exit code 0.
    Good,
    /// Exit code 1: `diff` saw differences, `wait` was not met, `probe` got a
    /// bad answer. Everything there is to say has been said.
    Bad,
    /// Exit code 3: the configuration is not valid, and why has been said.
    Invalid,
}

impl Verdict {
    /// The exit code.
    pub(crate) fn exit_code(self) -> u8 {
        match self {
            Self::Good => 0,
            Self::Bad => 1,
            Self::Invalid => 3,
        }
    }
}

/// Why a verb did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// It went wrong.
    #[error("{0}")]
    Failed(String),
    /// The command line makes no sense.
    #[error("{0}")]
    Usage(String),
    /// The configuration is not valid.
    #[error("{}", counted(.0.len()))]
    Invalid(Vec<Fault>),
    /// The server's state is not the one the change was made for.
    #[error("{0}")]
    Conflict(String),
    /// Nobody answers.
    #[error("no answer from {address}: {reason}")]
    Unreachable {
        /// Where it was tried.
        address: String,
        /// What the network said.
        reason: String,
    },
    /// Somebody answers, but one side does not take the other.
    #[error("no connection to {address}: {reason}")]
    Handshake {
        /// Where it was tried.
        address: String,
        /// What is wrong.
        reason: String,
    },
    /// The output could not be written.
    #[error("cannot write the output: {0}")]
    Output(#[from] io::Error),
}

impl Failure {
    /// The exit code.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Failed(_) | Self::Output(_) => 1,
            Self::Usage(_) => 2,
            Self::Invalid(_) => 3,
            Self::Conflict(_) => 4,
            Self::Unreachable { .. } | Self::Handshake { .. } => 5,
        }
    }

    /// One word for scripts.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::Failed(_) => "failed",
            Self::Output(_) => "output",
            Self::Usage(_) => "usage",
            Self::Invalid(_) => "invalid",
            Self::Conflict(_) => "conflict",
            Self::Unreachable { .. } => "unreachable",
            Self::Handshake { .. } => "handshake",
        }
    }

    /// Whether the reader of our output has gone, which is no failure.
    pub(crate) fn is_broken_pipe(&self) -> bool {
        matches!(self, Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }
}

fn counted(faults: usize) -> String {
    if faults == 1 {
        "the configuration has 1 fault".to_owned()
    } else {
        format!("the configuration has {faults} faults")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_tell_the_reasons_apart() {
        let unreachable = Failure::Unreachable {
            address: "http://127.0.0.1:1".to_owned(),
            reason: "connection refused".to_owned(),
        };
        let codes = [
            Failure::Failed(String::new()).exit_code(),
            Failure::Usage(String::new()).exit_code(),
            Failure::Invalid(Vec::new()).exit_code(),
            Failure::Conflict(String::new()).exit_code(),
            unreachable.exit_code(),
        ];
        assert_eq!(codes, [1, 2, 3, 4, 5]);
    }

    #[test]
    fn a_reader_that_left_is_told_from_a_full_disk() {
        let gone = Failure::from(io::Error::from(io::ErrorKind::BrokenPipe));
        let full = Failure::from(io::Error::from(io::ErrorKind::StorageFull));
        assert!(gone.is_broken_pipe());
        assert!(!full.is_broken_pipe());
    }
}
