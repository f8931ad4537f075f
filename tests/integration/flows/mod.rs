//! Flows: saved, checked, run step by step.

mod saving;
