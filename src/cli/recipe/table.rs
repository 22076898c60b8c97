//! A recipe as a table: what, how much, and where it is known from.

use crate::registry::Card;
use crate::registry::recipe::{LearningRate, Recipe, Stage};
use crate::report::Table;
use crate::report::numbers::{rate, spaced};
use crate::report::table;
use crate::report::words::paragraph;

/// What, value, source.
type Row = (&'static str, String, Option<String>);

/// The recipe of a card for `width` columns; its base's recipe is only named.
pub fn text(card: &Card, base: Option<&Card>, recipe: &Recipe, width: usize) -> String {
    let mut out = paragraph(&format!("{}  {}", card.id, recipe.title), 0, width);
    if let Some(base) = base {
        out.push_str(&paragraph(&format!("starts from {}: see zoo recipe {}", base.name, base.id), 0, width));
    }
    for (position, stage) in recipe.stages.iter().enumerate() {
        out.push('\n');
        if recipe.stages.len() > 1 {
            let name = stage.name.as_ref().map_or_else(String::new, |name| format!(": {name}"));
            out.push_str(&format!("Stage {}{name}\n", position + 1));
        }
        out.push_str(&stage_table(stage, recipe.src.as_deref(), width));
    }
    for (title, lines) in [("Notes", notes(recipe)), ("Doubts", doubts(recipe))] {
        if !lines.is_empty() {
            out.push_str(&format!("\n{title}\n"));
            lines.iter().for_each(|line| out.push_str(&paragraph(line, 2, width)));
        }
    }
    out
}

fn notes(recipe: &Recipe) -> Vec<&str> {
    let of_stages = recipe.stages.iter().flat_map(|stage| &stage.notes);
    recipe.notes.iter().chain(of_stages).map(String::as_str).collect()
}

fn doubts(recipe: &Recipe) -> Vec<&str> {
    recipe.all_doubts().collect()
}

fn stage_table(stage: &Stage, recipe_src: Option<&str>, width: usize) -> String {
    let rows = rows(stage);
    let source = |row: usize| rows[row].2.as_deref().or(stage.src.as_deref()).or(recipe_src);
    Table::of(0..rows.len())
        .column(table::text(""), |row| rows[row].0)
        .column(table::text("value").wraps(), |row| &rows[row].1)
        // A source is said once for the rows that share it.
        .column(table::text("source").wraps(), |row| {
            if row > 0 && source(row - 1) == source(row) { None } else { source(row) }
        })
        .text(width)
}

fn rows(stage: &Stage) -> Vec<Row> {
    let mut rows: Vec<Row> = vec![
        ("method", stage.method.label().to_owned(), None),
        ("trained", stage.trainable.label().to_owned(), None),
    ];
    let mut add = |what, value: Option<String>, src: &Option<String>| {
        rows.extend(value.map(|value| (what, value, src.clone())));
    };
    let list = |words: &[String]| (!words.is_empty()).then(|| words.join(" "));
    if let Some(data) = &stage.data {
        let unit = data.unit.as_deref().unwrap_or("examples");
        add("data", Some(data.name.clone()), &data.src);
        add("examples", data.examples.map(|count| format!("{count} {unit}")), &data.src);
        add("tokens", data.tokens.map(|count| count.to_string()), &data.src);
        let gigabytes = data.bytes.map(|count| format!("{} GB", count.0 as f64 / 1e9));
        add("text", gigabytes, &data.src);
        let parts: Vec<String> =
            data.mixture.iter().map(|share| format!("{} {} %", share.name, share.percent)).collect();
        add("mixture", (!parts.is_empty()).then(|| parts.join(", ")), &data.src);
        add("languages", list(&data.languages), &data.src);
    }
    if let Some(batch) = &stage.batch {
        add("batch", batch.tokens.map(|count| format!("{count} tokens")), &batch.src);
        add("batch", batch.sequences.map(|count| format!("{count} sequences")), &batch.src);
    }
    add("sequence length", stage.sequence_length.map(|count| format!("{count} tokens")), &None);
    add("epochs", stage.epochs.map(|epochs| epochs.to_string()), &None);
    if let Some(total) = stage.total_steps() {
        let text = format!("{} ({})", spaced(total.steps), total.basis.label());
        add("steps", Some(text), &None);
    }
    if let Some(learning_rate) = &stage.learning_rate {
        add("peak learning rate", Some(rate(learning_rate.peak)), &learning_rate.src);
        add("schedule", schedule(learning_rate), &learning_rate.src);
        add("warm-up", warmup(learning_rate, stage), &learning_rate.src);
    }
    if let Some(optimizer) = &stage.optimizer {
        let src = &optimizer.src;
        let constant = |name: &str, value: Option<f64>| value.map(|value| format!("{name} {value}"));
        let eps = optimizer.eps.map(|eps| format!("eps {}", rate(eps)));
        let parts =
            [optimizer.name.clone(), constant("β1", optimizer.beta1), constant("β2", optimizer.beta2), eps];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        add("optimizer", (!parts.is_empty()).then(|| parts.join(", ")), src);
        add("weight decay", optimizer.weight_decay.map(|x| x.to_string()), src);
        let clip = optimizer.gradient_clipping.map(|x| format!("{x:?} (norm)"));
        add("gradient clipping", clip, src);
    }
    if let Some(lora) = &stage.lora {
        let dropout = lora.dropout.map_or_else(String::new, |x| format!(", dropout {x}"));
        let text = format!("rank {}, alpha {}{dropout}", lora.r, lora.alpha);
        add("adapters", Some(text), &lora.src);
        add("adapters on", list(&lora.target_modules), &lora.src);
        add("trained whole", list(&lora.modules_to_save), &lora.src);
    }
    if let Some(ppo) = &stage.ppo {
        add("actor learning rate", ppo.actor_learning_rate.map(rate), &ppo.src);
        add("critic learning rate", ppo.critic_learning_rate.map(rate), &ppo.src);
        add("ratio clipped to", ppo.eps_clip.map(|x| format!("1 ± {x}")), &ppo.src);
        add("beta_s", ppo.beta_s.map(|x| x.to_string()), &ppo.src);
    }
    add("precision", stage.precision.clone(), &None);
    add("hardware", stage.hardware.clone(), &None);
    add("GPU hours", stage.gpu_hours.map(spaced), &None);
    rows
}

fn schedule(rate: &LearningRate) -> Option<String> {
    let name = rate.schedule?.as_str();
    let name = match rate.decay_steps {
        Some(steps) => format!("constant, then {name} over the last {} steps", spaced(steps)),
        None => name.to_owned(),
    };
    Some(match rate.final_fraction {
        Some(fraction) => format!("{name} to {} % of the peak", 100.0 * fraction),
        None => name,
    })
}

fn warmup(rate: &LearningRate, stage: &Stage) -> Option<String> {
    if let Some(steps) = rate.warmup_steps {
        return Some(format!("{steps} steps, linear from 0"));
    }
    let percent = format!("{} % of the steps", (rate.warmup_ratio? * 1e4).round() / 100.0);
    Some(match stage.schedule() {
        Ok(schedule) => format!("{percent} ({})", spaced(schedule.warmup_steps)),
        Err(_) => percent,
    })
}
