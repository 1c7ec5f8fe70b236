//! The greeting and the login, with a real check of the password, or of the access token in its place.

use std::io;
use std::sync::atomic::Ordering;

use super::answer::{self, Answer, utf16};
use super::wire::{LOGIN, PRELOGIN, REPLY, Wire};
use super::{DATABASE, Encryption, Fault, Greeting, Shared, USER};
use crate::bench::beating_daemon::PASSWORD;

/// What a client said about itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Login {
    pub(crate) user: String,
    pub(crate) application: String,
    /// What it calls its machine.
    pub(crate) workstation: String,
    pub(crate) database: String,
    /// Whether it wants to read only.
    pub(crate) read_only: bool,
    /// Whether it sent an access token, and no password.
    pub(crate) by_token: bool,
    /// Whether all of the login was encrypted.
    pub(crate) encrypted: bool,
}

/// The encryption byte of a greeting: <https://learn.microsoft.com/en-us/openspecs/windows_protocols/ms-tds/>, 2.2.6.5.
const OFF: u8 = 0;
const NOT_SUPPORTED: u8 = 2;
const REQUIRED: u8 = 3;

/// Greets a client and checks its login; returns whether the login succeeded.
pub(super) async fn log_in(shared: &Shared, wire: &mut Wire) -> io::Result<bool> {
    if shared.encryption == Encryption::Strict {
        wire.encrypt(false).await?;
    }
    let (kind, greeting, _) = wire.message().await?;
    if kind != PRELOGIN {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let (answer, encrypt) = match shared.encryption {
        Encryption::None => (NOT_SUPPORTED, false),
        // Either side may require more than the login.
        Encryption::Login if encryption_of(&greeting) == Some(OFF) => (OFF, true),
        Encryption::Login | Encryption::Wrapped => (REQUIRED, true),
        Encryption::Strict => (REQUIRED, false),
    };
    wire.send(REPLY, &greet(shared.manner.greeting, answer)).await?;
    if encrypt {
        wire.encrypt(true).await?;
    }
    let (kind, message, _) = wire.message().await?;
    if answer == OFF {
        wire.end_encryption();
    }
    if kind != LOGIN {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let (login, secret) = read(&message).ok_or(io::ErrorKind::InvalidData)?;
    shared.attempts.fetch_add(1, Ordering::SeqCst);
    let login = Login { encrypted: shared.encryption != Encryption::None, ..login };
    let (refusal, redirect) = match shared.fault.lock().unwrap().clone() {
        Some(Fault::Login(number)) => (Some((number, "the double refuses every login")), None),
        Some(Fault::Redirect(port)) => (None, Some(port)),
        Some(Fault::RouteReaders(port)) if login.read_only => (None, Some(port)),
        _ if secret != PASSWORD || login.user != USER && !login.by_token => {
            (Some((18_456, "Login failed for user 'beat'.")), None)
        }
        _ if login.database != DATABASE => (Some((4060, "Cannot open database requested by the login.")), None),
        _ => (None, None),
    };
    if let Some((number, words)) = refusal {
        wire.send(REPLY, &Answer::error(number, words).bytes(false)).await?;
        return Ok(false);
    }
    shared.logins.lock().unwrap().push(login.clone());
    // The version that the client requested: tiberius requests 7.4 in TDS 8 too.
    let version = message.get(4..8).ok_or(io::ErrorKind::InvalidData)?;
    let mut answer = if shared.manner.chatty { answer::chatter() } else { Vec::new() };
    answer.extend(Answer::let_in(version, redirect, login.by_token));
    wire.send(REPLY, &answer).await?;
    Ok(redirect.is_none())
}

/// A greeting. Without an encryption byte it is that of a server that offers none.
fn greet(greeting: Greeting, encryption: u8) -> Vec<u8> {
    let version = vec![16, 0, 0x10, 0x1d, 0, 0];
    let options: Vec<(u8, Vec<u8>)> = match greeting {
        Greeting::Usual => vec![(0, version), (1, vec![encryption])],
        Greeting::Version => vec![(0, version)],
        // An instance, a thread, no MARS, no requested token.
        Greeting::All => {
            vec![(0, version), (1, vec![encryption]), (2, vec![0]), (3, vec![]), (4, vec![0]), (6, vec![0])]
        }
    };
    let (mut bytes, mut values) = (Vec::new(), Vec::new());
    for (option, value) in &options {
        let offset = u16::try_from(options.len() * 5 + 1 + values.len()).unwrap();
        bytes.push(*option);
        bytes.extend(offset.to_be_bytes());
        bytes.extend(u16::try_from(value.len()).unwrap().to_be_bytes());
        values.extend_from_slice(value);
    }
    bytes.push(0xff);
    bytes.extend(values);
    bytes
}

/// The encryption byte of the client's greeting.
fn encryption_of(greeting: &[u8]) -> Option<u8> {
    let option = greeting.chunks_exact(5).take_while(|option| option[0] != 0xff).find(|option| option[0] == 1)?;
    greeting.get(usize::from(u16::from_be_bytes([option[1], option[2]]))).copied()
}

/// The content of a LOGIN7 message, and its secret.
fn read(message: &[u8]) -> Option<(Login, String)> {
    let at = |offset: usize| Some(usize::from(u16::from_le_bytes(message.get(offset..offset + 2)?.try_into().ok()?)));
    let bytes = |offset: usize| message.get(at(offset)?..at(offset)? + at(offset + 2)? * 2);
    let text = |offset| bytes(offset).map(utf16);
    let hidden: Vec<u8> = bytes(44)?.iter().map(|byte| (byte ^ 0xa5).rotate_left(4)).collect();
    let token = if message.get(27)? & 0x10 != 0 { token(message, at(56)?) } else { None };
    let login = Login {
        user: text(40)?,
        application: text(48)?,
        workstation: text(36)?,
        database: text(68)?,
        read_only: message.get(26)? & 0x20 != 0,
        by_token: token.is_some(),
        encrypted: false,
    };
    Some((login, token.unwrap_or_else(|| utf16(&hidden))))
}

/// The access token among the features that a login requests.
fn token(message: &[u8], pointer: usize) -> Option<String> {
    let number = |offset: usize| {
        Some(usize::try_from(u32::from_le_bytes(message.get(offset..offset + 4)?.try_into().ok()?)).unwrap())
    };
    let mut offset = number(pointer)?;
    loop {
        let (feature, length) = (*message.get(offset)?, number(offset + 1));
        match feature {
            0xff => return None,
            // An option's byte, the token's length, and the token.
            2 => return message.get(offset + 10..offset + 10 + number(offset + 6)?).map(utf16),
            _ => offset += 5 + length?,
        }
    }
}
