//! Snappy framing.
