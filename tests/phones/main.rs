//! The centre with real clients: sipp as the carrier's trunk, baresip as phones, dumpcap and tshark as judges.
//!
//! Exit codes miss one-way audio, so each test asserts on three levels: what the clients and the event stream tell,
//! what crossed the wire, and which tone was heard where. Every party has its own address (127.x.y.z) and its own
//! tone, so that tests run side by side and a bridge to the wrong party cannot hide.

// The bench: what a test is made of.
mod baresip;
mod capture;
mod centre;
mod child;
mod desk;
mod place;
mod sipp;
mod sound;
mod speech;

// The tests, by what is shown.
mod cancelling;
mod crash;
mod phone_to_phone;
mod refusals;
mod registration;
mod running;
mod trunk_to_agent;
mod waiting;
