//! Collects from the client's events what the client knows about the servers, and explains why none of them accepts a
//! beat; the client itself says only that no server fits. The client's monitors feed it; `client` asks it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use mongodb::ServerType;
use mongodb::event::EventHandler;
use mongodb::event::sdam::SdamEvent;
use mongodb::options::ServerAddress;

use super::errors;
use super::parameters::PORT;
use crate::driver::ServerRole;
use crate::heartbeat::{ErrorKind, Failure};
use crate::plain_text::one_line;

/// The servers as the client's monitors saw them last; shared with the client.
#[derive(Debug, Default)]
pub(super) struct Topology(Mutex<BTreeMap<String, Member>>);

/// One server.
#[derive(Debug, Clone, Default)]
struct Member {
    /// Its role, while it answers.
    role: Option<ServerType>,
    /// The name of its replica set.
    set: Option<String>,
    /// Whether it answered last time, or why it did not.
    answers: bool,
    failure: Option<Failure>,
    /// Whether the client still counts it among the servers of the address.
    counted: bool,
}

impl Topology {
    /// The handler that the client sends its events to.
    pub(super) fn listener(self: &Arc<Self>) -> EventHandler<SdamEvent> {
        let topology = Arc::clone(self);
        EventHandler::callback(move |event| topology.take_in(event))
    }

    /// The server that accepts writes now, or the only server of the client.
    pub(super) fn writable(&self) -> Option<(String, ServerRole)> {
        let members = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let writable = members.iter().find(|(_, member)| member.role.is_some_and(takes_writes));
        writable.map(|(address, _)| (address.clone(), ServerRole::Primary))
    }

    /// Why no server could be chosen.
    pub(super) fn why_none_fits(&self, wanted_set: Option<&str>) -> Failure {
        let members = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        judge(&members, wanted_set)
    }

    fn take_in(&self, event: SdamEvent) {
        let mut members = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            SdamEvent::ServerHeartbeatFailed(event) => {
                let member = members.entry(shown(&event.server_address)).or_default();
                member.failure = Some(errors::classify(&event.failure));
                (member.role, member.answers) = (None, false);
            }
            SdamEvent::ServerHeartbeatSucceeded(event) => {
                let member = members.entry(shown(&event.server_address)).or_default();
                member.set = event.reply.get_str("setName").ok().map(str::to_owned);
                (member.failure, member.answers) = (None, true);
            }
            SdamEvent::TopologyDescriptionChanged(event) => {
                members.values_mut().for_each(|member| member.counted = false);
                for (address, server) in event.new_description.servers() {
                    let member = members.entry(shown(address)).or_default();
                    member.counted = true;
                    member.role = Some(server.server_type()).filter(|role| *role != ServerType::Unknown);
                }
                // Keeps members of another replica set, or of none, because the message should name them; drops members
                // that were only replaced.
                members.retain(|_, member| member.counted || member.answers);
            }
            _ => {}
        }
    }
}

/// `host:port`.
pub(super) fn shown(address: &ServerAddress) -> String {
    match address {
        ServerAddress::Tcp { host, port } => {
            // For members of a set, the names come from a server.
            let (host, port) = (one_line(host), port.unwrap_or(PORT));
            if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
        }
        other => other.to_string(),
    }
}

fn takes_writes(role: ServerType) -> bool {
    matches!(role, ServerType::RsPrimary | ServerType::Mongos | ServerType::Standalone | ServerType::LoadBalancer)
}

/// One failure for all servers: an election or a lost majority if one of them answers as a member of its set, otherwise
/// the failure of the server that came closest to an answer.
fn judge(members: &BTreeMap<String, Member>, wanted_set: Option<&str>) -> Failure {
    if let Some(wanted) = wanted_set
        && !members.values().any(|member| member.set.as_deref() == Some(wanted))
        && let Some((address, other)) = members.iter().find(|(_, member)| member.answers)
    {
        let belongs = match &other.set {
            Some(set) => format!("belongs to the replica set \"{set}\""),
            None => "belongs to no replica set".to_owned(),
        };
        let message = format!("{address} {belongs}, and the address says replicaSet={wanted}");
        return Failure::new(ErrorKind::NoPrimary, message);
    }
    let counted: Vec<_> = members.iter().filter(|(_, member)| member.counted).collect();
    let sentences: Vec<String> = counted.iter().map(|(address, member)| member.sentence(address)).collect();
    let followers = counted.iter().filter(|(_, member)| member.role.is_some()).count();
    if followers > 0 {
        let why = if followers * 2 > counted.len() {
            "an election is under way, or the members do not agree on a primary"
        } else {
            "the replica set has lost its majority"
        };
        let all = sentences.join("; ");
        return Failure::new(ErrorKind::NoPrimary, format!("no member is the primary, {why}: {all}"));
    }
    let failures = counted.iter().filter_map(|(_, member)| member.failure.as_ref());
    let nearest = failures.max_by_key(|failure| reach(failure.kind()));
    let kind = nearest.map_or(ErrorKind::Timeout, Failure::kind);
    let message = match sentences.as_slice() {
        [] => "no server is known".to_owned(),
        [only] => only.clone(),
        _ => format!("no server answers: {}", sentences.join("; ")),
    };
    let failure = Failure::new(kind, message);
    match nearest {
        Some(nearest) => failure.with_source(nearest.clone()),
        None => failure,
    }
}

impl Member {
    fn sentence(&self, address: &str) -> String {
        match (&self.role, &self.failure) {
            (Some(ServerType::RsSecondary), _) => format!("{address} is a secondary"),
            (Some(ServerType::RsArbiter), _) => format!("{address} is an arbiter"),
            (Some(ServerType::RsGhost), _) => format!("{address} is in no replica set"),
            (Some(_), _) => format!("{address} is not ready"),
            (None, Some(failure)) => format!("{address}: {}", failure.message()),
            (None, None) => format!("{address}: no answer"),
        }
    }
}

/// How close a server came to an answer.
fn reach(kind: ErrorKind) -> u8 {
    match kind {
        ErrorKind::Name => 0,
        ErrorKind::Refused => 1,
        ErrorKind::Network => 2,
        ErrorKind::Timeout => 3,
        ErrorKind::Protocol => 4,
        ErrorKind::Tls => 5,
        _ => 6,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(role: Option<ServerType>, set: Option<&str>, failure: Option<(ErrorKind, &str)>) -> Member {
        Member {
            role,
            set: set.map(str::to_owned),
            answers: failure.is_none(),
            failure: failure.map(|(kind, message)| Failure::new(kind, message)),
            counted: true,
        }
    }

    fn why(members: &[(&str, Member)], wanted_set: Option<&str>) -> (ErrorKind, String) {
        let members = members.iter().map(|(address, member)| ((*address).to_owned(), member.clone())).collect();
        let failure = judge(&members, wanted_set);
        (failure.kind(), failure.message().to_owned())
    }

    fn secondary() -> Member {
        member(Some(ServerType::RsSecondary), Some("rs0"), None)
    }

    fn refused() -> Member {
        member(None, None, Some((ErrorKind::Refused, "connection refused")))
    }

    #[test]
    fn an_election_and_a_lost_majority_are_distinguished() {
        let (kind, message) = why(&[("a:1", secondary()), ("b:1", secondary()), ("c:1", refused())], Some("rs0"));
        assert_eq!(kind, ErrorKind::NoPrimary);
        assert!(message.contains("election") && message.contains("c:1: connection refused"), "{message}");
        let (kind, message) = why(&[("a:1", secondary()), ("b:1", refused()), ("c:1", refused())], Some("rs0"));
        assert_eq!(kind, ErrorKind::NoPrimary);
        assert!(message.contains("lost its majority"), "{message}");
    }

    #[test]
    fn the_wrong_name_of_a_replica_set_is_reported() {
        let mut other = secondary();
        other.counted = false;
        let (kind, message) = why(&[("a:1", other)], Some("rs1"));
        assert_eq!(kind, ErrorKind::NoPrimary);
        assert_eq!(message, "a:1 belongs to the replica set \"rs0\", and the address says replicaSet=rs1");
        let alone = member(None, None, None);
        let (_, message) = why(&[("a:1", alone)], Some("rs1"));
        assert_eq!(message, "a:1 belongs to no replica set, and the address says replicaSet=rs1");
    }

    #[test]
    fn without_an_answer_the_failure_that_came_furthest_gives_the_kind() {
        let untrusted = member(None, None, Some((ErrorKind::Tls, "invalid peer certificate: UnknownIssuer")));
        let (kind, message) = why(&[("a:1", refused()), ("b:1", untrusted)], None);
        assert_eq!(kind, ErrorKind::Tls);
        assert!(message.starts_with("no server answers: a:1: connection refused; b:1: invalid peer"), "{message}");
        let (kind, message) = why(&[("a:1", refused())], None);
        assert_eq!((kind, message.as_str()), (ErrorKind::Refused, "a:1: connection refused"));
        assert_eq!(why(&[], None).0, ErrorKind::Timeout);
        assert_eq!(why(&[("a:1", Member { counted: true, ..Member::default() })], None).0, ErrorKind::Timeout);
    }
}
