//! Order of the rows of queries and keys, layer by layer, and what it says about the model.

use super::pass::Pass;
use super::rotary::{Agreement, RowOrder};
use super::{Check, Finding};

/// Layers that are named.
const SHOWN: usize = 5;
/// Mean agreement from which rows in the right order are recognised, though every layer by itself may say nothing.
const CLEAR: f64 = 0.45;

/// One finding for each way in which layers are wrong; one if none is. None for a model without rotary positions.
pub(super) fn findings(pass: &Pass) -> Vec<Finding> {
    let mut layers: Vec<(&str, Agreement)> =
        pass.layers.iter().map(|(name, agreement)| (name.as_str(), *agreement)).collect();
    layers.sort_by_cached_key(|(name, _)| (number(name), (*name).to_owned()));
    if layers.is_empty() {
        return Vec::new();
    }
    let with = |order: RowOrder| -> Vec<(&str, Agreement)> {
        layers.iter().copied().filter(|(_, agreement)| agreement.order() == order).collect()
    };
    // What is perhaps Meta's order is so where most layers surely are in it.
    let surely = with(RowOrder::Meta);
    let mut both = surely.clone();
    let mut perhaps = with(RowOrder::PerhapsMeta);
    if 2 * (surely.len() + perhaps.len()) > layers.len() && !surely.is_empty() {
        both.append(&mut perhaps);
    }
    let all = layers.len();
    let mut findings = Vec::new();
    for (what, wrong) in [
        ("q_proj and k_proj", both),
        ("q_proj alone", with(RowOrder::QueriesMeta)),
        ("k_proj alone", with(RowOrder::KeysMeta)),
    ] {
        if !wrong.is_empty() {
            findings.push(
                Finding::failure(Check::RowOrder, "inconsistent header", found(what, "", &wrong, all))
                    .expected("the rows of q and k in Hugging Face's order")
                    .advice(
                        "they were converted without the reordering of their rows, and results are noise: convert the model \
                         again",
                    ),
            );
        }
    }
    if !perhaps.is_empty() {
        findings.push(
            Finding::warning(Check::RowOrder, found("q_proj and k_proj", "perhaps ", &perhaps, all))
                .expected("the rows of q and k in Hugging Face's order")
                .advice("compare these layers with another conversion of the model"),
        );
    }
    if findings.is_empty() {
        let mean = |of: fn(&Agreement) -> f64| layers.iter().map(|(_, a)| of(a)).sum::<f64>() / all as f64;
        let (as_is, moved) = (mean(|a| a.as_is), mean(|a| a.both_moved));
        let numbers = format!("agreement of halves {as_is:.2}, of neighbours {moved:.2}, over {all} layers");
        findings.push(if as_is >= CLEAR {
            Finding::ok(Check::RowOrder, format!("Hugging Face's: {numbers}"))
        } else {
            Finding::note(Check::RowOrder, format!("the values do not tell it: {numbers}"))
        });
    }
    findings
}

/// Which layers, and what tells it.
fn found(what: &str, doubt: &str, wrong: &[(&str, Agreement)], all: usize) -> String {
    let (_, first) = wrong[0];
    let (better, how) =
        [(first.both_moved, "both"), (first.queries_moved, "those of q"), (first.keys_moved, "those of k")]
            .into_iter()
            .fold((f64::NEG_INFINITY, ""), |best, reading| if reading.0 > best.0 { reading } else { best });
    let which = if wrong.len() == all {
        format!("all {all} layers")
    } else {
        let numbers: Vec<String> =
            wrong.iter().take(SHOWN).map(|(name, _)| number(name).to_string()).collect();
        let more = wrong.len().saturating_sub(SHOWN);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let layers = if wrong.len() == 1 { "layer" } else { "layers" };
        format!("{layers} {}{more} of {all}", numbers.join(", "))
    };
    format!(
        "{doubt}Meta's order in {what} of {which} (agreement of paired rows {:.2}, {better:.2} with {how} reordered)",
        first.as_is
    )
}

/// The number of a layer by the name of a tensor of it.
fn number(name: &str) -> usize {
    name.split('.').find_map(|part| part.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verify::Level;

    const RIGHT: Agreement =
        Agreement { as_is: 0.9, queries_moved: 0.0, keys_moved: 0.0, both_moved: 0.85, pairs: 288 };
    const META: Agreement = Agreement { as_is: 0.1, both_moved: 0.9, ..RIGHT };
    const QUERIES: Agreement = Agreement { as_is: 0.0, queries_moved: 0.9, both_moved: 0.0, ..RIGHT };
    const PERHAPS: Agreement = Agreement { as_is: 0.75, both_moved: 0.85, ..RIGHT };

    fn of(layers: &[Agreement]) -> Vec<(Level, String)> {
        let name = |i: usize| format!("model.layers.{i}.self_attn.q_proj.weight");
        let layers = layers.iter().enumerate().map(|(i, agreement)| (name(i), *agreement)).collect();
        let findings = findings(&Pass { layers, ..Pass::default() });
        findings.into_iter().map(|finding| (finding.level, finding.found)).collect()
    }

    #[test]
    fn one_layer_of_thirty_fails_by_itself() {
        let mut layers = vec![RIGHT; 30];
        assert!(matches!(of(&layers).as_slice(), [(Level::Ok, found)] if found.contains("Hugging Face's")));
        layers[11] = META;
        let found = of(&layers);
        assert!(
            matches!(found.as_slice(), [(Level::Failure, text)] if text.contains("q_proj and k_proj of layer 11 of 30")),
            "{found:?}"
        );
        layers[4] = QUERIES;
        let found = of(&layers);
        assert!(found.len() == 2 && found[1].1.contains("q_proj alone of layer 4 of 30"), "{found:?}");
        assert!(found[1].1.contains("0.00, 0.90 with those of q reordered"), "{found:?}");
        // A layer near the limit is a warning in a good model, and like the others in a bad one.
        let mut layers = vec![RIGHT; 30];
        layers[2] = PERHAPS;
        assert_eq!(of(&layers)[0].0, Level::Warning);
        let mut layers = vec![META; 30];
        layers[2] = PERHAPS;
        let found = of(&layers);
        assert!(found.len() == 1 && found[0].1.contains("all 30 layers"), "{found:?}");
        assert!(of(&[]).is_empty());
    }
}
