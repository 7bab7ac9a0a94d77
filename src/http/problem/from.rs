//! What each error of the rooms means to a caller of the REST surface.
