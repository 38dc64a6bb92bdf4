//! Tests of tokens, keys and refreshes.
