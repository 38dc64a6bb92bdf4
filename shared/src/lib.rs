//! What the functions of the bundle share.
//!
//! A function is one [`Channel`] and a `main` that calls [`run`]. The whole path of a request is on
//! one screen in [`pipeline`].

pub mod aws;
pub mod channel;
pub mod config;
pub mod deadline;
pub mod deliver;
pub mod environment;
pub mod event;
pub mod model;
pub mod operation;
pub mod outcome;
pub mod pipeline;
pub mod request;
pub mod rules;
mod runtime;
#[cfg(feature = "schema")]
pub mod schema;
pub mod telemetry;
pub mod verify;

pub use crate::{
    channel::{Channel, Decision, DecisionContext, Refusal, Verdict},
    deadline::Deadline,
    operation::Operation,
    runtime::run,
};
