//! What leaves for SQS: the message of an accepted event, the message of a quarantined one, and the client that sends them.

pub mod message;
pub mod quarantine;
mod quote;
pub mod sqs;
