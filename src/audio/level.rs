//! How loud: root mean square in dBov (RFC 6465's scale: 0 is the loudest square wave, −127 silence).
