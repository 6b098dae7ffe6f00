//! Sockets: listeners, flows, resolving. Bytes are parsed here, off the switch's thread.
