//! The settings that `hook --print-settings` prints, used as the runtime would use them.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::{World, recorded, runtimes, with_input};
use crate::support::cli::ok;

/// The hooks of the settings, each with its entry.
fn entries(settings: &Value) -> Vec<(String, Value)> {
    let hooks = settings["hooks"].as_object().unwrap().iter();
    let entries = hooks.map(|(name, entries)| {
        let entry = &entries[0];
        let grouped = entry.get("hooks").map(|hooks| &hooks[0]);
        (name.clone(), grouped.unwrap_or(entry).clone())
    });
    entries.collect()
}

#[test]
fn the_printed_commands_make_the_sessions_of_the_recorded_calls() {
    let program = Path::new(env!("CARGO_BIN_EXE_session-ledger"));
    let programs = program.parent().unwrap().display();
    for runtime in runtimes() {
        let world = World::start();
        let spool = world.dir.path().join("a spool's");
        let spool = spool.to_str().unwrap();
        let url = world.server.url();
        let args = ["--url", url, "--tenant", "acme", "--spool", spool];
        let print = [&["hook", runtime, "--print-settings"], &args[..]].concat();
        let settings: Value = serde_json::from_str(&ok(&print)).unwrap();
        let entries = entries(&settings);
        for call in recorded(runtime) {
            let read: Value = serde_json::from_str(&call).unwrap();
            let entry = entries
                .iter()
                .find(|(name, _)| *name == read["hook_event_name"]);
            let Some((_, entry)) = entry else {
                continue;
            };
            let mut shell = Command::new("sh");
            let command = entry["command"].as_str().unwrap();
            shell
                .arg("-c")
                .arg(format!("PATH={programs}:$PATH; {command}"));
            let output = with_input(&mut shell, &call);
            assert!(output.status.success(), "{output:?}");
            super::assert_answer(runtime, &output);
        }
        let quiet = World::start();
        quiet.call_all(runtime, &recorded(runtime));
        assert_eq!(world.sessions(), quiet.sessions(), "{runtime}");
    }
}

#[test]
fn the_settings_of_each_runtime_have_its_form() {
    let printed = |runtime: &str| -> Value {
        let text = ok(&["hook", runtime, "--print-settings", "--agent", "ada's"]);
        serde_json::from_str(&text).unwrap()
    };
    let command = |runtime: &str| format!(r"session-ledger hook {runtime} --agent 'ada'\''s'");
    let claude = printed("claude-code");
    let entry = &claude["hooks"]["SessionEnd"][0]["hooks"][0];
    assert_eq!(entry["type"], "command");
    assert_eq!(entry["command"], command("claude-code"));
    assert_eq!(entry["timeout"], 2);
    let gemini = printed("gemini");
    assert_eq!(
        gemini["hooks"]["BeforeAgent"][0]["hooks"][0]["timeout"],
        2_000
    );
    let cursor = printed("cursor");
    assert_eq!(cursor["version"], 1);
    assert_eq!(cursor["hooks"]["stop"][0]["command"], command("cursor"));
    let copilot = printed("copilot");
    assert_eq!(copilot["version"], 1);
    assert_eq!(copilot["hooks"]["SessionStart"][0]["timeoutSec"], 2);
    let codex = printed("codex");
    let names: Vec<&String> = codex["hooks"].as_object().unwrap().keys().collect();
    assert_eq!(names.len(), 5, "{names:?}");
}

/// The runtime calls the hook in the directory of a project.
#[test]
fn the_printed_commands_name_files_by_absolute_paths() {
    let files = ["--key-file", "key", "--spool", "spool"];
    let text = ok(&[&["hook", "codex", "--print-settings"], &files[..]].concat());
    let here = std::env::current_dir().unwrap();
    for [option, file] in [["--key-file", "key"], ["--spool", "spool"]] {
        let named = format!("{option} {}", here.join(file).display());
        assert!(text.contains(&named), "{named}: {text}");
    }
}
