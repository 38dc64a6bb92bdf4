//! The JSON Schemas and the fields of the hooks match the types of the channels.

mod rules;

use channels::for_each_channel;
use shared::schema::assert_up_to_date;

/// Writes the files instead if `UPDATE_SCHEMAS` is set (see `make samples`).
#[test]
fn schemas_match_the_types() {
    for assert_up_to_date in for_each_channel!(assert_up_to_date) {
        assert_up_to_date();
    }
}
