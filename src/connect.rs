//! Logging in at a server that wants OAuth: a person's way there and back.
