//! Writes the list of the channels in Rust, from the dependencies in `Cargo.toml`.

use std::{env, fmt::Write as _, fs, io, path::Path};

const MANIFEST: &str = "Cargo.toml";

/// The start of a channel's path in a dependency.
const FUNCTIONS: &str = "\"../../functions/";

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed={MANIFEST}");
    let manifest = fs::read_to_string(MANIFEST)?;
    let mut channels: Vec<&str> = manifest
        .lines()
        .filter_map(|line| Some(line.split_once(FUNCTIONS)?.1.split_once('"')?.0))
        .collect();
    channels.sort_unstable();

    let mut types = String::new();
    let mut names = String::new();
    let mut calls = String::new();
    for channel in channels {
        let type_name = camel_case(channel);
        // Writing to a String never fails.
        let _ = writeln!(types, "pub use {channel}::{type_name};");
        let _ = writeln!(names, "    <{type_name} as shared::Channel>::NAME,");
        let _ = writeln!(calls, "        $($function)::+::<$crate::{type_name}>,");
    }
    let code = format!(
        "{types}
/// The names of the channels, in alphabetical order.
pub const NAMES: &[&str] = &[
{names}];

/// An array with one instance of a generic function for each channel, in the order of [`NAMES`].
#[macro_export]
macro_rules! for_each_channel {{
    ($($function:ident)::+) => {{[
{calls}    ]}};
}}
"
    );
    let folder = env::var("OUT_DIR").map_err(io::Error::other)?;
    fs::write(Path::new(&folder).join("channels.rs"), code)
}

/// Returns the name of a channel's type: `sales_order_place_after` becomes `SalesOrderPlaceAfter`.
fn camel_case(name: &str) -> String {
    name.split('_')
        .flat_map(|word| {
            let (first, rest) = word.split_at_checked(1).unwrap_or((word, ""));
            [first.to_ascii_uppercase(), rest.to_owned()]
        })
        .collect()
}
