//! Something that a run needs and that is not on this machine.

use crate::hub::{HubError, Missing};
use crate::records::MissingData;
use crate::report::Table;
use crate::report::numbers::short_bytes;
use crate::report::table::{Cell, number, text};
use crate::tasks::data::HubData;
use crate::tasks::{download_bytes, known_dataset};

/// What something is that is not here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NeedKind {
    /// A data set.
    Data,
    /// A model, or a part of one.
    Model,
}

/// Something that is not on this machine.
#[derive(Debug, Clone, PartialEq)]
pub struct Need {
    /// What it is.
    pub kind: NeedKind,
    /// Its name: `organisation/name` of a data set, the id of a model.
    pub name: String,
    /// What of it.
    pub what: String,
    /// What is to be transferred; `None` where nobody says.
    pub bytes: Option<u64>,
    /// The licence.
    pub licence: Option<String>,
    /// Where it comes from.
    pub from: String,
    /// Why it cannot be fetched, and what to do.
    pub obstacle: Option<String>,
}

impl Need {
    /// Of a model's files, as `found` has them.
    pub fn of_model(name: &str, what: &str, licence: &str, found: Result<Missing, HubError>) -> Self {
        let need = Self {
            kind: NeedKind::Model,
            name: name.to_owned(),
            what: what.to_owned(),
            bytes: None,
            licence: Some(licence.to_owned()),
            from: String::new(),
            obstacle: None,
        };
        need.with(found)
    }

    /// Of a data set, before anyone was asked about it.
    pub(super) fn of_data(data: &HubData) -> Self {
        let what = match data.configs.as_slice() {
            [None] => "the default configuration".to_owned(),
            [Some(one)] => one.clone(),
            several => format!("{} configurations", several.len()),
        };
        Self {
            kind: NeedKind::Data,
            name: data.repo.clone(),
            what,
            bytes: download_bytes(std::slice::from_ref(data)),
            licence: known_dataset(&data.repo).map(|known| known.license.clone()),
            from: format!("hub data set {}", data.repo),
            obstacle: None,
        }
    }

    /// With what `found` says of it.
    pub(super) fn with(self, found: Result<Missing, HubError>) -> Self {
        match found {
            Ok(Missing { bytes, license, from, .. }) => {
                let licence = match (license, self.licence) {
                    (Some(said), Some(known)) => Some(said_beside(said, &known, self.kind)),
                    (said, known) => said.or(known),
                };
                Self { bytes, licence, from, ..self }
            }
            // Without a network there is nothing wrong with the thing itself.
            Err(HubError::Offline { .. }) => self,
            Err(error) => Self { obstacle: Some(error.to_string()), ..self },
        }
    }
}

impl Need {
    /// `cais/mmlu (mit)`.
    pub(super) fn with_licence(&self) -> String {
        let licence = self.licence.as_ref().map_or_else(String::new, |licence| format!(" ({licence})"));
        format!("{}{licence}", self.name)
    }
}

/// The licence that the place itself names. Of data it is said where its authors state another one.
fn said_beside(said: String, known: &str, kind: NeedKind) -> String {
    let plain = |text: &str| -> String {
        text.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase()
    };
    if kind == NeedKind::Model || plain(&said) == plain(known) {
        return said;
    }
    format!("{said} (its authors: {known})")
}

/// One line for each; what cannot be fetched says why.
pub fn needs_table(needs: &[Need]) -> Table<&Need> {
    let kind = |need: &Need| match need.kind {
        NeedKind::Data => "data",
        NeedKind::Model => "model",
    };
    Table::of(needs)
        .column(text("kind"), kind)
        .column(text("name").wraps(), |need| &need.name)
        .column(text("what").wraps(), |need| &need.what)
        .column(number("bytes").titled("size"), |need| match need.bytes {
            Some(bytes) => Cell::from(bytes).shown(short_bytes(bytes)),
            None => Cell::empty().shown("unknown"),
        })
        .column(text("licence").wraps(), |need| need.licence.as_ref())
        .column(text("from").wraps(), |need| &need.from)
}

/// The sum of sizes, as far as they are known.
pub(super) fn total(needs: &[Need]) -> String {
    let known = known_bytes(needs.iter().map(|need| need.bytes));
    let unknown = needs.iter().filter(|need| need.bytes.is_none()).count();
    match unknown {
        0 => short_bytes(known),
        _ if unknown == needs.len() => "of unknown size".to_owned(),
        _ => format!("{} and {unknown} of unknown size", short_bytes(known)),
    }
}

/// The sum of the sizes that are known, which servers say: more than can be counted is more than any disk holds.
pub(super) fn known_bytes(sizes: impl Iterator<Item = Option<u64>>) -> u64 {
    sizes.flatten().fold(0, u64::saturating_add)
}

/// Which tasks are left out because their data is missing, and why, a line for each reason.
pub fn lines_about(left: &[MissingData]) -> Vec<String> {
    let mut reasons: Vec<(&str, Vec<String>)> = Vec::new();
    for MissingData { task, why } in left {
        match reasons.iter_mut().find(|(known, _)| known == why) {
            Some((_, tasks)) => tasks.push(task.clone()),
            None => reasons.push((why, vec![task.clone()])),
        }
    }
    let line = |(why, tasks): (&str, Vec<String>)| {
        let tasks = listed(&tasks);
        format!("MISSING DATA: {tasks} left out, and groups that hold such tasks have no value: {why}")
    };
    reasons.into_iter().map(line).collect()
}

/// `a, b, c and 4 more`.
pub fn listed(names: &[String]) -> String {
    match names {
        [a, b, c, _, rest @ ..] => format!("{a}, {b}, {c} and {} more", rest.len() + 1),
        few => few.join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn need(bytes: Option<u64>) -> Need {
        let missing = Missing { bytes, ..Missing::default() };
        Need::of_model("m", "weights", "MIT", Ok(missing))
    }

    #[test]
    fn sums_say_what_they_do_not_know() {
        assert_eq!(total(&[need(Some(1500)), need(Some(500))]), "2.0 kB");
        assert_eq!(total(&[need(Some(1500)), need(None)]), "1.5 kB and 1 of unknown size");
        assert_eq!(total(&[need(None)]), "of unknown size");
        assert_eq!(known_bytes([Some(u64::MAX), None, Some(7)].into_iter()), u64::MAX);
    }

    #[test]
    fn a_hub_that_refuses_is_an_obstacle_and_no_network_is_none() {
        let refused = HubError::NoSource("it is gone".to_owned());
        let refused = Need::of_model("m", "weights", "MIT", Err(refused));
        assert_eq!((refused.bytes, refused.obstacle.as_deref()), (None, Some("it is gone")));
        let offline = Err(HubError::Offline { what: "model m".to_owned() });
        assert_eq!(Need::of_model("m", "weights", "MIT", offline).obstacle, None);
        let table = needs_table(&[refused]).text(100);
        assert!(table.contains("unknown") && table.contains("MIT"), "{table}");
    }

    #[test]
    fn what_is_known_of_data_is_said_before_anyone_is_asked_and_the_hub_has_the_last_word() {
        let of = |repo: &str, config: &str| {
            let configs = vec![Some(config.to_owned())];
            Need::of_data(&HubData { repo: repo.to_owned(), configs, tasks: Vec::new() })
        };
        let offline = || Err(HubError::Offline { what: "data".to_owned() });
        let need = of("openai/gsm8k", "main").with(offline());
        assert_eq!((need.bytes, need.licence.as_deref()), (Some(2_725_633), Some("MIT")));
        let need = of("somebody/else", "main").with(offline());
        assert_eq!((need.bytes, need.licence), (None, None));
        let said = |license: Option<&str>| {
            let license = license.map(str::to_owned);
            let found = Missing { bytes: Some(7), license, ..Missing::default() };
            let need = of("allenai/winogrande", "winogrande_xl").with(Ok(found));
            (need.bytes, need.licence.unwrap())
        };
        assert_eq!(said(Some("cc-by-4.0")), (Some(7), "cc-by-4.0".to_owned()));
        assert_eq!(said(None), (Some(7), "CC-BY-4.0".to_owned()));
        assert_eq!(said(Some("apache-2.0")).1, "apache-2.0 (its authors: CC-BY-4.0)");
        // The card of a model says what it is; another word of the hub is not beside it.
        let found = Missing { license: Some("other".to_owned()), ..Missing::default() };
        assert_eq!(Need::of_model("m", "weights", "MIT", Ok(found)).licence.as_deref(), Some("other"));
    }

    #[test]
    fn long_lists_are_cut() {
        let names: Vec<String> = ["a", "b", "c", "d", "e"].map(str::to_owned).into();
        assert_eq!(
            (listed(&names[..3]), listed(&names)),
            ("a, b, c".to_owned(), "a, b, c and 2 more".to_owned())
        );
    }
}
