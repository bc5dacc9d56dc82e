//! System properties become typed settings.
