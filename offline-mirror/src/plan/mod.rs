//! Decides what a bundle carries, and what that costs. Pure.
