//! The doors for people and programs: the CTI socket, the REST API, the desktop's pages.
//!
//! ```text
//! bus thread ── events ──▶ cti::Hub ──▶ desk::Desk (fold) ──▶ a ring per session ──▶ socket tasks
//! client ── HTTP ──▶ routes (one table: path, roles, handler) ──▶ api::* ──▶ Centre: orders, view, ledger
//! client ── /cti ──▶ cti::socket ──▶ frames ──▶ Centre::order
//! ```
//!
//! [`centre::Centre`] is all that is asked of the rest of the process.

pub mod api;
pub mod assets;
pub mod auth;
pub mod centre;
pub mod cti;
pub mod desk;
pub mod error;
pub mod openapi;
pub mod orders;
pub mod range;
pub mod routes;
pub mod site;
pub mod wire;

#[cfg(test)]
mod tests;
