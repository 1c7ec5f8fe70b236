//! What a session knows about its server. The drivers set it, the board shows it.

/// What a session knows about its server since it connected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerInfo {
    /// `host:port`, or the file.
    pub address: String,
    /// In the server's words.
    pub version: String,
    /// Identifies the database cluster; `None` if it is hidden.
    pub identity: Option<String>,
    /// Identifies this running server within its cluster; `None` if nothing does.
    pub instance: Option<String>,
    /// On a primary, the number of promotions of its cluster; `None` if the server hides or does not count them.
    pub timeline: Option<u32>,
    /// Its role.
    pub role: ServerRole,
}

/// The account and the database of a session, as the server reports them. A pooler, a proxy user, an account without a
/// name or a setting of the login may make both differ from the address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionAccount {
    /// The user, as the server writes it; for MySQL with the host.
    pub user: String,
    /// The database; `None` if a session needs none.
    pub database: Option<String>,
}

/// Whether a server accepts writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServerRole {
    /// Accepts writes.
    Primary,
    /// Accepts writes, like every server of its cluster; each sends its changes to the others.
    Member,
    /// Follows another server.
    Standby,
    /// Could accept writes, but a setting forbids it.
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
