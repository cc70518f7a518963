//! Turns panics of redb into errors.
//!
//! redb trusts a file that it opens. On a file that something else has changed, such as a copy that was
//! taken while a server wrote, it can panic instead of returning an error.

use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};

thread_local! {
    static GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// Runs work on a file. If the work panics, returns the text of the panic. Drop what the work has used:
/// its state is unknown.
pub fn guarded<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    let outer = GUARDED.replace(true);
    // Unwind safety: the callers drop what the work has used, or use it only under another guard.
    let done = catch_unwind(AssertUnwindSafe(work));
    GUARDED.set(outer);
    done.map_err(|panic| text_of(&*panic))
}

/// Whether the current thread runs guarded work, whose panics become errors. The process's panic hook
/// asks, and prints nothing then.
pub fn is_guarded() -> bool {
    GUARDED.get()
}

fn text_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    // A failed assertion has several lines.
    let line = text.and_then(|text| text.lines().next());
    line.unwrap_or("a panic without a text").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_its_text_and_ends_the_guard() {
        let failed = guarded(|| {
            assert!(is_guarded());
            std::panic::panic_any("page 7 is gone\nmore");
        });
        assert_eq!(failed, Err::<(), _>("page 7 is gone".to_owned()));
        assert!(!is_guarded());
        assert_eq!(guarded(|| 5), Ok(5));
    }
}
