//! Delivery to SQS: the messages of accepted and of quarantined events, and the client that sends
//! them.

pub mod body;
pub mod message;
pub mod quarantine;
mod quote;
mod send_message;
pub mod sqs;
