//! Files of redb: what the built-in log and the read model share.
//!
//! - [`Watched`] notes the first failure of a file, because redb itself only tells that there was one.
//! - [`CheckedFile`] stores a checksum of every block, and fails to read a block that has changed.
//! - [`guarded`] turns a panic of redb on a damaged file into an error.
//! - [`room`] tells whether the disk has room.
#![warn(missing_docs)]

mod checked;
mod guard;
mod health;
pub mod room;
mod watched;

pub use checked::CheckedFile;
pub use guard::{guarded, is_guarded};
pub use health::{Failure, Health};
pub use watched::Watched;
