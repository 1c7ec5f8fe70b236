//! Malicious servers: they accept a login and then send without end or too little, or ask for the password in clear.
//! They keep what the client sends.

use std::io;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::task::AbortOnDropHandle;

/// A server on a port of 127.0.0.1; dropping it ends its connections.
#[derive(Debug)]
pub(crate) struct HostileServer {
    port: u16,
    heard: Arc<Mutex<Vec<u8>>>,
    _server: AbortOnDropHandle<()>,
}

/// What it does, and in which protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Malice {
    /// PostgreSQL: answers a query with rows without end.
    PostgresRows,
    /// PostgreSQL: answers a query with notices without end.
    PostgresNotices,
    /// PostgreSQL, without TLS: asks for the password in clear.
    PostgresClearText,
    /// PostgreSQL, without TLS: asks for the password in clear after it has reported a successful login.
    PostgresClearTextLater,
    /// PostgreSQL: refuses the login as a server with `lc_messages = 'fr_FR.ISO-8859-1'` refuses a wrong password.
    PostgresFrench,
    /// PostgreSQL: accepts the login, but the session's key has no bytes. sqlx 0.9 reads past its end and panics.
    PostgresTooShort,
    /// MySQL: answers a query with rows without end.
    MysqlRows,
    /// MySQL, without TLS: its greeting asks for the password in clear.
    MysqlClearText,
    /// MySQL, without TLS: asks for the password in clear after it has received the scrambled one.
    MysqlClearTextLater,
    /// MySQL: its greeting ends after the version. sqlx 0.9 reads past its end and panics.
    MysqlTooShort,
}

impl HostileServer {
    /// Starts it.
    pub(crate) async fn start(malice: Malice) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let ears = Arc::clone(&heard);
        let server = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let ears = Arc::clone(&ears);
                connections.spawn(async move {
                    let mut client = Client { stream, heard: ears };
                    // Ends when the client gives up.
                    let _ = client.harm(malice).await;
                });
            }
        });
        Self { port, heard, _server: AbortOnDropHandle::new(server) }
    }

    /// Its port on 127.0.0.1.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Everything that clients sent.
    pub(crate) fn heard(&self) -> Vec<u8> {
        self.heard.lock().unwrap().clone()
    }

    /// Whether clients sent this text.
    pub(crate) fn has_heard(&self, text: &str) -> bool {
        self.heard().windows(text.len()).any(|window| window == text.as_bytes())
    }
}

struct Client {
    stream: TcpStream,
    heard: Arc<Mutex<Vec<u8>>>,
}

/// How many bytes are sent at a time.
const CHUNK: usize = 1 << 18;
/// PLUGIN_AUTH, MULTI_RESULTS, MULTI_STATEMENTS, SECURE_CONNECTION, TRANSACTIONS, PROTOCOL_41, CONNECT_WITH_DB, and
/// DEPRECATE_EOF; no SSL.
const MYSQL_CAPABILITIES: u32 = 0x010B_A20B;

impl Client {
    async fn harm(&mut self, malice: Malice) -> io::Result<()> {
        use Malice as M;
        match malice {
            M::PostgresRows
            | M::PostgresNotices
            | M::PostgresClearText
            | M::PostgresClearTextLater
            | M::PostgresFrench
            | M::PostgresTooShort => self.postgres(malice).await,
            M::MysqlTooShort => {
                self.stream.write_all(&mysql_packet(0, b"\x0a8.4\0\x01")).await?;
                self.hear_out().await
            }
            M::MysqlRows | M::MysqlClearText | M::MysqlClearTextLater => self.mysql(malice).await,
        }
    }

    async fn hear(&mut self, length: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; length];
        self.stream.read_exact(&mut bytes).await?;
        self.heard.lock().unwrap().extend_from_slice(&bytes);
        Ok(bytes)
    }

    /// Listens until the client hangs up.
    async fn hear_out(&mut self) -> io::Result<()> {
        loop {
            self.hear(1).await?;
        }
    }

    async fn flood(&mut self, bytes: &[u8]) -> io::Result<()> {
        let chunk = bytes.repeat(CHUNK.div_ceil(bytes.len()));
        loop {
            self.stream.write_all(&chunk).await?;
        }
    }

    async fn postgres(&mut self, malice: Malice) -> io::Result<()> {
        loop {
            let length = self.hear(4).await?;
            let length = u32::from_be_bytes(length.try_into().unwrap()) as usize;
            let startup = self.hear(length - 4).await?;
            if u32::from_be_bytes(startup[..4].try_into().unwrap()) >> 16 == 3 {
                break;
            }
            self.stream.write_all(b"N").await?;
        }
        if malice == Malice::PostgresFrench {
            let refusal = b"SFATAL\0VFATAL\0C28P01\0Mauthentification par mot de passe \xe9chou\xe9e pour l'utilisateur \xab hb \xbb\0\0";
            return self.stream.write_all(&postgres_message(b'E', refusal)).await;
        }
        if malice == Malice::PostgresClearTextLater {
            self.stream.write_all(&postgres_message(b'R', &0_u32.to_be_bytes())).await?;
        }
        if matches!(malice, Malice::PostgresClearText | Malice::PostgresClearTextLater) {
            self.stream.write_all(&postgres_message(b'R', &3_u32.to_be_bytes())).await?;
            return self.hear_out().await;
        }
        self.stream.write_all(&postgres_message(b'R', &0_u32.to_be_bytes())).await?;
        if malice == Malice::PostgresTooShort {
            self.stream.write_all(&postgres_message(b'K', b"")).await?;
            return self.hear_out().await;
        }
        self.stream.write_all(&postgres_message(b'Z', b"I")).await?;
        // The first query; its content does not matter.
        self.hear(5).await?;
        // One column of type text.
        let mut column = b"\0\x01big\0".to_vec();
        column.extend([0; 6]);
        column.extend([0, 0, 0, 25, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0]);
        let row = [&[0, 1, 0, 0, 0, 100][..], &[b'x'; 100]].concat();
        match malice {
            Malice::PostgresNotices => {
                self.flood(&postgres_message(b'N', b"SNOTICE\0VNOTICE\0C00000\0Mnothing to see\0\0")).await
            }
            _ => {
                self.stream.write_all(&postgres_message(b'T', &column)).await?;
                self.flood(&postgres_message(b'D', &row)).await
            }
        }
    }

    async fn mysql(&mut self, malice: Malice) -> io::Result<()> {
        let plugin: &[u8] =
            if malice == Malice::MysqlClearText { b"mysql_clear_password" } else { b"mysql_native_password" };
        let [a, b, c, d] = MYSQL_CAPABILITIES.to_le_bytes();
        let greeting = [
            b"\x0a8.0.0\0\x01\0\0\0abcdefgh\0",
            &[a, b, 45, 2, 0, c, d, 21][..],
            &[0; 10],
            b"ijklmnopqrst\0",
            plugin,
            b"\0",
        ]
        .concat();
        self.stream.write_all(&mysql_packet(0, &greeting)).await?;
        self.hear_packet().await?;
        match malice {
            Malice::MysqlClearText => return self.hear_out().await,
            Malice::MysqlClearTextLater => {
                self.stream.write_all(&mysql_packet(2, b"\xfemysql_clear_password\0")).await?;
                return self.hear_out().await;
            }
            _ => self.stream.write_all(&mysql_packet(2, &[0, 0, 0, 2, 0, 0, 0])).await?,
        }
        // The session's settings, which return no rows.
        self.hear_packet().await?;
        self.stream.write_all(&mysql_packet(1, &[0, 0, 0, 2, 0, 0, 0])).await?;
        self.hear_packet().await?;
        let definition = [b"\x03def\0\0\0\x01a\0\x0c", &[45, 0, 0, 4, 0, 0, 253, 0, 0, 0, 0, 0][..]].concat();
        self.stream.write_all(&mysql_packet(1, &[1])).await?;
        self.stream.write_all(&mysql_packet(2, &definition)).await?;
        self.flood(&mysql_packet(3, &[&[100_u8][..], &[b'x'; 100]].concat())).await
    }

    async fn hear_packet(&mut self) -> io::Result<()> {
        let header = self.hear(4).await?;
        self.hear(u32::from_le_bytes([header[0], header[1], header[2], 0]) as usize).await.map(|_| ())
    }
}

fn postgres_message(kind: u8, body: &[u8]) -> Vec<u8> {
    [&[kind], &(body.len() as u32 + 4).to_be_bytes()[..], body].concat()
}

fn mysql_packet(number: u8, body: &[u8]) -> Vec<u8> {
    let length = (body.len() as u32).to_le_bytes();
    [&length[..3], &[number], body].concat()
}
