//! The counters of requests by kind (Apache 3.10: `FinalRequestProcessor.incrementOpCount`).

use crate::proto::OpCode;
use crate::telemetry::metrics::{Counter, METRICS};

/// Counts a request that is answered.
pub(super) fn count(op: OpCode) {
    if let Some(counter) = counter(op) {
        METRICS.op_count_total.inc();
        counter.inc();
    }
}

/// Sessions are opened by a frame that is no request; the sequencer counts those.
fn counter(op: OpCode) -> Option<&'static Counter> {
    Some(match op {
        OpCode::AddWatch => &METRICS.op_count_add_watch,
        OpCode::Check => &METRICS.op_count_check,
        OpCode::CheckWatches => &METRICS.op_count_check_watches,
        OpCode::CloseSession => &METRICS.op_count_close_session,
        OpCode::Create | OpCode::Create2 | OpCode::CreateContainer | OpCode::CreateTtl => {
            &METRICS.op_count_create
        }
        OpCode::Delete => &METRICS.op_count_delete,
        OpCode::Exists => &METRICS.op_count_exists,
        OpCode::GetAcl => &METRICS.op_count_get_acl,
        OpCode::GetAllChildrenNumber => &METRICS.op_count_get_all_children_number,
        OpCode::GetChildren | OpCode::GetChildren2 => &METRICS.op_count_get_children,
        OpCode::GetData => &METRICS.op_count_get_data,
        OpCode::GetEphemerals => &METRICS.op_count_get_ephemerals,
        OpCode::Multi => &METRICS.op_count_multi,
        OpCode::MultiRead => &METRICS.op_count_multi_read,
        OpCode::Ping => &METRICS.op_count_ping,
        OpCode::Reconfig => &METRICS.op_count_reconfig,
        OpCode::RemoveWatches => &METRICS.op_count_remove_watches,
        OpCode::SetAcl => &METRICS.op_count_set_acl,
        OpCode::SetData => &METRICS.op_count_set_data,
        OpCode::SetWatches | OpCode::SetWatches2 => &METRICS.op_count_set_watches,
        OpCode::Sync => &METRICS.op_count_sync,
        OpCode::WhoAmI => &METRICS.op_count_who_am_i,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::op::Class;

    #[test]
    fn every_request_of_a_client_has_a_counter() {
        for op in OpCode::ALL {
            let asked = matches!(op.class(), Class::Read | Class::Write);
            assert!(!asked || counter(*op).is_some(), "{}", op.name());
        }
    }
}
