//! Carries releases and signed metadata across an air gap.
