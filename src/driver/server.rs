//! What a session knows of its server. The drivers set it, the board shows it.

/// What a session knows of its server since it connected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerInfo {
    /// `host:port`, or the file.
    pub address: String,
    /// As the server words it.
    pub version: String,
    /// What tells this database cluster from another one; `None` where it is hidden.
    pub identity: Option<String>,
    /// What tells this running server from another one of the same cluster; `None` where nothing does.
    pub instance: Option<String>,
    /// Of a primary, the number of its cluster's promotions; `None` if the server hides or does not count them.
    pub timeline: Option<u32>,
    /// Its role.
    pub role: ServerRole,
}

/// Who a session works as, and where, as the server itself says. A pooler, a proxy user, an account without a name or a
/// setting of the login may make both differ from the address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionAccount {
    /// The user, as the server writes it: of MySQL with the host.
    pub user: String,
    /// The database; `None` where a session needs none.
    pub database: Option<String>,
}

/// Whether a server takes writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServerRole {
    /// It does.
    Primary,
    /// It does, and is one of a cluster's servers that all do: each sends the others what it takes.
    Member,
    /// It follows another server.
    Standby,
    /// It could, and a setting forbids it.
    ReadOnly,
}

impl ServerRole {
    /// Whether a beat may be written there.
    #[must_use]
    pub fn takes_writes(self) -> bool {
        matches!(self, Self::Primary | Self::Member)
    }

    /// The word in output.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Primary => "primary",
            Self::Member => "member",
            Self::Standby => "standby",
            Self::ReadOnly => "read-only",
        }
    }
}
