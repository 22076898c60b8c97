//! What tests of both binaries share: small models, a hub, programs that are killed, reference data.
#![allow(dead_code, reason = "each binary uses its own part of this")]

pub mod alone;
pub mod conversations;
pub mod facts;
pub mod hub;
pub mod interrupted;
pub mod killed;
pub mod pairs;
pub mod place;
pub mod reference;
pub mod served;
pub mod shared;
pub mod terminal;
pub mod tiny;
