//! bins.
