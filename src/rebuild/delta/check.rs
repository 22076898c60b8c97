//! Whether a base and a difference belong together, before anything is computed.
//!
//! Names and shapes tell most accidents: a base of another size, one whose vocabulary was already resized, the rule
//! of another project. That base and difference were exchanged, or that a "difference" is a whole model, only values
//! tell: the weights of normalisation layers lie between 0.1 and 2 in models and near 0 in differences
//! (0.6–1.8 against 0.006–0.01 in the reference artefacts), so their magnitudes are compared.

use super::{AppendedRow, DeltaRule, EMBEDDING, OUTPUT};
use crate::base::fault::Refusal;
use crate::forms::{FormError, HfModel};
use crate::rebuild::layers;
use crate::weights::{Dtype, TensorInfo, is_buffer};

/// A difference's weights are smaller than this part of the model's.
const DIFFERENCE: f64 = 0.5;
/// Normalisation weights of a whole model are larger than this.
const WHOLE: f64 = 0.05;
/// Rows of an embedding that are looked at.
const SAMPLED_ROWS: usize = 256;

/// Refuses parts that do not fit; returns notes.
pub(super) fn check(base: &HfModel, released: &HfModel, rule: &DeltaRule) -> Result<Vec<String>, FormError> {
    let both = BaseAndDifference { base, released, rule };
    both.check_types()?;
    both.check_size()?;
    both.check_magnitudes()?;
    both.check_names()?;
    both.check_rows()?;
    both.check_shapes()?;
    Ok(both.notes())
}

/// A base and a difference that may belong together.
struct BaseAndDifference<'a> {
    base: &'a HfModel,
    released: &'a HfModel,
    rule: &'a DeltaRule,
}

fn find<'a>(model: &'a HfModel, name: &str) -> Option<&'a TensorInfo> {
    model.tensors.info(name)
}

fn place(model: &HfModel, name: &str) -> String {
    format!("{}: {name}", model.path.display())
}

fn learned(model: &HfModel) -> impl Iterator<Item = &TensorInfo> {
    model.tensors.tensors().iter().filter(|info| !is_buffer(info))
}

/// "13B-sized (hidden size 5120, 40 layers)", for the sizes of the family.
fn size_of(hidden: usize, layers: usize) -> String {
    let name = match hidden {
        4096 => "7B-sized ",
        5120 => "13B-sized ",
        6656 => "33B-sized ",
        8192 if layers == 80 => "65B- or 70B-sized ",
        _ => "",
    };
    format!("a {name}model of hidden size {hidden} with {layers} layers")
}

impl BaseAndDifference<'_> {
    fn check_types(&self) -> Result<(), Box<Refusal>> {
        for (model, role) in [(self.base, "base"), (self.released, "difference")] {
            let exact = |dtype| matches!(dtype, Dtype::F16 | Dtype::BF16 | Dtype::F32 | Dtype::F64);
            if let Some(info) = learned(model).find(|info| !exact(info.dtype)) {
                let expected = format!("a {role} in F16, BF16 or F32");
                let advice = "fetch the unquantised files: a sum with rounded weights is another model";
                return Err(Refusal::new(place(model, &info.name), expected, info.dtype.to_string(), advice));
            }
        }
        Ok(())
    }

    fn check_size(&self) -> Result<(), Box<Refusal>> {
        let width = |model| find(model, EMBEDDING).and_then(|info| info.shape.get(1).copied());
        let (Some(base), Some(released)) = (width(self.base), width(self.released)) else {
            return Ok(());
        };
        let (base_layers, released_layers) =
            (layers(self.base.tensors.as_ref()), layers(self.released.tensors.as_ref()));
        if base == released && base_layers == released_layers {
            return Ok(());
        }
        Err(Refusal::new(
            self.base.path.display().to_string(),
            format!("the base that the difference was made from, {}", size_of(released, released_layers)),
            size_of(base, base_layers),
            "take the base of the difference's own size",
        ))
    }

    fn check_magnitudes(&self) -> Result<(), FormError> {
        let (Some(base), Some(released)) = (norms(self.base)?, norms(self.released)?) else {
            return Ok(());
        };
        let numbers = format!(
            "normalisation weights of magnitude {base:.4} in the base and {released:.4} in the release"
        );
        let (base_path, released_path) =
            (self.base.path.display().to_string(), self.released.path.display().to_string());
        if base < released * DIFFERENCE {
            let (expected, advice) =
                ("a whole model as base and a difference as release", "exchange the two");
            let found = format!("{numbers}: the base is a difference and the release a model");
            return Err(Refusal::new(base_path, expected, found, advice).into());
        }
        if released >= base * DIFFERENCE && base < WHOLE {
            let expected = "a whole model as base";
            let found = format!("{numbers}: both are differences");
            let advice = "name the original LLaMA as base";
            return Err(Refusal::new(base_path, expected, found, advice).into());
        }
        if released >= base * DIFFERENCE {
            let found = format!("{numbers}: the release is a whole model");
            let advice = "use it as it is, it needs no base; if its card says difference, it is another revision \
                          (Ziya was first uploaded whole)";
            return Err(Refusal::new(released_path, "a difference", found, advice).into());
        }
        let (Some(base), Some(released)) = (rows(self.base)?, rows(self.released)?) else { return Ok(()) };
        let whole = released >= base * DIFFERENCE;
        let replaced = self.rule.replaces(EMBEDDING);
        if whole == replaced {
            return Ok(());
        }
        let numbers = format!("values of magnitude {released:.4} beside {base:.4} in the base");
        let refusal = if replaced {
            let expected = format!("a whole embedding, as the rule {} takes it", self.rule.name);
            let advice = format!("use the rule {} or {}", DeltaRule::VICUNA.name, DeltaRule::VICUNA_V0.name);
            Refusal::new(
                place(self.released, EMBEDDING),
                expected,
                format!("{numbers}: a difference"),
                advice,
            )
        } else {
            let expected = format!("a difference, as the rule {} adds it", self.rule.name);
            let advice = format!(
                "use the rule {}, which takes embedding and output as released",
                DeltaRule::ZIYA.name
            );
            Refusal::new(place(self.released, EMBEDDING), expected, format!("{numbers}: whole rows"), advice)
        };
        Err(refusal.into())
    }

    /// Names must be the same on both sides.
    fn check_names(&self) -> Result<(), Box<Refusal>> {
        let sides = [(self.base, self.released, "difference"), (self.released, self.base, "base")];
        for (one, other, role) in sides {
            let mut missing = learned(one).filter(|info| find(other, &info.name).is_none());
            if let Some(info) = missing.next() {
                let more = missing.count();
                let others = if more > 0 { format!(" ({more} more like it)") } else { String::new() };
                return Err(Refusal::new(
                    place(other, &info.name),
                    format!("each tensor of {} in the {role} too", one.path.display()),
                    format!("none of that name{others}"),
                    "check that both folders are complete and belong to one architecture",
                ));
            }
        }
        Ok(())
    }

    /// The rows of embedding and output layer: where resized vocabularies show.
    fn check_rows(&self) -> Result<(), Box<Refusal>> {
        for name in [EMBEDDING, OUTPUT] {
            let count = |model| find(model, name).and_then(|info| info.shape.first().copied());
            // The names are the same on both sides; a scalar has no rows, and its shape is compared next.
            let (Some(base), Some(released)) = (count(self.base), count(self.released)) else { continue };
            let added = usize::from(self.rule.appends_to(name));
            if self.rule.replaces(name) || released.checked_sub(added) == Some(base) {
                continue;
            }
            let expected = match self.rule.appended {
                AppendedRow::None => format!("{released} rows, as in the difference"),
                _ => format!("{} rows, one less than the difference has", released.saturating_sub(added)),
            };
            let advice = match (added, released.checked_sub(base)) {
                (0, Some(1)) => format!(
                    "the difference has one row more, as Vicuna's first version ({}) and Alpaca ({}) have: use \
                     that rule",
                    DeltaRule::VICUNA_V0.name,
                    DeltaRule::ALPACA.name
                ),
                (1, Some(0)) => format!(
                    "if the base's vocabulary was already resized (a padding token was added), take the original; \
                     if the difference is one without a new row, as Vicuna 1.1's, use the rule {}",
                    DeltaRule::VICUNA.name
                ),
                (_, Some(_)) => format!(
                    "the difference has a grown vocabulary, as Ziya's: if its embedding is a whole one, use the \
                     rule {}",
                    DeltaRule::ZIYA.name
                ),
                (_, None) => {
                    "the base's vocabulary was resized: take the original LLaMA, without added tokens".into()
                }
            };
            return Err(Refusal::new(place(self.base, name), expected, format!("{base} rows"), advice));
        }
        Ok(())
    }

    fn check_shapes(&self) -> Result<(), Box<Refusal>> {
        for info in learned(self.released) {
            let base = find(self.base, &info.name).expect("the names are the same on both sides");
            let mut shape = base.shape.clone();
            let appends = self.rule.appends_to(&info.name);
            if let Some(rows) = shape.first_mut().filter(|_| appends) {
                *rows += 1;
            }
            // A replaced matrix may have other rows, but it feeds layers of the base's width.
            let fits = if self.rule.replaces(&info.name) {
                info.shape.len() == shape.len() && info.shape.get(1..) == shape.get(1..)
            } else {
                info.shape == shape
            };
            if appends && shape.len() != 2 {
                let found = format!("shape {:?}", base.shape);
                let advice = "take the original LLaMA as base";
                let place = place(self.base, &info.name);
                return Err(Refusal::new(place, "a matrix, which gets one row more", found, advice));
            }
            if !fits {
                return Err(Refusal::new(
                    place(self.released, &info.name),
                    format!("shape {shape:?}, as the base's"),
                    format!("{:?}", info.shape),
                    "the difference was made from another model: take its own base",
                ));
            }
        }
        Ok(())
    }

    fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        let rounded = |info: &&TensorInfo| info.dtype == Dtype::BF16 && self.rule.dtype != Dtype::BF16;
        if let Some(info) = learned(self.base).find(rounded) {
            notes.push(format!(
                "{}: expected the base in F16, as it was published, found BF16: its last bits were rounded away, so \
                 the result differs a little from the authors' model",
                place(self.base, &info.name)
            ));
        }
        notes
    }
}

/// The median, over the normalisation layers, of the mean magnitude of their weights.
fn norms(model: &HfModel) -> Result<Option<f64>, FormError> {
    let mut means = Vec::new();
    for info in learned(model).filter(|info| info.name.ends_with("norm.weight") && info.shape.len() == 1) {
        let values = model.tensors.tensor(&info.name)?.to_f32()?;
        means.push(magnitude(&values));
    }
    means.sort_by(f64::total_cmp);
    Ok(means.get(means.len() / 2).copied())
}

/// The mean magnitude of some rows of the embedding.
fn rows(model: &HfModel) -> Result<Option<f64>, FormError> {
    let Some(info) = find(model, EMBEDDING) else { return Ok(None) };
    let &[rows, columns] = info.shape.as_slice() else { return Ok(None) };
    let view = model.tensors.tensor(EMBEDDING)?;
    let mut values = vec![0.0; columns];
    let mut means = Vec::new();
    for row in (0..rows).step_by((rows / SAMPLED_ROWS).max(1)) {
        view.widen_from(row * columns, &mut values)?;
        means.push(magnitude(&values));
    }
    means.sort_by(f64::total_cmp);
    Ok(means.get(means.len() / 2).copied())
}

fn magnitude(values: &[f32]) -> f64 {
    let sum: f64 = values.iter().map(|x| f64::from(x.abs())).sum();
    sum / values.len().max(1) as f64
}
