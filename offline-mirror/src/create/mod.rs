//! From registries and a hub's view into a bundle set.
