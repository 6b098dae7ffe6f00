//! The command line, configuration files, reload.
