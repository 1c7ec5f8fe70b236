//! Ends a call of a blocking client that hangs on its connection. It shuts down the connection's socket from outside,
//! so that the waiting read or write returns. `call_thread` uses it for a call that was given up.
//!
//! Neither client has a limit for every wait: the client in Rust waits forever for a server that sends nothing at the
//! login or when it closes. Neither gives access to its socket. Linux shows which system call a thread is in, and the
//! socket is its first argument.

use std::fs;
use std::io::{self, Read};
use std::os::fd::RawFd;

use nix::libc;
use nix::sys::socket::{AddressFamily, Shutdown, SockaddrLike, SockaddrStorage, getsockname, shutdown};

/// System calls that wait on a socket, which is their first argument.
const ON_A_SOCKET: [libc::c_long; 9] = [
    libc::SYS_read,
    libc::SYS_readv,
    libc::SYS_recvfrom,
    libc::SYS_recvmsg,
    libc::SYS_write,
    libc::SYS_writev,
    libc::SYS_sendto,
    libc::SYS_sendmsg,
    libc::SYS_connect,
];

/// The line in Linux is shorter than this.
const LONGEST_LINE: u64 = 512;

/// Shuts down the socket that a thread of this process waits on. Returns whether there was one. A thread that runs, or
/// waits for something else, is not affected.
pub(super) fn end(thread: i32) -> bool {
    let Some(descriptor) = waits_on(thread) else { return false };
    let is_network = getsockname::<SockaddrStorage>(descriptor)
        .is_ok_and(|own| matches!(own.family(), Some(AddressFamily::Inet | AddressFamily::Inet6)));
    // Meanwhile the thread may have closed the descriptor, and its number may belong to another connection.
    is_network && waits_on(thread) == Some(descriptor) && shutdown(descriptor, Shutdown::Both).is_ok()
}

/// The descriptor that a thread waits on in one of the calls [`ON_A_SOCKET`].
fn waits_on(thread: i32) -> Option<RawFd> {
    let line = read_line(thread).ok()?;
    let mut words = line.split_whitespace();
    // The line is "running" for a thread that is not waiting.
    let call: libc::c_long = words.next()?.parse().ok()?;
    if !ON_A_SOCKET.contains(&call) {
        return None;
    }
    RawFd::from_str_radix(words.next()?.strip_prefix("0x")?, 16).ok()
}

fn read_line(thread: i32) -> io::Result<String> {
    let mut line = String::new();
    // /proc is not on a disk or a network, so reading it cannot block.
    fs::File::open(format!("/proc/self/task/{thread}/syscall"))?.take(LONGEST_LINE).read_to_string(&mut line)?;
    Ok(line)
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};
    use std::os::unix::net::UnixStream;
    use std::sync::mpsc;
    use std::thread;
    use std::time::Duration;

    use super::*;

    /// Ends the thread's wait as soon as it begins.
    fn end_soon(thread: i32) {
        for _ in 0..500 {
            if end(thread) {
                return;
            }
            thread::sleep(Duration::from_millis(10));
        }
        panic!("the thread waits on no socket");
    }

    #[test]
    fn a_thread_that_reads_from_a_silent_server_is_freed_and_another_thread_goes_on() {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let (number, numbers) = mpsc::channel();
        let mut readers = Vec::new();
        for _ in 0..2 {
            let (mut client, number) = (TcpStream::connect(server.local_addr().unwrap()).unwrap(), number.clone());
            readers.push(thread::spawn(move || {
                number.send(nix::unistd::gettid().as_raw()).unwrap();
                client.read(&mut [0; 1]).unwrap()
            }));
            let hung = numbers.recv().unwrap();
            if readers.len() == 1 {
                end_soon(hung);
            }
        }
        let neighbour = readers.pop().unwrap();
        assert_eq!(readers.pop().unwrap().join().unwrap(), 0);
        let _first = server.accept().unwrap();
        let (mut second, _) = server.accept().unwrap();
        io::Write::write_all(&mut second, b"x").unwrap();
        assert_eq!(neighbour.join().unwrap(), 1);
    }

    #[test]
    fn a_thread_that_waits_on_no_network_connection_is_left_alone() {
        let (mut ours, theirs) = UnixStream::pair().unwrap();
        let (number, numbers) = mpsc::channel();
        let reader = thread::spawn(move || {
            number.send(nix::unistd::gettid().as_raw()).unwrap();
            ours.read(&mut [0; 1]).unwrap()
        });
        let thread = numbers.recv().unwrap();
        for _ in 0..20 {
            assert!(!end(thread));
            thread::sleep(Duration::from_millis(5));
        }
        drop(theirs);
        assert_eq!(reader.join().unwrap(), 0);
        assert!(!end(thread));
    }
}
