//! The formats of a report, a file for each. Called by `commands::check`.

mod github;
mod groups;
mod json;
mod junit;
mod markdown;
mod sarif;
mod text;

use super::registry::Entry;
use super::report::{Format, Report};

/// The whole report in this format. With `quiet`, the formats for people leave out what needs no attention.
#[must_use]
pub fn render(report: &Report, format: Format, entries: &[Entry], quiet: bool) -> String {
    match format {
        Format::Text => text::render(report, quiet),
        Format::Json => json::render(report),
        Format::Junit => junit::render(report),
        Format::Sarif => sarif::render(report, entries),
        Format::Github => github::render(report),
        Format::Markdown => markdown::render(report, quiet),
    }
}

#[cfg(test)]
mod tests;
