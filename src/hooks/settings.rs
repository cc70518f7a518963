//! The settings that make a runtime call a command for its hooks.

use serde_json::{Map, Value, json};

use crate::hooks::runtime::{Format, Runtime};

/// How long the runtime waits for the command, in seconds. The command needs less than one.
const TIMEOUT_SECONDS: u64 = 2;

/// The settings of a runtime, as a JSON object, with `command` for each hook that the ledger reads.
pub fn settings(runtime: Runtime, command: &str) -> Value {
    let table = runtime.table();
    let entry = match table.format {
        Format::Groups { timeout } => {
            let hook = json!({"type": "command", "command": command, "timeout": timeout});
            json!({"hooks": [hook]})
        }
        Format::Commands => json!({"command": command, "timeout": TIMEOUT_SECONDS}),
        Format::ShellCommands => {
            json!({"type": "command", "command": command, "timeoutSec": TIMEOUT_SECONDS})
        }
    };
    let hooks = table.hooks.iter();
    let hooks = hooks.map(|hook| (hook.name.to_owned(), json!([entry])));
    let hooks: Map<String, Value> = hooks.collect();
    match table.format {
        Format::Groups { .. } => json!({"hooks": hooks}),
        Format::Commands | Format::ShellCommands => json!({"version": 1, "hooks": hooks}),
    }
}
