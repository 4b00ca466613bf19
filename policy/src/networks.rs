//! Sets of IP networks in CIDR form: where a key may be used from, and whom to believe about who the client is.

use std::net::IpAddr;
use std::str::FromStr;

/// A list of networks; empty by default, which contains nobody.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Networks {
    list: Vec<Network>,
}

/// One network, kept as IPv6 (IPv4 as its mapped form).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Network {
    address: u128,
    mask: u128,
}

impl Networks {
    /// Reads `10.0.0.0/8`, `fd00::/8`, `192.0.2.1`.
    ///
    /// # Errors
    /// What is wrong with the first bad one.
    pub fn parse<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<Networks, String> {
        let list = texts.into_iter().map(str::parse).collect::<Result<_, String>>()?;
        Ok(Networks { list })
    }

    pub fn contains(&self, address: IpAddr) -> bool {
        let bits = bits(address);
        self.list.iter().any(|network| bits & network.mask == network.address)
    }

    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Network, String> {
        let wrong = || format!("{text:?} is no network; write it like 10.0.0.0/8 or fd00::/8");
        let (address, prefix) = match text.trim().split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text.trim(), None),
        };
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let whole = if address.is_ipv4() { 32 } else { 128 };
        let prefix = prefix.map_or(Ok(whole), str::parse::<u32>).map_err(|_| wrong())?;
        if prefix > whole {
            return Err(wrong());
        }
        let host_bits = whole - prefix;
        let mask = if host_bits == 128 { 0 } else { u128::MAX << host_bits };
        Ok(Network { address: bits(address) & mask, mask })
    }
}

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().to_bits(),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_contain_what_they_say() {
        let networks = Networks::parse(["10.0.0.0/8", "192.0.2.7", "fd00::/8"]).unwrap();
        for (address, inside) in [
            ("10.255.0.1", true),
            ("11.0.0.1", false),
            ("192.0.2.7", true),
            ("192.0.2.8", false),
            ("::ffff:10.1.2.3", true),
            ("fd12::1", true),
            ("fe80::1", false),
        ] {
            assert_eq!(networks.contains(address.parse().unwrap()), inside, "{address}");
        }
        assert!(!Networks::default().contains("127.0.0.1".parse().unwrap()));
        assert!(Networks::parse(["0.0.0.0/0"]).unwrap().contains("8.8.8.8".parse().unwrap()));
        assert!(!Networks::parse(["0.0.0.0/0"]).unwrap().contains("2001:db8::1".parse().unwrap()));
        for wrong in ["10.0.0.0/33", "ten", "10.0.0.0/-1", "::1/129", ""] {
            assert!(Networks::parse([wrong]).is_err(), "{wrong}");
        }
    }
}
