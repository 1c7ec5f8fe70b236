//! `--log` as a filter of log lines.

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::{LevelFilter, ParseError};

/// A plain level applies to heartbeatd's own lines. Messages of a library are logged only if a directive names it
/// (`info,sqlx=debug`), because they often contain text from a server.
pub(super) fn parse(text: &str) -> Result<EnvFilter, ParseError> {
    let own = |directive: &str| match directive.trim().parse::<LevelFilter>() {
        Ok(level) => format!("heartbeatd={level}"),
        Err(_) => directive.trim().to_owned(),
    };
    let directives = text.split(',').map(own).chain([format!("{}=trace", super::libraries::TARGET)]);
    EnvFilter::try_new(directives.collect::<Vec<_>>().join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_sets_our_own_lines_and_a_directive_the_library_it_names() {
        let directives = |text| {
            let mut directives: Vec<String> = parse(text).unwrap().to_string().split(',').map(str::to_owned).collect();
            directives.retain(|directive| !directive.starts_with(super::super::libraries::TARGET));
            directives.sort();
            directives
        };
        assert_eq!(directives("info"), ["heartbeatd=info"]);
        assert_eq!(directives("WARN"), ["heartbeatd=warn"]);
        assert_eq!(directives("off"), ["heartbeatd=off"]);
        assert_eq!(directives("info, sqlx=debug"), ["heartbeatd=info", "sqlx=debug"]);
        assert_eq!(directives("heartbeatd=trace,hyper"), ["heartbeatd=trace", "hyper=trace"]);
        assert!(parse("what=ever=this").is_err());
    }
}
