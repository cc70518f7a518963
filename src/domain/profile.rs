//! The descriptive fields of a session: the one table that rows, the wire and the schemas read.

/// Declares the fields, and what their readers and writers need to go through all of them.
macro_rules! profile {
    ($($field:ident: $doc:literal;)*) => {
        /// The descriptive fields of a session, which no rule reads.
        ///
        /// `T` is the type of a text: owned in a session, borrowed in a row of the read model.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub struct Profile<T = Box<str>> {
            $(#[doc = $doc] pub $field: Option<T>,)*
        }

        impl<T> Profile<T> {
            /// The name and the description of each field, in the order in which rows store them.
            pub const FIELDS: [(&'static str, &'static str); [$($doc),*].len()] =
                [$((stringify!($field), $doc)),*];

            /// The name and the value of each field, in the order of [`Self::FIELDS`].
            pub fn each(&self) -> [(&'static str, Option<&T>); [$($doc),*].len()] {
                [$((stringify!($field), self.$field.as_ref())),*]
            }

            /// A mutable reference to the field with this name.
            pub fn get_mut(&mut self, name: &str) -> Option<&mut Option<T>> {
                match name {
                    $(stringify!($field) => Some(&mut self.$field),)*
                    _ => None,
                }
            }

            /// Reads each field, in the order of [`Self::FIELDS`].
            pub fn read<E>(mut read: impl FnMut() -> Result<Option<T>, E>) -> Result<Self, E> {
                Ok(Self { $($field: read()?,)* })
            }

            /// Converts the text of each field.
            pub fn map<U>(self, mut convert: impl FnMut(T) -> U) -> Profile<U> {
                Profile { $($field: self.$field.map(&mut convert),)* }
            }
        }

        impl<T> Default for Profile<T> {
            fn default() -> Self {
                Self { $($field: None,)* }
            }
        }
    };
}

// Rows and schemas have the fields in this order.
profile! {
    agent_name: "The agent's name.";
    agent_key_id: "The key that the agent used.";
    user_id: "The person behind it.";
    machine_id: "The machine that it runs on.";
    caller_role: "The caller's role.";
    caller_origin: "Where the caller came from.";
    ip_address: "The caller's address.";
    user_agent: "The caller's program.";
}
