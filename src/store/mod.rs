//! What lasts: the ledger as truth, a view that can be rebuilt, files beside them.
