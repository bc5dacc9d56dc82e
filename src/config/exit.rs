//! Process exit codes (class ExitCode of Apache ZooKeeper).

/// Why the process ends, as a number scripts and orchestrators read: the discriminant is it.
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitCode {
    /// 0: normal end.
    ExecutionFinished = 0,
    /// 1: any other failure, such as a busy client port.
    UnexpectedError = 1,
    /// 2: bad arguments or configuration.
    InvalidInvocation = 2,
    /// 3: the data directory cannot be used.
    UnableToAccessDatadir = 3,
    /// 4: the AdminServer cannot start (standalone only).
    ErrorStartingAdminServer = 4,
    /// 10: disk error while taking a snapshot.
    TxnlogErrorTakingSnapshot = 10,
    /// 12: a follower got a COMMIT that is not the next one.
    UnmatchedTxnCommit = 12,
    /// 13: a bad quorum packet, or a TRUNC that failed.
    QuorumPacketError = 13,
    /// 14: the election port cannot be bound.
    UnableToBindQuorumPort = 14,
    /// 129: SIGHUP.
    Hangup = 129,
    /// 130: SIGINT.
    Interrupt = 130,
    /// 143: SIGTERM.
    Terminate = 143,
}

impl ExitCode {
    /// The number.
    pub fn code(self) -> u8 {
        self as u8
    }
}

impl From<ExitCode> for std::process::ExitCode {
    fn from(code: ExitCode) -> std::process::ExitCode {
        std::process::ExitCode::from(code.code())
    }
}

#[cfg(test)]
mod tests {
    use super::ExitCode;

    #[test]
    fn the_numbers_are_apaches() {
        let all = [
            (ExitCode::ExecutionFinished, 0),
            (ExitCode::UnexpectedError, 1),
            (ExitCode::InvalidInvocation, 2),
            (ExitCode::UnableToAccessDatadir, 3),
            (ExitCode::ErrorStartingAdminServer, 4),
            (ExitCode::TxnlogErrorTakingSnapshot, 10),
            (ExitCode::UnmatchedTxnCommit, 12),
            (ExitCode::QuorumPacketError, 13),
            (ExitCode::UnableToBindQuorumPort, 14),
            (ExitCode::Hangup, 129),
            (ExitCode::Interrupt, 130),
            (ExitCode::Terminate, 143),
        ];
        for (code, number) in all {
            assert_eq!(code.code(), number, "{code:?}");
            assert_eq!(code as i32, i32::from(number), "{code:?}");
        }
    }
}
