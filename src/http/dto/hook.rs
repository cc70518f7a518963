//! Shapes of calls of hooks.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The JSON that a runtime gives to its hook. It has more members, which the documentation of the runtime
/// describes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HookInput {
    /// The hook that is called. The server ignores hooks that mean nothing for a session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "UserPromptSubmit")]
    pub hook_event_name: Option<String>,
}

/// The output of a hook: an object without members, which changes nothing in the runtime.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct HookOutput {}
