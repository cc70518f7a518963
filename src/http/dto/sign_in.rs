//! Shapes of sign-in codes.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A new sign-in code.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SignInCode {
    /// The code, for the header `X-Sign-In-Code` of `POST /sign-in`. No other answer shows it.
    #[schema(pattern = "^[0-9a-f]{64}$")]
    pub code: String,
    /// Until when the code is valid.
    #[schema(format = DateTime)]
    pub expires_at: String,
}

/// What to send with requests.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SignIn {
    /// The API key or token for `Authorization: Bearer CREDENTIAL`. Null if the server requires none.
    pub credential: Option<String>,
    /// The tenant for `X-Tenant-ID`.
    #[schema(example = "acme")]
    pub tenant_id: String,
}

impl std::fmt::Debug for SignInCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SignInCode(.., {})", self.expires_at)
    }
}

impl std::fmt::Debug for SignIn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SignIn(.., {})", self.tenant_id)
    }
}
