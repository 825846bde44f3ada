//! Files of a new authoring directory.
