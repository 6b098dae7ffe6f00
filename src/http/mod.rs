//! HTTP: the CTI socket, the REST API, the desktop's pages.
