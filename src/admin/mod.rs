//! What operators see of a running server: four-letter words, `mntr` and `/metrics`.
//!
//! Everything is text over two traits that the runtime implements: [`view::ServerView`] and, for
//! gauges, [`GaugeSource`](crate::telemetry::metrics::GaugeSource).

pub mod address;
pub mod environment;
pub mod mntr;
pub mod process;
pub mod prom_http;
mod replies;
pub mod view;
pub mod words;

#[cfg(test)]
mod fake;
