//! Where a test happens: a /24 of loopback and a folder of its own, so that tests never meet.

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

/// A test's addresses and its folder, which stays where the test failed.
pub struct Place {
    folder: PathBuf,
    network: [u8; 3],
}

/// Parties by the last number of their address.
pub const CENTRE: u8 = 1;
pub const CARRIER: u8 = 2;
pub const NARROW_CARRIER: u8 = 3;

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
        Self { folder, network }
    }

    pub fn address(&self, party: u8) -> Ipv4Addr {
        let [a, b, c] = self.network;
        Ipv4Addr::new(a, b, c, party)
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
