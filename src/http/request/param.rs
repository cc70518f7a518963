//! A query parameter as data: its name, what it takes, and how the API's document describes it.

use std::marker::PhantomData;

use serde_json::Value;
use strum::VariantNames;
use utoipa::openapi::extensions::Extensions;
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{
    ArrayBuilder, KnownFormat, ObjectBuilder, Schema, SchemaFormat, Type,
};
use utoipa::openapi::{RefOr, Required};

use crate::http::raw_schema::raw;

/// A query parameter that takes the values of a shape.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Param<S> {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    /// The name of the parameter in the API's document, where operations refer to it. Parameters of
    /// different routes can have the same `name`.
    pub(crate) component: Option<&'static str>,
    pub(crate) shape: S,
}

/// A parameter of any shape.
pub(crate) trait AnyParam: Sync {
    fn name(&self) -> &'static str;

    /// Its description for the API's document.
    fn describe(&self) -> Parameter;
}

/// What a parameter takes.
pub(crate) trait Shape: Sync {
    fn schema(&self) -> RefOr<Schema>;
}

/// A text, with its JSON Schema.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Text(pub(crate) fn() -> Value);

/// Texts, with the JSON Schema of one and how many there may be: the parameter may be given more than once.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Texts {
    pub(crate) one: fn() -> Value,
    pub(crate) max: usize,
}

/// A time as in RFC 3339.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Time;

/// `true` or `false`; the value is the default.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Flag(pub(crate) bool);

/// `true` or `false`, without a default.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OptionalFlag;

/// The numbers that a parameter takes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Range {
    pub(crate) min: u64,
    pub(crate) max: u64,
}

/// A number that has a default.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Number {
    pub(crate) range: Range,
    pub(crate) default: u64,
}

/// One of the words of `T`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Word<T> {
    words: fn() -> Vec<&'static str>,
    of: PhantomData<fn() -> T>,
}

/// Words of `T`: the parameter may be given more than once.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Words<T>(Word<T>);

impl<T> Word<T> {
    /// One of these words, from which `T` can be parsed.
    pub(crate) const fn one_of(words: fn() -> Vec<&'static str>) -> Self {
        let of = PhantomData;
        Self { words, of }
    }

    /// What the value must be.
    pub(crate) fn expected(&self) -> String {
        format!("must be one of: {}", (self.words)().join(", "))
    }
}

impl<T: VariantNames> Word<T> {
    /// One of the words of an enum.
    pub(crate) const fn any() -> Self {
        Self::one_of(|| T::VARIANTS.to_vec())
    }
}

impl<T: VariantNames> Words<T> {
    /// Any words of an enum.
    pub(crate) const fn any() -> Self {
        Self(Word::any())
    }
}

impl<T> Words<T> {
    /// Any of these words, from which `T` can be parsed.
    pub(crate) const fn any_of(words: fn() -> Vec<&'static str>) -> Self {
        Self(Word::one_of(words))
    }

    /// What the values must be.
    pub(crate) fn expected(&self) -> String {
        let one = self.0.expected();
        format!("{one}; repeat the parameter to give several")
    }
}

/// Carries the name of a parameter's component from its description to the document.
pub(crate) const COMPONENT_EXTENSION: &str = "x-component";

/// The extension of a parameter that is a component with this name.
pub(crate) fn component(name: &str) -> Extensions {
    Extensions::from_iter([(COMPONENT_EXTENSION, name)])
}

impl<S: Shape> AnyParam for Param<S> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn describe(&self) -> Parameter {
        // A list is repeated in a query, unless its style says something else.
        ParameterBuilder::new()
            .extensions(self.component.map(component))
            .name(self.name)
            .parameter_in(ParameterIn::Query)
            .required(Required::False)
            .description(Some(self.about))
            .schema(Some(self.shape.schema()))
            .build()
    }
}

fn typed(schema_type: Type) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(schema_type)
}

impl Shape for Text {
    fn schema(&self) -> RefOr<Schema> {
        raw((self.0)()).into()
    }
}

impl Shape for Texts {
    fn schema(&self) -> RefOr<Schema> {
        let one: RefOr<Schema> = raw((self.one)()).into();
        let list = ArrayBuilder::new().items(one);
        list.max_items(Some(self.max)).into()
    }
}

impl Shape for Time {
    fn schema(&self) -> RefOr<Schema> {
        let format = SchemaFormat::KnownFormat(KnownFormat::DateTime);
        typed(Type::String).format(Some(format)).into()
    }
}

impl Shape for Flag {
    fn schema(&self) -> RefOr<Schema> {
        let default = Some(Value::Bool(self.0));
        typed(Type::Boolean).default(default).into()
    }
}

impl Shape for OptionalFlag {
    fn schema(&self) -> RefOr<Schema> {
        typed(Type::Boolean).into()
    }
}

impl Range {
    fn builder(&self) -> ObjectBuilder {
        typed(Type::Integer)
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::Int64)))
            .minimum(Some(self.min))
            .maximum(Some(self.max))
    }
}

impl Shape for Range {
    fn schema(&self) -> RefOr<Schema> {
        self.builder().into()
    }
}

impl Shape for Number {
    fn schema(&self) -> RefOr<Schema> {
        let default = Some(Value::from(self.default));
        self.range.builder().default(default).into()
    }
}

impl<T> Shape for Word<T> {
    fn schema(&self) -> RefOr<Schema> {
        let words = Some((self.words)());
        typed(Type::String).enum_values(words).into()
    }
}

impl<T> Shape for Words<T> {
    fn schema(&self) -> RefOr<Schema> {
        ArrayBuilder::new().items(self.0.schema()).into()
    }
}
