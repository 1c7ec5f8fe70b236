//! Why an address is refused: `grammar` finds the faults of its form, each driver those of its parameters.

/// Why an address is refused. Never quotes the address itself, which may hold a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// There is no `scheme:` at all.
    #[error(
        "not a database address: expected one like postgres://user@host/database or sqlite:heartbeat.db; write the key=value \
         strings and DSNs of other programs as such an address"
    )]
    NoScheme,
    /// No driver in this build has this scheme.
    #[error("unknown database scheme \"{scheme}\": known are {known}{}", meant(.nearest))]
    UnknownScheme {
        /// The scheme.
        scheme: String,
        /// A known scheme that may be meant.
        nearest: Option<&'static str>,
        /// The schemes of this build, as a list in words.
        known: String,
    },
    /// This build has no driver of that name.
    #[error("this build has no {0} driver: it was compiled without the feature of that name")]
    NotBuilt(&'static str),
    /// A required host is missing.
    #[error("the address has no host: expected {0}://user@host/database")]
    NoHost(String),
    /// No file name.
    #[error("the address has no file: expected sqlite:path/to/file.db")]
    NoFile,
    /// An instance after a host, for a database without instances.
    #[error("the host \"{0}\" is followed by \\ and an instance, which these addresses do not have")]
    Instance(String),
    /// A port that is not a number from 1 to 65535.
    #[error("the port of host \"{0}\" is not a number from 1 to 65535")]
    Port(String),
    /// `%` without two hexadecimal digits, or bytes that are not UTF-8, or a NUL.
    #[error("the {0} is not valid percent-encoded text")]
    Encoding(&'static str),
    /// A parameter that has no value, or that appears twice.
    #[error("the parameter \"{0}\" has no value, or is given twice")]
    Parameter(String),
    /// A parameter that the driver does not accept.
    #[error("parameter \"{name}\": {reason}")]
    Refused {
        /// Its name.
        name: String,
        /// Why, and what to write instead.
        reason: String,
    },
    /// A form that another client of this database uses, and what to write instead.
    #[error("{0}")]
    Instead(&'static str),
    /// Several faults of the parameters at once.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Several(Vec<Self>),
    /// A `[` without `]`, more than one `@` before the host, an `@` after it, or an invalid host name.
    #[error(
        "the host part cannot be read: write an IPv6 address in brackets, and @ : / ? in a password or a parameter are written %40 \
         %3A %2F %3F"
    )]
    Authority,
}

fn meant(nearest: &Option<&'static str>) -> String {
    nearest.map_or(String::new(), |scheme| format!("; did you mean {scheme}:?"))
}
