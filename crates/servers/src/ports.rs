//! On which ports a server listens: chosen at its first start, kept in its folder.

use std::{
    fs,
    hash::{BuildHasher, RandomState},
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::Path,
};

use anyhow::{Context, Result, bail};

/// Where the system's own choice of ports begins, if it does not say.
const USUAL_FIRST_OF_SYSTEM: u16 = 32768;

/// Below, the well-known servers listen.
const LOWEST: u16 = 10_000;

const ATTEMPTS: usize = 10;

/// Starts a server on the ports that its folder keeps, or on new ones that are then kept.
///
/// Between the choice and the start, another may take a port: then others are chosen. Not so when
/// the ports are known already, for somebody may wait for the server to come back there.
pub(crate) fn with_ports<const N: usize, T>(
    folder: &Path,
    mut start: impl FnMut([u16; N]) -> Result<T>,
) -> Result<T> {
    if let Some(kept) = kept(folder) {
        return start(kept);
    }
    let file = folder.join("ports");
    for _ in 0..ATTEMPTS {
        let chosen: [u16; N] = choose()?;
        fs::write(&file, chosen.map(|port| port.to_string()).join(" "))?;
        let outcome = start(chosen);
        if outcome.is_ok() {
            return outcome;
        }
        fs::remove_file(&file)?;
        if chosen.iter().all(|port| is_free(*port)) {
            return outcome;
        }
    }
    bail!("others took the ports that were free, {ATTEMPTS} times over")
}

/// The ports that the folder keeps.
pub(crate) fn kept<const N: usize>(folder: &Path) -> Option<[u16; N]> {
    let text = fs::read_to_string(folder.join("ports")).ok()?;
    let ports: Vec<u16> = text.split_whitespace().map_while(|port| port.parse().ok()).collect();
    ports.try_into().ok()
}

/// The address of a port; servers listen on the loopback interface alone.
pub(crate) fn address(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

/// A number that nobody can foresee.
pub(crate) fn random() -> u64 {
    RandomState::new().hash_one(())
}

/// Neighbouring free ports below those that the system gives to clients. One of those would not
/// do: while the server is down, a client that tries to reach it may be given the very port that
/// it calls, speak to itself and keep the server out.
fn choose<const N: usize>() -> Result<[u16; N]> {
    let range = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    let first = range.split_whitespace().next().and_then(|first| first.parse().ok());
    let span = first.unwrap_or(USUAL_FIRST_OF_SYSTEM).saturating_sub(LOWEST).max(1000);
    for _ in 0..1000 {
        let base = LOWEST + u16::try_from(random() % u64::from(span))?;
        let ports = std::array::from_fn(|index| base.saturating_add(index as u16));
        if ports.iter().all(|port| is_free(*port)) {
            return Ok(ports);
        }
    }
    // So full a machine has perhaps one of the system's choice.
    let listeners: Vec<TcpListener> =
        (0..N).map(|_| TcpListener::bind(address(0))).collect::<std::io::Result<_>>()?;
    let ports: Vec<u16> = listeners
        .iter()
        .map(|listener| Ok(listener.local_addr()?.port()))
        .collect::<Result<_>>()?;
    ports.try_into().ok().context("as many ports as asked for")
}

fn is_free(port: u16) -> bool {
    TcpListener::bind(address(port)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_taken_meanwhile_is_exchanged_and_a_kept_one_is_not() {
        let folder = std::env::temp_dir().join(format!("ironledger-ports-{:x}", random()));
        fs::create_dir(&folder).unwrap();
        let mut thief = None;
        let mut tried = Vec::new();
        let ports = with_ports(&folder, |[port]: [u16; 1]| {
            tried.push(port);
            if thief.is_none() {
                thief = Some(TcpListener::bind(address(port)).unwrap());
            }
            TcpListener::bind(address(port)).map(|_| [port]).map_err(Into::into)
        })
        .unwrap();
        assert_eq!(tried.len(), 2);
        assert_eq!(Some(ports), kept(&folder));

        let failed = with_ports(&folder, |kept: [u16; 1]| -> Result<()> {
            assert_eq!(kept, ports);
            bail!("taken")
        });
        failed.unwrap_err();
        assert_eq!(Some(ports), kept(&folder));
        fs::remove_dir_all(&folder).unwrap();
    }
}
