//! Windows that can be trusted: against Flink's answers, a naive oracle over random plans, and a
//! table of hard cases.

mod cases;
mod clocks;
mod core;
mod flink;
mod hostile;
mod oracle;
mod properties;
mod readers;
mod rig;
