//! The login of Oracle 12 and later (O5LOGON with PBKDF2): the password itself is never sent, but really checked.

use std::collections::BTreeMap;

use aes::Aes256;
use cbc::cipher::block_padding::NoPadding;
use cbc::cipher::{BlockModeDecrypt, BlockModeEncrypt, KeyIvInit};
use sha2::{Digest, Sha512};

use super::wire::{Reader, Writer};
use super::{PASSWORD, SERVICE, USERS};

const ITERATIONS: u32 = 4_096;
const FEW: u32 = 3;

/// A login between its two phases.
pub(super) struct Handshake {
    /// Who logs in.
    pub(super) user: String,
    salt: [u8; 16],
    session_salt: [u8; 16],
    half: [u8; 32],
    verifier: [u8; 32],
}

impl Handshake {
    /// The first phase: the user.
    pub(super) fn begin(message: &mut Reader<'_>) -> Self {
        let (user, _) = read_pairs(message);
        let random = |length: usize| (0..length).map(|_| fastrand::u8(..)).collect::<Vec<u8>>();
        let salt: [u8; 16] = random(16).try_into().unwrap();
        let key = derive(PASSWORD.as_bytes(), &[&salt[..], b"AUTH_PBKDF2_SPEEDY_KEY"].concat(), ITERATIONS, 64);
        let hash = Sha512::new().chain_update(key).chain_update(salt).finalize();
        Self {
            user,
            salt,
            session_salt: random(16).try_into().unwrap(),
            half: random(32).try_into().unwrap(),
            verifier: hash[..32].try_into().unwrap(),
        }
    }

    /// The server's message about an account whose verifier is of version 11G.
    pub(super) fn old_challenge(&self) -> Vec<u8> {
        pairs(&[
            ("AUTH_SESSKEY", hex(&encrypt(&self.verifier, &self.half)), 1),
            ("AUTH_VFR_DATA", hex(&self.salt[..10]), 0x1b25),
            ("AUTH_GLOBALLY_UNIQUE_DBID\0", "0".repeat(32), 0),
        ])
    }

    /// The challenge that only a client with the password can answer.
    pub(super) fn challenge(&self) -> Vec<u8> {
        pairs(&[
            ("AUTH_SESSKEY", hex(&encrypt(&self.verifier, &self.half)), 1),
            ("AUTH_VFR_DATA", hex(&self.salt), 0x4815),
            ("AUTH_PBKDF2_CSK_SALT", hex(&self.session_salt), 0),
            ("AUTH_PBKDF2_VGEN_COUNT", ITERATIONS.to_string(), 0),
            ("AUTH_PBKDF2_SDER_COUNT", FEW.to_string(), 0),
            ("AUTH_GLOBALLY_UNIQUE_DBID\0", "0".repeat(32), 0),
        ])
    }

    /// The second phase: the answer to a right password.
    pub(super) fn finish(self, message: &mut Reader<'_>) -> Option<Vec<u8>> {
        let (user, given) = read_pairs(message);
        let other_half = decrypt(&self.verifier, &unhex(given.get("AUTH_SESSKEY")?));
        let both = hex(&[&other_half[..32], &self.half].concat());
        let key: [u8; 32] = derive(both.as_bytes(), &self.session_salt, FEW, 32).try_into().ok()?;
        let password = decrypt(&key, &unhex(given.get("AUTH_PASSWORD")?));
        let password = password.get(16..)?;
        let padding = usize::from(*password.last()?);
        let password = password.get(..password.len().checked_sub(padding)?)?;
        let is_known = USERS.iter().any(|known| self.user.eq_ignore_ascii_case(known));
        let right = is_known && user == self.user && password == PASSWORD.as_bytes();
        if !right {
            return None;
        }
        let proof = [&[7; 16][..], b"SERVER_TO_CLIENT", &[16; 16]].concat();
        Some(pairs(&[
            ("AUTH_SVR_RESPONSE", hex(&encrypt(&key, &proof)), 0),
            ("AUTH_VERSION_NO", "318963712".to_owned(), 0),
            ("AUTH_SESSION_ID", "17".to_owned(), 0),
            ("AUTH_SERIAL_NUM", "4711".to_owned(), 0),
            ("AUTH_SC_DBUNIQUE_NAME", "DOUBLE".to_owned(), 0),
            ("AUTH_SC_SERVICE_NAME", SERVICE.to_owned(), 0),
            ("AUTH_INSTANCENAME", "double1".to_owned(), 0),
            ("AUTH_MAX_OPEN_CURSORS", "300".to_owned(), 0),
            ("AUTH_MAX_IDEN_LENGTH", "128".to_owned(), 0),
            ("AUTH_SC_DB_DOMAIN", String::new(), 0),
        ]))
    }
}

/// The user, and the client's other properties.
fn read_pairs(message: &mut Reader<'_>) -> (String, BTreeMap<String, String>) {
    message.u8();
    message.ub();
    message.ub();
    message.u8();
    let count = message.ub();
    message.u8();
    message.u8();
    let user = message.text();
    let pairs = (0..count).map(|_| {
        message.ub();
        let key = message.text();
        let value = if message.ub() == 0 { String::new() } else { message.text() };
        message.ub();
        (key, value)
    });
    let pairs = pairs.collect();
    (user, pairs)
}

fn pairs(pairs: &[(&str, String, u64)]) -> Vec<u8> {
    let mut answer = Writer::default();
    answer.u8(8);
    answer.ub(pairs.len() as u64);
    for (key, value, flags) in pairs {
        answer.text(key);
        answer.text(value);
        answer.ub(*flags);
    }
    answer.end(0);
    answer.bytes()
}

fn derive(secret: &[u8], salt: &[u8], iterations: u32, length: usize) -> Vec<u8> {
    let mut key = vec![0; length];
    pbkdf2::pbkdf2_hmac::<Sha512>(secret, salt, iterations, &mut key);
    key
}

fn encrypt(key: &[u8; 32], plain: &[u8]) -> Vec<u8> {
    let mut out = vec![0; plain.len()];
    let cipher = cbc::Encryptor::<Aes256>::new(key.into(), &[0; 16].into());
    cipher.encrypt_padded_b2b::<NoPadding>(plain, &mut out).unwrap();
    out
}

fn decrypt(key: &[u8; 32], secret: &[u8]) -> Vec<u8> {
    let mut out = vec![0; secret.len()];
    let cipher = cbc::Decryptor::<Aes256>::new(key.into(), &[0; 16].into());
    cipher.decrypt_padded_b2b::<NoPadding>(secret, &mut out).unwrap();
    out
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    text.as_bytes().chunks(2).filter_map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}
