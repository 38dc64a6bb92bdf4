//! All channels in one crate: their types, their names, and a macro that takes a generic function
//! for each of them. For development only; a function contains its own channel and no other.

include!(concat!(env!("OUT_DIR"), "/channels.rs"));
