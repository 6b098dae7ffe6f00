//! Where a test happens: a /24 of loopback and a folder of its own, so that tests never meet.
//!
//! The centre and the carriers have addresses of their own. Phones send RTP from whatever address the kernel chooses,
//! which is 127.0.0.1 for every loopback destination: they live there, each on ports of its own.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, UdpSocket};
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU16, AtomicU32, Ordering};

/// A test's addresses and its folder, which stays where the test failed.
pub struct Place {
    folder: PathBuf,
    network: [u8; 3],
    /// The first port of each phone.
    phones: Mutex<BTreeMap<u8, u16>>,
}

/// Who sends and receives: an address and which of its ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Party {
    pub address: Ipv4Addr,
    first: u16,
    last: u16,
}

impl Party {
    /// Where a phone takes SIP.
    pub fn sip_port(&self) -> u16 {
        self.first
    }

    pub fn control_port(&self) -> u16 {
        self.first + 2
    }

    /// First and last port of a phone's RTP.
    pub fn rtp_ports(&self) -> (u16, u16) {
        (self.first + 4, self.last)
    }

    pub fn is_at(&self, address: Ipv4Addr, port: u16) -> bool {
        self.address == address && (self.first..=self.last).contains(&port)
    }
}

/// Parties by the last number of their address.
pub const CENTRE: u8 = 1;
pub const CARRIER: u8 = 2;
pub const NARROW_CARRIER: u8 = 3;
/// From here on they are phones.
const PHONES: u8 = 10;
const PORTS_OF_A_PHONE: u16 = 32;

impl Place {
    /// A place nobody else has: the process and a counter choose the network.
    pub fn new(test: &str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = std::process::id().wrapping_mul(61).wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        // 127.0.x.y is left to people; 127.16 to 127.239 is ours.
        let [_, _, low, high] = (number % (224 * 256)).to_be_bytes().map(u32::from);
        let network = [127, 16 + u8::try_from(low % 224).expect("below 224"), u8::try_from(high).expect("a byte")];
        let folder = std::env::temp_dir().join(format!("strowger-phones-{}-{test}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("the temporary folder takes a folder");
        Self { folder, network, phones: Mutex::default() }
    }

    /// The address of the centre, a carrier or a stranger.
    pub fn address(&self, party: u8) -> Ipv4Addr {
        let [a, b, c] = self.network;
        Ipv4Addr::new(a, b, c, party)
    }

    /// Where a party sends from. A phone gets its ports when it is first asked for.
    pub fn party(&self, party: u8) -> Party {
        if party < PHONES {
            return Party { address: self.address(party), first: 0, last: u16::MAX };
        }
        let mut phones = self.phones.lock().expect("no holder panics");
        let first = *phones.entry(party).or_insert_with(free_ports);
        Party { address: Ipv4Addr::LOCALHOST, first, last: first + PORTS_OF_A_PHONE - 1 }
    }

    /// The network as a capture filter has it.
    pub fn network(&self) -> String {
        format!("{}/24", self.address(0))
    }

    /// A file or folder of this test.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("what the clients left is in {}", self.folder.display());
        } else {
            // A folder that stays is no failure of the test.
            let _ = std::fs::remove_dir_all(&self.folder);
        }
    }
}

/// Ports of 127.0.0.1 that nobody has: below those that the system hands out, in steps from where this process begins.
fn free_ports() -> u16 {
    static STEPS: AtomicU16 = AtomicU16::new(0);
    const BLOCKS: u16 = 600;
    let begin = u16::try_from(std::process::id().wrapping_mul(97) % u32::from(BLOCKS)).expect("below 600");
    for _ in 0..BLOCKS {
        let block = (begin + STEPS.fetch_add(1, Ordering::Relaxed)) % BLOCKS;
        let first = 13_000 + block * PORTS_OF_A_PHONE;
        let is_free = |port: u16| {
            let address = SocketAddrV4::new(Ipv4Addr::LOCALHOST, port);
            UdpSocket::bind(address).is_ok() && TcpListener::bind(address).is_ok()
        };
        if (first..first + PORTS_OF_A_PHONE).all(is_free) {
            return first;
        }
    }
    panic!("no free ports between 13000 and {}", 13_000 + BLOCKS * PORTS_OF_A_PHONE);
}
