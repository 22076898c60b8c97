//! By whose rules and in which form models are asked.

use clap::builder::TypedValueParser;

use crate::cli::format::one_of;
use crate::evaluate::Overlong;
use crate::run::{Options, Places};
use crate::tasks::protocol::DEFAULT_PROTOCOL;

/// By whose rules and in which form models are asked.
#[derive(Debug, Clone, clap::Args)]
pub struct VariantFlags {
    /// Whose rules to follow for prompts, special tokens, scored tokens and metrics; several are reported side by
    /// side (zoo suites --protocols)
    #[arg(long, value_delimiter = ',', default_value = DEFAULT_PROTOCOL, value_name = "NAME")]
    pub protocol: Vec<String>,
    /// Extra metrics for multiple-choice tasks: acc, acc_norm (by characters), acc_bytes,
    /// acc_token (by tokens), acc_mutual_info, exact_match, brier_score, f1, mcc
    #[arg(long, value_delimiter = ',', value_name = "METRIC")]
    pub metrics: Vec<String>,
    /// Write prompts as conversations, with the template of the model's card (or the checkpoint's own if it has
    /// none), or with the one named: card, checkpoint, server (of a served model), both (with and without, side by side), a
    /// template of the checkpoint, one of zoo/prompts, or several of these separated by commas
    #[arg(
        long,
        alias = "apply_chat_template",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "default",
        value_delimiter = ',',
        value_name = "NAME"
    )]
    pub apply_chat_template: Vec<String>,
    /// Whether few-shot examples are turns of the conversation rather than text in a single message [default: true if
    /// the template has turns]
    #[arg(
        long,
        alias = "fewshot_as_multiturn",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        value_name = "BOOL"
    )]
    pub fewshot_as_multiturn: Option<bool>,
    /// Ask each multiple-choice task as often as it has options, each time with all options moved on by one place, and report
    /// how far answers depend on it (rotations.csv)
    #[arg(long)]
    pub rotate_options: bool,
    /// What to do with documents that do not fit into the context
    #[arg(long, default_value = "left", value_name = "HOW", value_parser = policies())]
    pub overlong: Overlong,
    /// Go on without the tasks whose data cannot be had; every table says which, and groups over them have no value
    #[arg(long)]
    pub skip_missing_data: bool,
}

impl VariantFlags {
    /// The options of a run with these.
    pub fn in_options(&self, options: Options) -> Options {
        Options {
            protocol: self.protocol.clone(),
            metrics: self.metrics.clone(),
            apply_chat_template: self.apply_chat_template.clone(),
            fewshot_as_multiturn: self.fewshot_as_multiturn,
            rotate_options: self.rotate_options,
            overlong: self.overlong,
            places: Places { skip_missing_data: self.skip_missing_data, ..options.places },
            ..options
        }
    }
}

fn policies() -> impl TypedValueParser<Value = Overlong> {
    let helps = [
        (Overlong::Left, "Cut on the left, BOS and description first, as the reference harness does"),
        (Overlong::DropShots, "Drop examples from the front until the prompt fits"),
        (Overlong::Skip, "Leave the document out"),
        (Overlong::Error, "Refuse the run"),
    ];
    one_of(helps.map(|(policy, help)| (policy, policy.name(), help)))
}
