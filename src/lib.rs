//! Zabra.
