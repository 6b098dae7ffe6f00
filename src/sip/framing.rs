//! Where one message ends and the next begins, on datagrams and on streams (RFC 3261 §18.3, RFC 5626 §4.4.1).
