//! Reed-Solomon shards.
