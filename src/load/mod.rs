//! The simulated centre's phones on real sockets with real RTP: traffic for `load`, `demo` and tests.
