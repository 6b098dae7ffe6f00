//! The simulated centre's phones on real sockets with real RTP: traffic for `load`, `demo` and tests.

pub mod clock;
pub mod crowd;
pub mod cti;
pub mod desk;
pub mod driver;
pub mod ear;
pub mod profile;
pub mod report;
pub mod rtp_wire;
pub mod seat;
pub mod station;
pub mod voice;
