//! How far an address may lead, by whose choice it is.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};
use url::{Host, Url};

use super::address::{self, embedded, is_forbidden};
use super::error::EgressError;

/// How far a request may go. Forbidden addresses are reached with none of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reach {
    /// An operator typed the address: anywhere.
    Typed,
    /// A server supplied it whose base URL was typed with a loopback or private address: anywhere by https, and this
    /// machine's loopback addresses without.
    Nearby,
    /// Another server supplied it: public addresses, by https.
    Public,
}

impl Reach {
    /// For what a server supplies, by the base URL that an operator typed for it. What counts is what was typed: a name
    /// that happens to lead to a private address is its owner's choice.
    #[must_use]
    pub fn of_supplied_by(base_url: &Url) -> Self {
        let is_near = match base_url.host() {
            Some(Host::Ipv4(ip)) => !is_public(ip.into()),
            Some(Host::Ipv6(ip)) => !is_public(ip.into()),
            Some(Host::Domain(name)) => is_localhost(name),
            None => false,
        };
        if is_near { Self::Nearby } else { Self::Public }
    }

    /// Whether an address that was looked up, or stands in a URL, may be asked.
    pub(super) fn check_address(self, host: &str, address: IpAddr) -> Result<(), EgressError> {
        let host = || host.to_owned();
        if is_forbidden(address) {
            return Err(EgressError::ForbiddenAddress { host: host(), address });
        }
        if self == Self::Public && !is_public(address) {
            return Err(EgressError::NotPublic { host: host(), address });
        }
        Ok(())
    }

    /// Parses an address and judges what can be told without a lookup.
    ///
    /// # Errors
    /// Why it is not asked.
    pub fn parse(self, text: &str) -> Result<Url, EgressError> {
        let url = address::parse(text).map_err(|reason| EgressError::Url { reason })?;
        let is_secure = match self {
            Self::Typed => true,
            Self::Nearby => url.scheme() == "https" || is_loopback(&url),
            Self::Public => url.scheme() == "https",
        };
        if !is_secure {
            return Err(EgressError::Insecure { origin: url.origin().ascii_serialization() });
        }
        let literal = match url.host() {
            Some(Host::Ipv4(ip)) => Some(ip.into()),
            Some(Host::Ipv6(ip)) => Some(ip.into()),
            _ => None,
        };
        if let Some(literal) = literal {
            self.check_address(url.host_str().unwrap_or_default(), literal)?;
        }
        Ok(url)
    }
}

fn is_localhost(name: &str) -> bool {
    let name = name.trim_end_matches('.');
    name == "localhost" || name.ends_with(".localhost")
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.to_canonical().is_loopback(),
        Some(Host::Domain(name)) => is_localhost(name),
        None => false,
    }
}

/// Whether an address is anybody's to reach. What it wraps has to be, too.
fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => is_public_v4(ip),
        IpAddr::V6(ip) => {
            let inner = embedded(ip);
            // Outside 2000::/3 nothing is public but what leads to a public IPv4 address.
            let is_global = ip.segments().first().is_some_and(|first| first & 0xe000 == 0x2000) && !is_reserved_v6(ip);
            (is_global || !inner.is_empty()) && inner.into_iter().all(is_public_v4)
        }
    }
}

fn is_reserved_v6(ip: Ipv6Addr) -> bool {
    // documentation; what is left of 2001::/23 after Teredo, which is unwrapped
    matches!(ip.segments(), [0x2001, 0xdb8 | 1..=0x1ff, ..] | [0x3fff, 0..=0x0fff, ..])
}

fn is_public_v4(ip: Ipv4Addr) -> bool {
    let is_special = matches!(
        ip.octets(),
        // "this network"; shared address space; protocol assignments; 6to4 relays; benchmarks; reserved
        [0 | 240..=255, ..] | [100, 64..=127, ..] | [192, 0, 0, _] | [192, 88, 99, _] | [198, 18..=19, ..]
    );
    !is_special
        && !ip.is_private()
        && !ip.is_loopback()
        && !ip.is_link_local()
        && !ip.is_multicast()
        && !ip.is_documentation()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_public_is_known_however_it_is_wrapped() {
        for ip in [
            "127.0.0.1",
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "100.64.0.1",
            "100.127.255.255",
            "169.254.169.254",
            "192.0.0.8",
            "192.0.2.1",
            "192.88.99.1",
            "198.18.0.1",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::127.0.0.1",
            "::ffff:0:127.0.0.1",
            "64:ff9b::7f00:1",
            "64:ff9b:1::10.0.0.1",
            "64:ff9b:1:a00:0:100::",
            "2002:7f00:1::",
            "2002:c0a8:101::1",
            "2001:0:a00:1::1",
            "2001:0:808:808:0:0:80ff:fffe",
            "2001:db8::1",
            "2001:2::1",
            "3fff::1",
            "fc00::1",
            "fd00::1",
            "fe80::1",
            "fec0::1",
            "ff02::1",
            "100::1",
            "4000::1",
        ] {
            assert!(!is_public(ip.parse().unwrap()), "{ip}");
        }
        for ip in [
            "8.8.8.8",
            "172.32.0.1",
            "100.63.255.255",
            "100.128.0.1",
            "198.20.0.1",
            "2606:4700::1111",
            "2a00::1",
            "::ffff:8.8.8.8",
            "64:ff9b::8.8.8.8",
            "2002:808:808::1",
        ] {
            assert!(is_public(ip.parse().unwrap()), "{ip}");
        }
    }

    #[test]
    fn a_server_supplies_near_addresses_only_when_a_near_one_was_typed_for_it() {
        for (base_url, reach) in [
            ("http://127.0.0.1:9000/mcp", Reach::Nearby),
            ("http://0x7f.1/mcp", Reach::Nearby),
            ("http://localhost:9000", Reach::Nearby),
            ("http://mcp.localhost.:9000", Reach::Nearby),
            ("https://[fd00::1]/", Reach::Nearby),
            ("https://10.0.0.7/", Reach::Nearby),
            ("https://mcp.example.com/", Reach::Public),
            ("https://localhost.example.com/", Reach::Public),
            ("https://8.8.8.8/", Reach::Public),
        ] {
            assert_eq!(Reach::of_supplied_by(&Url::parse(base_url).unwrap()), reach, "{base_url}");
        }
    }

    #[test]
    fn a_supplied_address_is_https_unless_it_is_this_machines_own() {
        for (reach, url, kind) in [
            (Reach::Public, "https://as.example.com/token", None),
            (Reach::Public, "http://as.example.com/token", Some("address_insecure")),
            (Reach::Public, "http://localhost/token", Some("address_insecure")),
            (Reach::Public, "https://127.0.0.1/token", Some("address_not_public")),
            (Reach::Public, "https://2130706433/token", Some("address_not_public")),
            (Reach::Public, "https://[::ffff:10.0.0.1]/token", Some("address_not_public")),
            (Reach::Public, "https://①②⑦.0.0.1/token", Some("address_not_public")),
            (Reach::Public, "https://169.254.169.254/token", Some("bad_url")),
            (Reach::Nearby, "http://127.0.0.1:1/token", None),
            (Reach::Nearby, "http://localhost:1/token", None),
            (Reach::Nearby, "http://[::1]:1/token", None),
            (Reach::Nearby, "https://10.0.0.1/token", None),
            (Reach::Nearby, "http://10.0.0.1/token", Some("address_insecure")),
            (Reach::Nearby, "http://as.example.com/token", Some("address_insecure")),
            (Reach::Nearby, "http://169.254.169.254/token", Some("bad_url")),
            (Reach::Typed, "http://10.0.0.1/token", None),
            (Reach::Typed, "http://169.254.169.254/token", Some("bad_url")),
            (Reach::Typed, "javascript:alert(1)", Some("bad_url")),
            (Reach::Public, "https://user:pass@as.example.com/", Some("bad_url")),
            (Reach::Public, "file:///etc/passwd", Some("bad_url")),
        ] {
            assert_eq!(reach.parse(url).err().map(|error| error.kind()), kind, "{reach:?} {url}");
        }
    }
}
