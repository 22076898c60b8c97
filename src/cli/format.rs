//! The one `--format`, of which each verb names the forms that it has, and other flags of a few values.

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};

use crate::report::Format;

/// The parser of a verb's `--format`: its forms, and what each of them is there.
pub fn formats<const N: usize>(forms: [(Format, &'static str); N]) -> impl TypedValueParser<Value = Format> {
    one_of(forms.map(|(form, help)| (form, PossibleValue::new(form.as_str()).help(help))))
}

/// The parser of a flag that takes one of a few values, each by its name.
pub fn one_of<T: Clone + Send + Sync + 'static, const N: usize>(
    values: [(T, PossibleValue); N],
) -> impl TypedValueParser<Value = T> {
    PossibleValuesParser::new(values.clone().map(|(_, name)| name)).map(move |given| {
        let mut values = values.iter();
        let (value, _) =
            values.find(|(_, name)| name.get_name() == given).expect("one of the possible values was given");
        value.clone()
    })
}
