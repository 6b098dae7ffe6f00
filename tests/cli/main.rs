//! The commands as a person or a script meets them: the real binary, each test with a folder of its own.

// The bench.
mod centre;

// The tests, by command.
mod backup;
mod calls;
mod check;
mod demo;
mod dialplans;
mod load;
mod people;
mod readme;
mod serving;
mod setup;
