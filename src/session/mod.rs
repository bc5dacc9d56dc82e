//! L2: sessions and who their connections are.

mod acl_check;
mod blue_throttle;
mod digest_scheme;
mod ip_scheme;
mod kind;
mod password;
pub mod providers;
mod tracker;

pub use acl_check::AclError;
pub use blue_throttle::{BlueThrottle, ConnectKind};
pub use digest_scheme::{DigestAlgorithm, digest_id};
pub use kind::SessionKind;
pub use password::password_of;
pub use providers::{AuthOutcome, Authorizer, AuthorizerOptions};
pub use tracker::{Session, SessionTracker, first_session_id};
