//! The roles under a service manager: it is told when they serve, and when they
//! begin to end.
#![expect(clippy::unwrap_used, reason = "a test ends where it cannot go on")]

use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

/// A role, and the manager that started it.
struct Service {
    child: Child,
    manager: UnixDatagram,
}

impl Service {
    fn start(directory: &Path, line: &str) -> Self {
        let socket = directory.join("notify");
        let manager = UnixDatagram::bind(&socket).unwrap();
        let patience = Some(Duration::from_secs(30));
        manager.set_read_timeout(patience).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_evenkeel"))
            .args(line.split_whitespace())
            .current_dir(directory)
            .env_clear()
            .env("NOTIFY_SOCKET", &socket)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self { child, manager }
    }

    fn told(&self) -> String {
        let mut buffer = [0; 1024];
        let length = self.manager.recv(&mut buffer).unwrap();
        String::from_utf8(buffer[..length].to_vec()).unwrap()
    }

    fn terminate(&self) {
        let id = self.child.id().to_string();
        let killed = Command::new("kill").args(["-TERM", &id]).status().unwrap();
        assert!(killed.success());
    }

    fn end(&mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
    }
}

#[test]
fn a_control_plane_tells_that_it_serves_and_that_it_stops() {
    let directory = tempfile::tempdir().unwrap();
    let mut service = Service::start(
        directory.path(),
        "control-plane --data-dir data --xds-listen 127.0.0.1:0 --api-listen 127.0.0.1:0 \
         --admin-listen 127.0.0.1:0",
    );
    let told = service.told();
    assert!(told.starts_with("READY=1\nSTATUS=xds 127.0.0.1:"), "{told}");
    service.terminate();
    let told = service.told();
    assert!(told.starts_with("STOPPING=1\nSTATUS="), "{told}");
    assert_eq!(service.end().code(), Some(0));
}

#[test]
fn a_proxy_is_up_before_there_is_a_control_plane() {
    let directory = tempfile::tempdir().unwrap();
    let mut service = Service::start(
        directory.path(),
        "proxy --no-state --workers 1 --admin-listen 127.0.0.1:0 \
         --control-plane http://127.0.0.1:1",
    );
    let told = service.told();
    assert!(
        told.starts_with("READY=1\nSTATUS=admin 127.0.0.1:"),
        "{told}"
    );
    service.terminate();
    assert!(service.told().starts_with("STOPPING=1\n"));
    assert_eq!(service.end().code(), Some(0));
}
