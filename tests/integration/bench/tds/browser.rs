//! A double of SQL Server Browser: it names the port of one instance.

use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};

use tokio::net::UdpSocket;
use tokio_util::task::AbortOnDropHandle;

/// Its port: <https://learn.microsoft.com/en-us/openspecs/windows_protocols/mc-sqlr/>, 1.9.
const PORT: u16 = 1434;
/// A query for one instance, and an answer; 2.2.3 and 2.2.5 there.
const QUESTION: u8 = 4;
const ANSWER: u8 = 5;

/// A double at one address of this machine; dropping it ends it.
#[derive(Debug)]
pub(crate) struct Browser {
    asked: Arc<Mutex<Vec<String>>>,
    _server: AbortOnDropHandle<()>,
}

impl Browser {
    /// Starts it. It answers only for this instance, in upper or lower case.
    pub(crate) async fn start(home: Ipv4Addr, instance: &'static str, port: u16) -> Self {
        let socket = UdpSocket::bind((home, PORT)).await.unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&asked);
        let server = tokio::spawn(async move {
            let mut question = [0; 64];
            while let Ok((length, client)) = socket.recv_from(&mut question).await {
                let [QUESTION, name @ ..] = &question[..length] else { continue };
                let name = String::from_utf8_lossy(name).trim_end_matches('\0').to_owned();
                heard.lock().unwrap().push(name.clone());
                if name.eq_ignore_ascii_case(instance) {
                    let _ = socket.send_to(&answer(instance, port), client).await;
                }
            }
        });
        Self { asked, _server: AbortOnDropHandle::new(server) }
    }

    /// The requested instances, in order.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

fn answer(instance: &str, port: u16) -> Vec<u8> {
    let text = format!("ServerName;DB;InstanceName;{instance};IsClustered;No;Version;16.0.1000.6;tcp;{port};;");
    let length = u16::try_from(text.len()).unwrap().to_le_bytes();
    [&[ANSWER], length.as_slice(), text.as_bytes()].concat()
}
