//! Releases, channels, graphs, health and every type that crosses a process boundary.
