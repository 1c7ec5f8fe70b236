//! The exact next step: something to do, something to run, or both. Failures and findings carry it; it becomes text
//! only on a page, in a log or in a report. Of this crate it imports `plain_text`.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::plain_text;

/// What to do about a failure or a finding.
///
/// As text it reads `advice`, `SCRIPT -- on the source: note`, or `advice; or run: SCRIPT -- on the source: note`. The
/// text after a script is a comment of its language, so that people can paste the whole line. SQL*Plus accepts no
/// comment after a statement: there it is `SCRIPT /* on the source: note */;`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Remedy {
    /// What to do: a sentence that begins with an imperative.
    Advice(String),
    /// What to run.
    Run(Script),
    /// Both.
    Both {
        /// What to do.
        advice: String,
        /// Whether the script replaces the advice or follows it.
        order: Order,
        /// What to run.
        script: Script,
    },
}

/// How a script relates to the advice before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Order {
    /// Either will do.
    Or,
    /// Follow the advice first.
    Then,
}

/// Something to paste.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Script {
    text: String,
    language: Language,
    on: RunsOn,
    /// What to know before running it, or what to do with its output.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    note: Option<String>,
}

/// What reads a script.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Language {
    /// The database's SQL.
    Sql,
    /// Oracle's SQL, for SQL*Plus, which accepts nothing after the end of a statement; a comment comes before it.
    Sqlplus,
    /// mongosh, MongoDB's shell.
    Mongosh,
    /// The operating system's shell.
    Shell,
}

/// Where a script is run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunsOn {
    /// The server that the heartbeat is written to.
    Source,
    /// The replica of this name.
    Replica(String),
    /// Another server, in words that follow "on": `db2.example:5432`, `the primary`.
    Server(String),
    /// The machine on which heartbeatd is configured.
    Here,
}

/// A remedy in JSON documents: the text, and the script if there is one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RemedyDocument {
    remedy: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    run: Option<RunDocument>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct RunDocument {
    on: String,
    script: String,
}

impl Remedy {
    /// Something to do: a sentence that begins with an imperative.
    #[must_use]
    pub fn advice(sentence: impl Into<String>) -> Self {
        Self::Advice(plain_text::with_line_breaks(sentence.into()))
    }

    /// SQL to run on the source, or on the server that [`Self::on`] names.
    #[must_use]
    pub fn sql(script: impl Into<String>) -> Self {
        Self::script_in(Language::Sql, RunsOn::Source, script.into())
    }

    /// Oracle's SQL, for the same servers; each statement on a separate line.
    #[must_use]
    pub fn sqlplus(script: impl Into<String>) -> Self {
        Self::script_in(Language::Sqlplus, RunsOn::Source, script.into())
    }

    /// A script for mongosh, for the same servers.
    #[must_use]
    pub fn mongosh(script: impl Into<String>) -> Self {
        Self::script_in(Language::Mongosh, RunsOn::Source, script.into())
    }

    /// A command for the shell of the machine on which heartbeatd is configured.
    #[must_use]
    pub fn shell(command: impl Into<String>) -> Self {
        Self::script_in(Language::Shell, RunsOn::Here, command.into())
    }

    fn script_in(language: Language, on: RunsOn, text: String) -> Self {
        Self::Run(Script { text: plain_text::with_line_breaks(text), language, on, note: None })
    }

    /// Names another server to run the script on.
    #[must_use]
    pub fn on(mut self, server: RunsOn) -> Self {
        if let Some(script) = self.script_mut() {
            script.on = server;
        }
        self
    }

    /// Moves a script for the source to this replica: for a failure of the replica.
    #[must_use]
    pub fn moved_to_replica(self, name: &str) -> Self {
        match self.script() {
            Some(script) if script.on == RunsOn::Source => self.on(RunsOn::Replica(name.to_owned())),
            _ => self,
        }
    }

    /// Makes it a remedy for this replica; advice then names the replica too.
    #[must_use]
    pub fn on_replica(self, name: &str) -> Self {
        match self.moved_to_replica(name) {
            moved @ Self::Run(_) => moved,
            moved => moved.about(&RunsOn::Replica(name.to_owned()).to_string()),
        }
    }

    /// Adds what to know before running the script, or what to do with its output; to advice it adds a clause.
    #[must_use]
    pub fn note(mut self, note: impl Into<String>) -> Self {
        let added = plain_text::on_one_line(note.into());
        match &mut self {
            Self::Advice(advice) => *advice = format!("{advice}; {added}"),
            Self::Run(script) | Self::Both { script, .. } => {
                script.note = Some(match script.note.take() {
                    Some(before) => format!("{before}; {added}"),
                    None => added,
                });
            }
        }
        self
    }

    /// This advice, or else the script of `other`.
    #[must_use]
    pub fn or_run(self, other: Self) -> Self {
        self.joined(Order::Or, other)
    }

    /// This advice, and after it the script of `other`.
    #[must_use]
    pub fn then_run(self, other: Self) -> Self {
        self.joined(Order::Then, other)
    }

    /// Keeps both texts: if the first is no advice or the second no script, its text becomes a note.
    fn joined(self, order: Order, other: Self) -> Self {
        match (self, other) {
            (Self::Advice(advice), Self::Run(script)) => Self::Both { advice, order, script },
            (first, second) => first.note(second.to_string()),
        }
    }

    /// Puts the subject in front: `provision_url: check …`.
    #[must_use]
    pub fn about(mut self, what: &str) -> Self {
        match &mut self {
            Self::Advice(advice) | Self::Both { advice, .. } => *advice = format!("{what}: {advice}"),
            Self::Run(script) => {
                script.note = Some(match script.note.take() {
                    Some(note) => format!("for {what}; {note}"),
                    None => format!("for {what}"),
                });
            }
        }
        self
    }

    /// Combines several remedies for one server, all of which are needed: their scripts one after the other, and
    /// everything else beside them.
    #[must_use]
    pub fn all(remedies: impl IntoIterator<Item = Self>) -> Option<Self> {
        let (mut script, mut beside): (Option<Script>, Vec<String>) = (None, Vec::new());
        for remedy in remedies {
            let (advice, next) = remedy.into_parts();
            beside.extend(advice);
            let Some(mut next) = next else { continue };
            beside.extend(next.note.take());
            match &mut script {
                Some(before) => before.text = format!("{} {}", before.text, next.text),
                none => *none = Some(next),
            }
        }
        let mut beside = beside.into_iter();
        let first = script.map(Self::Run).or_else(|| beside.next().map(Self::Advice))?;
        Some(beside.fold(first, Self::note))
    }

    /// The script, if there is one.
    #[must_use]
    pub fn script(&self) -> Option<&Script> {
        match self {
            Self::Advice(_) => None,
            Self::Run(script) | Self::Both { script, .. } => Some(script),
        }
    }

    /// Whether it consists only of text.
    #[must_use]
    pub fn is_advice(&self) -> bool {
        self.script().is_none()
    }

    fn script_mut(&mut self) -> Option<&mut Script> {
        match self {
            Self::Advice(_) => None,
            Self::Run(script) | Self::Both { script, .. } => Some(script),
        }
    }

    fn into_parts(self) -> (Option<String>, Option<Script>) {
        match self {
            Self::Advice(advice) => (Some(advice), None),
            Self::Run(script) => (None, Some(script)),
            Self::Both { advice, script, .. } => (Some(advice), Some(script)),
        }
    }
}

impl Script {
    /// The script, ready to paste.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether the database itself reads the script.
    #[must_use]
    pub fn is_sql(&self) -> bool {
        self.language == Language::Sql
    }

    /// What to know before running it, or what to do with its output.
    #[must_use]
    pub fn note(&self) -> Option<&str> {
        self.note.as_deref()
    }
}

impl Language {
    /// A script with a comment beside it.
    fn commented(self, script: &str, comment: &str) -> String {
        match self {
            Self::Sql => format!("{script} -- {comment}"),
            Self::Mongosh => format!("{script} // {comment}"),
            Self::Shell => format!("{script} # {comment}"),
            Self::Sqlplus => {
                // SQL*Plus prompts for a value at an ampersand, in comments too.
                let comment = comment.replace("*/", "* /").replace('&', "+");
                let statement = script.strip_suffix(';').unwrap_or(script);
                format!("{statement} /* {comment} */{}", &script[statement.len()..])
            }
        }
    }
}

impl RunsOn {
    /// The word in documents: `source`, `replica NAME`, `heartbeatd`, or the other server's name.
    fn word(&self) -> String {
        match self {
            Self::Source => "source".to_owned(),
            Self::Replica(name) => format!("replica {name}"),
            Self::Server(name) => name.clone(),
            Self::Here => "heartbeatd".to_owned(),
        }
    }
}

impl RemedyDocument {
    /// The document of a remedy; `remedy` is null without one.
    #[must_use]
    pub fn of(remedy: Option<&Remedy>) -> Self {
        let run = remedy.and_then(Remedy::script);
        Self {
            remedy: remedy.map(ToString::to_string),
            run: run.map(|script| RunDocument { on: script.on.word(), script: script.text.clone() }),
        }
    }
}

impl From<String> for Remedy {
    fn from(sentence: String) -> Self {
        Self::advice(sentence)
    }
}

impl From<&str> for Remedy {
    fn from(sentence: &str) -> Self {
        Self::advice(sentence)
    }
}

impl From<&Remedy> for Remedy {
    fn from(remedy: &Remedy) -> Self {
        remedy.clone()
    }
}

impl fmt::Display for Remedy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Advice(advice) => f.write_str(advice),
            Self::Run(script) => script.fmt(f),
            Self::Both { advice, order: Order::Or, script } => write!(f, "{advice}; or run: {script}"),
            Self::Both { advice, order: Order::Then, script } => write!(f, "{advice}; then run: {script}"),
        }
    }
}

impl fmt::Display for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let comment = match &self.note {
            Some(note) => format!("{}: {note}", self.on),
            None => self.on.to_string(),
        };
        f.write_str(&self.language.commented(&self.text, &comment))
    }
}

impl fmt::Display for RunsOn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Self::Source => return f.write_str("on the source"),
            Self::Here => return f.write_str("where heartbeatd is configured"),
            Self::Replica(name) => {
                f.write_str("on replica ")?;
                name
            }
            Self::Server(name) => {
                f.write_str("on ")?;
                name
            }
        };
        // A name ends no comment.
        f.write_str(&plain_text::one_line(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_names_the_server_to_run_it_on() {
        let servers = [
            (RunsOn::Source, "on the source"),
            (RunsOn::Replica("copy\n1".to_owned()), "on replica copy 1"),
            (RunsOn::Server("db2:5432".to_owned()), "on db2:5432"),
            (RunsOn::Here, "where heartbeatd is configured"),
        ];
        for (server, words) in servers {
            let sql = Remedy::sql("SELECT 1;").on(server.clone());
            assert_eq!(sql.to_string(), format!("SELECT 1; -- {words}"));
            assert_eq!(sql.note("a\nb").to_string(), format!("SELECT 1; -- {words}: a b"));
            assert_eq!(Remedy::sqlplus("A;\nB;").on(server.clone()).to_string(), format!("A;\nB /* {words} */;"));
            assert_eq!(Remedy::mongosh("db.x()").on(server).to_string(), format!("db.x() // {words}"));
        }
        assert_eq!(Remedy::shell("true").to_string(), "true # where heartbeatd is configured");
        let hostile = Remedy::sqlplus("A;").note("x */; DROP & y");
        assert_eq!(hostile.to_string(), "A /* on the source: x * /; DROP + y */;");
    }

    #[test]
    fn advice_comes_before_the_alternative_script() {
        let both = Remedy::advice("wait").or_run(Remedy::sql("SELECT 1;").note("as an administrator"));
        assert_eq!(both.to_string(), "wait; or run: SELECT 1; -- on the source: as an administrator");
        assert_eq!(both.script().map(Script::text), Some("SELECT 1;"));
        let after = Remedy::advice("wait").then_run(Remedy::sql("SELECT 1;"));
        assert_eq!(after.to_string(), "wait; then run: SELECT 1; -- on the source");
        assert_eq!(Remedy::from("wait").note("then look").to_string(), "wait; then look");
    }

    #[test]
    fn a_remedy_for_the_source_moves_to_its_server() {
        assert_eq!(Remedy::sql("SELECT 1;").moved_to_replica("copy").to_string(), "SELECT 1; -- on replica copy");
        assert_eq!(Remedy::shell("true").moved_to_replica("copy").script().unwrap().on, RunsOn::Here);
        assert_eq!(Remedy::advice("wait").moved_to_replica("copy").to_string(), "wait");
        assert_eq!(Remedy::advice("wait").on_replica("copy").to_string(), "on replica copy: wait");
        assert_eq!(Remedy::sql("SELECT 1;").on_replica("copy").to_string(), "SELECT 1; -- on replica copy");
    }

    #[test]
    fn remedies_of_one_server_become_one_whose_scripts_follow_each_other() {
        let all = |remedies: Vec<Remedy>| Remedy::all(remedies).map(|remedy| remedy.to_string());
        let (a, b) = (Remedy::sql("A;").note("first"), Remedy::sql("B;").note("second"));
        assert_eq!(all(vec![]), None);
        assert_eq!(all(vec![a.clone(), b]).unwrap(), "A; B; -- on the source: first; second");
        assert_eq!(all(vec![Remedy::advice("do"), a.clone()]).unwrap(), "A; -- on the source: do; first");
        assert_eq!(all(vec![a, Remedy::advice("do")]).unwrap(), "A; -- on the source: first; do");
        assert_eq!(all(vec![Remedy::advice("do"), Remedy::advice("this")]).unwrap(), "do; this");
    }

    #[test]
    fn the_subject_comes_first_and_the_script_stays_unchanged() {
        assert_eq!(Remedy::advice("wait").about("provision_url").to_string(), "provision_url: wait");
        let sql = Remedy::sql("A;").note("then wait").about("provision_url");
        assert_eq!(sql.to_string(), "A; -- on the source: for provision_url; then wait");
    }

    #[test]
    fn a_document_holds_the_text_and_what_can_be_run() {
        let json = |remedy: Option<&Remedy>| serde_json::to_string(&RemedyDocument::of(remedy)).unwrap();
        assert_eq!(json(None), r#"{"remedy":null}"#);
        assert_eq!(json(Some(&Remedy::advice("wait"))), r#"{"remedy":"wait"}"#);
        let remedy = Remedy::sql("SELECT 1;").on(RunsOn::Replica("copy".to_owned()));
        let expected = r#"{"remedy":"SELECT 1; -- on replica copy","run":{"on":"replica copy","script":"SELECT 1;"}}"#;
        assert_eq!(json(Some(&remedy)), expected);
    }

    #[test]
    fn a_kept_remedy_is_read_back_whole() {
        let remedy =
            Remedy::advice("wait").or_run(Remedy::mongosh("db.x()").on(RunsOn::Server("m:1".to_owned())).note("n"));
        let kept = serde_json::to_string(&remedy).unwrap();
        assert_eq!(serde_json::from_str::<Remedy>(&kept).unwrap(), remedy);
    }
}
