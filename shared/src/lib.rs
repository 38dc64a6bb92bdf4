//! The code that all functions of the bundle share.
//!
//! A function is one [`Channel`] and a `main` that calls [`run`]. [`pipeline`] shows the whole path
//! of a request.

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
#[cfg(feature = "stock")]
pub mod stock;
pub mod telemetry;
pub mod verify;

pub use crate::{
    channel::{Channel, Decision, DecisionContext, HookType, Refusal, Verdict},
    deadline::Deadline,
    event::generic::{Generic, GenericChannel},
    operation::Operation,
    runtime::run,
};
