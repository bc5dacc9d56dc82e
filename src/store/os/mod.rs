//! The real files: the only part of the store that does I/O.
