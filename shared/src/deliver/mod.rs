//! What is sent to SQS: the message of an accepted event or of a quarantined one, and the client.

pub mod body;
pub mod message;
pub mod quarantine;
mod quote;
mod send_message;
pub mod sqs;
