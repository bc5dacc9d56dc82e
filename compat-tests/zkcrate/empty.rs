//! Nothing: the manifest beside it is all that is used.
