//! The end-to-end suite: real processes, real sockets, real clients.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a panic is how a test fails, and a test says what it measured"
)]

mod architecture;
mod config_push;
mod containers;
mod convergence;
mod crash;
mod deploy;
mod faults;
mod main_job;
mod release;
mod secure;
mod status;
mod telemetry;
mod tour;

use evenkeel_tests::backend::{Backend, Mode};
use evenkeel_tests::config;
use evenkeel_tests::process::{ControlPlane, Proxy, eventually};

/// Patience with anything that should happen soon.
const SOON: std::time::Duration = std::time::Duration::from_secs(20);

/// One control plane, one proxy, and two backends behind `shop.test`.
struct Small {
    control_plane: ControlPlane,
    proxy: Proxy,
    backends: [Backend; 2],
    directory: tempfile::TempDir,
}

impl Small {
    /// Starts all of it and waits until requests get through.
    async fn start(modes: [Mode; 2]) -> anyhow::Result<Self> {
        let directory = tempfile::tempdir()?;
        let control_plane = ControlPlane::start(directory.path()).await?;
        let proxy = Proxy::start("p1", control_plane.xds, directory.path()).await?;
        let backends = [
            Backend::start("a", modes[0]).await?,
            Backend::start("b", modes[1]).await?,
        ];
        let small = Self {
            control_plane,
            proxy,
            backends,
            directory,
        };
        small
            .control_plane
            .apply(&small.shop([1, 1]), &["--wait"])
            .await?;
        small.listening().await?;
        Ok(small)
    }

    /// The configuration, with the given weights.
    fn shop(&self, weights: [u32; 2]) -> String {
        [
            config::proxy_listener("p1", self.proxy.listener),
            config::route("shop", &["p1"], "shop.test", "shop"),
            config::cluster(
                "shop",
                &[
                    (self.backends[0].address, weights[0]),
                    (self.backends[1].address, weights[1]),
                ],
            ),
        ]
        .concat()
    }

    /// Waits until the proxy's listener accepts connections.
    async fn listening(&self) -> anyhow::Result<()> {
        eventually(SOON, || async {
            tokio::net::TcpStream::connect(self.proxy.listener).await?;
            Ok(())
        })
        .await
    }
}
