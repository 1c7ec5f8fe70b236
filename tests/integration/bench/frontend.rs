//! Counts the messages of a PostgreSQL client from the bytes that the proxy carries; for other databases, counts how
//! often their clients send.

use std::collections::BTreeMap;

const SSL_REQUEST: u32 = 80_877_103;
const GSSENC_REQUEST: u32 = 80_877_104;
const CANCEL_REQUEST: u32 = 80_877_102;

/// What one connection has carried.
#[derive(Debug, Clone, Default)]
pub(crate) struct Traffic {
    /// The client's messages by type: `Q` (simple query), `P` (parse), `p` (password) … and, before those, `startup`,
    /// `ssl`, `gssenc`, `cancel`.
    pub(crate) messages: BTreeMap<String, u64>,
    /// How often the client sent after the server had: its round trips (and the closing message, if it sends one).
    pub(crate) bursts: u64,
    /// The connection has switched to TLS: from then on only bursts are counted.
    pub(crate) encrypted: bool,
    /// It has ended on both sides.
    pub(crate) closed: bool,
    stage: Stage,
    client_spoke_last: bool,
    unread: Vec<u8>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Stage {
    /// Messages without a type byte.
    #[default]
    Startup,
    /// The server answers a request for encryption with one byte.
    AwaitsEncryption,
    Messages,
    Encrypted,
    /// A protocol other than PostgreSQL's in which the client sends first: only bursts are counted.
    Foreign,
}

impl Traffic {
    /// The traffic of a protocol other than PostgreSQL's.
    pub(super) fn foreign() -> Self {
        Self { stage: Stage::Foreign, ..Self::default() }
    }

    /// How many messages of this type the client has sent.
    pub(crate) fn count(&self, message: &str) -> u64 {
        self.messages.get(message).copied().unwrap_or(0)
    }

    /// The sum of two connections.
    pub(crate) fn plus(mut self, other: &Self) -> Self {
        for (message, count) in &other.messages {
            *self.messages.entry(message.clone()).or_default() += count;
        }
        self.bursts += other.bursts;
        self.encrypted |= other.encrypted;
        self.closed &= other.closed;
        self
    }

    pub(super) fn client_said(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        if !self.client_spoke_last {
            self.bursts += 1;
            self.client_spoke_last = true;
        }
        if !matches!(self.stage, Stage::Encrypted | Stage::Foreign) {
            self.unread.extend_from_slice(bytes);
            while self.read_message() {}
        }
    }

    pub(super) fn server_said(&mut self, bytes: &[u8]) {
        let Some(first) = bytes.first() else { return };
        if self.bursts == 0 {
            self.stage = Stage::Foreign;
        }
        self.client_spoke_last = false;
        if self.stage == Stage::AwaitsEncryption {
            self.encrypted = matches!(first, b'S' | b'G');
            self.stage = if self.encrypted { Stage::Encrypted } else { Stage::Startup };
        }
    }

    /// Removes one whole message from the unread bytes.
    fn read_message(&mut self) -> bool {
        let type_bytes = usize::from(self.stage == Stage::Messages);
        let Some(word) = self.unread.get(type_bytes..type_bytes + 4) else { return false };
        let length = u32::from_be_bytes(word.try_into().unwrap()) as usize + type_bytes;
        assert!((4..64 << 20).contains(&length), "not the PostgreSQL protocol: {:?}", &self.unread);
        if self.unread.len() < length {
            return false;
        }
        let message: Vec<u8> = self.unread.drain(..length).collect();
        let name = match self.stage {
            Stage::Messages => char::from(message[0]).to_string(),
            _ => self.read_startup(&message).to_owned(),
        };
        *self.messages.entry(name).or_default() += 1;
        true
    }

    fn read_startup(&mut self, message: &[u8]) -> &'static str {
        let code = message.get(4..8).map_or(0, |word| u32::from_be_bytes(word.try_into().unwrap()));
        let (name, stage) = match code {
            SSL_REQUEST => ("ssl", Stage::AwaitsEncryption),
            GSSENC_REQUEST => ("gssenc", Stage::AwaitsEncryption),
            CANCEL_REQUEST => ("cancel", Stage::Messages),
            _ => ("startup", Stage::Messages),
        };
        self.stage = stage;
        name
    }
}
