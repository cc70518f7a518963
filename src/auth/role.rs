//! Roles: what a credential may do. No role implies another.

use strum::VariantArray as _;

/// What a credential may do.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    strum::EnumString,
    strum::IntoStaticStr,
    strum::VariantArray,
    strum::VariantNames,
)]
#[strum(serialize_all = "snake_case")]
pub enum Role {
    /// List and read sessions and agents; introspect tokens.
    Read,
    /// Emit events, and change sessions and agents.
    Write,
    /// Read the history of events with their verdicts.
    Audit,
    /// Issue, list and revoke keys.
    Admin,
    /// Read the records of all tenants, for backups. Only an operator can give it.
    Operator,
}

impl Role {
    /// Every role.
    pub const ALL: &'static [Self] = Self::VARIANTS;
    /// The roles that the API can give to a key, and a word of a token by itself.
    pub const OF_TENANT: &'static [Self] = &[Self::Read, Self::Write, Self::Audit, Self::Admin];

    /// The words of [`Role::OF_TENANT`].
    pub fn words_of_tenant() -> Vec<&'static str> {
        Self::OF_TENANT.iter().map(|role| role.as_str()).collect()
    }

    /// Reads a word of [`Role::OF_TENANT`].
    pub fn of_tenant(word: &str) -> Option<Self> {
        word.parse()
            .ok()
            .filter(|role| Self::OF_TENANT.contains(role))
    }

    /// The role's word in the API and on the log.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// A set of roles, possibly empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Roles(u8);

impl Roles {
    /// Every role.
    pub const ALL: Self = Self(0b1_1111);

    /// Whether the set has at least one of these roles.
    pub fn has_any(self, of: &[Role]) -> bool {
        of.iter().any(|role| self.has(*role))
    }

    /// Returns the union of both sets.
    #[must_use]
    pub fn with(self, others: Self) -> Self {
        Self(self.0 | others.0)
    }

    /// Whether the set has a role.
    pub fn has(self, role: Role) -> bool {
        self.0 & 1 << (role as u8) != 0
    }

    /// The roles of the set, in the order of [`Role::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Role> {
        Role::ALL
            .iter()
            .copied()
            .filter(move |role| self.has(*role))
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
        assert_eq!(Role::ALL.iter().copied().collect::<Roles>(), Roles::ALL);
        assert_eq!(Role::of_tenant("admin"), Some(Role::Admin));
        assert_eq!(Role::of_tenant("operator"), None);
    }
}
