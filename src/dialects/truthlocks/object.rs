//! JSON objects whose members have names in snake case, and again in camel case.

use serde::Serialize;

use crate::http::response::json::Json;

/// An object that is being written.
pub(super) struct Object<'a> {
    out: &'a mut Json,
    is_empty: bool,
}

impl<'a> Object<'a> {
    pub(super) fn begin(out: &'a mut Json) -> Self {
        out.raw("{");
        let is_empty = true;
        Self { out, is_empty }
    }

    pub(super) fn end(self) {
        self.out.raw("}");
    }

    /// Writes a member under each of its names.
    pub(super) fn member(&mut self, name: &str, write: impl Fn(&mut Json)) {
        self.one(name, &write);
        if name.contains('_') {
            self.one(&camel(name), &write);
        }
    }

    /// A member with any value.
    pub(super) fn value<T: Serialize + ?Sized>(&mut self, name: &str, value: &T) {
        self.member(name, |out| out.value(value));
    }

    /// A member whose value is JSON text.
    pub(super) fn raw(&mut self, name: &str, json: &str) {
        self.member(name, |out| out.raw(json));
    }

    fn one(&mut self, name: &str, write: impl Fn(&mut Json)) {
        if !std::mem::take(&mut self.is_empty) {
            self.out.raw(",");
        }
        self.out.text(name);
        self.out.raw(":");
        write(self.out);
    }
}

/// A name in camel case.
fn camel(snake: &str) -> String {
    let mut name = String::with_capacity(snake.len());
    for (index, word) in snake.split('_').enumerate() {
        let mut letters = word.chars();
        match letters.next() {
            Some(first) if 0 < index => name.push(first.to_ascii_uppercase()),
            Some(first) => name.push(first),
            None => {}
        }
        name.push_str(letters.as_str());
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_have_both_spellings() {
        let mut out = Json::default();
        let mut object = Object::begin(&mut out);
        object.value("id", "a\"b");
        object.value("created_by_user_id", &None::<&str>);
        object.raw("metadata", "{}");
        object.end();
        let text = String::from_utf8(out.into_bytes()).unwrap();
        let expected =
            r#"{"id":"a\"b","created_by_user_id":null,"createdByUserId":null,"metadata":{}}"#;
        assert_eq!(text, expected);
    }
}
