//! Process exit codes (class ExitCode of Apache ZooKeeper).

/// Why the process ends, as a number scripts and orchestrators read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitCode {
    /// 0: normal end.
    ExecutionFinished,
    /// 1: any other failure, such as a busy client port.
    UnexpectedError,
    /// 2: bad arguments or configuration.
    InvalidInvocation,
    /// 3: the data directory cannot be used.
    UnableToAccessDatadir,
    /// 4: the AdminServer cannot start (standalone only).
    ErrorStartingAdminServer,
    /// 10: disk error while taking a snapshot.
    TxnlogErrorTakingSnapshot,
    /// 12: a follower got a COMMIT that is not the next one.
    UnmatchedTxnCommit,
    /// 13: a bad quorum packet, or a TRUNC that failed.
    QuorumPacketError,
    /// 14: the election port cannot be bound.
    UnableToBindQuorumPort,
    /// 129: SIGHUP.
    Hangup,
    /// 130: SIGINT.
    Interrupt,
    /// 143: SIGTERM.
    Terminate,
}

impl ExitCode {
    /// The number.
    pub fn code(self) -> u8 {
        match self {
            ExitCode::ExecutionFinished => 0,
            ExitCode::UnexpectedError => 1,
            ExitCode::InvalidInvocation => 2,
            ExitCode::UnableToAccessDatadir => 3,
            ExitCode::ErrorStartingAdminServer => 4,
            ExitCode::TxnlogErrorTakingSnapshot => 10,
            ExitCode::UnmatchedTxnCommit => 12,
            ExitCode::QuorumPacketError => 13,
            ExitCode::UnableToBindQuorumPort => 14,
            ExitCode::Hangup => 129,
            ExitCode::Interrupt => 130,
            ExitCode::Terminate => 143,
        }
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
        }
    }
}
