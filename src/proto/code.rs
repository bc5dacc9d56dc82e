//! TABLE 2: error codes (Apache: `KeeperException.Code`).

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $number:literal, $apache:literal;)*) => {
        /// An error code as clients know it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(i32)]
        pub enum Code {
            $($(#[$doc])* $name = $number),*
        }

        impl Code {
            /// Every code of the table.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// Apache's name for it.
            pub fn name(self) -> &'static str {
                match self { $(Self::$name => $apache),* }
            }

            /// The code with this number.
            pub fn of(number: i32) -> Option<Self> {
                match number { $($number => Some(Self::$name),)* _ => None }
            }
        }
    };
}

codes! {
    /// No error.
    Ok = 0, "OK";
    /// Range marker, never sent.
    SystemError = -1, "SYSTEMERROR";
    /// In multi results: an operation behind the one that failed.
    RuntimeInconsistency = -2, "RUNTIMEINCONSISTENCY";
    /// Never sent.
    DataInconsistency = -3, "DATAINCONSISTENCY";
    /// Client-side only.
    ConnectionLoss = -4, "CONNECTIONLOSS";
    /// The request body could not be decoded.
    MarshallingError = -5, "MARSHALLINGERROR";
    /// Unknown operation, or one this mode does not offer.
    Unimplemented = -6, "UNIMPLEMENTED";
    /// Client-side only.
    OperationTimeout = -7, "OPERATIONTIMEOUT";
    /// Bad path, flags or TTL.
    BadArguments = -8, "BADARGUMENTS";
    /// Internal to Apache.
    UnknownSession = -12, "UNKNOWNSESSION";
    /// Reconfig: the new configuration has no synced quorum.
    NewConfigNoQuorum = -13, "NEWCONFIGNOQUORUM";
    /// Reconfig: another one is pending.
    ReconfigInProgress = -14, "RECONFIGINPROGRESS";
    /// Range marker, never sent.
    ApiError = -100, "APIERROR";
    /// Node or parent missing.
    NoNode = -101, "NONODE";
    /// The ACL denies.
    NoAuth = -102, "NOAUTH";
    /// Version mismatch.
    BadVersion = -103, "BADVERSION";
    /// An ephemeral cannot have children.
    NoChildrenForEphemerals = -108, "NOCHILDRENFOREPHEMERALS";
    /// Create on an existing path.
    NodeExists = -110, "NODEEXISTS";
    /// Delete of a node with children.
    NotEmpty = -111, "NOTEMPTY";
    /// The session is closing or unknown.
    SessionExpired = -112, "SESSIONEXPIRED";
    /// Never sent.
    InvalidCallback = -113, "INVALIDCALLBACK";
    /// The ACL of a create or setACL is not acceptable.
    InvalidAcl = -114, "INVALIDACL";
    /// An auth packet was rejected.
    AuthFailed = -115, "AUTHFAILED";
    /// Internal; the connection is closed instead.
    SessionMoved = -118, "SESSIONMOVED";
    /// A write on a read-only server.
    NotReadOnly = -119, "NOTREADONLY";
    /// An ephemeral on a local session that may not be upgraded.
    EphemeralOnLocalSession = -120, "EPHEMERALONLOCALSESSION";
    /// checkWatches or removeWatches found nothing.
    NoWatcher = -121, "NOWATCHER";
    /// Client-side only.
    RequestTimeout = -122, "REQUESTTIMEOUT";
    /// Reconfig is switched off.
    ReconfigDisabled = -123, "RECONFIGDISABLED";
    /// Enforced authentication is missing.
    SessionClosedRequireSaslAuth = -124, "SESSIONCLOSEDREQUIRESASLAUTH";
    /// A hard quota would be exceeded.
    QuotaExceeded = -125, "QUOTAEXCEEDED";
    /// The request waited too long in the throttle.
    ThrottledOp = -127, "THROTTLEDOP";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_lead_back_to_their_codes() {
        for &c in Code::ALL {
            assert_eq!(Code::of(c as i32), Some(c));
        }
        assert_eq!(Code::of(-104), None);
    }
}
