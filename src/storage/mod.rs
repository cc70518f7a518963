//! Files of redb: what the built-in log and the read model share.
//!
//! - [`Watched`] notes the first failure of a file, because redb itself only tells that there was one.
//! - [`CheckedFile`] stores a checksum of every block, and fails to read a block that has changed.
//! - [`guarded`] turns a panic of redb on a damaged file into an error.
//! - [`room`] tells whether the disk has room.
#![warn(missing_docs)]

use std::path::Path;

mod checked;
mod guard;
mod health;
pub mod room;
mod watched;

pub use checked::CheckedFile;
pub use guard::{guarded, is_guarded};
pub use health::{Failure, Health};
pub use watched::Watched;

/// Says that the operating system does not let this process open a file, and what to check.
pub fn not_opened(file: &Path) -> String {
    let file = file.display();
    format!(
        "cannot open {file}: check who may read and write it, and whether its disk can be read and written"
    )
}
