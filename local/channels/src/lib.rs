//! All channels in one crate: their types, their names, and a macro that instantiates a generic
//! function for each of them. For development only; each Lambda function contains only its own
//! channel.

include!(concat!(env!("OUT_DIR"), "/channels.rs"));
