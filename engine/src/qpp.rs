//! Quantum permutation pad.
