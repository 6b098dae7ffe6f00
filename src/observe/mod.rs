//! Metrics, logs, ladders: what operators see.
