//! Which addresses may be asked at all, and the one reading of an address.
//!
//! An operator who types the address of a server may mean a machine next door or this one. Never meant are link-local addresses and those where a cloud answers questions about its machines: what is behind them hands out
//! credentials to whoever asks.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use url::{Host, ParseError, Url};

/// Longest base URL.
const BYTES_MAX: usize = 2048;
const NOT_HTTP: &str = "an address that begins with http:// or https:// is expected";
/// Where clouds answer questions about the machine.
const METADATA_V4: Ipv4Addr = Ipv4Addr::new(100, 100, 100, 200);
const METADATA_V6: [Ipv6Addr; 2] = [
    Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254), // AWS
    Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254),  // Google
];
const METADATA_NAMES: [&str; 3] = ["metadata.google.internal", "metadata.goog", "instance-data.ec2.internal"];

/// Parses a base URL as it was typed; the only reading of one, so that what is judged is what is reached.
///
/// # Errors
/// Why it can't be the address of a server. The reason does not repeat it: it may hold a password.
pub fn parse(base_url: &str) -> Result<Url, String> {
    if base_url.len() > BYTES_MAX {
        return Err(format!("it is longer than {BYTES_MAX} bytes"));
    }
    // The parser would mend these; others that read the same text might not, and be led elsewhere.
    if base_url.contains(|char: char| char.is_whitespace() || char.is_control() || char == '\\') {
        return Err("it holds spaces, control characters or backslashes".into());
    }
    let url = match Url::parse(base_url) {
        Err(ParseError::RelativeUrlWithoutBase) => return Err(NOT_HTTP.into()),
        Err(error) => return Err(format!("it can't be read as a URL: {error}")),
        Ok(url) => url,
    };
    if !matches!(url.scheme(), "http" | "https") {
        return Err(NOT_HTTP.into());
    }
    if !base_url.get(url.scheme().len()..).is_some_and(|rest| rest.starts_with("://")) {
        return Err(format!("two slashes are expected after {}:", url.scheme()));
    }
    if !url.username().is_empty() || url.password().is_some() || authority(base_url).contains('@') {
        return Err("it can't hold a user or password; give a token or headers under auth".into());
    }
    if url.fragment().is_some() {
        return Err("it can't hold a fragment, which is never sent; leave out the # and what follows".into());
    }
    let is_forbidden = match url.host() {
        None => return Err("it has no host".into()),
        Some(Host::Domain(name)) => METADATA_NAMES.contains(&name.trim_end_matches('.')),
        Some(Host::Ipv4(ip)) => is_forbidden(ip.into()),
        Some(Host::Ipv6(ip)) => is_forbidden(ip.into()),
    };
    if is_forbidden {
        return Err("link-local addresses and those of cloud metadata services are never reached".into());
    }
    Ok(url)
}

/// What stands between the scheme and the path.
fn authority(base_url: &str) -> &str {
    let after = base_url.split_once("://").map_or("", |(_, after)| after);
    after.split(['/', '?', '#']).next().unwrap_or_default()
}

/// Scheme, host and port, in one spelling; none for what is not a URL.
pub fn origin(base_url: &str) -> Option<String> {
    Url::parse(base_url).ok().map(|url| url.origin().ascii_serialization())
}

/// Whether two addresses have a host in common, whatever the port.
#[must_use]
pub fn has_same_host(one: &str, other: &str) -> bool {
    let host = |url: &str| Url::parse(url).ok()?.host_str().map(str::to_owned);
    host(one).is_some_and(|found| host(other) == Some(found))
}

/// Whether a base URL leads to a gateway that listens on `own` and is known as `public_url`. Names other than `localhost`
/// are not looked up.
pub fn is_own(base_url: &str, own: SocketAddr, public_url: &str) -> bool {
    let Ok(url) = Url::parse(base_url) else { return false };
    let place =
        |url: &Url| url.host_str().map(|host| (host.trim_end_matches('.').to_owned(), url.port_or_known_default()));
    if Url::parse(public_url).is_ok_and(|public| place(&public) == place(&url)) {
        return true;
    }
    let is_here = match url.host() {
        None => false,
        Some(Host::Domain(name)) => {
            let name = name.trim_end_matches('.');
            (name == "localhost" || name.ends_with(".localhost")) && is_of_this_machine(own.ip())
        }
        Some(Host::Ipv4(ip)) => leads_here(ip.into(), own.ip()),
        Some(Host::Ipv6(ip)) => leads_here(ip.to_canonical(), own.ip()),
    };
    is_here && url.port_or_known_default() == Some(own.port())
}

fn leads_here(ip: IpAddr, own: IpAddr) -> bool {
    ip == own || (is_of_this_machine(ip) && own.is_unspecified()) || (ip.is_unspecified() && is_of_this_machine(own))
}

fn is_of_this_machine(ip: IpAddr) -> bool {
    ip.is_loopback() || ip.is_unspecified()
}

/// Whether an address is never reached, whoever typed it or a name that leads to it. Addresses that are wrapped in others
/// are unwrapped.
pub(super) fn is_forbidden(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => is_forbidden_v4(ip),
        IpAddr::V6(ip) => {
            ip.is_unicast_link_local() || METADATA_V6.contains(&ip) || embedded(ip).into_iter().any(is_forbidden_v4)
        }
    }
}

fn is_forbidden_v4(ip: Ipv4Addr) -> bool {
    ip.is_link_local() || ip == METADATA_V4
}

/// The IPv4 addresses that an IPv6 address may lead to.
pub(super) fn embedded(ip: Ipv6Addr) -> Vec<Ipv4Addr> {
    let [_, _, o2, o3, o4, o5, o6, o7, _, o9, o10, _, o12, o13, o14, o15] = ip.octets();
    let last = Ipv4Addr::new(o12, o13, o14, o15);
    match ip.segments() {
        // mapped, translated and compatible addresses; NAT64
        [0, 0, 0, 0, 0, 0xffff | 0, ..] | [0, 0, 0, 0, 0xffff, 0, ..] | [0x64, 0xff9b, 0, 0, 0, 0, ..] => vec![last],
        // NAT64 of a site, with a prefix of 48 or of 96 bits
        [0x64, 0xff9b, 1, ..] => vec![last, Ipv4Addr::new(o6, o7, o9, o10)],
        // 6to4
        [0x2002, ..] => vec![Ipv4Addr::new(o2, o3, o4, o5)],
        // Teredo: its server, and the client with all bits turned
        [0x2001, 0, ..] => vec![Ipv4Addr::new(o4, o5, o6, o7), Ipv4Addr::new(!o12, !o13, !o14, !o15)],
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_hand_out_credentials_are_forbidden_however_they_are_wrapped() {
        for ip in [
            "169.254.0.1",
            "169.254.169.254",
            "100.100.100.200",
            "fe80::1",
            "febf:ffff::1",
            "fd00:ec2::254",
            "fd20:ce::254",
            "::ffff:169.254.169.254",
            "::ffff:0:169.254.169.254",
            "::169.254.169.254",
            "64:ff9b::169.254.169.254",
            "64:ff9b:1::100.100.100.200",
            "64:ff9b:1:a9fe:a9:fe00::",
            "2002:a9fe:a9fe::1",
            "2001:0:a9fe:a9fe::1",
            "2001:0:1:1:0:0:5601:5601",
        ] {
            assert!(is_forbidden(ip.parse().unwrap()), "{ip}");
        }
        for ip in [
            "127.0.0.1",
            "10.0.0.1",
            "192.168.1.1",
            "100.100.100.201",
            "169.253.1.1",
            "8.8.8.8",
            "::1",
            "fd00::1",
            "fec0::1",
            "2606:4700::1111",
            "::ffff:127.0.0.1",
            "2002:7f00:1::",
            "2001:db8::a9fe:a9fe",
        ] {
            assert!(!is_forbidden(ip.parse().unwrap()), "{ip}");
        }
    }

    #[test]
    fn a_base_url_is_kept_from_metadata_in_every_spelling() {
        for url in [
            "http://169.254.169.254/latest",
            "http://0xa9fea9fe/",
            "http://2852039166/",
            "http://0251.0376.0251.0376",
            "http://169.254.43518/",
            "http://①⑥⑨.254.169.254/",
            "https://[::ffff:169.254.169.254]/",
            "https://[fe80::1]:8443/mcp",
            "http://metadata.google.internal/",
            "http://METADATA.google.internal./",
            "http://100.100.100.200",
        ] {
            assert!(parse(url).unwrap_err().contains("never reached"), "{url}");
        }
    }

    #[test]
    fn what_is_no_address_of_a_server_is_refused_without_being_repeated() {
        for url in [
            "",
            "s3cret",
            "/mcp",
            "ftp://s3cret.example",
            "javascript:s3cret",
            "https://",
            "https:///",
            "http:s3cret.example",
            "https://user:s3cret@example.com/",
            "https://s3cret@example.com/",
            "https://@s3cret.example/",
            "https://example.com/#s3cret",
            "https://example.com/#",
            "https://exa mple.com/s3cret",
            "https://example.com/s3cret\n",
            " https://example.com/s3cret",
            "https://example.com\\@s3cret.example/",
            "https://example.com:99999/s3cret",
            "http://[::1/s3cret",
            &format!("https://example.com/{}", "s3cret".repeat(400)),
        ] {
            let reason = parse(url).unwrap_err();
            assert!(!reason.contains("s3cret"), "{url}: {reason}");
        }
    }

    #[test]
    fn servers_of_this_machine_and_the_next_are_reached() {
        for url in [
            "http://127.0.0.1:9000/mcp",
            "http://localhost",
            "http://[::1]:1/",
            "http://10.1.2.3/x?y=z",
            "https://bücher.example/mcp",
            "HTTPS://EXAMPLE.com/@home",
        ] {
            assert!(parse(url).is_ok(), "{url}");
        }
    }

    #[test]
    fn the_gateway_is_known_in_every_spelling_of_its_address() {
        let own: SocketAddr = "127.0.0.1:8080".parse().unwrap();
        for url in [
            "http://127.0.0.1:8080/mcp/x",
            "http://0x7f.1:8080/",
            "http://2130706433:8080/",
            "http://localhost:8080/mcp",
            "http://LOCALHOST.:8080",
            "http://a.localhost:8080",
            "http://0.0.0.0:8080",
            "http://[::ffff:127.0.0.1]:8080",
            "https://gate.example.com/mcp/x",
            "http://gate.example.com.:443",
        ] {
            assert!(is_own(url, own, "https://gate.example.com"), "{url}");
        }
        for url in ["http://127.0.0.1:8081", "http://127.0.0.2:8080", "http://10.0.0.1:8080", "http://gate.example.com"]
        {
            assert!(!is_own(url, own, "https://gate.example.com"), "{url}");
        }
        assert!(is_own("http://[::1]:80", "[::]:80".parse().unwrap(), ""));
    }

    #[test]
    fn an_origin_has_one_spelling() {
        for url in ["https://example.com", "HTTPS://Example.COM:443/mcp?x#y", "https://u:p@example.com/a"] {
            assert_eq!(origin(url).as_deref(), Some("https://example.com"), "{url}");
        }
        assert_eq!(origin("http://0x7f.1:80/").as_deref(), Some("http://127.0.0.1"));
        assert_eq!(origin("no url"), None);
    }
}
