//! The scalars that do not belong to a target: the `config` crate merges built-in defaults, the file and the
//! environment, in this order. Each layer was judged before, so every mistake was reported with its place.

use std::net::SocketAddr;

use config::{Config, ConfigError, Map, Source, Value};
use serde::Deserialize;

use super::document::{Data, Node};
use super::duration::Span;
use super::error::Origin;
use super::schema::{Kind, ROOT};

/// The merged settings.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Globals {
    pub(super) instance: Option<String>,
    pub(super) defaults: Defaults,
    pub(super) http: Http,
    pub(super) shutdown: Shutdown,
}

/// `[defaults]`, with either interval or cron.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Defaults {
    pub(super) interval: Option<Span>,
    pub(super) cron: Option<String>,
    pub(super) timezone: String,
    pub(super) timeout: Span,
    pub(super) write: Option<String>,
    pub(super) provision: Option<String>,
}

/// `[http]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Http {
    /// Where the status listener listens.
    pub listen: SocketAddr,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Shutdown {
    pub(super) grace: Span,
}

#[derive(Debug, Clone)]
struct Layer(Map<String, Value>);

impl Source for Layer {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, ConfigError> {
        Ok(self.0.clone())
    }
}

/// Merges the built-in defaults, the file and the environment; later ones win.
///
/// # Errors
/// Only if the table of keys and the structures here disagree.
pub(super) fn lay(file: Node, environment: Node) -> Result<Globals, ConfigError> {
    let mut layers = [built_in(), file, environment];
    for upper in 1..layers.len() {
        let (below, from) = layers.split_at_mut(upper);
        for lower in below {
            displace_schedule(lower, &from[0]);
        }
    }
    let mut builder = Config::builder();
    for layer in &layers {
        let entries = layer.entries().iter().map(|(key, node)| (key.clone(), Value::from(node)));
        builder = builder.add_source(Layer(entries.collect()));
    }
    builder.build()?.try_deserialize()
}

/// Interval and cron both set the schedule: the one in the upper layer replaces the one in the lower layer.
fn displace_schedule(lower: &mut Node, upper: &Node) {
    let says = |name: &str| upper.get("defaults").is_some_and(|defaults| defaults.get(name).is_some());
    let (interval, cron) = (says("interval"), says("cron"));
    let Data::Table(entries) = &mut lower.data else { return };
    let Some((_, defaults)) = entries.iter_mut().find(|(key, _)| key == "defaults") else { return };
    if interval {
        defaults.take("cron");
    }
    if cron {
        defaults.take("interval");
    }
}

/// The defaults of the table of keys, shaped like a file.
fn built_in() -> Node {
    let sections = ROOT.iter().filter_map(|section| {
        let Kind::Table(keys) = section.kind else { return None };
        let entries = keys.iter().filter_map(|key| Some((key.name.to_owned(), text(key.default?))));
        Some((section.name.to_owned(), Node { origin: Origin::BuiltIn, data: Data::Table(entries.collect()) }))
    });
    Node { origin: Origin::BuiltIn, data: Data::Table(sections.collect()) }
}

fn text(text: &str) -> Node {
    Node { origin: Origin::BuiltIn, data: Data::Text(text.to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::{DEFAULT_INTERVAL, DEFAULT_TIMEOUT};

    fn empty() -> Node {
        Node::table(Origin::BuiltIn)
    }

    #[test]
    fn the_table_and_the_code_agree_on_the_defaults() {
        let globals = lay(empty(), empty()).unwrap();
        assert_eq!(globals.defaults.interval, Some(Span(DEFAULT_INTERVAL)));
        assert_eq!(globals.defaults.timeout, Span(DEFAULT_TIMEOUT));
        assert_eq!(globals.http.listen.to_string(), "127.0.0.1:2328");
        assert_eq!(globals.defaults.timezone, "UTC");
    }
}
