//! TABLE 1: operation codes (Apache: `ZooDefs.OpCode`).

/// How a request travels through the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Answered from the tree by the connection itself.
    Read,
    /// Goes through the log and takes a zxid, also when it fails.
    Write,
    /// Concerns the connection alone.
    Connection,
    /// Never accepted from a client at top level: answered -6, then closed.
    Internal,
}

macro_rules! ops {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $class:ident, $apache:literal, $lop:literal;)*) => {
        /// An operation.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(i32)]
        pub enum OpCode {
            $($(#[$doc])* $name = $code),*
        }

        impl OpCode {
            /// Every operation of the table.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// The operation with this number.
            pub fn of(code: i32) -> Option<Self> {
                match code { $($code => Some(Self::$name),)* _ => None }
            }

            /// How it travels.
            pub fn class(self) -> Class {
                match self { $(Self::$name => Class::$class),* }
            }

            /// Apache's name, as in its schema and logs.
            pub fn name(self) -> &'static str {
                match self { $(Self::$name => $apache),* }
            }

            /// The short form that `cons` shows as the last operation.
            pub fn last_operation(self) -> &'static str {
                match self { $(Self::$name => $lop),* }
            }
        }
    };
}

ops! {
    /// Watch event; not a request.
    Notification = 0, Internal, "notification", "NOTI";
    /// Creates a node.
    Create = 1, Write, "create", "CREA";
    /// Deletes a node.
    Delete = 2, Write, "delete", "DELE";
    /// Stat of a node, or that there is none.
    Exists = 3, Read, "exists", "EXIS";
    /// Data and stat.
    GetData = 4, Read, "getData", "GETD";
    /// Replaces the data.
    SetData = 5, Write, "setData", "SETD";
    /// The ACL.
    GetAcl = 6, Read, "getACL", "GETA";
    /// Replaces the ACL.
    SetAcl = 7, Write, "setACL", "SETA";
    /// Names of the children.
    GetChildren = 8, Read, "getChildren", "GETC";
    /// Waits for earlier writes to be visible here.
    Sync = 9, Read, "sync", "SYNC";
    /// Keeps the session alive.
    Ping = 11, Read, "ping", "PING";
    /// Names of the children, and stat.
    GetChildren2 = 12, Read, "getChildren2", "GETC";
    /// Version check; inside multi only.
    Check = 13, Internal, "check", "CHEC";
    /// Several writes as one.
    Multi = 14, Write, "multi", "MULT";
    /// Create that answers with the stat too.
    Create2 = 15, Write, "create2", "CREA";
    /// Changes the ensemble.
    Reconfig = 16, Write, "reconfig", "RECO";
    /// Is a watch set?
    CheckWatches = 17, Read, "checkWatches", "CHKW";
    /// Removes watches.
    RemoveWatches = 18, Read, "removeWatches", "REMW";
    /// Creates a container node.
    CreateContainer = 19, Write, "createContainer", "CREA";
    /// The reaper's delete. Differs: refused from clients (DEV 4).
    DeleteContainer = 20, Internal, "deleteContainer", "DELE";
    /// Creates a node with a time to live.
    CreateTtl = 21, Write, "createTTL", "CREA";
    /// Several reads at one point.
    MultiRead = 22, Read, "multiRead", "MLTR";
    /// Adds an identity to the connection.
    Auth = 100, Connection, "auth", "NA";
    /// Re-arms watches after a reconnect.
    SetWatches = 101, Read, "setWatches", "SETW";
    /// A SASL token.
    Sasl = 102, Connection, "sasl", "NA";
    /// Ephemerals of this session.
    GetEphemerals = 103, Read, "getEphemerals", "GETE";
    /// Number of all descendants.
    GetAllChildrenNumber = 104, Read, "getAllChildrenNumber", "GETACN";
    /// Re-arms watches of all kinds.
    SetWatches2 = 105, Read, "setWatches2", "STW2";
    /// Adds a persistent watch.
    AddWatch = 106, Read, "addWatch", "ADDW";
    /// Identities of the connection.
    WhoAmI = 107, Read, "whoAmI", "HOMI";
    /// Marks failures in logs and multi results.
    Error = -1, Internal, "error", "NA";
    /// Opens a session. Differs: refused on an open connection (DEV 3).
    CreateSession = -10, Internal, "createSession", "SESS";
    /// Ends the session.
    CloseSession = -11, Write, "closeSession", "CLOS";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_lead_back_to_their_operations() {
        for &op in OpCode::ALL {
            assert_eq!(OpCode::of(op as i32), Some(op));
        }
        assert_eq!(OpCode::of(10), None);
    }
}
