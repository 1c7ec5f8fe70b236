//! Writes the reports of `heartbeatd check` to standard output, files and the step summary of GitHub Actions. Used by
//! `check`.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use super::terminal;
use crate::check::formats;
use crate::check::registry::Entry;
use crate::check::report::{Format, Location, Report};
use crate::cli::{CheckArgs, ReportArg};
use crate::config::Origin;

/// Names the file whose Markdown GitHub Actions shows under the step.
const STEP_SUMMARY: &str = "GITHUB_STEP_SUMMARY";

/// Refuses arguments that would make two reports overwrite each other.
pub(super) fn one_standard_output(args: &CheckArgs) -> Result<(), String> {
    let without_file: Vec<_> = args.format.iter().filter(|report| report.file.is_none()).collect();
    match (&without_file[..], &args.output) {
        ([_, second, ..], _) => {
            let word = second.format.as_str();
            return Err(format!(
                "only one report can go to standard output: give the others a file, as in --format {word}=FILE"
            ));
        }
        ([], Some(_)) => {
            return Err("--output is for a --format that names no file, and every --format names one".to_owned());
        }
        _ => {}
    }
    let mut files: Vec<&PathBuf> =
        args.format.iter().filter_map(|report| report.file.as_ref()).chain(&args.output).collect();
    files.sort();
    match files.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(format!("two reports would go to {}: give each its own file", pair[0].display())),
        None => Ok(()),
    }
}

/// A line of the configuration, in the form that repository hosts use for lookups. A file outside the working directory
/// is not in the repository.
pub(super) fn location(origin: &Origin) -> Option<Location> {
    let Origin::File { file, line, .. } = origin else { return None };
    let written = std::path::absolute(file.as_ref()).ok();
    let real = || std::fs::canonicalize(file.as_ref()).ok();
    let here = std::env::current_dir().ok()?;
    let below = |path: PathBuf| Some(path.strip_prefix(&here).ok()?.to_str()?.to_owned());
    let file = written.and_then(below).filter(|path| !path.contains("..")).or_else(|| real().and_then(below))?;
    Some(Location { file, line: (*line).max(1) })
}

/// Writes each report to its destination.
pub(super) fn write(report: &Report, entries: &[Entry], args: &CheckArgs) -> Result<(), String> {
    for ReportArg { format, file } in &args.format {
        let rendered = formats::render(report, *format, entries, args.quiet);
        match file.as_ref().or(args.output.as_ref()) {
            None => terminal::plain(&rendered),
            Some(file) => write_file(file, &rendered)?,
        }
        if *format == Format::Github {
            append_step_summary(report, entries, args.quiet)?;
        }
    }
    Ok(())
}

fn write_file(file: &Path, rendered: &str) -> Result<(), String> {
    let text = anstream::adapter::strip_str(rendered).to_string();
    std::fs::write(file, text).map_err(|error| cannot_write(file, &error))
}

/// GitHub names the file in the environment of a step. Without it no one would read the summary.
fn append_step_summary(report: &Report, entries: &[Entry], quiet: bool) -> Result<(), String> {
    let Some(file) = std::env::var_os(STEP_SUMMARY).filter(|file| !file.is_empty()).map(PathBuf::from) else {
        return Ok(());
    };
    // Other programs of the step also write into it.
    let opened = std::fs::OpenOptions::new().append(true).create(true).open(&file);
    let written = opened
        .and_then(|mut opened| opened.write_all(formats::render(report, Format::Markdown, entries, quiet).as_bytes()));
    written.map_err(|error| cannot_write(&file, &error))
}

pub(super) fn cannot_write(file: &Path, error: &std::io::Error) -> String {
    format!("cannot write {}: {error}", file.display())
}
