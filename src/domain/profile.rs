//! The descriptive texts of sessions and agents: the tables that rows, the wire and the schemas read.

use serde::Serialize;

/// A descriptive text of a session or an agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TextField {
    /// Its name in events and in the JSON of the API.
    pub name: &'static str,
    /// What it may hold.
    pub kind: TextKind,
    /// What it says, as a sentence.
    pub about: &'static str,
}

/// What a text may hold. `wire` has the limits of each kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextKind {
    /// Any text on one line.
    Text,
    /// A name for people.
    Name,
    /// Text of several lines.
    Description,
    /// A public key in any format.
    PublicKey,
    /// The id of an agent.
    AgentId,
}

/// Declares a table of texts, and what its readers and writers need to go through all of them.
macro_rules! texts {
    (
        $(#[$doc:meta])*
        pub struct $table:ident { $($field:ident: $kind:ident, $about:literal;)* }
    ) => {
        $(#[$doc])*
        ///
        /// `T` is the type of a text: owned in an event, borrowed in a row of the read model. The JSON
        /// leaves out the fields that are `None`.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
        pub struct $table<T = Box<str>> {
            $(
                #[doc = $about]
                #[serde(skip_serializing_if = "Option::is_none")]
                pub $field: Option<T>,
            )*
        }

        impl<T> $table<T> {
            /// Every field, in the order in which rows store them.
            pub const FIELDS: &'static [TextField; [$($about),*].len()] = &[$(TextField {
                name: stringify!($field),
                kind: TextKind::$kind,
                about: $about,
            }),*];

            /// Every field with its value, in the order of [`Self::FIELDS`].
            pub fn each(&self) -> [(&'static TextField, Option<&T>); [$($about),*].len()] {
                let [$($field),*] = Self::FIELDS;
                [$(($field, self.$field.as_ref())),*]
            }

            /// The field with this name, to be set, and what it may hold.
            pub fn get_mut(&mut self, name: &str) -> Option<(TextKind, &mut Option<T>)> {
                match name {
                    $(stringify!($field) => Some((TextKind::$kind, &mut self.$field)),)*
                    _ => None,
                }
            }

            /// Reads each field, in the order of [`Self::FIELDS`].
            pub fn read<E>(
                mut read: impl FnMut(&TextField) -> Result<Option<T>, E>,
            ) -> Result<Self, E> {
                let [$($field),*] = Self::FIELDS;
                Ok(Self { $($field: read($field)?,)* })
            }

            /// Converts the text of each field.
            pub fn map<U>(self, mut convert: impl FnMut(T) -> U) -> $table<U> {
                $table { $($field: self.$field.map(&mut convert),)* }
            }

            /// Replaces each field by that of `changes`, unless `changes` lacks it.
            pub fn take(&mut self, changes: &Self)
            where
                T: Clone,
            {
                $(replace(&mut self.$field, changes.$field.as_ref());)*
            }
        }

        impl<T> Default for $table<T> {
            fn default() -> Self {
                Self { $($field: None,)* }
            }
        }
    };
}

/// Replaces a field by its change, if there is one.
pub(super) fn replace<T: Clone>(field: &mut Option<T>, change: Option<&T>) {
    if let Some(change) = change {
        *field = Some(change.clone());
    }
}

// Rows have the fields of a table in its order.
texts! {
    /// The descriptive texts of a session, which no rule reads.
    pub struct Profile {
        agent_name: Text, "The agent's name.";
        agent_key_id: Text, "The key that the agent used.";
        user_id: Text, "The person for whom the session runs.";
        machine_id: Text, "The machine that it runs on.";
        caller_role: Text, "The caller's role.";
        caller_origin: Text, "Where the caller came from.";
        ip_address: Text, "The caller's address.";
        user_agent: Text, "The caller's program.";
    }
}

texts! {
    /// The descriptive texts of an agent; in an update, those that change.
    pub struct AgentTexts {
        agent_type: Text, "The kind of the agent.";
        display_name: Name, "The name of the agent.";
        description: Description, "What the agent is for.";
        trust_level: Text, "How far the agent is trusted, as any text.";
        public_key: PublicKey, "The public key of the agent.";
        key_id: Text, "The id of the public key.";
        parent_agent_id: AgentId, "The agent from which this agent was derived.";
        created_by_user_id: Text, "The person who registered the agent.";
    }
}
