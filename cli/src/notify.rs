//! What a role tells the service manager that started it: systemd's protocol
//! of datagrams to the socket in `NOTIFY_SOCKET` (see `sd_notify(3)`).
//!
//! Without that variable nobody wants to know, and nothing is sent. A manager
//! that cannot be told is a warning, never the end of a role.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

use tracing::warn;

/// Names the socket of the service manager.
const SOCKET: &str = "NOTIFY_SOCKET";

/// The role serves; `status` says where, in one line.
pub(crate) fn ready(status: &str) {
    tell("READY=1", status);
}

/// The role finishes what is under way; `status` says so, in one line.
pub(crate) fn stopping(status: &str) {
    tell("STOPPING=1", status);
}

fn tell(state: &str, status: &str) {
    let Some(socket) = std::env::var_os(SOCKET).filter(|socket| !socket.is_empty()) else {
        return;
    };
    // A line break would begin another assignment.
    let status = status.replace(['\n', '\r'], " ");
    if let Err(error) = send(&socket, &format!("{state}\nSTATUS={status}\n")) {
        warn!(socket = %socket.display(), %error, "the service manager cannot be told");
    }
}

/// Sends one datagram, and never waits: a full socket is an error.
///
/// # Errors
/// The name makes no sense, or what the system says.
fn send(socket: &OsStr, message: &str) -> io::Result<()> {
    let sender = UnixDatagram::unbound()?;
    sender.set_nonblocking(true)?;
    sender
        .send_to_addr(message.as_bytes(), &address(socket)?)
        .map(drop)
}

/// A path, or after an `@` a name outside the file system.
fn address(socket: &OsStr) -> io::Result<SocketAddr> {
    match socket.as_bytes() {
        [b'/', ..] => SocketAddr::from_pathname(socket),
        #[cfg(target_os = "linux")]
        [b'@', name @ ..] => {
            <SocketAddr as std::os::linux::net::SocketAddrExt>::from_abstract_name(name)
        }
        _ => Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("{SOCKET} must begin with / or @"),
        )),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn received(manager: &UnixDatagram) -> String {
        manager
            .set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();
        let mut buffer = [0; 256];
        let length = manager.recv(&mut buffer).unwrap();
        String::from_utf8(buffer[..length].to_vec()).unwrap()
    }

    #[test]
    fn a_socket_may_be_a_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("notify");
        let manager = UnixDatagram::bind(&path).unwrap();
        send(path.as_os_str(), "READY=1\n").unwrap();
        assert_eq!(received(&manager), "READY=1\n");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_socket_may_be_outside_the_file_system() {
        let name = format!("@evenkeel-notify-{}", std::process::id());
        let manager = UnixDatagram::bind_addr(&address(OsStr::new(&name)).unwrap()).unwrap();
        send(OsStr::new(&name), "STOPPING=1\n").unwrap();
        assert_eq!(received(&manager), "STOPPING=1\n");
    }

    #[test]
    fn a_name_that_makes_no_sense_and_a_manager_that_is_gone_are_errors() {
        for socket in ["notify", "vsock:2:1234", "/nowhere/to/be/found"] {
            assert!(send(OsStr::new(socket), "READY=1\n").is_err(), "{socket}");
        }
    }
}
