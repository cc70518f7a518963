//! Extractors for the query and the path. Each reports invalid input as a problem that names the
//! field.

use std::borrow::Cow;
use std::fmt::Display;
use std::str::FromStr;

use axum::extract::{FromRequestParts, RawPathParams};
use axum::http::request::Parts;
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};
use utoipa::IntoParams;
use utoipa::openapi::Required;
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};

use crate::domain::{AgentId, Position, SessionId, Timestamp};
use crate::http::problem::Problem;
use crate::http::problem::code::Code;
use crate::http::raw_schema::raw;
use crate::http::request::param::{
    AnyParam, Flag, Number, OptionalFlag, Param, Range, Text, Texts, Time, Word, Words, component,
};
use crate::http::request::params::an_id;

/// The most characters of a caller's text that an answer repeats.
const ECHO_CHARS_MAX: usize = 64;
/// The positions that an event can have.
const POSITION: Range = Range {
    min: 1,
    max: i64::MAX as u64,
};
/// The most unknown parameters that an answer names.
const ERRORS_MAX: usize = 16;

/// The query parameters of a route.
pub(crate) trait QueryParams: Sized {
    /// All known parameters. [`Query`] rejects other parameters, and [`LenientQuery`] ignores them.
    const PARAMS: &'static [&'static dyn AnyParam];

    /// Names that callers may expect to be parameters, and why they are none.
    const DECLINED: &'static [(&'static str, &'static str)] = &[];

    /// Reads the parameters. Errors of single values are collected in `values` and reported first.
    /// The returned problem is only for parameters that do not fit together.
    fn read(values: &mut Values) -> Result<Self, Problem>;
}

/// The query of a request. Unknown parameters are an error.
#[derive(Debug)]
pub(crate) struct Query<T>(pub(crate) T);

impl<S: Sync, T: QueryParams> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        let values = Values::parse(parts.uri.query().unwrap_or_default(), |_name| true)?;
        values.refuse_unknown(T::PARAMS, T::DECLINED)?;
        values.read().map(Self)
    }
}

/// The query of a request. Unknown parameters are ignored.
#[derive(Debug)]
pub(crate) struct LenientQuery<T>(pub(crate) T);

impl<S: Sync, T: QueryParams> FromRequestParts<S> for LenientQuery<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        let is_known = |name: &str| T::PARAMS.iter().any(|param| param.name() == name);
        let values = Values::parse(parts.uri.query().unwrap_or_default(), is_known)?;
        values.read().map(Self)
    }
}

impl<T: QueryParams> IntoParams for Query<T> {
    fn into_params(_place: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        T::PARAMS.iter().map(|param| param.describe()).collect()
    }
}

/// The query of a route without parameters.
#[derive(Debug)]
pub(crate) struct NoQuery;

impl QueryParams for NoQuery {
    const PARAMS: &'static [&'static dyn AnyParam] = &[];

    fn read(_values: &mut Values) -> Result<Self, Problem> {
        Ok(Self)
    }
}

/// The decoded values of a query, and the errors in them.
#[derive(Debug, Default)]
pub(crate) struct Values {
    pairs: Vec<(String, String)>,
    errors: Vec<(String, String)>,
}

impl Values {
    /// Decodes the query. A parameter that cannot be decoded is an error if `matters` says so for
    /// its name; otherwise it is skipped.
    fn parse(query: &str, matters: impl Fn(&str) -> bool) -> Result<Self, Problem> {
        let mut values = Self::default();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            match (decode(name), decode(value)) {
                (Some(decoded), Some(value)) => values.pairs.push((decoded, value)),
                (decoded, _) if matters(decoded.as_deref().unwrap_or(name)) => {
                    let message = "must be UTF-8, percent-encoded";
                    let problem = Problem::new(Code::InvalidParameter);
                    return Err(problem.with_error(&echo(name), message));
                }
                _ => {}
            }
        }
        Ok(values)
    }

    fn refuse_unknown(
        &self,
        known: &[&dyn AnyParam],
        declined: &[(&str, &str)],
    ) -> Result<(), Problem> {
        let is_known = |name: &str| known.iter().any(|param| param.name() == name);
        let unknown = || self.pairs.iter().filter(|(name, _)| !is_known(name));
        let Some((first, _)) = unknown().next() else {
            return Ok(());
        };
        let names: Vec<&str> = known.iter().map(|param| param.name()).collect();
        let known = match names.as_slice() {
            [] => "this route takes none".to_owned(),
            names => format!("this route takes {}", names.join(", ")),
        };
        let declined = |name: &str| declined.iter().find(|(declined, _)| *declined == name);
        let mut errors: Vec<(String, String)> = Vec::new();
        for (name, _) in unknown() {
            let message = match declined(name) {
                Some((_, why)) => (*why).to_owned(),
                None => format!("is unknown; {known}"),
            };
            let name = echo(name);
            if errors.iter().all(|(field, _)| *field != name) && errors.len() < ERRORS_MAX {
                errors.push((name.into_owned(), message));
            }
        }
        let detail = match declined(first) {
            Some((name, why)) => format!("`{name}` {why}"),
            None => format!("there is no parameter `{}`; {known}", echo(first)),
        };
        let problem = Problem::new(Code::UnknownParameter).with_detail(detail);
        Err(problem.with_errors(errors))
    }

    fn read<T: QueryParams>(mut self) -> Result<T, Problem> {
        let read = T::read(&mut self);
        self.finish()?;
        read
    }

    fn finish(self) -> Result<(), Problem> {
        let Some((field, message)) = self.errors.first() else {
            return Ok(());
        };
        let detail = format!("`{field}` {message}");
        Err(Problem::new(Code::InvalidParameter)
            .with_detail(detail)
            .with_errors(self.errors))
    }

    /// Adds an error about a parameter.
    pub(crate) fn error(&mut self, param: &dyn AnyParam, message: impl Into<String>) {
        self.errors.push((param.name().to_owned(), message.into()));
    }

    pub(crate) fn has(&self, param: &dyn AnyParam) -> bool {
        self.pairs.iter().any(|(name, _)| name == param.name())
    }

    /// The value of a parameter. Adds an error if the parameter occurs twice.
    fn value(&mut self, param: &dyn AnyParam) -> Option<String> {
        let mut given = self.pairs.iter().filter(|(name, _)| name == param.name());
        let first = given.next().map(|(_, value)| value.clone());
        if given.next().is_some() {
            self.error(param, "must be given once");
            return None;
        }
        first
    }

    fn read_value<T, E: Display>(
        &mut self,
        param: &dyn AnyParam,
        read: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        let value = self.value(param)?;
        match read(&value) {
            Ok(value) => Some(value),
            Err(error) => {
                self.error(param, error.to_string());
                None
            }
        }
    }

    /// Returns a text.
    pub(crate) fn text(&mut self, param: &Param<Text>) -> Option<String> {
        self.value(param)
    }

    /// Returns a text that `parse` has read. Adds the error of `parse`, if any.
    pub(crate) fn parsed<T, E: Display>(
        &mut self,
        param: &Param<Text>,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        self.read_value(param, parse)
    }

    /// Returns a number, or its default if it is absent or invalid.
    pub(crate) fn number(&mut self, param: &Param<Number>) -> u64 {
        let Number { range, default } = param.shape;
        let read = self.read_value(param, |text| integer(text, range));
        read.unwrap_or(default)
    }

    /// Returns how many rows or events a page has at most.
    pub(crate) fn limit(&mut self, param: &Param<Number>) -> u16 {
        u16::try_from(self.number(param)).unwrap_or(u16::MAX)
    }

    /// Returns a number without a default, if it is given.
    pub(crate) fn optional_number(&mut self, param: &Param<Range>) -> Option<u64> {
        self.read_value(param, |text| integer(text, param.shape))
    }

    /// Returns a position, if it is given.
    pub(crate) fn position(&mut self, param: &Param<Range>) -> Option<Position> {
        self.optional_number(param).map(Position::new)
    }

    pub(crate) fn time(&mut self, param: &Param<Time>) -> Option<Timestamp> {
        self.read_value(param, |text| {
            time(text)
                .ok_or("must be a time with an offset as in RFC 3339, such as 2026-01-31T23:59:59Z")
        })
    }

    /// Returns a flag, or its default if it is absent or invalid.
    pub(crate) fn flag(&mut self, param: &Param<Flag>) -> bool {
        self.read_value(param, flag).unwrap_or(param.shape.0)
    }

    /// Returns a flag, if it is given.
    pub(crate) fn optional_flag(&mut self, param: &Param<OptionalFlag>) -> Option<bool> {
        self.read_value(param, flag)
    }

    /// Returns texts that `parse` has read.
    pub(crate) fn all_parsed<T, E: Display>(
        &mut self,
        param: &Param<Texts>,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Vec<T> {
        let given = self.pairs.iter().filter(|(name, _)| name == param.name());
        let max = param.shape.max;
        if max < given.clone().count() {
            self.error(param, format!("must be given at most {max} times"));
            return Vec::new();
        }
        let parsed: Result<Vec<T>, E> = given.map(|(_, value)| parse(value)).collect();
        parsed.unwrap_or_else(|error| {
            self.error(param, error.to_string());
            Vec::new()
        })
    }

    /// Returns the value of a word.
    pub(crate) fn word<T: FromStr>(&mut self, param: &Param<Word<T>>) -> Option<T> {
        let expected = |_unknown| param.shape.expected();
        self.read_value(param, |text| text.parse().map_err(expected))
    }

    /// Returns the values of a parameter that may be repeated.
    pub(crate) fn words<T: FromStr>(&mut self, param: &Param<Words<T>>) -> Vec<T> {
        let given = self.pairs.iter().filter(|(name, _)| name == param.name);
        let words: Result<Vec<T>, _> = given.map(|(_, value)| value.parse()).collect();
        words.unwrap_or_else(|_unknown| {
            self.error(param, param.shape.expected());
            Vec::new()
        })
    }
}

fn flag(text: &str) -> Result<bool, &'static str> {
    text.parse().map_err(|_neither| "must be true or false")
}

/// A parameter in the path of a route.
pub(crate) trait PathParam: Sized {
    const NAME: &'static str;
    const ABOUT: &'static str;
    /// The name of the parameter in the API's document.
    const COMPONENT: &'static str = Self::NAME;

    /// The JSON Schema of the parameter.
    fn schema() -> Value {
        json!({"type": "string"})
    }

    fn parse(text: &str) -> Result<Self, String>;
}

/// The parameter in the path of a request.
#[derive(Debug)]
pub(crate) struct Path<T>(pub(crate) T);

impl<S: Send + Sync, T: PathParam> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let refused = |message: String| {
            Problem::new(Code::InvalidParameter)
                .with_detail(format!("`{}` in the path {message}", T::NAME))
                .with_error(T::NAME, message)
        };
        let params = RawPathParams::from_request_parts(parts, state)
            .await
            .map_err(|_not_utf8| refused("must be UTF-8, percent-encoded".to_owned()))?;
        let given = params.iter().find(|(name, _)| *name == T::NAME);
        let text = given.map(|(_, value)| value).unwrap_or_default();
        T::parse(text).map(Self).map_err(refused)
    }
}

impl<T: PathParam> IntoParams for Path<T> {
    fn into_params(_place: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let parameter = ParameterBuilder::new()
            .name(T::NAME)
            .parameter_in(ParameterIn::Path)
            .required(Required::True)
            .description(Some(T::ABOUT))
            .extensions(Some(component(T::COMPONENT)))
            .schema(Some(raw(T::schema())));
        vec![parameter.build()]
    }
}

impl PathParam for SessionId {
    const NAME: &'static str = "id";
    const ABOUT: &'static str = "The id of the session.";
    const COMPONENT: &'static str = "SessionInPath";

    fn schema() -> Value {
        an_id()
    }

    fn parse(text: &str) -> Result<Self, String> {
        Self::parse(text).map_err(|error| error.to_string())
    }
}

impl PathParam for AgentId {
    const NAME: &'static str = "id";
    const ABOUT: &'static str = "The id of the agent.";
    const COMPONENT: &'static str = "AgentInPath";

    fn schema() -> Value {
        an_id()
    }

    fn parse(text: &str) -> Result<Self, String> {
        Self::parse(text).map_err(|error| error.to_string())
    }
}

impl PathParam for Position {
    const NAME: &'static str = "position";
    const ABOUT: &'static str = "The position of the event on the log.";
    const COMPONENT: &'static str = "PositionInPath";

    fn schema() -> Value {
        let Range { min, max } = POSITION;
        json!({"type": "integer", "format": "int64", "minimum": min, "maximum": max})
    }

    fn parse(text: &str) -> Result<Self, String> {
        integer(text, POSITION).map(Self::new)
    }
}

fn integer(text: &str, range: Range) -> Result<u64, String> {
    let Range { min, max } = range;
    // `str::parse` also accepts a sign.
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = text.parse().ok().filter(|_| digits);
    number
        .filter(|number| (min..=max).contains(number))
        .ok_or_else(|| format!("must be a whole number from {min} to {max}"))
}

/// Parses a time as in RFC 3339, and two common variants. The offset may be `+0000` or `+00`, as
/// many date formatters write it. Its sign may be a space, because a `+` that a client did not
/// percent-encode decodes to a space.
fn time(text: &str) -> Option<Timestamp> {
    let parsed = Timestamp::parse(text);
    if parsed.is_some() {
        return parsed;
    }
    let (clock, offset) = text.split_at_checked(text.rfind(['+', '-', ' '])?)?;
    let (sign, offset) = offset.split_at_checked(1)?;
    let sign = if sign == " " { "+" } else { sign };
    let offset = match offset.as_bytes() {
        [_, _] => format!("{offset}:00"),
        [hours @ .., _, _] if hours.len() == 2 => {
            let (hours, minutes) = offset.split_at_checked(2)?;
            format!("{hours}:{minutes}")
        }
        _ => offset.to_owned(),
    };
    Timestamp::parse(&format!("{clock}{sign}{offset}"))
}

/// Decodes a name or a value of a query, where `+` is a space; `None` if it is not UTF-8.
fn decode(text: &str) -> Option<String> {
    let spaced = text.replace('+', " ");
    let decoded = percent_decode_str(&spaced).decode_utf8().ok()?;
    Some(decoded.into_owned())
}

/// The start of a caller's text, short enough for an answer.
pub(crate) fn echo(text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(ECHO_CHARS_MAX) {
        Some((end, _)) => Cow::Owned(format!("{}...", &text[..end])),
        None => Cow::Borrowed(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::request::params::{OFFSET, STATUS};

    #[test]
    fn each_unknown_parameter_is_named_once() {
        let values = Values::parse("other=1&status=a&other=2&more", |_name| true).unwrap();
        let problem = values.refuse_unknown(&[&STATUS, &OFFSET], &[]).unwrap_err();
        let message = "is unknown; this route takes status, offset";
        let errors = problem.errors().iter();
        let errors: Vec<_> = errors.map(|it| (&*it.field, &*it.message)).collect();
        assert_eq!(errors, [("other", message), ("more", message)]);
        assert!(values.refuse_unknown(&[], &[]).is_err());
    }

    #[test]
    fn an_offset_may_lack_its_colon() {
        for (text, same) in [
            ("2026-01-31T12:00:00+0000", "2026-01-31T12:00:00Z"),
            ("2026-01-31T12:00:00.5+0130", "2026-01-31T10:30:00.5Z"),
            ("2026-01-31T12:00:00-0800", "2026-01-31T20:00:00Z"),
            ("2026-01-31T12:00:00+00", "2026-01-31T12:00:00Z"),
            ("2026-01-31T12:00:00-08", "2026-01-31T20:00:00Z"),
            ("2026-01-31T12:00:00 01:00", "2026-01-31T11:00:00Z"),
            ("2026-01-31T12:00:00 0100", "2026-01-31T11:00:00Z"),
        ] {
            let expected = Timestamp::parse(same);
            assert!(expected.is_some() && time(text) == expected, "{text}");
        }
    }

    #[test]
    fn other_text_is_not_a_time() {
        for text in [
            "",
            "2026-01-31",
            "2026-01-31T12:00:00",
            "2026-01-31 12:00:00",
            "2026-01-31T12:00:00+",
            "2026-01-31T12:00:00+1",
            "2026-01-31T12:00:00+00000",
            "2026-01-31T12:00:00+2400",
            "2026-01-31T12:00:00 Z",
            "2026-01-31T12:00:00+\u{e9}\u{e9}",
        ] {
            assert_eq!(time(text), None, "{text}");
        }
    }
}
