//! A request as far as it matters to those who decide about it.

use std::net::{IpAddr, Ipv4Addr};

use evenkeel_data_plane::head::Head;

/// What a client asks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked {
    /// Whether it may be executed twice.
    pub(super) is_safe: bool,
    /// Which client it comes from.
    pub(super) client: u16,
}

impl Asked {
    /// Where it comes from.
    pub(super) fn address(self) -> IpAddr {
        let [high, low] = self.client.to_be_bytes();
        IpAddr::V4(Ipv4Addr::new(10, 0, high, low))
    }

    /// As policy sees it. Every header field tells the clients apart.
    pub(super) fn head(self) -> AskedHead {
        AskedHead {
            method: if self.is_safe { "GET" } else { "POST" },
            value: self.client.to_string(),
        }
    }
}

/// The head of a request.
#[derive(Debug)]
pub(super) struct AskedHead {
    method: &'static str,
    value: String,
}

impl Head for AskedHead {
    fn method(&self) -> &str {
        self.method
    }

    fn authority(&self) -> &'static str {
        "sim"
    }

    fn target(&self) -> &'static str {
        "/"
    }

    fn each_value(&self, _: &str, each: &mut dyn FnMut(&[u8])) {
        each(self.value.as_bytes());
    }

    fn first_value(&self, _: &str) -> Option<&[u8]> {
        Some(self.value.as_bytes())
    }
}
