//! From where a request comes, also behind proxies.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use axum::{
    extract::ConnectInfo,
    http::{Extensions, HeaderMap},
};

/// The address of who sent a request.
///
/// Every proxy appends whom it heard from to `X-Forwarded-For`; of its entries the last `hops` were
/// written by proxies of ours, and the first of those is the client. Whatever stands before it the
/// client may have written. A chain that is too short did not come through all proxies, and is not
/// believed.
pub fn client(headers: &HeaderMap, extensions: &Extensions, hops: usize) -> Option<IpAddr> {
    let peer = extensions.get::<ConnectInfo<SocketAddr>>().map(|peer| plain(peer.0.ip()));
    if hops == 0 {
        return peer;
    }
    let values = headers.get_all("x-forwarded-for").iter();
    // A client may write what is no text into a line that our proxy appends to.
    let values: Vec<_> =
        values.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()).collect();
    let entries: Vec<&str> =
        values.iter().flat_map(|value| value.split(',')).map(str::trim).collect();
    let entry = entries.len().checked_sub(hops).and_then(|at| entries.get(at));
    entry.and_then(|entry| parse(entry)).or(peer)
}

/// What of an address tells one caller from another: all of IPv4, and of IPv6 the network, since
/// every host has as many addresses there as it likes.
pub fn subject(address: Option<IpAddr>) -> String {
    match address {
        None => "local".to_owned(),
        Some(IpAddr::V4(address)) => address.to_string(),
        Some(IpAddr::V6(address)) => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).to_string()
        }
    }
}

/// An entry with or without a port.
fn parse(entry: &str) -> Option<IpAddr> {
    let bare = entry.trim_start_matches('[').split(']').next().unwrap_or_default();
    let address = bare.parse().ok().or_else(|| Some(entry.parse::<SocketAddr>().ok()?.ip()));
    address.map(plain)
}

fn plain(address: IpAddr) -> IpAddr {
    address.to_canonical()
}

#[cfg(test)]
mod tests {
    use axum::{
        extract::ConnectInfo,
        http::{Extensions, HeaderMap, HeaderValue},
    };

    use super::{client, subject};

    #[test]
    fn only_what_our_proxies_wrote_is_believed() {
        let peer: std::net::SocketAddr = "10.0.0.9:4711".parse().unwrap();
        let mut extensions = Extensions::new();
        extensions.insert(ConnectInfo(peer));
        let said = |values: &[&str], hops| {
            let mut headers = HeaderMap::new();
            for value in values {
                let bytes =
                    value.replace('?', "\u{ff}").chars().map(|c| c as u8).collect::<Vec<_>>();
                headers.append("x-forwarded-for", HeaderValue::from_bytes(&bytes).unwrap());
            }
            client(&headers, &extensions, hops).unwrap().to_string()
        };
        assert_eq!(said(&["6.6.6.6"], 0), "10.0.0.9");
        assert_eq!(said(&["6.6.6.6, 203.0.113.7"], 1), "203.0.113.7");
        assert_eq!(said(&["6.6.6.6", "203.0.113.7, 10.0.0.1"], 2), "203.0.113.7");
        assert_eq!(said(&["203.0.113.7"], 2), "10.0.0.9", "not by way of both proxies");
        assert_eq!(said(&["nonsense"], 1), "10.0.0.9");
        assert_eq!(said(&["?, 203.0.113.7"], 1), "203.0.113.7", "a byte that is no text");
        assert_eq!(said(&["[2001:db8::1]:443"], 1), "2001:db8::1");
        assert_eq!(said(&["203.0.113.7:1234"], 1), "203.0.113.7");
        assert_eq!(said(&["::ffff:203.0.113.7"], 1), "203.0.113.7");
    }

    #[test]
    fn one_network_is_one_caller() {
        let of = |text: &str| subject(Some(text.parse().unwrap()));
        assert_eq!(of("2001:db8:1:2:3::4"), of("2001:db8:1:2:ffff::1"));
        assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
    }
}
