//! End-to-end scenarios over real processes, seeded simulation, and the tidy checks.
