//! Which addresses and ports an app's `fetch` may connect to. Pure.
//!
//! Only public unicast addresses by default. An address that carries an IPv4 address inside (IPv4-mapped, NAT64, 6to4,
//! Teredo) is judged by both. The operator can allow networks; nothing else widens the policy.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// Why an address is not reachable for apps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The host itself: loopback, unspecified, "this network" (RFC 1122 §3.2.1.3).
    Local,
    /// One link only, the metadata services of clouds among them (RFC 3927, RFC 4291 §2.5.6).
    LinkLocal,
    /// Private networks, shared address space, unique local addresses (RFC 1918, RFC 6598, RFC 4193).
    Private,
    /// Multicast and broadcast (RFC 5771, RFC 4291 §2.7).
    Multicast,
    /// Set aside for documentation, benchmarks, protocols or the future (RFC 6890).
    Reserved,
}

impl Refusal {
    /// A stable word for logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::LinkLocal => "link-local",
            Self::Private => "private",
            Self::Multicast => "multicast",
            Self::Reserved => "reserved",
        }
    }
}

const fn v4(a: u8, b: u8, c: u8, d: u8, prefix: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), prefix)
}

/// The IANA special-purpose registry for IPv4, multicast and broadcast.
const V4: [(Ipv4Net, Refusal); 17] = [
    (v4(0, 0, 0, 0, 8), Refusal::Local),
    (v4(10, 0, 0, 0, 8), Refusal::Private),
    (v4(100, 64, 0, 0, 10), Refusal::Private),
    (v4(127, 0, 0, 0, 8), Refusal::Local),
    (v4(169, 254, 0, 0, 16), Refusal::LinkLocal),
    (v4(172, 16, 0, 0, 12), Refusal::Private),
    (v4(192, 0, 0, 0, 24), Refusal::Reserved),
    (v4(192, 0, 2, 0, 24), Refusal::Reserved),
    (v4(192, 31, 196, 0, 24), Refusal::Reserved),
    (v4(192, 52, 193, 0, 24), Refusal::Reserved),
    (v4(192, 88, 99, 0, 24), Refusal::Reserved),
    (v4(192, 168, 0, 0, 16), Refusal::Private),
    (v4(198, 18, 0, 0, 15), Refusal::Reserved),
    (v4(198, 51, 100, 0, 24), Refusal::Reserved),
    (v4(203, 0, 113, 0, 24), Refusal::Reserved),
    (v4(224, 0, 0, 0, 4), Refusal::Multicast),
    (v4(240, 0, 0, 0, 4), Refusal::Reserved),
];

const fn v6(a: u16, b: u16, c: u16, d: u16, prefix: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0), prefix)
}

/// What of global unicast space (2000::/3) is set aside.
const V6: [(Ipv6Net, Refusal); 3] = [
    (v6(0x2001, 0, 0, 0, 23), Refusal::Reserved),
    (v6(0x2001, 0xdb8, 0, 0, 32), Refusal::Reserved),
    (v6(0x3fff, 0, 0, 0, 20), Refusal::Reserved),
];

/// Ports that `fetch` never connects to (the bad ports of the Fetch standard, §2.9).
const BAD_PORTS: [u16; 82] = [
    0, 1, 7, 9, 11, 13, 15, 17, 19, 20, 21, 22, 23, 25, 37, 42, 43, 53, 69, 77, 79, 87, 95, 101, 102, 103, 104, 109,
    110, 111, 113, 115, 117, 119, 123, 135, 137, 139, 143, 161, 179, 389, 427, 465, 512, 513, 514, 515, 526, 530, 531,
    532, 540, 548, 554, 556, 563, 587, 601, 636, 989, 990, 993, 995, 1719, 1720, 1723, 2049, 3659, 4045, 5060, 5061,
    6000, 6566, 6665, 6666, 6667, 6668, 6669, 6679, 6697, 10080,
];

/// What apps may reach.
#[derive(Clone, Debug, Default)]
pub struct AddressPolicy {
    allow: Vec<IpNet>,
    everything: bool,
}

impl AddressPolicy {
    /// Public addresses, and those of the networks in `allow`.
    pub fn new(allow: Vec<IpNet>) -> Self {
        Self { allow, everything: false }
    }

    /// Every address: for the node's own connections, never for an app's.
    pub fn everything() -> Self {
        Self { allow: Vec::new(), everything: true }
    }

    /// Whether a connection to `address` may be opened.
    pub fn check(&self, address: IpAddr) -> Result<(), Refusal> {
        if self.everything || self.allow.iter().any(|network| network.contains(&address)) {
            return Ok(());
        }
        match address {
            IpAddr::V4(address) => check_v4(address),
            IpAddr::V6(address) => match embedded_v4(address) {
                Some(inner) if self.allow.iter().any(|network| network.contains(&IpAddr::V4(inner))) => Ok(()),
                Some(inner) => check_v4(inner).and_then(|()| check_wrapper(address)),
                None => check_v6(address),
            },
        }
    }

    /// Whether a connection to `port` may be opened.
    pub fn check_port(&self, port: u16) -> bool {
        self.everything || BAD_PORTS.binary_search(&port).is_err()
    }
}

fn check_v4(address: Ipv4Addr) -> Result<(), Refusal> {
    match V4.iter().find(|(network, _)| network.contains(&address)) {
        Some((_, refusal)) => Err(*refusal),
        None => Ok(()),
    }
}

/// An IPv4 address to which a packet to `address` would be delivered in the end.
fn embedded_v4(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let [a, b, c, d, e, f, g, h] = address.segments();
    let from = |high: u16, low: u16| Ipv4Addr::from(u32::from(high) << 16 | u32::from(low));
    match (a, b) {
        // ::ffff:0:0/96 (RFC 4291 §2.5.5.2), ::/96 (§2.5.5.1), ::ffff:0:0:0/96 (RFC 2765 §2.1)
        (0, 0) if (c, d, e, f) == (0, 0, 0, 0xffff) => Some(from(g, h)),
        (0, 0) if (c, d, e, f) == (0, 0, 0xffff, 0) => Some(from(g, h)),
        (0, 0) if (c, d, e, f) == (0, 0, 0, 0) && (g, h) > (0, 1) => Some(from(g, h)),
        // 64:ff9b::/96 (RFC 6052 §2.1)
        (0x64, 0xff9b) if (c, d, e, f) == (0, 0, 0, 0) => Some(from(g, h)),
        // 2002::/16 (RFC 3056 §2)
        (0x2002, high) => Some(from(high, c)),
        // 2001::/32 (RFC 4380 §4), the client's address inverted
        (0x2001, 0) => Some(from(!g, !h)),
        _ => None,
    }
}

/// Whether the form itself may be used once the address inside it may.
fn check_wrapper(address: Ipv6Addr) -> Result<(), Refusal> {
    match address.segments() {
        // Mapped addresses are connected to over IPv4, and NAT64 is how some networks reach IPv4 at all.
        [0, 0, 0, 0, 0, 0xffff, ..] | [0x64, 0xff9b, 0, 0, 0, 0, ..] => Ok(()),
        _ => Err(Refusal::Reserved),
    }
}

fn check_v6(address: Ipv6Addr) -> Result<(), Refusal> {
    let [first, ..] = address.segments();
    if address.is_loopback() || address.is_unspecified() {
        return Err(Refusal::Local);
    }
    match first {
        0xff00.. => return Err(Refusal::Multicast),
        0xfe80..=0xfebf => return Err(Refusal::LinkLocal),
        0xfc00..=0xfdff | 0xfec0..=0xfeff => return Err(Refusal::Private),
        _ => {}
    }
    // Only 2000::/3 is handed out as global unicast.
    if !(0x2000..=0x3fff).contains(&first) {
        return Err(Refusal::Reserved);
    }
    match V6.iter().find(|(network, _)| network.contains(&address)) {
        Some((_, refusal)) => Err(*refusal),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(address: &str) -> Result<(), Refusal> {
        AddressPolicy::default().check(address.parse().unwrap())
    }

    #[test]
    fn public_addresses_are_reachable() {
        for address in [
            "1.1.1.1",
            "8.8.8.8",
            "93.184.216.34",
            "100.63.255.255",
            "100.128.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "192.0.1.0",
            "198.17.255.255",
            "223.255.255.255",
            "2606:4700:4700::1111",
            "2a00:1450:4001::1",
            "::ffff:8.8.8.8",
            "64:ff9b::808:808",
        ] {
            assert_eq!(check(address), Ok(()), "{address}");
        }
    }

    #[test]
    fn all_others_are_not_and_say_why() {
        for (address, refusal) in [
            ("0.0.0.0", Refusal::Local),
            ("0.1.2.3", Refusal::Local),
            ("127.0.0.1", Refusal::Local),
            ("127.255.255.254", Refusal::Local),
            ("10.0.0.1", Refusal::Private),
            ("172.16.0.1", Refusal::Private),
            ("172.31.255.255", Refusal::Private),
            ("192.168.1.1", Refusal::Private),
            ("100.64.0.1", Refusal::Private),
            ("100.127.255.255", Refusal::Private),
            ("169.254.169.254", Refusal::LinkLocal),
            ("192.0.0.192", Refusal::Reserved),
            ("192.0.2.1", Refusal::Reserved),
            ("198.18.0.1", Refusal::Reserved),
            ("198.51.100.1", Refusal::Reserved),
            ("203.0.113.1", Refusal::Reserved),
            ("224.0.0.1", Refusal::Multicast),
            ("239.255.255.255", Refusal::Multicast),
            ("240.0.0.1", Refusal::Reserved),
            ("255.255.255.255", Refusal::Reserved),
            ("::", Refusal::Local),
            ("::1", Refusal::Local),
            ("::ffff:127.0.0.1", Refusal::Local),
            ("::ffff:10.0.0.1", Refusal::Private),
            ("::ffff:169.254.169.254", Refusal::LinkLocal),
            ("::ffff:0:127.0.0.1", Refusal::Local),
            ("::127.0.0.1", Refusal::Local),
            ("::8.8.8.8", Refusal::Reserved),
            ("64:ff9b::7f00:1", Refusal::Local),
            ("64:ff9b::a9fe:a9fe", Refusal::LinkLocal),
            ("64:ff9b:1::1", Refusal::Reserved),
            ("2002:7f00:1::", Refusal::Local),
            ("2002:a00:1::1", Refusal::Private),
            ("2002:808:808::1", Refusal::Reserved),
            ("2001::80ff:fffe", Refusal::Local),
            ("2001:db8::1", Refusal::Reserved),
            ("2001:2::1", Refusal::Reserved),
            ("3fff::1", Refusal::Reserved),
            ("fc00::1", Refusal::Private),
            ("fd00:ec2::254", Refusal::Private),
            ("fe80::1", Refusal::LinkLocal),
            ("fec0::1", Refusal::Private),
            ("ff02::1", Refusal::Multicast),
            ("4000::1", Refusal::Reserved),
            ("100::1", Refusal::Reserved),
        ] {
            assert_eq!(check(address), Err(refusal), "{address}");
        }
    }

    #[test]
    fn the_operator_can_allow_networks() {
        let policy = AddressPolicy::new(vec!["127.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()]);
        for address in ["127.0.0.1", "::ffff:127.0.0.1", "fd12::1", "1.1.1.1"] {
            assert_eq!(policy.check(address.parse().unwrap()), Ok(()), "{address}");
        }
        assert_eq!(policy.check("10.0.0.1".parse().unwrap()), Err(Refusal::Private));
        assert_eq!(policy.check("::1".parse().unwrap()), Err(Refusal::Local));
    }

    #[test]
    fn bad_ports_are_blocked_and_sorted_for_the_search() {
        assert!(BAD_PORTS.is_sorted());
        let policy = AddressPolicy::default();
        for port in [0, 22, 25, 53, 6667, 10080] {
            assert!(!policy.check_port(port), "{port}");
        }
        for port in [80, 443, 8080, 3000, 65535] {
            assert!(policy.check_port(port), "{port}");
        }
    }

    proptest! {
        #[test]
        fn an_ipv6_form_never_reaches_what_its_ipv4_address_does_not(bits: u32) {
            let inner = Ipv4Addr::from(bits);
            let policy = AddressPolicy::default();
            if policy.check(inner.into()).is_err() {
                let [a, b, c, d] = inner.octets();
                let (high, low) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
                for address in [
                    inner.to_ipv6_mapped(),
                    Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, high, low),
                    Ipv6Addr::new(0x2002, high, low, 0, 0, 0, 0, 1),
                    Ipv6Addr::new(0, 0, 0, 0, 0, 0, high, low),
                ] {
                    prop_assert!(policy.check(address.into()).is_err());
                }
            }
        }
    }
}
