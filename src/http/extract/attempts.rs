//! Failed attempts to log in, by address, in a table that does not grow.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Failures of one address that are answered at once.
const FAILURES_MAX: u32 = 20;
/// After this long without a failure an address starts anew.
const WINDOW: Duration = Duration::from_mins(1);
/// Most addresses that are remembered.
const ADDRESSES_MAX: usize = 4096;

/// Counts failures by address.
#[derive(Debug, Default)]
pub struct Attempts {
    by_address: Mutex<HashMap<IpAddr, Failures>>,
}

#[derive(Debug, Clone, Copy)]
struct Failures {
    count: u32,
    /// when the first of them was
    since: Instant,
}

impl Attempts {
    /// Counts a failure; returns how many seconds the address should wait when there were too many.
    #[must_use]
    pub fn failed(&self, address: Option<IpAddr>) -> Option<u64> {
        self.failed_at(address, Instant::now())
    }

    /// Returns how many seconds the address has to wait; none when it has not failed too often.
    #[must_use]
    pub fn wait_secs(&self, address: Option<IpAddr>) -> Option<u64> {
        self.wait_at(address, Instant::now())
    }

    fn wait_at(&self, address: Option<IpAddr>, now: Instant) -> Option<u64> {
        let table = self.by_address.lock().unwrap_or_else(PoisonError::into_inner);
        table.get(&network(address)).and_then(|failures| failures.wait_secs(now))
    }

    fn failed_at(&self, address: Option<IpAddr>, now: Instant) -> Option<u64> {
        let address = network(address);
        let mut table = self.by_address.lock().unwrap_or_else(PoisonError::into_inner);
        if table.len() >= ADDRESSES_MAX && !table.contains_key(&address) {
            table.retain(|_, failures| now.duration_since(failures.since) < WINDOW);
            if table.len() >= ADDRESSES_MAX {
                // So many at once is no accident: those that are not in the table wait, too.
                return Some(WINDOW.as_secs());
            }
        }
        let failures = table.entry(address).or_insert(Failures { count: 0, since: now });
        if now.duration_since(failures.since) >= WINDOW {
            *failures = Failures { count: 0, since: now };
        }
        failures.count += 1;
        failures.wait_secs(now)
    }
}

impl Failures {
    fn wait_secs(self, now: Instant) -> Option<u64> {
        let left = WINDOW.checked_sub(now.duration_since(self.since)).filter(|left| !left.is_zero());
        left.filter(|_| self.count > FAILURES_MAX).map(|left| left.as_secs().max(1))
    }
}

/// Whoever holds one IPv6 address holds the whole network of it.
pub(super) fn network(address: Option<IpAddr>) -> IpAddr {
    let address = address.unwrap_or(IpAddr::V6(Ipv6Addr::UNSPECIFIED));
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => match v6.to_ipv4_mapped() {
            Some(v4) => IpAddr::V4(v4),
            None => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64)),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> Option<IpAddr> {
        text.parse().ok()
    }

    #[test]
    fn too_many_failures_of_one_address_are_told_to_wait_and_only_for_a_while() {
        let attempts = Attempts::default();
        let start = Instant::now();
        for _ in 0..FAILURES_MAX {
            assert_eq!(attempts.failed_at(ip("10.0.0.1"), start), None);
        }
        assert_eq!(attempts.failed_at(ip("10.0.0.1"), start), Some(60));
        assert_eq!(attempts.failed_at(ip("::ffff:10.0.0.1"), start + Duration::from_secs(20)), Some(40));
        assert_eq!(attempts.failed_at(ip("10.0.0.2"), start), None);
        assert_eq!(attempts.wait_at(ip("10.0.0.1"), start + Duration::from_secs(50)), Some(10));
        assert_eq!(attempts.wait_at(ip("10.0.0.1"), start + WINDOW), None);
        assert_eq!(attempts.wait_at(ip("10.0.0.2"), start), None);
        assert_eq!(attempts.failed_at(ip("10.0.0.1"), start + WINDOW), None);
    }

    #[test]
    fn a_network_of_addresses_counts_as_one_and_the_table_is_bounded() {
        let attempts = Attempts::default();
        let start = Instant::now();
        for n in 0..FAILURES_MAX {
            assert_eq!(attempts.failed_at(ip(&format!("2001:db8::{n:x}")), start), None);
        }
        assert!(attempts.failed_at(ip("2001:db8::ffff"), start).is_some());
        for n in 0..10_000_u32 {
            let _ = attempts.failed_at(Some(IpAddr::V4(n.into())), start);
        }
        assert!(attempts.by_address.lock().expect("a table").len() <= ADDRESSES_MAX);
        assert_eq!(attempts.failed_at(ip("10.0.0.1"), start + WINDOW), None);
    }
}
