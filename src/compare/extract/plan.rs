//! Plan of an adapter: which part of it each change becomes.

use super::ExtractOptions;
use crate::base::fault::Refusal;
use crate::compare::{Comparison, TensorChange, TensorKind};

/// What becomes of the changes between two models.
#[derive(Debug, Clone, Default)]
pub struct ExtractionPlan {
    /// Paths of the linear layers that get an update of low rank, sorted.
    pub modules: Vec<String>,
    /// Paths of the modules that are saved whole, sorted.
    pub saved: Vec<String>,
    /// Changes that are left out.
    pub left: Vec<Left>,
    /// `target_modules` of the configuration.
    pub target_modules: Vec<String>,
    /// `modules_to_save` of the configuration.
    pub modules_to_save: Vec<String>,
}

/// A change that the adapter leaves out.
#[derive(Debug, Clone, PartialEq)]
pub struct Left {
    /// The tensor's name in B.
    pub name: String,
    /// `‖B − A‖_F` of it.
    pub delta_norm: f64,
    /// Why it has no update, in words.
    pub reason: &'static str,
}

impl ExtractionPlan {
    /// Sorts the changes that [`compare`](crate::compare::compare) found; it needs no spectra.
    ///
    /// # Errors
    /// A [`Refusal`] if B is not A with other values and more rows of vocabulary, or if no linear layer changed.
    pub fn new(found: &Comparison, options: &ExtractOptions) -> Result<ExtractionPlan, Box<Refusal>> {
        check_same_architecture(found)?;
        let mut plan = ExtractionPlan::default();
        let mut linear: Vec<&str> = Vec::new();
        for change in &found.changes {
            let module = change.name.strip_suffix(".weight");
            if let Some(module) = module.filter(|_| is_linear(change)) {
                linear.push(module);
            }
            if change.moments.is_equal() && change.common_rows().is_none() {
                continue;
            }
            if change.moments.non_finite > 0 {
                let found = format!("{} that are not", change.moments.non_finite);
                let advice = "check both models with `zoo verify`";
                return Err(Refusal::new(&change.name, "finite values in both models", found, advice));
            }
            plan.place(change, module, options)?;
        }
        if plan.modules.is_empty() {
            let what = if found.is_identical() { "identical models" } else { "changes elsewhere only" };
            let expected = match &options.targets {
                Some(targets) => format!("changed linear layers named {}", targets.join(", ")),
                None => "changed linear layers".to_owned(),
            };
            let advice = "an adapter needs at least one; `zoo diff` shows what changed";
            return Err(Refusal::new("extraction", expected, what, advice));
        }
        plan.target_modules = short_names(&plan.modules, &linear);
        plan.modules_to_save = plan.saved.iter().map(|module| saved_name(module)).collect();
        Ok(plan)
    }

    fn place(
        &mut self,
        change: &TensorChange,
        module: Option<&str>,
        options: &ExtractOptions,
    ) -> Result<(), Box<Refusal>> {
        let mut leave = |reason| {
            let delta_norm = change.moments.delta_squared.sqrt();
            self.left.push(Left { name: change.name.clone(), delta_norm, reason });
        };
        match (change.place.kind, module) {
            (TensorKind::Embed | TensorKind::Head, Some(module)) => {
                if change.shape_b.first() < change.shape_a.first() {
                    let rows = |shape: &[usize]| format!("{} rows", shape[0]);
                    let expected = format!("at least the {} of A", rows(&change.shape_a));
                    let advice = "an adapter can only add rows: name the model with fewer rows first";
                    return Err(Refusal::new(&change.name, expected, rows(&change.shape_b), advice));
                }
                self.saved.push(module.to_owned());
            }
            (TensorKind::Norm, Some(module)) if options.save_norms => {
                self.saved.push(module.to_owned());
            }
            (TensorKind::Norm, Some(_)) => leave("a norm; --save-norms saves it whole"),
            (_, Some(module)) if is_linear(change) => {
                if options.targets.as_ref().is_none_or(|t| t.iter().any(|name| is_or_ends(module, name))) {
                    self.modules.push(module.to_owned());
                } else {
                    leave("not in --targets");
                }
            }
            _ => leave("neither a linear layer nor a module that can be saved"),
        }
        Ok(())
    }
}

/// The same tensors, and other shapes at most in the vocabulary.
fn check_same_architecture(found: &Comparison) -> Result<(), Box<Refusal>> {
    let advice = "name a model and what was made of it by training";
    if let Some(tensor) = found.incomparable.first() {
        return Err(Refusal::new(&tensor.name, format!("{}, as in A", tensor.a), tensor.b.clone(), advice));
    }
    if let Some(info) = found.only_in_a.first() {
        return Err(Refusal::new(&info.name, "this tensor in B, as in A", "no such tensor", advice));
    }
    if let Some(info) = found.only_in_b.first() {
        let expected = "no tensor in B that A lacks: an adapter cannot add one";
        return Err(Refusal::new(&info.name, expected, "one", advice));
    }
    Ok(())
}

/// Whether a tensor is the weight of a linear layer inside the network.
fn is_linear(change: &TensorChange) -> bool {
    let inside = !matches!(change.place.kind, TensorKind::Embed | TensorKind::Head | TensorKind::Norm);
    inside
        && change.shape_a.len() == 2
        && change.shape_a == change.shape_b
        && change.name.ends_with(".weight")
}

/// Whether `module` is `name`, or ends in it after a dot: how PEFT reads `target_modules`.
fn is_or_ends(module: &str, name: &str) -> bool {
    module.strip_suffix(name).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

fn last(module: &str) -> &str {
    module.rsplit('.').next().unwrap_or(module)
}

/// Last parts of paths where they mean no other linear layer, whole paths otherwise. A name that meant more than what
/// the file has would be a broken adapter.
fn short_names(modules: &[String], linear: &[&str]) -> Vec<String> {
    let mut names: Vec<String> = modules
        .iter()
        .map(|module| {
            let name = last(module);
            let meant = linear.iter().filter(|other| is_or_ends(other, name)).count();
            let here = modules.iter().filter(|other| is_or_ends(other, name)).count();
            if meant == here { name.to_owned() } else { module.clone() }
        })
        .collect();
    names.sort();
    names.dedup();
    names
}

/// Embeddings and output layers by their last part, as adapters have it; norms by their whole path, since many share
/// an ending.
fn saved_name(module: &str) -> String {
    match last(module) {
        name @ ("embed_tokens" | "lm_head" | "word_embeddings") => name.to_owned(),
        _ => module.to_owned(),
    }
}
