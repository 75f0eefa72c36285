//! What a control plane is told when it starts.

use std::net::SocketAddr;
use std::path::PathBuf;

/// Settings of the control plane, from the command line or the environment.
#[derive(Debug, Clone, clap::Args)]
pub struct ControlPlaneArgs {
    /// Directory of the configuration store; made if it is not there. One
    /// control plane at a time.
    #[arg(
        long,
        env = "EVENKEEL_DATA_DIR",
        value_name = "DIR",
        default_value = "./evenkeel-data"
    )]
    pub data_dir: PathBuf,

    /// Where proxies connect (xDS over gRPC).
    #[arg(
        long,
        env = "EVENKEEL_XDS_LISTEN",
        value_name = "ADDRESS",
        default_value = "127.0.0.1:18000"
    )]
    pub xds_listen: SocketAddr,

    /// Where the command line connects (management API over gRPC).
    #[arg(
        long,
        env = "EVENKEEL_API_LISTEN",
        value_name = "ADDRESS",
        default_value = "127.0.0.1:18001"
    )]
    pub api_listen: SocketAddr,

    /// Where /livez, /readyz and /metrics are served (HTTP).
    #[arg(
        long,
        env = "EVENKEEL_ADMIN_LISTEN",
        value_name = "ADDRESS",
        default_value = "127.0.0.1:18080"
    )]
    pub admin_listen: SocketAddr,

    /// Name of this control plane, which proxies and `status` show.
    #[arg(
        long,
        env = "EVENKEEL_CONTROL_PLANE_ID",
        value_name = "ID",
        default_value = "control-plane"
    )]
    pub id: String,
}
