//! Reads the program's `/metrics`.

use std::collections::BTreeMap;

/// One scrape: every series with its value.
#[derive(Debug, Clone, Default)]
pub(crate) struct Metrics(Vec<Series>);

#[derive(Debug, Clone)]
struct Series {
    name: String,
    labels: BTreeMap<String, String>,
    value: f64,
}

impl Metrics {
    /// Reads the exposition format; fails the test on an invalid line.
    pub(crate) fn parse(text: &str) -> Self {
        let samples = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        Self(samples.map(|line| sample(line).unwrap_or_else(|| panic!("not a sample: {line:?}"))).collect())
    }

    /// The value of the one series with this name and (among others) these labels; `None` without such a series.
    pub(crate) fn value(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let mut found = self.matching(name, labels);
        let value = found.next()?.value;
        assert!(found.next().is_none(), "several series {name}{labels:?}: {self:?}");
        Some(value)
    }

    /// The sum over every series with this name and these labels; 0 without such a series.
    pub(crate) fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.matching(name, labels).map(|series| series.value).sum()
    }

    /// The values that a label takes in the series of this name.
    pub(crate) fn values_of(&self, name: &str, label: &str) -> Vec<String> {
        self.matching(name, &[]).filter_map(|series| series.labels.get(label).cloned()).collect()
    }

    fn matching(&self, name: &str, labels: &[(&str, &str)]) -> impl Iterator<Item = &Series> {
        self.0.iter().filter(move |series| {
            let has = |(label, value): &(&str, &str)| series.labels.get(*label).is_some_and(|own| own == value);
            series.name == name && labels.iter().all(has)
        })
    }
}

/// `name{label="value",…} 1.5`, optionally followed by a time stamp or an exemplar.
fn sample(line: &str) -> Option<Series> {
    let end = line.find(['{', ' '])?;
    let (name, mut rest) = line.split_at(end);
    let mut labels = BTreeMap::new();
    if let Some(inner) = rest.strip_prefix('{') {
        rest = inner;
        while !rest.starts_with('}') {
            let (label, quoted) = rest.trim_start_matches(',').split_once("=\"")?;
            let (value, behind) = unquote(quoted)?;
            labels.insert(label.to_owned(), value);
            rest = behind;
        }
        rest = &rest[1..];
    }
    let value = rest.split_ascii_whitespace().next()?.parse().ok()?;
    Some(Series { name: name.to_owned(), labels, value })
}

/// The text up to the closing quote, and what follows that.
fn unquote(quoted: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((value, &quoted[at + 1..])),
            '\\' => match characters.next()?.1 {
                'n' => value.push('\n'),
                escaped => value.push(escaped),
            },
            _ => value.push(character),
        }
    }
    None
}
