//! Roles: what a credential may do. None implies another.

/// What a credential may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// List and read sessions and agents; introspect tokens.
    Read,
    /// Everything that a runtime may do: emit events, run the lifecycle of sessions and agents.
    Write,
    /// Replay the history with its verdicts.
    Audit,
    /// Issue, list and revoke keys.
    Admin,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 4] = [Self::Read, Self::Write, Self::Audit, Self::Admin];

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Audit => "audit",
            Self::Admin => "admin",
        }
    }

    /// The role with this word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == word)
    }
}

/// Some roles; may be none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Roles(u8);

impl Roles {
    /// Every role.
    pub const ALL: Self = Self(0b1111);

    /// Whether these have one of those.
    pub fn has_any(self, of: &[Role]) -> bool {
        of.iter().any(|role| self.has(*role))
    }

    /// These and those.
    #[must_use]
    pub fn with(self, others: Self) -> Self {
        Self(self.0 | others.0)
    }

    /// Whether these have a role.
    pub fn has(self, role: Role) -> bool {
        self.0 & 1 << (role as u8) != 0
    }

    /// These roles, in the order of their kinds.
    pub fn iter(self) -> impl Iterator<Item = Role> {
        Role::ALL.into_iter().filter(move |role| self.has(*role))
    }
}

impl FromIterator<Role> for Roles {
    fn from_iter<I: IntoIterator<Item = Role>>(roles: I) -> Self {
        Self(
            roles
                .into_iter()
                .fold(0, |bits, role| bits | 1 << (role as u8)),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_has_what_was_put_in_and_nothing_else() {
        let roles: Roles = [Role::Read, Role::Audit].into_iter().collect();
        assert_eq!(roles.iter().collect::<Vec<_>>(), [Role::Read, Role::Audit]);
        assert!(roles.has_any(&[Role::Admin, Role::Audit]));
        assert!(!roles.has_any(&[Role::Admin, Role::Write]));
        assert_eq!(Role::ALL.into_iter().collect::<Roles>(), Roles::ALL);
        assert_eq!(
            Role::ALL.map(|role| Role::parse(role.as_str())),
            Role::ALL.map(Some)
        );
    }
}
