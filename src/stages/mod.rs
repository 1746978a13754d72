//! One room per thread of the pipeline. Each is a [`crate::runtime::stage::Stage`], made and
//! joined in `pipeline.rs` only.

pub mod http;
pub mod ingest;
pub mod letters;
pub mod parse;
pub mod publish;
pub mod settings;
pub mod window;
