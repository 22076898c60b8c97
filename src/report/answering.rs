//! How models choose, in figures: how sure they are and how often right, and which places they prefer.

use serde_json::Value;

use super::calibrated::Calibrated;
use super::figure::{Bar, BarGroup, Bars, Calibration, CalibrationBin, CalibrationCurve};
use super::pictures::Picture;
use crate::metrics::{Gold, Positions, calibration, first_highest};
use crate::records::SampleLine;

/// A suite whose documents have more choices than this says nothing about places.
const MOST_PLACES: usize = 8;

/// The choices of models in one suite, document by document.
#[derive(Debug, Clone, Default)]
pub struct Answering {
    /// For each column its documents: log-likelihoods of the choices, and the right ones.
    columns: Vec<Vec<(Vec<f64>, Gold)>>,
}

impl Answering {
    /// Of so many columns, none of which has answered yet.
    pub fn new(columns: usize) -> Self {
        Self { columns: vec![Vec::new(); columns] }
    }

    /// Takes in the answers of a column to a task; documents without choices do not count.
    pub fn add(&mut self, column: usize, lines: &[SampleLine]) {
        let chosen = lines.iter().filter(|line| line.choices.len() > 1).filter_map(|line| {
            let logprobs = line.choices.iter().map(|choice| choice.logprob).collect();
            Some((logprobs, gold(&line.target)?))
        });
        self.columns[column].extend(chosen);
    }

    /// The figures of a suite; none where nothing was chosen.
    pub fn pictures(&self, suite: &str, labels: &[String]) -> Vec<Picture> {
        let picture =
            |kind: &str, title: String, svg: String| Picture { name: format!("{kind}-{suite}"), title, svg };
        let curves = self.curves(labels);
        let mut pictures = Vec::new();
        if !curves.is_empty() {
            let title = format!("{suite}: calibration");
            let subtitle = "15 bins of equal width; larger points are more documents; ECE is the expected calibration error";
            let figure = Calibration { title: title.clone(), subtitle: subtitle.to_owned(), curves };
            pictures.push(picture("calibration", title, figure.svg()));
        }
        if let Some(groups) = self.places(labels) {
            let title = format!("{suite}: how often each place is chosen");
            let figure = Bars {
                title: title.clone(),
                subtitle: "with Wilson's 95 % intervals".to_owned(),
                label: "share of documents (per cent)".to_owned(),
                reference_label: "where the right answer stands there".to_owned(),
                number: |share| format!("{:.1}", 100.0 * share),
                groups,
            };
            pictures.push(picture("places", title, figure.svg()));
        }
        pictures
    }

    fn curves(&self, labels: &[String]) -> Vec<CalibrationCurve> {
        let curve = |(own, name): (&Vec<(Vec<f64>, Gold)>, &String)| {
            let known = calibration(own.iter().map(|(logprobs, gold)| (&logprobs[..], gold)))?;
            let bins = known.bins.iter().filter(|bin| bin.n > 0);
            let bins = bins.map(|bin| CalibrationBin {
                confidence: bin.confidence,
                right: bin.accuracy,
                documents: bin.n,
            });
            Some(CalibrationCurve { name: name.clone(), ece: known.ece, bins: bins.collect() })
        };
        self.columns.iter().zip(labels).filter_map(curve).collect()
    }

    /// A line for each column that has chosen.
    pub fn calibrated(&self, suite: &str, labels: &[String]) -> Vec<Calibrated> {
        let n = self.choices();
        let line = |(own, label): (&Vec<(Vec<f64>, Gold)>, &String)| {
            let known = calibration(own.iter().map(|(logprobs, gold)| (&logprobs[..], gold)))?;
            let positions = n.map(|n| positions(own, n)).filter(|own| own.n() > 0);
            let place = positions.as_ref().map(|own| {
                let chosen: Vec<f64> = own.chosen().into_iter().map(|count| count as f64).collect();
                let place = first_highest(&chosen);
                (place + 1, chosen[place] / own.n() as f64)
            });
            Some(Calibrated {
                label: label.clone(),
                suite: suite.to_owned(),
                n: known.n,
                ece: known.ece,
                brier: known.brier,
                place,
                p: positions.and_then(|own| own.homogeneity()).map(|test| test.p),
            })
        };
        self.columns.iter().zip(labels).filter_map(line).collect()
    }

    /// How many choices every document has, where all have as many and few enough to speak of places.
    fn choices(&self) -> Option<usize> {
        let n = self.columns.iter().flatten().map(|(logprobs, _)| logprobs.len()).next()?;
        let alike = self.columns.iter().flatten().all(|(logprobs, _)| logprobs.len() == n);
        (alike && n <= MOST_PLACES).then_some(n)
    }

    /// A block for each place, where all documents have as many.
    fn places(&self, labels: &[String]) -> Option<Vec<BarGroup>> {
        let n = self.choices()?;
        let positions: Vec<Positions> = self.columns.iter().map(|own| positions(own, n)).collect();
        let whole = positions.iter().max_by_key(|own| own.n()).filter(|own| own.n() > 0)?;
        let share = |count: usize, of: &Positions| count as f64 / of.n() as f64;
        let bar = |own: &Positions, place: usize| {
            if own.n() == 0 {
                return Err("not asked".to_owned());
            }
            let interval = own.chosen_intervals()[place];
            Ok(Bar { value: share(own.chosen()[place], own), interval: Some(interval) })
        };
        let group = |place: usize| BarGroup {
            name: format!("place {}", place + 1),
            reference: Some(share(whole.right()[place], whole)),
            bars: positions.iter().zip(labels).map(|(own, name)| (name.clone(), bar(own, place))).collect(),
        };
        Some((0..n).map(group).collect())
    }
}

/// Right and chosen places of documents with so many choices.
fn positions(own: &[(Vec<f64>, Gold)], choices: usize) -> Positions {
    let places = own.iter().filter_map(|(logprobs, gold)| match gold {
        Gold::Index(right) if *right < choices => Some([*right, first_highest(logprobs)]),
        _ => None,
    });
    Positions::of(choices, places)
}

fn gold(target: &Value) -> Option<Gold> {
    let index = |value: &Value| value.as_u64().and_then(|index| usize::try_from(index).ok());
    match target {
        Value::Array(all) => all.iter().map(index).collect::<Option<Vec<_>>>().map(Gold::Indices),
        one => index(one).map(Gold::Index),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn line(logprobs: &[f64], target: Value) -> SampleLine {
        let choice = |logprob: &f64| json!({"logprob": logprob, "is_greedy": false, "n_tokens": 1, "prompt_sha256": null, "n_ctx_tokens": null});
        let choices: Vec<Value> = logprobs.iter().map(choice).collect();
        let line = json!({
            "doc_id": 0, "prompt_sha256": "", "n_prompt_tokens": null, "n_ctx_tokens": null, "truncated": false,
            "choices": choices, "target": target, "metrics": {},
        });
        serde_json::from_value(line).unwrap()
    }

    #[test]
    fn choices_are_drawn_by_confidence_and_by_place() {
        let mut answering = Answering::new(2);
        let sure = [0.75_f64.ln(), 0.25_f64.ln()];
        answering.add(0, &[line(&sure, json!(0)), line(&sure, json!(1)), line(&[-1.0], json!("text"))]);
        let pictures = answering.pictures("birds", &["a".to_owned(), "b".to_owned()]);
        let names: Vec<&str> = pictures.iter().map(|picture| picture.name.as_str()).collect();
        assert_eq!(names, ["calibration-birds", "places-birds"]);
        // Sure by 0.75 and right in one of two; the first place is always chosen.
        assert!(
            pictures[0].svg.contains(">a (ECE 0.250)<") && !pictures[0].svg.contains(">b ("),
            "{}",
            pictures[0].svg
        );
        assert!(
            pictures[1].svg.contains(">100.0  [34.2, 100.0]<") && pictures[1].svg.contains(">not asked<")
        );
        assert!(pictures[1].svg.contains(">0.0  [0.0, 65.8]<"));
    }

    #[test]
    fn documents_of_different_choices_have_no_places_and_nothing_has_no_figure() {
        let labels = ["a".to_owned()];
        assert!(Answering::new(1).pictures("x", &labels).is_empty());
        let mut answering = Answering::new(1);
        answering.add(0, &[line(&[-1.0, -2.0], json!([0, 1])), line(&[-1.0, -2.0, -3.0], json!(2))]);
        let pictures = answering.pictures("x", &labels);
        assert_eq!(pictures.len(), 1);
    }
}
