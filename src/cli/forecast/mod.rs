//! What runs would fetch, hold and take, on stdout: pages for people, a quantity a line for programs.

mod lines;
mod page;

use super::models;
use crate::report::{Format, terminal_width};
use crate::run::Forecast;

/// Prints the plans of all models.
pub fn print(forecasts: &[Forecast], format: Format) -> anyhow::Result<()> {
    let text = match format {
        Format::Table => forecasts.iter().map(|forecast| page::page(forecast, terminal_width())).collect(),
        format => format.draw(&lines::table(&lines::lines(forecasts)), terminal_width()),
    };
    models::deliver(&text, None)
}
