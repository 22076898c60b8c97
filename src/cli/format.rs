//! The one `--format`, of which each verb names the forms that it has, and other flags of a few values.

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};

use crate::report::Format;

/// The parser of a verb's `--format`: its forms, and what each of them is there.
pub fn formats<const N: usize>(forms: [(Format, &'static str); N]) -> impl TypedValueParser<Value = Format> {
    one_of(forms.map(|(form, help)| (form, form.as_str(), help)))
}

/// The parser of a flag that takes one of a few values: each with its name, and what it means.
pub fn one_of<T: Clone + Send + Sync + 'static, const N: usize>(
    values: [(T, &'static str, &'static str); N],
) -> impl TypedValueParser<Value = T> {
    let names = values.clone().map(|(_, name, help)| PossibleValue::new(name).help(help));
    PossibleValuesParser::new(names).map(move |given| {
        let found = values.iter().find(|(_, name, _)| *name == given);
        found.expect("one of the possible values was given").0.clone()
    })
}
