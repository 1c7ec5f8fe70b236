//! The general log: what clients sent to the server.

use std::collections::BTreeMap;

use super::MysqlServer;

/// One entry of the general log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Command {
    /// The session's number.
    pub(crate) session: u64,
    /// The command: `Connect`, `Query`, `Prepare`, `Execute`, `Quit` …
    pub(crate) kind: String,
    /// The statement; for a `Connect`, the account.
    pub(crate) text: String,
}

impl MysqlServer {
    /// All commands so far, the bench's own included. Only with
    /// [`general_log`](super::MysqlOptions::general_log).
    pub(crate) fn commands(&self) -> Vec<Command> {
        assert!(self.options.general_log, "start it with options().general_log()");
        let file = std::fs::read(self.place.join("general.log")).unwrap();
        parse(&String::from_utf8_lossy(&file))
    }

    /// The statements that were sent as text (`Query`), the bench's own included.
    pub(crate) fn statements(&self) -> Vec<String> {
        self.commands().into_iter().filter(|command| command.kind == "Query").map(|command| command.text).collect()
    }

    /// The commands of this user's sessions, from `Connect` to `Quit`.
    pub(crate) fn commands_of(&self, user: &str) -> Vec<Command> {
        let mut theirs = BTreeMap::new();
        let mut commands = self.commands();
        commands.retain(|command| {
            // A restarted server reuses the numbers of sessions. The text is "user@host on database", also for a
            // refused login.
            if command.kind == "Connect" {
                theirs.insert(command.session, command.text.split('@').next() == Some(user));
            }
            theirs.get(&command.session) == Some(&true)
        });
        commands
    }

    /// The statements that this user's sessions sent as text.
    pub(crate) fn statements_of(&self, user: &str) -> Vec<String> {
        let queries = self.commands_of(user).into_iter().filter(|command| command.kind == "Query");
        queries.map(|command| command.text).collect()
    }
}

fn parse(log: &str) -> Vec<Command> {
    let mut commands: Vec<Command> = Vec::new();
    for line in log.lines() {
        if let Some(command) = entry(line) {
            commands.push(command);
        } else if let Some(last) = commands.last_mut() {
            // A statement of several lines. The heading that a restarted server writes is attached to the last
            // statement before it.
            last.text.push('\n');
            last.text.push_str(line);
        }
    }
    commands
}

/// "TIME, tab, number, blank, kind, tab, text"; MariaDB leaves out a repeated time.
fn entry(line: &str) -> Option<Command> {
    let (time, rest) = line.split_once('\t')?;
    let is_time = time.is_empty() || time.starts_with(|first: char| first.is_ascii_digit());
    let (head, text) = rest.trim_start_matches('\t').split_once('\t')?;
    let (session, kind) = head.trim_start().split_once(' ')?;
    let session = session.parse().ok().filter(|_| is_time)?;
    Some(Command { session, kind: kind.trim().to_owned(), text: text.to_owned() })
}
