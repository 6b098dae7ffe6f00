//! Strowger: a SIP-native call centre in one binary.
//!
//! A pure, deterministic [`switch`] in the middle, thin shells around it, media on its own threads.
//! Imports go down only; `tests/tidy.rs` holds the table. ARCHITECTURE.md is the map, LEXICON.md the words.

// L0: the vocabulary everything else speaks.
pub mod cause;
pub mod codec;
pub mod command;
pub mod event;
pub mod finding;
pub mod ids;
pub mod limits;
pub mod network;
pub mod number;
pub mod strategy;
pub mod tier;
pub mod time;

// L1: protocol cores. Bytes and `now` in, effects out.
pub mod audio;
pub mod rtp;
pub mod sdp;
pub mod sip;

// L2: domain cores.
pub mod acd;
pub mod call;
pub mod crm;
pub mod dialplan;
pub mod ivr;
pub mod media;
pub mod plan;

// L3: the switch, everything that touches two calls.
pub mod switch;

// L4: shells, the only code that waits, locks, spawns, reads a clock or a file.
pub mod config;
pub mod http;
pub mod load;
pub mod net;
pub mod observe;
pub mod runtime;
pub mod store;

// The foreign side in virtual time: sees L0–L3 only.
pub mod sim;

// L5: composition.
pub mod app;
